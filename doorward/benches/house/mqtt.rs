//! The embedded broker beside Mosquitto of the same machine, in the same run, with the same clients and rights.

use super::{BINARY, Figure, end, free_port, median, ms, rss_anon, told, until_it_answers};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    task::JoinSet,
};

/// Bytes of a message.
const PAYLOAD: usize = 64;
/// Messages on their way of one publisher, as clients have it that leave it as it is.
const WINDOW: usize = 20;
/// The same for the one that sends 200,000.
const WIDE: usize = 500;
/// When nothing came for so long, nothing more comes.
const QUIET: Duration = Duration::from_secs(2);
/// Idle connections, and how many of them each user has.
const IDLE: usize = 5_000;
const OF_ONE_USER: usize = 100;

/// Both brokers, one after the other.
pub(super) async fn figures() -> Vec<Figure> {
    let mut figures = Vec::new();
    // As Debian ships it Mosquitto keeps 1,000 messages for a subscriber and drops the rest: its rate is taken with a queue
    // and a window without an end, so that it delivers all that is counted.
    let (ours, theirs) = (Doorward::start().await, Mosquitto::start("max_queued_messages 0\nmax_inflight_messages 0\n").await);
    for (what, publishers, subscribers, messages) in
        [("MQTT, QoS 1, 50 publishers to 1", 50, 1, 1_000), ("MQTT, QoS 1, 1 publisher to 100", 1, 100, 1_000)]
    {
        let mut rates = [Vec::new(), Vec::new()];
        // In turn, so that what else the machine does meets both.
        for _ in 0..3 {
            rates[0].push(rate(ours.port, [&ours.secret, &ours.listens], publishers, subscribers, messages).await);
            rates[1].push(rate(theirs.port, ["bench", "bench"], publishers, subscribers, messages).await);
        }
        let [own, peer] = rates.map(|mut rates| {
            rates.sort_by(f64::total_cmp);
            rates[1]
        });
        let (measured, limit) = (format!("{own:.0}/s"), format!("0.45 × {peer:.0}/s of Mosquitto"));
        figures.push(told(Figure { what, measured, limit, ratio: 0.45 * peer / own }));
    }
    let own = delivered(ours.port, &ours.secret).await;
    drop(theirs);
    let theirs = Mosquitto::start("").await;
    let peer = delivered(theirs.port, "bench").await;
    figures.push(told(Figure {
        what: "MQTT, messages lost of 200,000 that were acknowledged",
        measured: own.to_string(),
        limit: format!("0 (Mosquitto: {peer})"),
        ratio: if own == 0 { 1.0 } else { f64::INFINITY },
    }));
    figures.push(told(ours.state_change().await));
    figures.push(told(ours.idle().await));
    figures
}

/// Deliveries in a second. Who publishes is one user and who hears another: one has at most 100 connections.
async fn rate(port: u16, [talks, listens]: [&str; 2], publishers: usize, subscribers: usize, messages: usize) -> f64 {
    let mut hearing = JoinSet::new();
    for number in 0..subscribers {
        let client = Client::connect(port, &format!("sub{number}"), "listener", listens).await;
        let client = client.subscribe("bench/rate").await;
        hearing.spawn(client.hear(publishers * messages));
    }
    let mut talking = Vec::new();
    for number in 0..publishers {
        talking.push(Client::connect(port, &format!("pub{number}"), "bench", talks).await);
    }
    let began = Instant::now();
    let mut senders = JoinSet::new();
    for client in talking {
        senders.spawn(client.talk("bench/rate", messages, WINDOW));
    }
    senders.join_all().await;
    let heard = hearing.join_all().await;
    let last = heard.iter().map(|(_, at)| *at).max().unwrap();
    let all: usize = heard.iter().map(|(count, _)| count).sum();
    f64::from(u32::try_from(all).unwrap()) / last.duration_since(began).as_secs_f64()
}

/// How many of 200,000 acknowledged messages one ordinary client did not hear.
async fn delivered(port: u16, secret: &str) -> usize {
    const MESSAGES: usize = 200_000;
    let subscriber = Client::connect(port, "steady-sub", "bench", secret).await.subscribe("bench/steady").await;
    let hearing = tokio::spawn(subscriber.hear(MESSAGES));
    Client::connect(port, "steady-pub", "bench", secret).await.talk("bench/steady", MESSAGES, WIDE).await;
    MESSAGES - hearing.await.unwrap().0
}

/// A client of MQTT 3.1.1 that does no more than it must.
pub(super) struct Client {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

impl Client {
    pub(super) async fn connect(port: u16, id: &str, user: &str, secret: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (read, write) = stream.into_split();
        let mut client = Self { read: BufReader::with_capacity(8 * 1024, read), write };
        let mut body = b"\0\x04MQTT\x04\xc2\0\0".to_vec();
        for text in [id, user, secret] {
            body.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
            body.extend(text.as_bytes());
        }
        client.write.write_all(&packet(0x10, &body)).await.unwrap();
        let (_, answer) = client.next().await.unwrap();
        assert_eq!(answer, [0, 0], "it is let in");
        client
    }

    pub(super) async fn subscribe(mut self, topic: &str) -> Self {
        let length = u16::try_from(topic.len()).unwrap().to_be_bytes();
        self.write.write_all(&packet(0x82, &[&[0, 1], &length[..], topic.as_bytes(), &[1]].concat())).await.unwrap();
        let (_, answer) = self.next().await.unwrap();
        assert_eq!(answer[2], 1, "at least once");
        self
    }

    /// Publishes what the broker keeps, and waits until it has it.
    pub(super) async fn keep(&mut self, topic: &str, payload: &[u8]) {
        let length = u16::try_from(topic.len()).unwrap().to_be_bytes();
        self.write.write_all(&packet(0x33, &[&length[..], topic.as_bytes(), &[0, 1], payload].concat())).await.unwrap();
        while self.next().await.unwrap().0 != 0x40 {}
    }

    /// The next message, with its topic before it.
    pub(super) async fn hears(&mut self) -> Vec<u8> {
        loop {
            let (kind, body) = self.next().await.unwrap();
            if kind & 0xf0 == 0x30 {
                let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                self.write.write_all(&packet(0x40, &body[2 + topic..4 + topic])).await.unwrap();
                return body;
            }
        }
    }

    /// Publishes at least once, a window at a time, until all is acknowledged.
    async fn talk(mut self, topic: &str, messages: usize, window: usize) {
        let length = u16::try_from(topic.len()).unwrap().to_be_bytes();
        let mut on_their_way = 0;
        let mut out = Vec::new();
        for number in 0..messages {
            let id = u16::try_from(number % 60_000 + 1).unwrap().to_be_bytes();
            out.extend(packet(0x32, &[&length[..], topic.as_bytes(), &id[..], &[b'x'; PAYLOAD]].concat()));
            on_their_way += 1;
            if on_their_way >= window || number + 1 == messages {
                self.write.write_all(&out).await.unwrap();
                out.clear();
                let until = if number + 1 == messages { 0 } else { window / 2 };
                while on_their_way > until {
                    let (kind, _) = self.next().await.unwrap();
                    assert_eq!(kind, 0x40, "only acknowledgements come");
                    on_their_way -= 1;
                }
            }
        }
    }

    /// Hears so many messages, or all that come; says how many and when the last one came.
    async fn hear(mut self, messages: usize) -> (usize, Instant) {
        let (mut count, mut last) = (0, Instant::now());
        let mut out = Vec::new();
        while count < messages {
            let Ok(next) = tokio::time::timeout(QUIET, self.next()).await else { break };
            let Some((kind, body)) = next else { break };
            if kind & 0xf0 != 0x30 {
                continue;
            }
            count += 1;
            last = Instant::now();
            let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
            out.extend(packet(0x40, &body[2 + topic..4 + topic]));
            if self.read.buffer().is_empty() {
                self.write.write_all(&out).await.unwrap();
                out.clear();
            }
        }
        (count, last)
    }

    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let kind = self.read.read_u8().await.ok()?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.read.read_u8().await.ok()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
        }
        let mut body = vec![0; length];
        self.read.read_exact(&mut body).await.ok()?;
        Some((kind, body))
    }
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut length = body.len();
    loop {
        let byte = u8::try_from(length & 0x7f).unwrap();
        length >>= 7;
        packet.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

/// A Mosquitto with the same users and rights.
struct Mosquitto {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Mosquitto {
    /// `more` are further lines of its configuration.
    async fn start(more: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
        let passwords = path.join("passwords");
        std::fs::write(&passwords, "").unwrap();
        for name in ["bench", "listener"] {
            let made = Command::new("mosquitto_passwd").arg("-b").arg(&passwords).args([name, "bench"]).status().unwrap();
            assert!(made.success());
        }
        std::fs::set_permissions(&passwords, std::fs::Permissions::from_mode(0o666)).unwrap();
        std::fs::write(path.join("rights"), "user bench\ntopic readwrite bench/#\nuser listener\ntopic read bench/#\n").unwrap();
        let port = free_port();
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous false\nset_tcp_nodelay true\npassword_file {0}/passwords\nacl_file {0}/rights\nlog_dest none\n{more}",
            path.display()
        );
        std::fs::write(path.join("conf"), config).unwrap();
        let child = Command::new("mosquitto").arg("-c").arg(path.join("conf")).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let broker = Self { child: child.expect("mosquitto is installed: `scripts/install test` does it"), port, _folder: folder };
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        broker
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A doorward with a foreign door and two users.
pub(super) struct Doorward {
    child: Child,
    data: tempfile::TempDir,
    port: u16,
    /// What `bench` and `listener` sign in with.
    secret: String,
    listens: String,
}

impl Doorward {
    pub(super) fn data(&self) -> &Path {
        self.data.path()
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let gate = "[[doors]]\nid = \"gate\"\nkind = \"foreign\"\nlock = { mqtt = \"bench/set\", payload = \"LOCK\" }\n\
                    state = { mqtt = \"bench/gate\", locked = \"LOCKED\", unlocked = \"UNLOCKED\" }\n";
        std::fs::write(data.path().join("doorward.toml"), gate).unwrap();
        let (http, port) = (free_port(), free_port());
        let child = Command::new(BINARY)
            .arg("--data")
            .arg(data.path())
            .arg("serve")
            .env("DOORWARD_HTTP__LISTEN", format!("127.0.0.1:{http}"))
            .env("DOORWARD_MQTT__LISTEN", format!("127.0.0.1:{port}"))
            .env("DOORWARD_LOG__LEVEL", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until_it_answers(http).await;
        let secret = user(data.path(), "bench", &["bench/#"], &["bench/#", "doorward/door/+/state"]).await;
        let listens = user(data.path(), "listener", &[], &["bench/#"]).await;
        Self { child, data, port, secret, listens }
    }

    /// From a message about a door to what doorward then says of it, in a subscriber's inbox.
    async fn state_change(&self) -> Figure {
        let mut subscriber = Client::connect(self.port, "inbox", "bench", &self.secret).await.subscribe("doorward/door/gate/state").await;
        let mut door = Client::connect(self.port, "door", "bench", &self.secret).await;
        let mut times = Vec::new();
        for round in 0..210 {
            let state = if round % 2 == 0 { "UNLOCKED" } else { "LOCKED" };
            let body = [&[0, 10][..], b"bench/gate", state.as_bytes()].concat();
            let began = Instant::now();
            door.write.write_all(&packet(0x30, &body)).await.unwrap();
            loop {
                let (_, body) = subscriber.next().await.unwrap();
                let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                subscriber.write.write_all(&packet(0x40, &body[2 + topic..4 + topic])).await.unwrap();
                if body.ends_with(state.as_bytes()) {
                    break;
                }
            }
            if round >= 10 {
                times.push(began.elapsed());
            }
        }
        let median = median(&mut times);
        let what = "A state change at a door, to a subscriber's inbox";
        Figure { what, measured: ms(median), limit: "20 ms".into(), ratio: median.as_secs_f64() / 0.020 }
    }

    async fn idle(&self) -> Figure {
        let mut here = Vec::new();
        let before = rss_anon(self.child.id());
        for number in 0..IDLE / OF_ONE_USER {
            let name = format!("idle{number}");
            let secret = user(self.data.path(), &name, &[], &[]).await;
            for client in 0..OF_ONE_USER {
                here.push(Client::connect(self.port, &format!("{name}-{client}"), &name, &secret).await);
            }
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let each = (rss_anon(self.child.id()) - before) / f64::from(u32::try_from(here.len()).unwrap());
        Figure {
            what: "Memory of an idle MQTT connection, of 5,000",
            measured: format!("{each:.1} KiB"),
            limit: "35 KiB".into(),
            ratio: each / 35.0,
        }
    }
}

impl Drop for Doorward {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

pub(super) async fn user(data: &Path, name: &str, publish: &[&str], subscribe: &[&str]) -> String {
    let client = reqwest::Client::builder().no_proxy().unix_socket(data.join("doorward.sock")).build().unwrap();
    let body = json!({ "name": name, "publish": publish, "subscribe": subscribe });
    let made = client.post("http://localhost/api/v1/mqtt-users").json(&body).send().await.unwrap();
    let made: Value = made.json().await.unwrap();
    made["secret"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}
