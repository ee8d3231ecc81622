//! A partition of ESP-IDF's non-volatile storage (version 2 of its pages), as its generator writes it, and the CSV that the
//! generator reads: what a device starts with when it is flashed in a factory. Not encrypted.
//!
//! A partition is a row of pages of 4096 bytes: a head, a map of two bits for each entry, and 126 entries of 32 bytes. All that
//! a device starts with fits into the first page; the others are empty flash.

use alloc::{format, string::String, vec, vec::Vec};
use core::fmt::Write as _;

/// Bytes of a page.
pub const PAGE: usize = 4096;
/// Pages of a partition at least, as the generator has it.
const PAGES: usize = 3;
/// Entries of a page.
const ENTRIES: usize = 126;
/// Bytes of an entry.
const ENTRY: usize = 32;
/// Where entries begin.
const FIRST: usize = 64;
/// Characters of a key.
const KEY: usize = 15;
/// Empty flash.
const EMPTY: u8 = 0xFF;

/// A value of a partition.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number of one byte.
    Byte(u8),
}

/// Why there is no partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NvsError {
    /// Not a size that a partition can have.
    #[error("a partition has whole pages of 4096 bytes, three at least: such as 0x5000")]
    Size,
    /// Not a key.
    #[error("{0} is no key: it has 1 to {KEY} characters of ASCII")]
    Key(String),
    /// A text that the firmware could not read.
    #[error("{0} holds a character that ends a text")]
    Text(String),
    /// More than a page holds.
    #[error("this is more than a page of 4096 bytes holds")]
    Full,
}

/// The bytes of a partition with these values in one namespace.
pub fn partition(namespace: &str, values: &[(&str, Value)], size: usize) -> Result<Vec<u8>, NvsError> {
    if !size.is_multiple_of(PAGE) || size < PAGES * PAGE {
        return Err(NvsError::Size);
    }
    let mut page = Page::new();
    page.add(0, namespace, &Value::Byte(1))?;
    for (key, value) in values {
        page.add(1, key, value)?;
    }
    let mut bytes = page.finish();
    bytes.resize(size, EMPTY);
    Ok(bytes)
}

/// The same as the CSV that the generator reads.
pub fn csv(namespace: &str, values: &[(&str, Value)]) -> String {
    let mut text = format!("key,type,encoding,value\n{namespace},namespace,,\n");
    for (key, value) in values {
        // Writing to a text cannot fail.
        let _ = match value {
            Value::Text(value) => writeln!(text, "{key},data,string,{}", quoted(value)),
            Value::Byte(number) => writeln!(text, "{key},data,u8,{number}"),
        };
    }
    text
}

/// A field of CSV (RFC 4180).
pub fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}

struct Page {
    entries: Vec<[u8; ENTRY]>,
}

impl Page {
    fn new() -> Self {
        Self { entries: Vec::with_capacity(ENTRIES) }
    }

    fn add(&mut self, namespace: u8, key: &str, value: &Value) -> Result<(), NvsError> {
        if !(1..=KEY).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(NvsError::Key(key.into()));
        }
        match value {
            Value::Byte(number) => {
                let data = [*number, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY];
                self.push(head(namespace, 0x01, 1, key, data))
            }
            Value::Text(text) if text.contains('\0') => Err(NvsError::Text(key.into())),
            Value::Text(text) => {
                let bytes: Vec<u8> = text.bytes().chain([0]).collect();
                let chunks = bytes.len().div_ceil(ENTRY);
                let (Ok(length), Ok(span)) = (u16::try_from(bytes.len()), u8::try_from(chunks + 1)) else { return Err(NvsError::Full) };
                let [low, high] = length.to_le_bytes();
                let [a, b, c, d] = crc(&bytes).to_le_bytes();
                self.push(head(namespace, 0x21, span, key, [low, high, EMPTY, EMPTY, a, b, c, d]))?;
                for chunk in bytes.chunks(ENTRY) {
                    let mut entry = [EMPTY; ENTRY];
                    for (to, from) in entry.iter_mut().zip(chunk) {
                        *to = *from;
                    }
                    self.push(entry)?;
                }
                Ok(())
            }
        }
    }

    fn push(&mut self, entry: [u8; ENTRY]) -> Result<(), NvsError> {
        if self.entries.len() >= ENTRIES {
            return Err(NvsError::Full);
        }
        self.entries.push(entry);
        Ok(())
    }

    fn finish(self) -> Vec<u8> {
        // In use, the first page, version 2 (which counts down from 0xFF).
        let mut numbered = vec![0, 0, 0, 0, 0xFE];
        numbered.resize(24, EMPTY);
        let mut page = vec![0xFE, EMPTY, EMPTY, EMPTY];
        page.extend_from_slice(&numbered);
        page.extend_from_slice(&crc(&numbered).to_le_bytes());
        // Two bits for each entry: 11 is empty, 10 is written.
        let mut map = [EMPTY; 32];
        for at in 0..self.entries.len() {
            if let Some(byte) = map.get_mut(at / 4) {
                *byte &= !(1 << (at % 4 * 2));
            }
        }
        page.extend_from_slice(&map);
        debug_assert_eq!(page.len(), FIRST, "the head and the map");
        for entry in &self.entries {
            page.extend_from_slice(entry);
        }
        page.resize(PAGE, EMPTY);
        page
    }
}

fn head(namespace: u8, kind: u8, span: u8, key: &str, data: [u8; 8]) -> [u8; ENTRY] {
    let mut named = [0; 16];
    for (to, from) in named.iter_mut().zip(key.bytes()) {
        *to = from;
    }
    let begins = [namespace, kind, span, EMPTY];
    let checked: Vec<u8> = begins.into_iter().chain(named).chain(data).collect();
    let mut entry = [0; ENTRY];
    let bytes = begins.into_iter().chain(crc(&checked).to_le_bytes()).chain(named).chain(data);
    for (to, from) in entry.iter_mut().zip(bytes) {
        *to = from;
    }
    entry
}

/// CRC-32 of IEEE 802.3, begun with all ones as ESP-IDF begins it.
fn crc(bytes: &[u8]) -> u32 {
    let mut register = 0u32;
    for byte in bytes {
        register ^= u32::from(*byte);
        for _ in 0..8 {
            register = if register & 1 == 1 { (register >> 1) ^ 0xEDB8_8320 } else { register >> 1 };
        }
    }
    !register
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn a_partition_has_a_size_that_flash_has() {
        for size in [0, 4096, 0x2000, 0x5001] {
            assert_eq!(partition("gateway", &[], size).unwrap_err(), NvsError::Size, "{size:#x}");
        }
        let made = partition("gateway", &[("wifi_ssid", text("Lab"))], 0x5000).unwrap();
        assert_eq!(made.len(), 0x5000);
        assert!(made[PAGE..].iter().all(|byte| *byte == EMPTY));
        assert_eq!(made[32], 0b1110_1010, "the namespace, and a text that takes two entries");
    }

    #[test]
    fn what_the_firmware_could_not_read_is_refused() {
        assert_eq!(
            partition("gateway", &[("a_key_that_is_too_long", Value::Byte(1))], 0x3000).unwrap_err().to_string().split(' ').next(),
            Some("a_key_that_is_too_long")
        );
        assert_eq!(partition("gateway", &[("", Value::Byte(1))], 0x3000), Err(NvsError::Key(String::new())));
        assert_eq!(partition("gateway", &[("key", text("a\0b"))], 0x3000), Err(NvsError::Text("key".into())));
        assert_eq!(partition("gateway", &[("key", text(&"x".repeat(4000)))], 0x3000), Err(NvsError::Full));
    }

    #[test]
    fn the_generators_csv_has_quotes_where_they_are_needed() {
        let values = [("wifi_ssid", text("Lab, \"7\"")), ("provisioned", Value::Byte(1))];
        let expected = "key,type,encoding,value\ngateway,namespace,,\nwifi_ssid,data,string,\"Lab, \"\"7\"\"\"\nprovisioned,data,u8,1\n";
        assert_eq!(csv("gateway", &values), expected);
    }

    proptest! {
        #[test]
        fn any_values_make_a_partition_or_a_reason(values in proptest::collection::vec(("[a-z_]{0,17}", "\\PC{0,80}"), 0..40)) {
            let values: Vec<(&str, Value)> = values.iter().map(|(key, value)| (key.as_str(), text(value))).collect();
            if let Ok(made) = partition("gateway", &values, 0x3000) {
                prop_assert_eq!(made.len(), 0x3000);
            }
        }
    }
}
