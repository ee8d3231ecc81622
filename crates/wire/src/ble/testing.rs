//! What the tests of this module share: the vectors, and hex.

extern crate std;

use alloc::{string::String, vec::Vec};
use core::fmt::Write as _;
use serde_json::Value;

/// Version 1, as the original made it.
pub(crate) fn vectors() -> Value {
    read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/ble.json"))
}

/// Version 2, as Python made it.
pub(crate) fn vectors_of_v2() -> Value {
    read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/wire/ble-v2.json"))
}

fn read(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The bytes of a hex text of the vectors.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// As many of them as are wanted.
pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}
