//! Round trips. `attacks` are what strangers and the network do, `vectors` the bytes of `docs/wire/tunnel-v2.json`.

mod attacks;
mod vectors;

use super::{Client, GatewayKey, MOST_BODY, OpenError, Opener, PinnedConfig, Request, Response, StreamBody, StreamOpener, StreamSealer};
use std::sync::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

const SEED: [u8; 32] = [7; 32];
const KEY: [u8; 32] = [9; 32];
const BODY: &[u8] = br#"{"service":"doors","action":"list","timestamp":1764197216}"#;
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

fn gateway() -> GatewayKey {
    GatewayKey::derive(1, &SEED).unwrap()
}

fn client_of(gateway: &GatewayKey) -> Client {
    Client::new(PinnedConfig::read(gateway.config(), gateway.pin()).unwrap(), "anna", KEY)
}

fn whole() -> (Vec<u8>, Opener) {
    client_of(&gateway()).seal("POST", "/gateway", BODY).unwrap()
}

fn chunked() -> (Vec<u8>, StreamOpener) {
    client_of(&gateway()).seal_chunked("POST", "/mqtt/subscribe", BODY).unwrap()
}

fn stream_of(sealed: &[u8]) -> StreamSealer {
    gateway().open_chunked(sealed).map(|(_, stream)| stream).unwrap()
}

/// A whole answer in chunks, for a request.
fn answered(sealed: &[u8], contents: &[&[u8]]) -> Vec<u8> {
    let (mut body, mut answer) = stream_of(sealed).begin(200, EVENTS).unwrap();
    for content in contents {
        answer.extend(body.chunk(content).unwrap());
    }
    answer.extend(body.end().unwrap());
    answer
}

fn read_all(mut opener: StreamOpener, answer: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut content = opener.push(answer)?;
    content.extend(opener.end()?);
    Ok(content)
}

/// Seals what no client of ours would.
fn by_hand(plain: &[u8]) -> Vec<u8> {
    ohttp::ClientRequest::from_encoded_config(&gateway().config()[2..]).unwrap().encapsulate(plain).unwrap().0
}

fn opened(sealed: &[u8]) -> Result<Request, OpenError> {
    gateway().open(sealed).map(|(request, _)| request)
}

fn opened_chunked(sealed: &[u8]) -> Result<Request, OpenError> {
    gateway().open_chunked(sealed).map(|(request, _)| request)
}

#[test]
fn what_is_held_for_long_goes_from_thread_to_thread() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    is_send::<StreamBody>();
    is_send::<StreamOpener>();
    is_sync::<GatewayKey>();
    is_sync::<Client>();
}

#[test]
fn a_request_is_opened_and_answered() {
    let (sealed, opener) = whole();
    let (request, reply) = gateway().open(&sealed).unwrap();
    assert_eq!((request.method.as_str(), request.path.as_str(), &request.body[..]), ("POST", "/gateway", BODY));
    assert_eq!((request.key_id(), &request.enc[..]), (Some("anna"), &sealed[7..39]));
    assert!(request.is_by(&KEY) && !request.is_by(&SEED));
    let answer = reply.seal(200, JSON, b"{}").unwrap();
    assert_eq!(opener.open(&answer), Ok(Response { status: 200, body: b"{}".to_vec() }));
}

#[test]
fn a_request_in_chunks_is_opened_and_answered_in_chunks() {
    for length in [0, 1, 63, 64, 16_000, 16_384, 16_385, 100_000, MOST_BODY] {
        let body = vec![b'x'; length];
        let (sealed, mut opener) = client_of(&gateway()).seal_chunked("POST", "/gateway", &body).unwrap();
        let (request, stream) = gateway().open_chunked(&sealed).unwrap();
        assert!(request.is_by(&KEY) && request.body == body);
        let (mut answer, mut bytes) = stream.begin(207, EVENTS).unwrap();
        bytes.extend(answer.chunk(&body).unwrap());
        bytes.extend(answer.chunk(b"more").unwrap());
        bytes.extend(answer.end().unwrap());
        let mut content = opener.push(&bytes).unwrap();
        assert_eq!(opener.status(), Some(207));
        content.extend(opener.end().unwrap());
        assert_eq!(content, [&body[..], b"more"].concat(), "{length} bytes");
    }
}

#[test]
fn an_answer_in_chunks_is_read_however_it_was_cut() {
    // Chunks with lengths of one byte and of two.
    let contents: [&[u8]; 4] = [b"a", &[b'b'; 100], &vec![b'c'; 20_000], b"d"];
    for piece in [1, 2, 3, 7, 1000, 16_401] {
        let (sealed, mut opener) = chunked();
        let mut content = Vec::new();
        for piece in answered(&sealed, &contents).chunks(piece) {
            content.extend(opener.push(piece).unwrap());
        }
        content.extend(opener.end().unwrap());
        assert_eq!(content, contents.concat(), "{piece} bytes at once");
    }
}

#[test]
fn a_chunk_is_there_before_the_next_is_made() {
    let (sealed, mut opener) = chunked();
    let (mut body, head) = stream_of(&sealed).begin(200, EVENTS).unwrap();
    assert_eq!((opener.push(&head), opener.status()), (Ok(Vec::new()), Some(200)));
    for event in ["data: 1\n\n", ": keepalive\n\n", "data: 2\n\n"] {
        let chunk = body.chunk(event.as_bytes()).unwrap();
        assert_eq!(opener.push(&chunk).unwrap(), event.as_bytes());
    }
    assert_eq!(body.chunk(b""), Ok(Vec::new()), "nothing is no end");
    assert_eq!(opener.push(&body.end().unwrap()), Ok(Vec::new()));
    assert_eq!(opener.end(), Ok(Vec::new()));
}

#[tokio::test]
async fn over_a_connection_the_second_event_is_made_after_the_first_was_read() {
    let (sealed, mut opener) = chunked();
    let (mut house, mut phone) = tokio::io::duplex(64);
    let (events, mut source) = mpsc::channel::<&'static str>(1);
    let serving = tokio::spawn(async move {
        let (mut body, head) = stream_of(&sealed).begin(200, EVENTS).unwrap();
        house.write_all(&head).await.unwrap();
        while let Some(event) = source.recv().await {
            house.write_all(&body.chunk(event.as_bytes()).unwrap()).await.unwrap();
        }
        house.write_all(&body.end().unwrap()).await.unwrap();
    });
    let mut buffer = [0; 10];
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        events.send(event).await.unwrap();
        let mut content = Vec::new();
        while content.len() < event.len() {
            let length = phone.read(&mut buffer).await.unwrap();
            content.extend(opener.push(&buffer[..length]).unwrap());
        }
        assert_eq!(content, event.as_bytes());
    }
    drop(events);
    loop {
        let length = phone.read(&mut buffer).await.unwrap();
        if length == 0 {
            break;
        }
        assert_eq!(opener.push(&buffer[..length]), Ok(Vec::new()));
    }
    assert_eq!(opener.end(), Ok(Vec::new()));
    serving.await.unwrap();
}

#[test]
fn both_suites_are_opened() {
    for suite in [1, 3] {
        let config = [&gateway().config()[2..37], &[0, 4, 0, 1, 0, suite]].concat();
        let plain = Request::write("POST", "/gateway", "none", BODY).unwrap();
        let request = ohttp::ClientRequest::from_encoded_config(&config).unwrap();
        let (sealed, opener) = request.encapsulate(&plain).unwrap();
        let (request, reply) = gateway().open(&sealed).unwrap();
        assert_eq!((request.body.as_slice(), request.key_id()), (BODY, None));
        let answer = opener.decapsulate(&reply.seal(200, JSON, b"{}").unwrap()).unwrap();
        assert_eq!(Response::read(&answer).unwrap().body, b"{}");
    }
}

static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LOGGED.lock().unwrap().push(format!("{} {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

#[test]
fn no_key_reaches_the_log() {
    log::set_logger(&Logger).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let (sealed, opener) = whole();
    opener.open(&gateway().open(&sealed).unwrap().1.seal(200, JSON, b"{}").unwrap()).unwrap();
    let (sealed, opener) = chunked();
    read_all(opener, &answered(&sealed, &[b"x"])).unwrap();
    let logged = LOGGED.lock().unwrap();
    assert!(!logged.iter().any(|line| line.starts_with("ohttp")), "{logged:?}");
}
