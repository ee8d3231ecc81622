//! The air, line by line, as a client of any make would speak to it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, in its helpers too")]

use doorward_sim::HandClock;
use doorward_sim::air::{Air, Config, Physics, Place};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

const TOKEN: &str = "00112233445566778899aabbccddeeff";

struct Client {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writing: OwnedWriteHalf,
}

impl Client {
    async fn plain(air: &Air) -> Self {
        let (reading, writing) = TcpStream::connect(air.address()).await.unwrap().into_split();
        Self { lines: BufReader::new(reading).lines(), writing }
    }

    async fn enter(air: &Air, name: &str, address: &str, metres: f64) -> Self {
        let mut client = Self::plain(air).await;
        let hello = json!({ "id": 1, "op": "radio", "name": name, "address": address, "place": [metres, 0, 0] });
        assert_eq!(client.ask(&hello).await["ok"], true);
        client
    }

    async fn say(&mut self, line: &Value) {
        self.writing.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// The next line; `None` when the air has hung up.
    async fn next(&mut self) -> Option<Value> {
        let line = tokio::time::timeout(Duration::from_secs(20), self.lines.next_line()).await.expect("the air says nothing");
        line.ok().flatten().map(|line| serde_json::from_str(&line).unwrap())
    }

    /// Asks, and skips what comes before the answer.
    async fn ask(&mut self, line: &Value) -> Value {
        self.say(line).await;
        loop {
            let answer = self.next().await.expect("the air has hung up");
            if answer["id"] == line["id"] {
                return answer;
            }
        }
    }
}

async fn air(physics: Physics) -> (Air, Arc<HandClock>) {
    let clock = Arc::new(HandClock::new());
    (Air::start(Config { clock: Arc::clone(&clock) as _, physics, ..Config::default() }).await.unwrap(), clock)
}

fn advertise(bytes: &str, interval: u64) -> Value {
    json!({ "id": 2, "op": "advertise", "advert": 1, "data": { "company": 65535, "bytes": bytes }, "interval": interval })
}

#[tokio::test]
async fn an_advertisement_comes_at_its_interval_and_not_more_often() {
    let (air, clock) = air(Physics::default()).await;
    let mut ear = Client::enter(&air, "ear", "C0:00:00:00:00:01", 0.0).await;
    let mut phone = Client::enter(&air, "phone", "C0:00:00:00:00:02", 10.0).await;
    ear.ask(&json!({ "id": 2, "op": "scan", "active": true })).await;
    phone.ask(&advertise(TOKEN, 100)).await;
    let seen = ear.next().await.unwrap();
    assert_eq!((seen["event"].as_str(), seen["rssi"].as_i64(), seen["bytes"].as_str()), (Some("seen"), Some(-79), Some(TOKEN)));
    let listener = air.eavesdrop(Place::new(10.0, 1.0, 0.0));
    for _ in 0..100 {
        clock.advance(Duration::from_millis(10));
        // Each answer comes after what was due was sent.
        phone.ask(&json!({ "id": 3, "op": "unscan" })).await;
        tokio::task::yield_now().await;
    }
    let times: Vec<u64> = listener.heard().iter().map(|heard| heard.at_ms).collect();
    assert!((8..=10).contains(&times.len()), "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 100), "{times:?}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_word() {
    let (air, _clock) = air(Physics::default()).await;
    let mut radio = Client::enter(&air, "radio", "C0:00:00:00:00:01", 0.0).await;
    let long = "00".repeat(25);
    for (line, word) in [
        (advertise(&long, 100), "too_long"),
        (advertise("0g", 100), "protocol"),
        (advertise(TOKEN, 5), "protocol"),
        (json!({ "id": 2, "op": "dance" }), "protocol"),
        (json!({ "id": 2, "op": "connect", "address": "C0:00:00:00:00:09" }), "not_found"),
        (json!({ "id": 2, "op": "read", "link": 9, "uuid": "c0de0001-0000-1000-8000-00805f9b34fb" }), "disconnected"),
        (json!({ "id": 2, "op": "serve", "services": [{ "uuid": "x", "characteristics": [] }] }), "protocol"),
    ] {
        assert_eq!(radio.ask(&line).await["error"], word, "{line}");
    }
    for advert in 1..=9 {
        let mut line = advertise("01", 100);
        line["advert"] = json!(advert);
        let answer = radio.ask(&line).await;
        assert_eq!(answer["error"].as_str(), (advert == 9).then_some("busy"));
    }
    let mut second = Client::plain(&air).await;
    let hello = json!({ "id": 1, "op": "radio", "name": "radio", "address": "C0:00:00:00:00:02", "place": [0, 0, 0] });
    assert_eq!(second.ask(&hello).await["error"], "busy", "the name is taken");
}

#[tokio::test]
async fn a_client_that_is_no_client_is_hung_up_on() {
    let (air, _clock) = air(Physics::default()).await;
    for bytes in [b"GET / HTTP/1.1\r\n".to_vec(), vec![b'x'; 20_000], vec![b'[', b'\n']] {
        let mut client = Client::plain(&air).await;
        let _ = client.writing.write_all(&bytes).await;
        assert_eq!(client.next().await, None);
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_is_gone_from_the_air() {
    let (air, _clock) = air(Physics::default()).await;
    drop(Client::enter(&air, "radio", "C0:00:00:00:00:01", 0.0).await);
    let mut answer = json!(null);
    while answer["ok"] != true {
        let mut client = Client::plain(&air).await;
        answer = client.ask(&json!({ "id": 1, "op": "radio", "name": "radio", "address": "C0:00:00:00:00:01", "place": [0, 0, 0] })).await;
    }
}

#[tokio::test]
async fn what_is_under_way_arrives_after_the_latency() {
    let (air, clock) = air(Physics { latency: Duration::from_millis(30), ..Physics::default() }).await;
    let mut ear = Client::enter(&air, "ear", "C0:00:00:00:00:01", 0.0).await;
    let mut phone = Client::enter(&air, "phone", "C0:00:00:00:00:02", 1.0).await;
    ear.ask(&json!({ "id": 2, "op": "scan" })).await;
    let listener = air.eavesdrop(Place::default());
    phone.ask(&advertise(TOKEN, 10_000)).await;
    while listener.heard().is_empty() {
        tokio::task::yield_now().await;
    }
    ear.say(&json!({ "id": 3, "op": "scan" })).await;
    assert_eq!(ear.next().await.unwrap()["id"], 3, "nothing came before");
    clock.advance(Duration::from_millis(30));
    assert_eq!(ear.next().await.unwrap()["event"], "seen");
}
