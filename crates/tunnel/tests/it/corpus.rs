//! What fuzzing has found worth keeping, once more.

#[path = "../../../../fuzz/targets/tunnel.rs"]
mod targets;

use std::fs;

type Target = fn(&[u8]);

#[test]
fn the_corpus_breaks_no_promise() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");
    let all: [(&str, Target); 5] = [
        ("envelope", targets::envelope),
        ("plain", targets::plain),
        ("scopes", targets::scopes),
        ("request", targets::request),
        ("answer", targets::answer),
    ];
    for (name, target) in all {
        let files: Vec<_> = fs::read_dir(format!("{corpus}/{name}")).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() > 3, "{name} has a corpus");
        for file in files {
            target(&fs::read(file).unwrap());
        }
    }
}
