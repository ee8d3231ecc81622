//! Reading a certificate request (RFC 2986) as strictly as a CA that has seen only the vendor's apps.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

use super::der::{BIT_STRING, Der, INTEGER, OCTET_STRING, OID, PRINTABLE_STRING, SEQUENCE, SET};

/// 1.2.840.10045.4.3.2
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// 1.2.840.10045.2.1
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7
const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.2.840.113549.1.9.14
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// 1.2.840.113549.1.9.1
const EMAIL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01];
/// `uniformResourceIdentifier` of a `GeneralName`.
const URI: u8 = 0x86;
/// The attributes of a request.
const ATTRIBUTES: u8 = 0xa0;

/// What must stand in the subject, in this order; `None` where each client has its own.
const SUBJECT: [(&str, &[u8], Option<&str>); 7] = [
    ("CN", &[0x55, 0x04, 0x03], None),
    ("OU", &[0x55, 0x04, 0x0b], Some("DIY")),
    ("O", &[0x55, 0x04, 0x0a], Some("LEGRAND")),
    ("L", &[0x55, 0x04, 0x07], Some("Paris")),
    ("ST", &[0x55, 0x04, 0x08], Some("France")),
    ("C", &[0x55, 0x04, 0x06], Some("FR")),
    ("emailAddress", EMAIL, None),
];

/// What a request asks for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) client_id: String,
    pub(crate) email: String,
    /// The URI of the subject's other name.
    pub(crate) uri: String,
    /// An uncompressed point of P-256, 65 bytes.
    pub(crate) public_key: Vec<u8>,
}

/// Reads a request, or says what is wrong with it.
pub(crate) fn read(der: &[u8]) -> Result<Request, String> {
    let mut all = Der::new(der);
    let mut request = all.enter(SEQUENCE, "the request")?;
    all.end("the file")?;
    let info = request.expect(SEQUENCE, "the request's information")?;
    let mut algorithm = request.enter(SEQUENCE, "the signature's algorithm")?;
    algorithm.exactly(OID, ECDSA_WITH_SHA256, "the signature's algorithm")?;
    algorithm.end("the signature's algorithm")?;
    let signature = bits(request.expect(BIT_STRING, "the signature")?.content, "the signature")?;
    request.end("the request")?;

    let mut fields = Der::new(info.content);
    fields.exactly(INTEGER, &[0], "the version")?;
    let (client_id, email) = subject(fields.enter(SEQUENCE, "the subject")?)?;
    let public_key = public_key(fields.enter(SEQUENCE, "the public key")?)?;
    let uri = attributes(fields.enter(ATTRIBUTES, "the attributes")?)?;
    fields.end("the request's information")?;

    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key)
        .verify(info.whole, signature)
        .map_err(|_| "the signature is not by the request's own key")?;
    Ok(Request { client_id, email, uri, public_key: public_key.to_vec() })
}

fn bits<'a>(content: &'a [u8], what: &str) -> Result<&'a [u8], String> {
    match content {
        [0, bits @ ..] => Ok(bits),
        _ => Err(format!("{what} is not a whole number of bytes")),
    }
}

/// Seven names, each alone in a set of its own.
fn subject(mut names: Der<'_>) -> Result<(String, String), String> {
    let (mut client_id, mut email) = (String::new(), String::new());
    for (label, oid, fixed) in SUBJECT {
        let mut set = names.enter(SET, label)?;
        let mut pair = set.enter(SEQUENCE, label)?;
        set.end(label)?;
        pair.exactly(OID, oid, label)?;
        // The vendor's apps write the e-mail address like the others, although `@` is outside that alphabet.
        let value = pair.expect(PRINTABLE_STRING, label)?.content;
        pair.end(label)?;
        let value = std::str::from_utf8(value).map_err(|_| format!("{label} is no text"))?;
        match fixed {
            Some(fixed) if fixed != value => return Err(format!("{label} is {value:?} instead of {fixed:?}")),
            Some(_) => {}
            None if oid == EMAIL => value.clone_into(&mut email),
            None => value.clone_into(&mut client_id),
        }
    }
    names.end("the subject")?;
    Ok((client_id, email))
}

fn public_key(mut key: Der<'_>) -> Result<&[u8], String> {
    let mut algorithm = key.enter(SEQUENCE, "the key's algorithm")?;
    algorithm.exactly(OID, EC_PUBLIC_KEY, "the key's algorithm")?;
    algorithm.exactly(OID, PRIME256V1, "the key's curve")?;
    algorithm.end("the key's algorithm")?;
    let point = bits(key.expect(BIT_STRING, "the key")?.content, "the key")?;
    key.end("the public key")?;
    if point.len() == 65 && point.first() == Some(&4) { Ok(point) } else { Err("the key is no uncompressed point of P-256".to_owned()) }
}

/// The URI in the one extension that is asked for.
fn attributes(mut attributes: Der<'_>) -> Result<String, String> {
    let mut attribute = attributes.enter(SEQUENCE, "extensionRequest")?;
    attributes.end("the attributes")?;
    attribute.exactly(OID, EXTENSION_REQUEST, "extensionRequest")?;
    let mut values = attribute.enter(SET, "extensionRequest")?;
    attribute.end("extensionRequest")?;
    let mut extensions = values.enter(SEQUENCE, "the extensions")?;
    values.end("extensionRequest")?;
    let mut extension = extensions.enter(SEQUENCE, "subjectAltName")?;
    extensions.end("the extensions")?;
    extension.exactly(OID, SUBJECT_ALT_NAME, "subjectAltName")?;
    let value = extension.expect(OCTET_STRING, "subjectAltName")?;
    extension.end("subjectAltName")?;
    let mut value = Der::new(value.content);
    let mut names = value.enter(SEQUENCE, "subjectAltName")?;
    value.end("subjectAltName")?;
    let uri = names.expect(URI, "the URI of subjectAltName")?;
    names.end("subjectAltName")?;
    String::from_utf8(uri.content.to_vec()).map_err(|_| "the URI of subjectAltName is no text".to_owned())
}
