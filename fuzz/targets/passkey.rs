//! What is fuzzed of passkeys: what a browser brings, which anybody can write. It takes whatever bytes and must neither panic nor let
//! somebody in. The tests run the same function over the corpus, and over what comes of it when bytes change.

use doorward_web::passkey::{Assertion, Kept, Refusal, Site, assert, register};
use std::sync::LazyLock;

static SITE: LazyLock<Site> = LazyLock::new(|| Site { rp_id: "door.example".into(), origins: vec!["https://door.example".into()] });

/// SHA-256 of the site's name, with which what authenticators say begins.
const NAME: [u8; 32] = [
    0xc3, 0x36, 0x7a, 0xad, 0xa2, 0x9b, 0x08, 0x9a, 0x0b, 0x47, 0xcf, 0x61, 0x99, 0x66, 0x2b, 0xde, 0x31, 0x44, 0x50, 0xcd, 0x3e, 0x44,
    0x09, 0x5c, 0xba, 0x71, 0xc2, 0x62, 0x01, 0xf0, 0x46, 0xb3,
];
const CHALLENGE: [u8; 32] = [3; 32];
const MADE: &str =
    r#"{"type":"webauthn.create","challenge":"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM","origin":"https://door.example"}"#;
const USED: &str = r#"{"type":"webauthn.get","challenge":"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM","origin":"https://door.example"}"#;
/// The credential that is kept, and its owner.
const ID: [u8; 16] = [7; 16];
const OWNER: [u8; 32] = [5; 32];

/// A registration as a whole, what an authenticator says in one, and a sign-in.
pub(crate) fn ceremony(bytes: &[u8]) {
    registered(bytes);
    let said = [&NAME[..], bytes].concat();
    registered(&object(&said));
    assert!(register(&SITE, &CHALLENGE, bytes, b"").is_err(), "a browser's word alone makes no key");
    for client_data in [USED.as_bytes(), bytes] {
        for signature in [bytes.get(..64).unwrap_or(bytes), &[0; 64]] {
            signs_in(&Assertion { id: &ID, client_data, authenticator_data: &said, signature, user_handle: Some(&OWNER) });
        }
    }
}

fn registered(attestation: &[u8]) {
    let made = register(&SITE, &CHALLENGE, MADE.as_bytes(), attestation);
    assert_eq!(made, register(&SITE, &CHALLENGE, MADE.as_bytes(), attestation), "it is read the same again");
    let Ok(made) = made else { return };
    let is_there = |part: &[u8]| attestation.windows(part.len()).any(|window| window == part);
    assert!((16..=1023).contains(&made.id.len()) && is_there(&made.id), "it has a name of its own");
    assert!((32..=517).contains(&made.key.len()), "its key is bounded");
    assert!(made.backup_eligible || !made.backed_up, "what says that it is copied may be");
    let more = [attestation, &[0]].concat();
    assert_eq!(register(&SITE, &CHALLENGE, MADE.as_bytes(), &more), Err(Refusal::Malformed), "nothing comes after it");
}

/// Nobody without a key gets in, with a credential of any kind.
fn signs_in(given: &Assertion<'_>) {
    // A point of P-256 (its base), one of Edwards (its base), and a modulus that is none.
    let base = b"\x04\x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\x77\x03\x7d\x81\x2d\xeb\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96\
                 \x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16\x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5";
    let edwards = [&[0x58][..], &[0x66; 31]].concat();
    let rsa = [&[3, 1, 0, 1][..], &[0xc3; 256]].concat();
    for (alg, key) in [(-7, &base[..]), (-8, &edwards), (-257, &rsa)] {
        for backup_eligible in [false, true] {
            let kept = Kept { id: &ID, alg, key, signatures: 0, backup_eligible, user_handle: &OWNER };
            assert!(assert(&SITE, &CHALLENGE, given, &kept).is_err(), "nobody signs without the key");
        }
    }
}

/// What an authenticator says, in a registration without a statement.
fn object(said: &[u8]) -> Vec<u8> {
    let length = u32::try_from(said.len()).unwrap_or(u32::MAX).to_be_bytes();
    [b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x5a", &length[..], said].concat()
}
