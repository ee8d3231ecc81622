//! The only place of this crate that throws dice: nonces, keys, identifiers.

use uuid::Uuid;

/// Random bytes, good enough for keys.
///
/// # Panics
/// When the operating system has no randomness to give; going on would make keys that can be guessed.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    assert!(aws_lc_rs::rand::fill(&mut bytes).is_ok(), "the operating system gives no randomness");
    bytes
}

/// A random identifier.
pub(crate) fn uuid() -> Uuid {
    uuid::Builder::from_random_bytes(bytes()).into_uuid()
}
