//! What the fuzzer of passkeys begins with, as it is and with each of its bytes changed.

#[path = "../../../../fuzz/targets/passkey.rs"]
mod targets;

use std::fs;

#[test]
fn the_corpus_of_passkeys_lets_nobody_in() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/passkey");
    let files: Vec<_> = fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 5, "there is a corpus");
    for file in files {
        let bytes = fs::read(file).unwrap();
        targets::ceremony(&bytes);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= if at % 2 == 0 { 0x01 } else { 0x80 };
            targets::ceremony(&changed);
            targets::ceremony(&bytes[..at]);
        }
    }
}
