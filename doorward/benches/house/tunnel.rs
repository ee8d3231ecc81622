//! The tunnel: relaying beside a reverse proxy without cryptography, publishing, many streams, and what it remembers.

use super::{BINARY, Figure, end, free_port, median, ms, rss_anon, told, until_it_answers};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::header::CONTENT_TYPE,
    routing::post,
    serve::ListenerExt,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Connections that are kept alive.
const CONNECTIONS: usize = 32;
/// Requests of one round on each.
const REQUESTS: usize = 400;
/// Turns of a round of each.
const TURNS: usize = 15;
/// Streams at once.
const STREAMS: usize = 10_000;
/// What is published in one go: as much as 5,000 messages a second leave behind in the minute that they are remembered.
const REMEMBERED: usize = 300_000;
/// What the upstream answers.
const ANSWER: &str = r#"{"entity_id":"light.hall","state":"on","attributes":{"brightness":180,"friendly_name":"Hall"}}"#;

/// Serves in a process of its own when the bench is asked to; see [`Helper`].
pub(super) async fn helper(what: &str, upstream: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let router = if what == "upstream" {
        Router::new().route("/api", post(async || ([(CONTENT_TYPE, "application/json")], ANSWER)))
    } else {
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(64).tcp_nodelay(true).build().unwrap();
        Router::new().route("/gateway", post(forward)).with_state((client, format!("http://{upstream}/api")))
    };
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, router).await.unwrap();
}

/// What a reverse proxy does that only passes on.
async fn forward(State((client, url)): State<(reqwest::Client, String)>, body: Bytes) -> Body {
    let answer = client.post(url).header(CONTENT_TYPE, "application/json").body(body).send().await.unwrap();
    Body::from(answer.bytes().await.unwrap())
}

/// One of the servers above, in a process of its own.
struct Helper {
    child: Child,
    address: String,
}

impl Helper {
    fn start(what: &str, upstream: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--helper", what, upstream])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut address).unwrap();
        Self { child, address: address.trim().to_owned() }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// doorward with a tunnel and a key without a limit of its own.
struct Doorward {
    child: Child,
    _data: tempfile::TempDir,
    port: u16,
    key: LessSafeKey,
}

impl Doorward {
    async fn start(upstream: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let (page, port) = (free_port(), free_port());
        let child = Command::new(BINARY)
            .args(["--data", &data.path().display().to_string(), "serve"])
            .env("DOORWARD_HTTP__LISTEN", format!("127.0.0.1:{page}"))
            .env("DOORWARD_MQTT__LISTEN", format!("127.0.0.1:{}", free_port()))
            .env("DOORWARD_TUNNEL__LISTEN", format!("127.0.0.1:{port}"))
            .env("DOORWARD_TUNNEL__KEY_RATE", "1000000")
            .env("DOORWARD_TUNNEL__KEY_STREAMS", STREAMS.to_string())
            .env("DOORWARD_LOG__LEVEL", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until_it_answers(page).await;
        let client = reqwest::Client::builder().no_proxy().unix_socket(data.path().join("doorward.sock")).build().unwrap();
        let scopes = json!({ "services": ["http", "mqtt", "doors"], "http": [format!("http://{upstream}/api")],
            "mqtt_publish": ["bench/#"], "mqtt_subscribe": ["bench/#"] });
        let made = client.post("http://localhost/api/v1/tunnel-keys").json(&json!({ "name": "bench", "scopes": scopes }));
        let made: Value = made.send().await.unwrap().json().await.unwrap();
        let secret = doorward_tunnel::keys::from_hex(made["secret"].as_str().unwrap()).unwrap();
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret.reveal()).unwrap());
        Self { child, _data: data, port, key }
    }

    /// A whole request, sealed.
    fn request(&self, path: &str, fields: &Value) -> Vec<u8> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut nonce = [7; 12];
        nonce[..8].copy_from_slice(&NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let mut text = fields.to_string().into_bytes();
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text).unwrap();
        http(path, &STANDARD.encode([&nonce[..], &text].concat()))
    }

    fn open(&self, body: &[u8]) -> Value {
        let mut sealed = STANDARD.decode(body).unwrap();
        let (nonce, rest) = sealed.split_at_mut(12);
        let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
        serde_json::from_slice(self.key.open_in_place(nonce, Aad::empty(), rest).unwrap()).unwrap()
    }
}

impl Drop for Doorward {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn http(path: &str, body: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn now() -> f64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
}

/// A connection that is kept alive.
struct Line {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Line {
    async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, bytes: Vec::new() }
    }

    /// Sends a request and reads its answer; gives the body.
    async fn ask(&mut self, request: &[u8]) -> Vec<u8> {
        self.stream.write_all(request).await.unwrap();
        loop {
            if let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = std::str::from_utf8(&self.bytes[..end]).unwrap().to_ascii_lowercase();
                assert!(head.starts_with("http/1.1 200"), "{head}");
                let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
                if self.bytes.len() >= end + 4 + length {
                    let rest = self.bytes.split_off(end + 4 + length);
                    let answer = std::mem::replace(&mut self.bytes, rest);
                    return answer[end + 4..].to_vec();
                }
            }
            assert!(self.stream.read_buf(&mut self.bytes).await.unwrap() > 0, "the connection was closed");
        }
    }
}

/// Sends requests side by side; gives how many in a second, the 99th percentile of their times, and a body that came back.
async fn round(port: u16, requests: Vec<Vec<Vec<u8>>>) -> (f64, Duration, Vec<u8>) {
    let count: usize = requests.iter().map(Vec::len).sum();
    let mut lines = Vec::new();
    for requests in requests {
        lines.push((Line::connect(port).await, requests));
    }
    let began = Instant::now();
    let mut running = JoinSet::new();
    for (mut line, requests) in lines {
        running.spawn(async move {
            let (mut times, mut last) = (Vec::with_capacity(requests.len()), Vec::new());
            for request in requests {
                let sent = Instant::now();
                last = line.ask(&request).await;
                times.push(sent.elapsed());
            }
            (times, last)
        });
    }
    let (mut times, mut last) = (Vec::new(), Vec::new());
    while let Some(done) = running.join_next().await {
        let (own, body) = done.unwrap();
        times.extend(own);
        last = body;
    }
    let took = began.elapsed().as_secs_f64();
    times.sort();
    let slowest = times[times.len() * 99 / 100];
    (f64::from(u32::try_from(count).unwrap()) / took, slowest, last)
}

pub(super) async fn figures() -> Vec<Figure> {
    let upstream = Helper::start("upstream", "");
    let house = Doorward::start(&upstream.address).await;
    let mut figures = relay(&house, &upstream).await;
    figures.extend(publish(&house).await);
    drop(house);
    let house = Doorward::start(&upstream.address).await;
    figures.extend(streams(&house).await);
    figures
}

/// A sealed relay beside a reverse proxy that only passes on, in turn.
async fn relay(house: &Doorward, upstream: &Helper) -> Vec<Figure> {
    let proxy = Helper::start("proxy", &upstream.address);
    let proxy_port: u16 = proxy.address.rsplit(':').next().unwrap().parse().unwrap();
    let fields = json!({ "url": format!("http://{}/api", upstream.address), "body": { "entity_id": "light.hall", "brightness": 180 } });
    let plain = http("/gateway", &fields["body"].to_string());
    let (mut rates, mut slowest) = (Vec::new(), Vec::new());
    for turn in 0..=TURNS {
        let sealed = (0..CONNECTIONS).map(|_| (0..REQUESTS).map(|_| house.request("/gateway", &stamped(&fields))).collect()).collect();
        let (rate, late, body) = round(house.port, sealed).await;
        assert_eq!(house.open(&body)["status"], 200);
        let (theirs, theirs_late, answer) = round(proxy_port, vec![vec![plain.clone(); REQUESTS]; CONNECTIONS]).await;
        assert_eq!(answer, ANSWER.as_bytes());
        // The first turn opens what is kept open.
        if turn > 0 {
            rates.push((rate, theirs));
            slowest.push((late.as_secs_f64(), theirs_late.as_secs_f64()));
        }
    }
    let ((own, peer), (late, peer_late)) = (middle(rates), middle(slowest));
    let [late, peer_late] = [late, peer_late].map(Duration::from_secs_f64);
    vec![
        told(Figure {
            what: "Tunnel, sealed relay of a small request",
            measured: format!("{own:.0}/s"),
            limit: format!("0.8 × {peer:.0}/s of a proxy without cryptography"),
            ratio: 0.8 * peer / own,
        }),
        told(Figure {
            what: "Tunnel, sealed relay, 99th percentile",
            measured: ms(late),
            limit: format!("1.5 × {} of that proxy", ms(peer_late)),
            ratio: late.as_secs_f64() / (1.5 * peer_late.as_secs_f64()),
        }),
    ]
}

/// The pair whose ratio is the median: what else the machine did in a turn slowed both.
fn middle(mut pairs: Vec<(f64, f64)>) -> (f64, f64) {
    pairs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    pairs[pairs.len() / 2]
}

fn stamped(fields: &Value) -> Value {
    let mut fields = fields.clone();
    fields["timestamp"] = json!(now());
    fields
}

/// Publishing into the embedded broker, and what is remembered of it.
async fn publish(house: &Doorward) -> Vec<Figure> {
    let before = rss_anon(house.child.id());
    let fields = json!({ "topic": "bench/publish", "message": "x".repeat(64) });
    let (mut rates, parts) = (Vec::new(), 10);
    for _ in 0..parts {
        let each = REMEMBERED / parts / CONNECTIONS;
        let requests = (0..CONNECTIONS).map(|_| (0..each).map(|_| house.request("/mqtt/publish", &stamped(&fields))).collect()).collect();
        let (rate, _, body) = round(house.port, requests).await;
        assert_eq!(house.open(&body)["status"], 200);
        rates.push(rate);
    }
    rates.sort_by(f64::total_cmp);
    let (rate, grown) = (rates[parts / 2], (rss_anon(house.child.id()) - before) / 1024.0);
    vec![
        told(Figure {
            what: "Tunnel, publish into the embedded broker",
            measured: format!("{rate:.0}/s"),
            limit: "10,000/s".into(),
            ratio: 10_000.0 / rate,
        }),
        told(Figure {
            what: "Tunnel, memory after 300,000 messages within a minute",
            measured: format!("{grown:.1} MiB"),
            limit: "64 MiB".into(),
            ratio: grown / 64.0,
        }),
    ]
}

/// Many streams on one topic, and a message to all of them.
async fn streams(house: &Doorward) -> Vec<Figure> {
    let (hearing, mut heard) = tokio::sync::mpsc::channel::<Instant>(STREAMS);
    let mut running = JoinSet::new();
    let connected = std::sync::Arc::new(AtomicU64::new(0));
    for _ in 0..STREAMS {
        let request = house.request("/mqtt/subscribe", &stamped(&json!({ "topic": "bench/all" })));
        let mut stream = TcpStream::connect(("127.0.0.1", house.port)).await.unwrap();
        stream.write_all(&request).await.unwrap();
        let (hearing, connected) = (hearing.clone(), std::sync::Arc::clone(&connected));
        running.spawn(async move {
            let (mut bytes, mut events) = (Vec::new(), 0);
            while stream.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
                let now = bytes.windows(6).filter(|six| *six == b"data: ").count();
                if now > events {
                    if events == 0 {
                        connected.fetch_add(1, Ordering::Relaxed);
                    } else {
                        let _ = hearing.send(Instant::now()).await;
                    }
                    events = now;
                }
            }
        });
    }
    while connected.load(Ordering::Relaxed) < STREAMS as u64 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut times = Vec::new();
    let mut line = Line::connect(house.port).await;
    for number in 0..3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let request = house.request("/mqtt/publish", &stamped(&json!({ "topic": "bench/all", "message": number })));
        let sent = Instant::now();
        line.ask(&request).await;
        let mut last = sent;
        for _ in 0..STREAMS {
            last = last.max(heard.recv().await.unwrap());
        }
        times.push(last.duration_since(sent));
    }
    let (memory, slowest) = (rss_anon(house.child.id()) / 1024.0, median(&mut times));
    vec![
        told(Figure {
            what: "Tunnel, 10,000 streams on one topic",
            measured: format!("{memory:.0} MiB"),
            limit: "400 MiB".into(),
            ratio: memory / 400.0,
        }),
        told(Figure {
            what: "Tunnel, a message to all of 10,000 streams",
            measured: ms(slowest),
            limit: "1,000 ms".into(),
            ratio: slowest.as_secs_f64(),
        }),
    ]
}
