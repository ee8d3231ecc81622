//! What the fuzzer of D-Bus begins with, as it is and with each of its bytes changed.

#[path = "../../../../fuzz/targets/dbus.rs"]
mod targets;

use std::fs;

#[test]
fn the_corpus_of_dbus_breaks_no_promise() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/dbus");
    let files: Vec<_> = fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 3, "there is a corpus");
    for file in files {
        let bytes = fs::read(file).unwrap();
        targets::message(&bytes);
        for at in 0..bytes.len() {
            for change in [0x01, 0x80, 0xFF] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                targets::message(&changed);
            }
            targets::message(&bytes[..at]);
        }
    }
}
