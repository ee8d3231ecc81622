//! Who sent a request: `Authorization: Doorward-Key <key id>:<base64 of a MAC>`.

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// What the MAC is for, so that it cannot stand in for one of something else.
const CONTEXT: &[u8] = b"doorward tunnel v2 request\0";
/// The scheme of the credential.
const SCHEME: &str = "Doorward-Key";
/// Bytes of a key id, at most.
const MOST_ID: usize = 64;

/// Who says to have sent a request, and with what proof.
pub(super) struct Credential {
    pub(super) key_id: String,
    mac: Vec<u8>,
}

impl Credential {
    /// A credential from the value of the header.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let (scheme, rest) = str::from_utf8(value).ok()?.split_once(' ')?;
        let (key_id, mac) = rest.rsplit_once(':')?;
        let mac = STANDARD.decode(mac).ok()?;
        (scheme.eq_ignore_ascii_case(SCHEME) && is_id(key_id)).then(|| Self { key_id: key_id.to_owned(), mac })
    }

    /// The value of the header. `None` where the id cannot be one.
    pub(super) fn write(key_id: &str, key: &[u8; 32], input: &[u8]) -> Option<String> {
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), input);
        is_id(key_id).then(|| format!("{SCHEME} {key_id}:{}", STANDARD.encode(mac)))
    }

    /// Whether the key made it. Takes as long whichever byte differs.
    pub(super) fn is_by(&self, key: &[u8; 32], input: &[u8]) -> bool {
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), input, &self.mac).is_ok()
    }
}

/// The letters of a key's name.
fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@');
    (1..=MOST_ID).contains(&id.len()) && id.bytes().all(plain)
}

/// What the MAC is over: the context, `enc`, method and path with their lengths before them (two bytes, the high one
/// first), and the SHA-256 of the body. `None` where one of them is longer than two bytes can say.
pub fn mac_input(enc: &[u8], method: &str, path: &str, body: &[u8]) -> Option<Vec<u8>> {
    let mut input = CONTEXT.to_vec();
    for part in [enc, method.as_bytes(), path.as_bytes()] {
        input.extend_from_slice(&u16::try_from(part.len()).ok()?.to_be_bytes());
        input.extend_from_slice(part);
    }
    input.extend_from_slice(digest(&SHA256, body).as_ref());
    Some(input)
}
