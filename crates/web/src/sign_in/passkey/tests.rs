//! Both ceremonies, with authenticators made here. One of Chromium's is in the tests of the whole program.

use super::*;
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};

const HERE: &str = "https://door.example";
const CHALLENGE: [u8; 32] = [3; 32];
const ID: [u8; 16] = [7; 16];
const OWNER: [u8; 32] = [5; 32];
const BOTH: u8 = USER_PRESENT | USER_VERIFIED;

fn site() -> Site {
    Site { rp_id: "door.example".into(), origins: vec![HERE.into(), "https://door.example:8443".into()] }
}

/// A string of CBOR.
fn string(major: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let head = match length {
        [0, short @ 0..24] => vec![major << 5 | short],
        [0, short] => vec![major << 5 | 0x18, short],
        [high, low] => vec![major << 5 | 0x19, high, low],
    };
    [head, bytes.into()].concat()
}

/// What holds the private half.
enum Authenticator {
    P256(EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Authenticator {
    fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn all() -> [Self; 3] {
        [Self::p256(), Self::Edwards(Ed25519KeyPair::generate().unwrap()), Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())]
    }

    fn cose(&self) -> Vec<u8> {
        match self {
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                [b"\xa5\x01\x02\x03\x26\x20\x01\x21", &string(2, &point[1..33])[..], b"\x22", &string(2, &point[33..])].concat()
            }
            Self::Edwards(pair) => [b"\xa4\x01\x01\x03\x27\x20\x06\x21", &string(2, pair.public_key().as_ref())[..]].concat(),
            Self::Rsa(pair) => {
                let der = pair.public_key().as_ref();
                // PKCS #1: a sequence of modulus and exponent.
                [b"\xa4\x01\x03\x03\x39\x01\x00\x20", &string(2, &der[9..265])[..], b"\x21", &string(2, &der[267..270])].concat()
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::P256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Edwards(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// What it makes with this key, this flags and this after the key.
    fn made(flags: u8, id: &[u8], key: &[u8], after: &[u8]) -> Vec<u8> {
        let length = u16::try_from(id.len()).unwrap().to_be_bytes();
        object(&data("door.example", flags, 1, &[&[9; 16], &length[..], id, key, after].concat()))
    }

    fn registered(&self) -> Made {
        register(&site(), &CHALLENGE, &client("webauthn.create"), &Self::made(BOTH | CREDENTIAL, &ID, &self.cose(), b"")).unwrap()
    }
}

fn client(kind: &str) -> Vec<u8> {
    client_of(kind, &CHALLENGE, HERE, r#","crossOrigin":false,"other_keys_can_be_added_here":"do not compare"}"#)
}

fn client_of(kind: &str, challenge: &[u8], origin: &str, rest: &str) -> Vec<u8> {
    format!(r#"{{"type":"{kind}","challenge":"{}","origin":"{origin}"{rest}"#, BASE64.encode(challenge)).into_bytes()
}

fn data(rp_id: &str, flags: u8, signatures: u32, rest: &[u8]) -> Vec<u8> {
    [digest(&SHA256, rp_id.as_bytes()).as_ref(), &[flags], &signatures.to_be_bytes(), rest].concat()
}

fn object(data: &[u8]) -> Vec<u8> {
    let (fmt, statement) = (string(3, b"fmt"), string(3, b"attStmt"));
    [b"\xa3", &fmt[..], &string(3, b"none"), &statement, b"\xa0", &string(3, b"authData"), &string(2, data)].concat()
}

/// A registration with something changed.
fn refused(client: &[u8], attestation: &[u8]) -> Refusal {
    register(&site(), &CHALLENGE, client, attestation).unwrap_err()
}

/// A sign-in with something changed.
struct Attempt<'a> {
    client: Vec<u8>,
    data: Vec<u8>,
    id: &'a [u8],
    handle: Option<&'a [u8]>,
    broken: bool,
}

impl Attempt<'_> {
    fn right(signatures: u32) -> Self {
        Self {
            client: client("webauthn.get"),
            data: data("door.example", BOTH, signatures, b""),
            id: &ID,
            handle: Some(&OWNER),
            broken: false,
        }
    }

    fn with_flags(flags: u8) -> Self {
        Self { data: data("door.example", flags, 2, b""), ..Self::right(2) }
    }

    fn of(self, authenticator: &Authenticator, made: &Made) -> Result<Used, Refusal> {
        let mut signature = authenticator.sign(&[&self.data, digest(&SHA256, &self.client).as_ref()].concat());
        if self.broken {
            *signature.last_mut().unwrap() ^= 1;
        }
        let given = Assertion {
            id: self.id,
            client_data: &self.client,
            authenticator_data: &self.data,
            signature: &signature,
            user_handle: self.handle,
        };
        let (alg, key, signatures) = (made.alg, &made.key[..], made.signatures);
        let kept = Kept { id: &made.id, alg, key, signatures, backup_eligible: made.backup_eligible, user_handle: &OWNER };
        assert(&site(), &CHALLENGE, &given, &kept)
    }
}

#[test]
fn a_passkey_registers_and_signs_in_in_each_way() {
    for authenticator in Authenticator::all() {
        let made = authenticator.registered();
        assert_eq!((&made.id[..], made.signatures, made.backup_eligible, made.backed_up), (&ID[..], 1, false, false));
        assert_eq!(Attempt::right(2).of(&authenticator, &made), Ok(Used { signatures: 2, backed_up: false }));
        let broken = Attempt { broken: true, ..Attempt::right(2) };
        assert_eq!(broken.of(&authenticator, &made), Err(Refusal::Signature));
    }
}

#[test]
fn the_signature_of_another_passkey_is_refused() {
    let (one, other) = (Authenticator::all(), Authenticator::all());
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(Attempt::right(2).of(one, &other.registered()), Err(Refusal::Signature));
    }
}

#[test]
fn a_copied_passkey_tells_what_it_is() {
    let authenticator = Authenticator::p256();
    let flags = BOTH | BACKUP_ELIGIBLE | BACKED_UP;
    let object = Authenticator::made(flags | CREDENTIAL, &ID, &authenticator.cose(), b"");
    let mut made = register(&site(), &CHALLENGE, &client("webauthn.create"), &object).unwrap();
    assert!(made.backup_eligible && made.backed_up);
    made.signatures = 0;
    let quiet = || Attempt { data: data("door.example", flags, 0, b""), ..Attempt::right(0) };
    for _ in 0..2 {
        assert_eq!(quiet().of(&authenticator, &made), Ok(Used { signatures: 0, backed_up: true }), "it does not count");
    }
    assert_eq!(Attempt::right(0).of(&authenticator, &made), Err(Refusal::BackupState), "it cannot stop being one");
}

#[test]
fn a_registration_for_something_else_is_refused() {
    let good = Authenticator::made(BOTH | CREDENTIAL, &ID, &Authenticator::p256().cose(), b"");
    let create = "webauthn.create";
    assert_eq!(refused(&client("webauthn.get"), &good), Refusal::Type);
    assert_eq!(refused(&client_of(create, &[4; 32], HERE, "}"), &good), Refusal::Challenge);
    assert_eq!(refused(&client_of(create, b"", HERE, "}"), &good), Refusal::Challenge);
    for origin in ["https://door.example.evil", "http://door.example", "https://door.example:444", "https://evil.door.example", "null", ""]
    {
        assert_eq!(refused(&client_of(create, &CHALLENGE, origin, "}"), &good), Refusal::Origin, "{origin}");
    }
    assert!(register(&site(), &CHALLENGE, &client_of(create, &CHALLENGE, "https://door.example:8443", "}"), &good).is_ok());
    for framed in [r#","crossOrigin":true}"#, r#","crossOrigin":false,"topOrigin":"https://evil.example"}"#] {
        assert_eq!(refused(&client_of(create, &CHALLENGE, HERE, framed), &good), Refusal::CrossOrigin);
    }
    for garbage in [&b""[..], b"{}", b"[]", b"{\"type\":1}", b"\xff"] {
        assert_eq!(refused(garbage, &good), Refusal::Malformed);
    }
    let other = Site { rp_id: "evil.example".into(), ..site() };
    assert_eq!(register(&other, &CHALLENGE, &client(create), &good), Err(Refusal::RpId));
}

#[test]
fn a_registration_that_cannot_be_is_refused() {
    let key = Authenticator::p256().cose();
    let with =
        |flags, id: &[u8], key: &[u8], after: &[u8]| refused(&client("webauthn.create"), &Authenticator::made(flags, id, key, after));
    let all = BOTH | CREDENTIAL;
    assert_eq!(with(USER_VERIFIED | CREDENTIAL, &ID, &key, b""), Refusal::NotPresent);
    assert_eq!(with(USER_PRESENT | CREDENTIAL, &ID, &key, b""), Refusal::NotVerified);
    assert_eq!(with(all | BACKED_UP, &ID, &key, b""), Refusal::BackupState);
    assert_eq!(with(BOTH, &ID, &key, b""), Refusal::Credential);
    for length in [15, 1024] {
        assert_eq!(with(all, &vec![1; length], &key, b""), Refusal::CredentialId);
    }
    assert_eq!(with(all, &ID, &key, b"\x00"), Refusal::Malformed, "something after the key");
    assert_eq!(with(all | EXTENSIONS, &ID, &key, b""), Refusal::Malformed, "no extensions where they are named");
    assert_eq!(with(all | EXTENSIONS, &ID, &key, b"\x80"), Refusal::Malformed, "no map");
    assert_eq!(with(all | EXTENSIONS, &ID, &key, b"\xa0\xa0"), Refusal::Malformed, "two maps");
    let extended = Authenticator::made(all | EXTENSIONS, &ID, &key, b"\xa1\x68credBlob\xf5");
    assert!(register(&site(), &CHALLENGE, &client("webauthn.create"), &extended).is_ok());
    for length in [16, 1023] {
        assert!(register(&site(), &CHALLENGE, &client("webauthn.create"), &Authenticator::made(all, &vec![1; length], &key, b"")).is_ok());
    }
    let good = Authenticator::made(all, &ID, &key, b"");
    assert_eq!(refused(&client("webauthn.create"), &[&good[..], b"\xa0"].concat()), Refusal::Malformed, "something after the object");
    let bytes = data("door.example", all, 1, &[&[9; 16], &[0, 16][..], &ID, &key].concat());
    let named = [string(3, b"authData"), string(2, &bytes)].concat();
    assert_eq!(refused(&client("webauthn.create"), &[b"\xa2", &named[..], &named].concat()), Refusal::Malformed, "twice");
    assert!(register(&site(), &CHALLENGE, &client("webauthn.create"), &[b"\xa1", &named[..]].concat()).is_ok());
}

#[test]
fn a_key_of_another_kind_or_curve_is_refused() {
    let key = |bytes: &[u8]| refused(&client("webauthn.create"), &Authenticator::made(BOTH | CREDENTIAL, &ID, bytes, b""));
    let good = Authenticator::p256().cose();
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        bytes
    };
    assert_eq!(key(&changed(4, 0x22)), Refusal::Algorithm, "-3");
    assert_eq!(key(&changed(6, 2)), Refusal::Key, "the curve P-384");
    assert_eq!(key(&changed(2, 1)), Refusal::Key, "a kind that does not go with it");
    assert_eq!(key(&changed(20, good[20] ^ 1)), Refusal::Key, "no point of the curve");
    assert_eq!(key(&changed(3, 1)), Refusal::Malformed, "the kind twice");
    let [x, y] = [&good[7..42], &good[42..]];
    assert_eq!(key(&[&good[..7], y, x].concat()), Refusal::Malformed, "another order");
    let edwards = Authenticator::all()[1].cose();
    let off = [&edwards[..6], &[1], &edwards[7..]].concat();
    assert_eq!(key(&off), Refusal::Key, "Ed25519 on P-256");
    let rsa = |modulus: &[u8]| [b"\xa4\x01\x03\x03\x39\x01\x00\x20", &string(2, modulus)[..], b"\x21\x43\x01\x00\x01"].concat();
    assert_eq!(key(&rsa(&[0xff; 255])), Refusal::Key, "2040 bits");
    assert_eq!(key(&rsa(&[&[0x7f], &[0xff; 255][..]].concat())), Refusal::Key, "2047 bits");
    assert_eq!(key(b"\xa0"), Refusal::Algorithm);
}

#[test]
fn a_sign_in_for_something_else_is_refused() {
    let authenticator = Authenticator::p256();
    let made = authenticator.registered();
    let is = |attempt: Attempt<'_>, refusal| assert_eq!(attempt.of(&authenticator, &made), Err(refusal));
    let with_client = |client| Attempt { client, ..Attempt::right(2) };
    is(with_client(client("webauthn.create")), Refusal::Type);
    is(with_client(client_of("webauthn.get", &[4; 32], HERE, "}")), Refusal::Challenge);
    is(with_client(client_of("webauthn.get", &CHALLENGE, "https://door.example.evil", "}")), Refusal::Origin);
    is(with_client(client_of("webauthn.get", &CHALLENGE, HERE, r#","crossOrigin":true}"#)), Refusal::CrossOrigin);
    is(Attempt { data: data("evil.example", BOTH, 2, b""), ..Attempt::right(2) }, Refusal::RpId);
    is(Attempt { id: &[8; 16], ..Attempt::right(2) }, Refusal::CredentialId);
    is(Attempt { handle: Some(&[6; 32]), ..Attempt::right(2) }, Refusal::UserHandle);
    is(Attempt { handle: None, ..Attempt::right(2) }, Refusal::UserHandle);
    is(Attempt::with_flags(USER_VERIFIED), Refusal::NotPresent);
    is(Attempt::with_flags(USER_PRESENT), Refusal::NotVerified);
    is(Attempt::with_flags(BOTH | BACKUP_ELIGIBLE), Refusal::BackupState);
    is(Attempt::with_flags(BOTH | BACKED_UP), Refusal::BackupState);
    is(Attempt::with_flags(BOTH | CREDENTIAL), Refusal::Credential);
    is(Attempt::with_flags(BOTH | EXTENSIONS), Refusal::Malformed);
    is(Attempt { data: data("door.example", BOTH, 2, b"\xa0"), ..Attempt::right(2) }, Refusal::Malformed);
    is(Attempt { data: data("door.example", BOTH, 2, b"")[..36].into(), ..Attempt::right(2) }, Refusal::Malformed);
    let extended = data("door.example", BOTH | EXTENSIONS, 2, b"\xa0");
    assert!(Attempt { data: extended, ..Attempt::right(2) }.of(&authenticator, &made).is_ok());
}

#[test]
fn a_counter_that_did_not_go_up_is_a_copy() {
    let authenticator = Authenticator::p256();
    let mut made = authenticator.registered();
    made.signatures = 10;
    for (signatures, taken) in [(11, true), (u32::MAX, true), (10, false), (9, false), (0, false)] {
        let wanted = if taken { Ok(Used { signatures, backed_up: false }) } else { Err(Refusal::Counter) };
        assert_eq!(Attempt::right(signatures).of(&authenticator, &made), wanted, "{signatures}");
    }
    let forged = Attempt { broken: true, ..Attempt::right(3) };
    assert_eq!(forged.of(&authenticator, &made), Err(Refusal::Signature), "a stranger cannot accuse anybody of having a copy");
}

#[test]
fn no_cut_or_flip_of_a_registration_is_taken_for_another_key() {
    let authenticator = Authenticator::p256();
    let good = Authenticator::made(BOTH | CREDENTIAL, &ID, &authenticator.cose(), b"");
    let made = authenticator.registered();
    for at in 0..good.len() {
        assert!(register(&site(), &CHALLENGE, &client("webauthn.create"), &good[..at]).is_err());
        for bit in 0..8 {
            let mut flipped = good.clone();
            flipped[at] ^= 1 << bit;
            if let Ok(other) = register(&site(), &CHALLENGE, &client("webauthn.create"), &flipped) {
                assert_eq!(other.key, made.key, "a point beside it is not on the curve");
            }
        }
    }
}

/// Web Authentication Level 3, section 16.2. That authenticator does not verify who it is, so it is refused for this and for
/// nothing before; its key and its signature are read as they are.
#[test]
fn the_example_of_the_standard_is_read() {
    let site = Site { rp_id: "example.org".into(), origins: vec!["https://example.org".into()] };
    let challenge = hex("00c30fb78531c464d2b6771dab8d7b603c01162f2fa486bea70f283ae556e130");
    let client = hex(concat!(
        "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a22414d4d507434557878475453746e6364713431375944",
        "7742466938767049612d7077386f4f755657345441222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f",
        "726967696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a534f4e206d617920626520657874656e6465642077697468",
        "206164646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a20426b5165446a64635442725842",
        "6941774a544c453551227d",
    ));
    let mut attestation = hex(concat!(
        "a363666d74646e6f6e656761747453746d74a068617574684461746158a4bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4",
        "b559000000008446ccb9ab1db374750b2367ff6f3a1f0020f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4a501020326",
        "2001215820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61225820930a56b87a2fca66334b03458abf879717c12cc68e",
        "d73290af2e2664796b9220",
    ));
    assert_eq!(register(&site, &challenge, &client, &attestation), Err(Refusal::NotVerified));
    let flags = attestation.iter().position(|byte| *byte == 0x59).unwrap();
    attestation[flags] |= USER_VERIFIED;
    let made = register(&site, &challenge, &client, &attestation).unwrap();
    assert_eq!(made.id, hex("f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4"));
    assert!(made.backup_eligible && made.backed_up && made.signatures == 0);

    let challenge = hex("39c0e7521417ba54d43e8dc95174f423dee9bf3cd804ff6d65c857c9abf4d408");
    let client = hex(concat!(
        "7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a224f63446e55685158756c5455506f334a5558543049393770767a",
        "7a59425039745a63685879617630314167222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e",
        "223a66616c73657d",
    ));
    let data = hex("bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000");
    let signature = hex(concat!(
        "3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd380221008480ac0f0b93538174f575bf11a1dd5d78c6e486013f93",
        "7295ea13653e331e87",
    ));
    assert_eq!(client_data(&client, "webauthn.get", &challenge, &site), Ok(()));
    assert_eq!(verify(made.alg, &made.key, &[&data, digest(&SHA256, &client).as_ref()].concat(), &signature), Ok(()));
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
