//! What is fuzzed of Bluetooth locks: what a phone writes, what comes for a lock over the broker, and frames of version 2. Each
//! function takes whatever bytes and must neither panic nor break a promise. The tests run the same functions over the corpus.

#![allow(dead_code, reason = "every target uses one of them")]

use doorward_wire::{
    Time,
    ble::{
        LockId,
        framing::{MOST_BODY, Reassembly, split},
        order::{Command, LockEvent, LockHello, Revoked},
        request::{Request, Response},
        session::{LockMessage, Session},
        topic::LockTopic,
        v2::{
            self, Advertised, Challenge, FrameError, Guest, Issuer, Lock, WRITE,
            challenge::{Outcome, Response as Answered},
            open_request, open_session,
            pass::{MOST, Parts, Pass, Proof, parts},
        },
    },
};
use std::sync::LazyLock;

struct Keys {
    issuer: Issuer,
    lock: Lock,
    guest: Guest,
    id: LockId,
}

/// Those of the vectors, so that their frames get through.
static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    issuer: Issuer::from_seeds(&[0x11; 32], &[0x22; 32]),
    lock: Lock::from_seed(&[0x44; 32]),
    guest: Guest::from_seed(&[0x33; 32]),
    id: "lock_01".parse().expect("it is an id"),
});

/// What one phone writes, with a line feed between its writes, and what an issuer answers.
pub(crate) fn writes(bytes: &[u8]) {
    let mut reassembly = Reassembly::default();
    for (second, write) in (0..).zip(bytes.split(|byte| *byte == b'\n')) {
        let taken = reassembly.take(write, Time::from_seconds(second));
        assert!(matches!(taken, Ok(None)) == reassembly.waits(), "it waits for what is missing, and for nothing else");
        if let Ok(Some(body)) = taken {
            assert!(body.len() <= MOST_BODY);
            asked(&body);
        }
    }
    asked(bytes);
}

fn asked(body: &[u8]) {
    if let Ok(request) = Request::read(body) {
        let again = Request::read(request.write().as_bytes());
        // A PEM may become longer than a request by the base64 around it.
        assert!(again.is_err() || again == Ok(request), "it reads as it was written");
    }
    if let Some(response) = Response::read(body) {
        assert_eq!(Response::read(response.write().as_bytes()), Some(response), "it reads as it was written");
    }
    for chunk in [1, 120].into_iter().filter_map(std::num::NonZeroUsize::new) {
        let Ok(pieces) = split(body, chunk) else { continue };
        let pieces: Vec<_> = pieces.collect();
        if pieces.len() > 1 {
            let mut reassembly = Reassembly::default();
            let whole =
                pieces.iter().rev().filter_map(|piece| reassembly.take(piece.as_bytes(), Time::default()).expect("it is a piece")).last();
            assert_eq!(whole.as_deref(), Some(body), "pieces make the whole");
        }
    }
}

/// What comes for a lock, and from one, over the broker.
pub(crate) fn message(bytes: &[u8]) {
    if let Ok(message) = LockMessage::read(bytes) {
        assert_eq!(LockMessage::read(message.write().as_bytes()).as_ref(), Ok(&message), "it reads as it was written");
        assert!(message.signed_bytes().is_ascii());
        let _ = message.signature();
    }
    if let Ok(session) = Session::read(bytes) {
        assert_eq!(Session::read(session.guest_json().as_bytes()), Ok(session), "it reads as it was written");
    }
    let identity = KEYS.issuer.identity();
    for second in [0, 1_795_352_253] {
        if let Ok(command) = Command::open(bytes, &KEYS.id, identity, Time::from_seconds(second)) {
            let again = command.issue(&KEYS.id, &KEYS.issuer).expect("it was signed before");
            assert_eq!(Command::open(again.as_bytes(), &KEYS.id, identity, Time::from_seconds(second)), Ok(command));
        }
    }
    if let Ok(revoked) = Revoked::open(bytes, &KEYS.id, identity, None) {
        assert!(revoked.issue(&KEYS.id, &KEYS.issuer).is_ok());
    }
    let _ = (LockEvent::read(bytes), LockHello::read(bytes));
    if let Some(topic) = std::str::from_utf8(bytes).ok().and_then(LockTopic::of) {
        assert_eq!(topic.to_string().as_bytes(), bytes, "a topic is written as it is read");
    }
}

/// A frame of version 2, as everybody gets it.
pub(crate) fn frame(bytes: &[u8]) {
    let Keys { issuer, lock, id, .. } = &*KEYS;
    same(v2::Hello::read(bytes), |hello| Ok(hello.write()), bytes);
    same(Challenge::read(bytes), Challenge::write, bytes);
    same(Outcome::read(bytes), |outcome| Ok(outcome.write().into()), bytes);
    if let Some(Advertised { token, hint: Some(hint) }) = Advertised::read(bytes) {
        assert_eq!(Advertised::data(&token, hint), bytes);
    }
    let challenge = *b"PQRSTUVWXYZ[\\]^_";
    if let Ok(opened) = open_request(bytes, &challenge, issuer) {
        assert!(bytes.len() <= WRITE && opened.guest == KEYS.guest.key(), "nobody else signs");
    }
    if let Ok(session) = open_session(bytes, id, lock, issuer.identity(), Time::default()) {
        assert_eq!(session.fingerprint, KEYS.guest.key().fingerprint());
    }
    if let Ok(pass) = Pass::open(bytes, issuer.identity()) {
        assert_eq!(pass.issue(issuer).as_deref(), Ok(bytes), "a signature is over every byte");
        let mut taken = Parts::default();
        let whole = parts(bytes).iter().filter_map(|part| taken.take(part, Time::default()).expect("it is a part")).last();
        assert_eq!(whole.as_deref(), Some(bytes), "parts make the whole");
    }
    let _ = (Answered::read(bytes), Proof::read(bytes));
    let mut taken = Parts::default();
    for write in bytes.chunks(WRITE) {
        if let Ok(Some(pass)) = taken.take(write, Time::default()) {
            assert!(pass.len() <= MOST);
        }
    }
}

/// What is read is written with the same bytes.
fn same<T>(read: Result<T, FrameError>, write: impl Fn(&T) -> Result<Vec<u8>, FrameError>, bytes: &[u8]) {
    if let Ok(read) = read {
        assert_eq!(write(&read).as_deref(), Ok(bytes));
    }
}
