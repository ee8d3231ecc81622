//! What is fuzzed of the fleet: lists of devices as people keep them, what comes over a device's serial line, and the beginning of
//! firmware. Each function takes whatever bytes and must neither panic nor break a promise. The tests run the same functions over the
//! corpus.

#![allow(dead_code, reason = "every target uses one of them")]

use doorward_fleet::csv;
use doorward_wire::{
    firmware::{UpdateReport, describe},
    improv::{Heard, Reader},
};
use std::collections::BTreeSet;

/// A list: no row is lost, and no device is in it twice.
pub(crate) fn list(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = csv::named(&text);
    let Ok(rows) = csv::read(&text) else { return };
    assert!((1..=csv::MOST).contains(&rows.len()));
    let lines = text.matches('\n').count() + 1;
    let mut seen = BTreeSet::new();
    for row in &rows {
        assert!((1..=lines).contains(&row.line), "a line that is there");
        if let Ok(device) = &row.device {
            assert!(seen.insert(device.id.clone()), "once");
            assert!((6..=12).contains(&device.id.as_str().len()), "as long as an identifier");
        }
    }
    assert!(rows.windows(2).all(|pair| pair[0].line < pair[1].line), "in their order");
}

/// A serial line: it says the same however it is cut.
pub(crate) fn cable(bytes: &[u8]) {
    let whole = Reader::default().take(bytes);
    let mut reader = Reader::default();
    let cut: Vec<Heard> = bytes.chunks(3).flat_map(|some| reader.take(some)).collect();
    assert_eq!(whole, cut);
    for heard in whole {
        if let Heard::Line(line) = heard {
            assert!(!line.is_empty() && !line.starts_with(char::is_control));
        }
    }
}

/// The beginning of firmware, and what a device tells of its update.
pub(crate) fn image(bytes: &[u8]) {
    if let Ok(described) = describe(bytes) {
        assert!(!described.project.contains(char::is_control));
        if let Some(version) = described.version {
            assert_eq!(version.as_str().parse(), Ok(version.clone()));
        }
    }
    let _ = serde_json::from_slice::<UpdateReport>(bytes);
}
