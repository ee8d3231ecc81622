//! The request for a client certificate (PKCS #10, RFC 2986), byte for byte as the vendor's app writes it.
//!
//! Written by hand: the vendor's authority wants the e-mail address as a `PrintableString`, in whose alphabet there is no
//! `@` (X.680, section 41.4), and libraries refuse that.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use doorward_core::Secret;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const PRINTABLE_STRING: u8 = 0x13;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0]` of a request: its attributes.
const ATTRIBUTES: u8 = 0xa0;
/// `[6]` of a general name: a URI (RFC 5280, section 4.2.1.6).
const URI: u8 = 0x86;

/// `id-ecPublicKey` on `prime256v1` (RFC 5480, section 2.1.1).
const P256: [&[u8]; 2] = [&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]];
/// `ecdsa-with-SHA256` (RFC 5758, section 3.2).
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// `extensionRequest` (RFC 2985, section 5.4.2).
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
/// `subjectAltName` (RFC 5280, section 4.2.1.6).
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATIONAL_UNIT: &[u8] = &[0x55, 0x04, 0x0b];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
const LOCALITY: &[u8] = &[0x55, 0x04, 0x07];
const STATE: &[u8] = &[0x55, 0x04, 0x08];
const COUNTRY: &[u8] = &[0x55, 0x04, 0x06];
/// `emailAddress` (RFC 2985, section 5.2.1).
const EMAIL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01];

/// Letters of a name, at most.
const LONGEST: usize = 256;

/// Whom the certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The number that this installation made up for itself.
    pub client_id: String,
    /// The e-mail address of the plant's owner.
    pub owner_email: String,
    /// The account's SIP address: `sip:<owner>_<client id>@<gateway>.bs.iotleg.com`.
    pub sip_uri: String,
}

/// Why there is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// It cannot be written as the vendor wants it.
    #[error("{0} is empty, too long or not ASCII")]
    Name(&'static str),
    /// The key is none, or not one of P-256.
    #[error("the private key is not one of P-256 in PKCS #8")]
    Key,
    /// The system has no randomness.
    #[error("there is no randomness for a signature")]
    Randomness,
}

/// A new private key of P-256, as PKCS #8.
pub fn new_key() -> Result<Secret<Vec<u8>>, CsrError> {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).map_err(|_| CsrError::Randomness)?;
    Ok(Secret::new(key.as_ref().to_vec()))
}

/// The signed request, as DER.
pub fn request(key: &Secret<Vec<u8>>, subject: &Subject) -> Result<Vec<u8>, CsrError> {
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.reveal()).map_err(|_| CsrError::Key)?;
    let info = info(key.public_key().as_ref(), subject)?;
    let signature = key.sign(&SystemRandom::new(), &info).map_err(|_| CsrError::Randomness)?;
    Ok(wrap(SEQUENCE, &[&info, &wrap(SEQUENCE, &[&wrap(OBJECT_IDENTIFIER, &[ECDSA_SHA256])]), &bits(signature.as_ref())]))
}

/// What is signed: version, subject, public key, and the alternative name that is asked for.
fn info(public: &[u8], subject: &Subject) -> Result<Vec<u8>, CsrError> {
    let client_id = printable("the client id", &subject.client_id)?;
    let email = printable("the owner's e-mail address", &subject.owner_email)?;
    let sip_uri = printable("the SIP address", &subject.sip_uri)?;
    let names: [(&[u8], &[u8]); 7] = [
        (COMMON_NAME, client_id),
        (ORGANIZATIONAL_UNIT, b"DIY"),
        (ORGANIZATION, b"LEGRAND"),
        (LOCALITY, b"Paris"),
        (STATE, b"France"),
        (COUNTRY, b"FR"),
        (EMAIL, email),
    ];
    let name = |(kind, value): (&[u8], &[u8])| {
        wrap(SET, &[&wrap(SEQUENCE, &[&wrap(OBJECT_IDENTIFIER, &[kind]), &wrap(PRINTABLE_STRING, &[value])])])
    };
    let subject = wrap(SEQUENCE, &[&names.map(name).concat()]);
    let algorithm = wrap(SEQUENCE, &[&P256.map(|oid| wrap(OBJECT_IDENTIFIER, &[oid])).concat()]);
    let alternative = wrap(SEQUENCE, &[&wrap(URI, &[sip_uri])]);
    let extension = wrap(SEQUENCE, &[&wrap(OBJECT_IDENTIFIER, &[SUBJECT_ALT_NAME]), &wrap(OCTET_STRING, &[&alternative])]);
    let attribute = [wrap(OBJECT_IDENTIFIER, &[EXTENSION_REQUEST]), wrap(SET, &[&wrap(SEQUENCE, &[&extension])])].concat();
    Ok(wrap(
        SEQUENCE,
        &[
            &wrap(INTEGER, &[&[0]]),
            &subject,
            &wrap(SEQUENCE, &[&algorithm, &bits(public)]),
            &wrap(ATTRIBUTES, &[&wrap(SEQUENCE, &[&attribute])]),
        ],
    ))
}

fn printable<'a>(what: &'static str, text: &'a str) -> Result<&'a [u8], CsrError> {
    let fits = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if fits { Ok(text.as_bytes()) } else { Err(CsrError::Name(what)) }
}

/// A bit string whose last byte is whole.
fn bits(bytes: &[u8]) -> Vec<u8> {
    wrap(BIT_STRING, &[&[0], bytes])
}

/// Tag, length and content (X.690, section 8.1).
fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut der = vec![tag];
    let bytes = length.to_be_bytes();
    if length < 0x80 {
        der.push(bytes[bytes.len() - 1]);
    } else {
        let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        // A `usize` has eight bytes.
        der.push(0x80 | significant.len().to_be_bytes()[size_of::<usize>() - 1]);
        der.extend_from_slice(significant);
    }
    for part in parts {
        der.extend_from_slice(part);
    }
    der
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde_json::Value;

    fn vector() -> Value {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/sip.json");
        serde_json::from_slice::<Value>(&std::fs::read(file).unwrap()).unwrap()["csr"].take()
    }

    fn subject(vector: &Value) -> Subject {
        let name = |at: usize| vector["subject"][at]["value"].as_str().unwrap().to_owned();
        Subject { client_id: name(0), owner_email: name(6), sip_uri: vector["san_uri"].as_str().unwrap().into() }
    }

    fn key(vector: &Value) -> Secret<Vec<u8>> {
        let pem = vector["private_key_pem"].as_str().unwrap();
        let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        Secret::new(STANDARD.decode(text).unwrap())
    }

    #[test]
    fn a_request_is_the_vendors_but_for_its_signature() {
        let vector = vector();
        let theirs = STANDARD.decode(vector["csr_base64_der"].as_str().unwrap()).unwrap();
        let ours = request(&key(&vector), &subject(&vector)).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key(&vector).reveal()).unwrap();
        let info = info(key.public_key().as_ref(), &subject(&vector)).unwrap();
        // A sequence of more than 255 bytes has four bytes before its content.
        assert_eq!(ours[4..4 + info.len()], info);
        assert_eq!(theirs[4..4 + info.len()], info, "subject, tags, key and alternative name");
        let algorithm = &theirs[4 + info.len()..][..12];
        assert_eq!(&ours[4 + info.len()..][..12], algorithm);
        let signature = &ours[4 + info.len() + 12 + 3..];
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key().as_ref()).verify(&info, signature).unwrap();
    }

    #[test]
    fn a_new_key_signs() {
        let (key, subject) = (new_key().unwrap(), subject(&vector()));
        assert_ne!(request(&key, &subject).unwrap(), request(&key, &subject).unwrap(), "a signature is random");
        assert_ne!(new_key().unwrap().reveal(), key.reveal());
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let (key, good) = (new_key().unwrap(), subject(&vector()));
        for (subject, name) in [
            (Subject { client_id: String::new(), ..good.clone() }, "the client id"),
            (Subject { owner_email: "ü@example.com".into(), ..good.clone() }, "the owner's e-mail address"),
            (Subject { owner_email: "a\n@example.com".into(), ..good.clone() }, "the owner's e-mail address"),
            (Subject { sip_uri: "x".repeat(257), ..good.clone() }, "the SIP address"),
        ] {
            assert_eq!(request(&key, &subject), Err(CsrError::Name(name)));
        }
        assert_eq!(request(&Secret::new(vec![1, 2, 3]), &good), Err(CsrError::Key));
    }
}
