//! What fuzzing of Bluetooth locks has found worth keeping, once more.

#[path = "../../../../fuzz/targets/ble.rs"]
mod targets;

use std::fs;

type Target = fn(&[u8]);

#[test]
fn the_corpus_breaks_no_promise() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");
    let all: [(&str, Target); 3] = [("ble_writes", targets::writes), ("ble_message", targets::message), ("ble_frame", targets::frame)];
    for (name, target) in all {
        let files: Vec<_> = fs::read_dir(format!("{corpus}/{name}")).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() > 5, "{name} has a corpus");
        for file in files {
            target(&fs::read(file).unwrap());
        }
    }
}
