//! What fuzzing of the fleet has found worth keeping, once more.

#[path = "../../../fuzz/targets/fleet.rs"]
mod targets;

use std::fs;

type Target = fn(&[u8]);

#[test]
fn the_corpus_of_the_fleet_breaks_no_promise() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus");
    let all: [(&str, Target); 3] = [("list", targets::list), ("cable", targets::cable), ("image", targets::image)];
    for (name, target) in all {
        let files: Vec<_> = fs::read_dir(format!("{corpus}/{name}")).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() > 3, "{name} has a corpus");
        for file in files {
            target(&fs::read(file).unwrap());
        }
    }
}
