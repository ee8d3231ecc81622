//! What was really said: exchanges with Kamailio and SIPp, and the messages of the vectors, one file each in
//! `tests/captures/`.
//!
//! A file begins with lines that say what it is. Each part begins with a line `== client` or `== server`, holds the very
//! bytes that this side said until the other one spoke, and ends with a line feed of the file's own.
//!
//! The tests that talk to Kamailio and SIPp through a [`Tap`] compare what the client writes with its capture. With
//! `UPDATE_GOLDEN=1` in the environment they write the capture anew, as other tests do with their files:
//!
//! ```text
//! UPDATE_GOLDEN=1 cargo nextest run -p doorward-bticino sipp kamailio captures
//! ```

use crate::{
    support::until,
    tap::{Tap, Transcript, Who, by},
};
use bytes::BytesMut;
use doorward_bticino::sip::message::{Broken, Inbox, Message, Piece};
use std::{fs, path::PathBuf};

const ABOUT: &str = "Real traffic of a test with throw-away credentials; tests/it/captures.rs says how it is read and written.\n";

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "captures"].iter().collect()
}

fn updates() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

fn written(transcript: &Transcript) -> Vec<u8> {
    let mut file = ABOUT.as_bytes().to_vec();
    for (who, bytes) in transcript {
        let mark: &[u8] = match who {
            Who::Client => b"== client\n",
            Who::Server => b"== server\n",
        };
        file.extend([mark, bytes, b"\n"].concat());
    }
    file
}

fn read(file: &[u8]) -> Transcript {
    let mut transcript = Transcript::new();
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        match (line, transcript.last_mut()) {
            (b"== client\n", _) => transcript.push((Who::Client, Vec::new())),
            (b"== server\n", _) => transcript.push((Who::Server, Vec::new())),
            (line, Some((_, bytes))) => bytes.extend_from_slice(line),
            (_, None) => {}
        }
    }
    for (_, bytes) in &mut transcript {
        assert_eq!(bytes.pop(), Some(b'\n'), "a part ends with a line feed");
    }
    transcript
}

fn pieces(bytes: &[u8], size: usize) -> (Vec<Piece>, Option<Broken>) {
    let (mut inbox, mut pieces) = (Inbox::default(), Vec::new());
    for bytes in bytes.chunks(size) {
        inbox.push(bytes);
        loop {
            match inbox.take() {
                Ok(Some(piece)) => pieces.push(piece),
                Ok(None) => break,
                Err(broken) => return (pieces, Some(broken)),
            }
        }
    }
    (pieces, None)
}

/// Whether it is more than an empty line. Those are told as they come, so that a ping in pieces is told as two.
fn has_words(piece: &Piece) -> bool {
    !matches!(piece, Piece::Ping | Piece::Pong)
}

/// The first words of a message, and the names of its fields in their order.
fn shape(message: &Message) -> Vec<String> {
    let mut bytes = BytesMut::new();
    message.write(&mut bytes);
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let mut lines = text.split("\r\n\r\n").next().unwrap().lines();
    let first = lines.next().unwrap();
    let first = if first.starts_with("SIP/2.0 ") { first } else { first.split(' ').next().unwrap() };
    std::iter::once(first).chain(lines.map(|line| line.split(':').next().unwrap())).map(str::to_owned).collect()
}

fn shapes(bytes: &[u8]) -> Vec<Vec<String>> {
    let shape = |piece| if let Piece::Message(message) = piece { Some(shape(&message)) } else { None };
    pieces(bytes, usize::MAX).0.into_iter().filter_map(shape).collect()
}

/// What the client wrote looks as it does in the capture of this name: which messages, which fields, in which order.
pub(crate) async fn agrees(name: &str, tap: &Tap) {
    let path = folder().join(format!("{name}.txt"));
    if updates() {
        fs::write(path, written(&tap.said())).unwrap();
        return;
    }
    let captured = shapes(&by(&read(&fs::read(path).unwrap()), Who::Client));
    let mut now = Vec::new();
    until("the client has written as much as in the capture", || {
        now = shapes(&tap.by(Who::Client));
        now.len() >= captured.len()
    })
    .await;
    assert_eq!(now, captured, "{name}");
}

#[test]
fn every_capture_is_read_alike_whole_and_in_pieces() {
    let mut count = 0;
    for file in fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some()) {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let transcript = read(&fs::read(&file).unwrap());
        for who in [Who::Client, Who::Server] {
            let bytes = by(&transcript, who);
            let read = |size| {
                let (mut pieces, broken) = pieces(&bytes, size);
                pieces.retain(has_words);
                (pieces, broken)
            };
            let whole = read(usize::MAX);
            for size in 1..bytes.len().min(64) {
                assert_eq!(read(size), whole, "{name}, {who:?}, in pieces of {size}");
            }
            let odd = whole.1.is_some() || whole.0.iter().any(|piece| matches!(piece, Piece::Malformed(_)));
            assert_eq!(odd, name.contains("garbage") && who == Who::Server, "{name}, {who:?}: {whole:?}");
            count += whole.0.len();
        }
    }
    assert!(count > 50, "{count} messages");
}

#[test]
fn what_is_written_is_what_was_read() {
    for file in fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some()) {
        let bytes = fs::read(&file).unwrap();
        let transcript = read(&bytes);
        assert!(bytes.ends_with(&written(&transcript)[ABOUT.len()..]), "{}", file.display());
        // The original puts some lengths at another place than last.
        if file.file_stem().unwrap().to_str().unwrap().starts_with("vector") {
            continue;
        }
        let client = by(&transcript, Who::Client);
        let mut again = BytesMut::new();
        for piece in pieces(&client, usize::MAX).0 {
            match piece {
                Piece::Message(message) => message.write(&mut again),
                Piece::Ping => again.extend_from_slice(b"\r\n\r\n"),
                Piece::Pong => again.extend_from_slice(b"\r\n"),
                Piece::Malformed(why) => panic!("{}: {why}", file.display()),
            }
        }
        assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&client), "{}", file.display());
    }
}

#[test]
fn the_messages_of_the_vectors_are_among_them() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/sip.json");
    let vectors: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let part = |who, text: &serde_json::Value| (who, text.as_str().unwrap().as_bytes().to_vec());
    let invite = &vectors["invite"];
    for (name, transcript) in [
        ("vector-register", vec![part(Who::Client, &vectors["register"])]),
        ("vector-open", vec![part(Who::Client, &vectors["message"]), part(Who::Server, &vectors["challenge_407"])]),
        (
            "vector-ring",
            vec![part(Who::Server, &invite["request"]), part(Who::Client, &invite["ringing"]), part(Who::Client, &invite["busy"])],
        ),
    ] {
        let path = folder().join(format!("{name}.txt"));
        if updates() {
            fs::write(&path, written(&transcript)).unwrap();
        }
        assert_eq!(read(&fs::read(path).unwrap()), transcript, "{name}");
    }
}

#[test]
fn the_client_writes_the_fields_of_the_vectors_in_their_order() {
    let shapes = |name: &str| shapes(&by(&read(&fs::read(folder().join(format!("{name}.txt"))).unwrap()), Who::Client));
    let (register, open, ring) = (shapes("vector-register").remove(0), shapes("vector-open").remove(0), shapes("vector-ring"));
    let ours = shapes("kamailio-opens");
    assert_eq!(ours[0], register);
    // Ours is signed ahead of the challenge.
    let signed = ours.iter().find(|shape| shape[0] == "MESSAGE").unwrap();
    assert_eq!(signed.iter().filter(|name| *name != "Proxy-Authorization").collect::<Vec<_>>(), open.iter().collect::<Vec<_>>());
    let rings = [shapes("sipp-server-rings"), shapes("sipp-house-says-486")].concat();
    let without_hops = |shape: &[String]| {
        let mut names = shape.to_vec();
        names.dedup();
        names
    };
    for answer in ring {
        assert!(rings.iter().any(|shape| without_hops(shape) == answer), "{answer:?}");
    }
}
