//! Reads a device's flash as ESP-IDF does: only what its page, its map and its sums agree on counts.

use std::collections::BTreeMap;

use super::Memory;

const PAGE: usize = 4096;
const NAMESPACE: &str = "gateway";

pub(super) fn read(image: &[u8]) -> Result<Memory, String> {
    if image.len() < 3 * PAGE || !image.len().is_multiple_of(PAGE) {
        return Err("no partition has this size".into());
    }
    let page = &image[..PAGE];
    if page[..4] != [0xFE, 0xFF, 0xFF, 0xFF] {
        return Err("the first page is not in use".into());
    }
    if page[8] != 0xFE {
        return Err("the page has another version".into());
    }
    if crc(&page[4..28]).to_le_bytes() != page[28..32] {
        return Err("the sum of the page is wrong".into());
    }
    let (mut names, mut values) = (BTreeMap::new(), BTreeMap::new());
    let mut at = 0;
    while at < 126 {
        if (page[32 + at / 4] >> (at % 4 * 2)) & 3 != 2 {
            break;
        }
        let entry = entry(page, at);
        let sum: Vec<u8> = entry[..4].iter().chain(&entry[8..]).copied().collect();
        if crc(&sum).to_le_bytes() != entry[4..8] {
            return Err(format!("the sum of entry {at} is wrong"));
        }
        let key: String = entry[8..24].iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
        let span = usize::from(entry[2]);
        match (entry[0], entry[1]) {
            (0, 0x01) => _ = names.insert(entry[24], key),
            (namespace, 0x21) => {
                let length = usize::from(u16::from_le_bytes([entry[24], entry[25]]));
                let bytes = page.get(64 + (at + 1) * 32..64 + (at + 1) * 32 + length).ok_or("a text goes over the end of the page")?;
                if crc(bytes).to_le_bytes() != entry[28..32] {
                    return Err(format!("the sum of {key} is wrong"));
                }
                let text = bytes.strip_suffix(&[0]).ok_or_else(|| format!("{key} has no end"))?;
                values.insert((namespace, key), String::from_utf8_lossy(text).into_owned());
            }
            _ => {}
        }
        at += span.max(1);
    }
    let namespace = names.iter().find(|(_, name)| *name == NAMESPACE).map(|(number, _)| *number);
    let namespace = namespace.ok_or_else(|| format!("there is no namespace {NAMESPACE}"))?;
    let text = |key: &str| values.get(&(namespace, key.to_owned())).cloned().unwrap_or_default();
    Ok(Memory {
        wifi_ssid: text("wifi_ssid"),
        wifi_pass: text("wifi_pass"),
        mqtt_host: text("mqtt_host"),
        mqtt_user: text("mqtt_user"),
        mqtt_pass: text("mqtt_pass"),
        device_token: text("device_token"),
    })
}

fn entry(page: &[u8], at: usize) -> &[u8] {
    &page[64 + at * 32..64 + (at + 1) * 32]
}

/// By a table, as the chip's ROM has it; it takes what the sum was before, inverted at both ends.
fn crc(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256u32)
        .map(|index| (0..8).fold(index, |entry, _| if entry & 1 == 1 { 0xEDB8_8320 ^ (entry >> 1) } else { entry >> 1 }))
        .collect();
    let before = u32::MAX;
    !bytes.iter().fold(!before, |sum, byte| table[usize::from(u8::try_from(sum & 0xFF).unwrap_or_default() ^ *byte)] ^ (sum >> 8))
}
