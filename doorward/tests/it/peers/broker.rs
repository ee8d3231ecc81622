//! The embedded broker from outside: TLS, WebSocket, and what is thrown at it.

use super::mosquitto::{Scene, User};
use crate::{
    binary::{Binary, run},
    boot::killed::until,
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// An MQTT 3.1.1 CONNECT.
fn connect(client: &str, user: &str, secret: &str) -> Vec<u8> {
    connect_for(client, user, secret, 60)
}

/// One that promises a sign of life within so many seconds.
fn connect_for(client: &str, user: &str, secret: &str, keep_alive: u16) -> Vec<u8> {
    let text = |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat();
    let mut body = [b"\0\x04MQTT\x04".as_slice(), &[0b1100_0010], &keep_alive.to_be_bytes()].concat();
    for part in [client, user, secret] {
        body.extend(text(part));
    }
    packet(0x10, &body)
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        let byte = u8::try_from(length % 128).unwrap();
        length /= 128;
        packet.push(if length > 0 { byte | 128 } else { byte });
        if length == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

fn publish(topic: &[u8], payload: &[u8]) -> Vec<u8> {
    packet(0x30, &[&u16::try_from(topic.len()).unwrap().to_be_bytes(), topic, payload].concat())
}

/// A client by hand.
struct Raw(TcpStream);

impl Raw {
    fn open(port: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(stream)
    }

    fn signed_in(port: &str, client: &str, user: &User) -> Self {
        let mut raw = Self::open(port);
        raw.send(&connect(client, "app", &user.secret));
        assert_eq!(raw.read(4), [0x20, 2, 0, 0], "it is let in");
        raw
    }

    fn send(&mut self, bytes: &[u8]) {
        // It may have been thrown out already.
        let _ = self.0.write_all(bytes);
    }

    fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Waits until the broker hangs up.
    fn ends_thrown_out(mut self) -> bool {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_packets_cost_their_sender_the_connection_and_nobody_else_anything() {
    let scene = Scene::start().await;
    let app = scene.user("app", &["a/#"], &["a/#"]);
    let listener = app.listen("a/#");
    until("it listens", async || app.publish("a/ready", "yes", &["-r"]) && !listener.heard().is_empty()).await;

    let oversized = packet(0x30, &[]);
    let oversized = [&oversized[..1], &[0xff, 0xff, 0xff, 0x7f]].concat();
    let before: [(&str, Vec<u8>); 6] = [
        ("no MQTT at all", b"GET / HTTP/1.1\r\nHost: door\r\n\r\n".to_vec()),
        ("a wrong protocol name", packet(0x10, b"\0\x04MQXX\x04\xc2\0\x3c\0\x01a")),
        ("a wrong version", packet(0x10, b"\0\x04MQTT\x63\xc2\0\x3c\0\x01a\0\x01a\0\x01a")),
        ("a packet of 256 MiB", oversized.clone()),
        ("a length that never ends", vec![0x10, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("PUBLISH before CONNECT", publish(b"a/x", b"x")),
    ];
    // Side by side: where the rest of a packet may still come, it is waited for.
    let sent = before.map(|(what, bytes)| {
        let mut raw = Raw::open(&scene.port);
        raw.send(&bytes);
        (what, raw)
    });
    for (what, raw) in sent {
        assert!(raw.ends_thrown_out(), "{what}");
    }
    let after: [(&str, Vec<u8>); 6] = [
        ("a wildcard in PUBLISH", publish(b"a/#", b"x")),
        ("invalid UTF-8 in a topic", publish(b"a/\xff\xfe", b"x")),
        ("NUL in a topic", publish(b"a/\0", b"x")),
        ("a packet of 256 MiB", oversized),
        ("a second CONNECT", connect("other", "app", &app.secret)),
        ("QoS 3", packet(0x36, b"\0\x03a/x\0\x01x")),
    ];
    for (what, bytes) in after {
        let mut raw = Raw::signed_in(&scene.port, &format!("raw {}", what.len()), &app);
        raw.send(&bytes);
        assert!(raw.ends_thrown_out(), "{what}");
    }
    assert!(app.publish("a/last", "through", &[]));
    listener.hears("a/last through").await;
    assert!(listener.heard().iter().all(|line| line == "a/ready yes" || line == "a/last through"), "{:?}", listener.heard());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_keeps_nobody_out() {
    let scene = Scene::start().await;
    let app = scene.user("app", &["a/#"], &[]);
    // Many connections that never say who they are, from one address.
    let silent: Vec<TcpStream> = (0..300).filter_map(|_| TcpStream::connect(("127.0.0.1", scene.port.parse().unwrap())).ok()).collect();
    let client = scene.binary.client();
    assert_eq!(client.get("/mqtt").await["connected"], true);
    drop(silent);
    until("others come in again", async || app.publish("a/x", "x", &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_went_without_a_word_is_not_waited_for() {
    let scene = Scene::start().await;
    let app = scene.user("app", &["a/#"], &["a/#"]);
    let listener = app.listen("a/#");
    until("it listens", async || app.publish("a/ready", "yes", &["-r"]) && !listener.heard().is_empty()).await;
    // Half open: the machine is gone and nobody said so. What it left as its will is told.
    let mut gone = Raw::open(&scene.port);
    let mut packet = connect_for("gone", "app", &app.secret, 1);
    let will = b"\0\x03a/x\0\x04gone";
    packet.splice(14 + 4..14 + 4, will.iter().copied());
    packet[1] += u8::try_from(will.len()).unwrap();
    packet[9] |= 0b100;
    gone.send(&packet);
    assert_eq!(gone.read(4), [0x20, 2, 0, 0], "it is let in");
    listener.hears("a/x gone").await;
    assert!(gone.ends_thrown_out());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_no_message_and_is_not_filled_by_any() {
    let data = tempfile::tempdir().unwrap();
    let binary = Binary::start_on_small_volume(data.path(), 96);
    let client = binary.client();
    let user = serde_json::json!({ "name": "app", "publish": ["a/#"], "subscribe": ["a/#"] });
    let (_, made) = client.post("/mqtt-users", user).await.unwrap();
    let app = User::new("app", made["secret"].as_str().unwrap(), &binary.mqtt_port());
    let listener = app.listen("a/#");
    until("it listens", async || app.publish("a/ready", "yes", &["-r"]) && !listener.heard().is_empty()).await;
    let mut here = Raw::signed_in(&binary.mqtt_port(), "here", &app);
    let filler = binary.data().join("filler");
    let fill = |bytes: usize| {
        let mut file = std::fs::File::options().create(true).append(true).open(&filler).unwrap();
        (0..bytes / 4096).all(|_| file.write_all(&[0; 4096]).is_ok())
    };

    // The last of the space is for what opens doors: nothing more is kept for later subscribers.
    assert!(fill(48 << 20));
    until("it is noticed", async || {
        app.publish("a/late", "kept", &["-r"]);
        app.publish("a/live", "through", &[]);
        app.keeps("a/late").is_none() && client.text("/metrics").await.contains("doorward_mqtt_refused_total{what=\"full\"}")
    })
    .await;
    listener.hears("a/live through").await;

    // Nothing at all can be written. Those who are here go on; a new one is told that it cannot be.
    assert!(!fill(96 << 20));
    for number in 0..20 {
        here.send(&publish(format!("a/{number}").as_bytes(), b"live"));
        listener.hears(&format!("a/{number} live")).await;
    }
    assert_eq!(client.get("/mqtt").await["connected"], true);

    std::fs::remove_file(&filler).unwrap();
    until("there is space again", async || app.publish("a/after", "kept", &["-r"]) && app.keeps("a/after").is_some()).await;
    listener.hears("a/after kept").await;
    assert_eq!(app.keeps("a/ready").as_deref(), Some("yes"), "what was kept before still is");
    assert_eq!(binary.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_subscriptions_is_bounded_and_what_is_too_big_is_not_taken() {
    let scene = Scene::start().await;
    let app = scene.user("app", &["a/#"], &["a/#"]);
    let mut raw = Raw::signed_in(&scene.port, "storm", &app);
    let mut refused = 0;
    for number in 0..1_100u16 {
        let topic = format!("a/{number}");
        let filter = [&u16::try_from(topic.len()).unwrap().to_be_bytes(), topic.as_bytes(), &[0]].concat();
        raw.send(&packet(0x82, &[&(number + 1).to_be_bytes(), filter.as_slice()].concat()));
        let answer = raw.read(5);
        assert_eq!(answer[..2], [0x90, 3]);
        refused += u32::from(answer[4] >= 0x80);
    }
    assert_eq!(refused, 100, "1,000 subscriptions and no more");
    raw.send(&publish(b"a/big", &vec![b'x'; 300 * 1024]));
    assert!(raw.ends_thrown_out(), "a message of more than 256 KiB");
    assert!(app.publish("a/x", "x", &[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_of_one_user_are_a_hundred() {
    let scene = Scene::start().await;
    let (app, other) = (scene.user("app", &["a/#"], &[]), scene.user("other", &["a/#"], &[]));
    let mut here = Vec::new();
    let mut refused = 0;
    let mut before = 0;
    for number in (0..10_000).step_by(50) {
        if number == 1_000 {
            before = scene.binary.memory();
        }
        // Fifty ask at once, so that none is counted too late.
        let at_once: Vec<Raw> = (number..number + 50)
            .map(|number| {
                let mut raw = Raw::open(&scene.port);
                raw.send(&connect(&format!("many {number}"), "app", &app.secret));
                raw
            })
            .collect();
        for mut raw in at_once {
            match raw.read(4)[3] {
                0 => here.push(raw),
                _ => refused += 1,
            }
        }
    }
    assert_eq!((here.len(), refused), (100, 9_900));
    let grown = scene.binary.memory().saturating_sub(before);
    assert!(grown < 4 << 20, "nine thousand refusals cost {grown} bytes");
    assert!(other.publish("a/x", "x", &[]), "nobody else notices");
    let metrics = scene.binary.client().text("/metrics").await;
    assert!(metrics.contains("doorward_mqtt_refused_total{what=\"connection\"} 9900"), "each is counted: {metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_speaks_tls_with_a_certificate_of_its_own_authority_and_websocket() {
    let data = tempfile::tempdir().unwrap();
    let any = "127.0.0.1:0";
    let environment = [
        ("DOORWARD_HTTP__LISTEN", any),
        ("DOORWARD_MQTT__LISTEN", "off"),
        ("DOORWARD_MQTT__TLS_LISTEN", any),
        ("DOORWARD_MQTT__WS_LISTEN", any),
    ];
    let start = || Binary::start_with(data.path(), &environment);
    let binary = start();
    let made = crate::binary::json(data.path(), &["mqtt", "user", "add", "app", "--publish", "a/#", "--subscribe", "a/#"]);
    let authority = run(data.path(), &["mqtt", "authority"]);
    assert!(authority.status.success());
    let file = data.path().join("authority.pem");
    std::fs::write(&file, &authority.stdout).unwrap();
    let trusting = ["--cafile", file.to_str().unwrap()];
    let app = User::new("app", made["secret"].as_str().unwrap(), &binary.mqtt_port_of("mqtts"));
    assert!(app.publish("a/x", "kept", &[&trusting[..], &["-r"]].concat()));
    assert!(!app.publish("a/x", "x", &[]), "it takes no plain text there");
    assert!(!app.publish("a/x", "x", &["--capath", "/etc/ssl/certs"]), "and no public authority vouches for it");

    // The authority outlives a restart, and a handshake that never comes holds nobody up.
    binary.terminate();
    let binary = start();
    let app = User::new("app", made["secret"].as_str().unwrap(), &binary.mqtt_port_of("mqtts"));
    let silent = TcpStream::connect(("127.0.0.1", binary.mqtt_port_of("mqtts").parse().unwrap())).unwrap();
    app.listen_with("a/+", &trusting).hears("a/x kept").await;
    drop(silent);

    let mut socket = Raw::open(&binary.mqtt_port_of("ws"));
    let upgrade = |path: &str, protocol: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: door\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
        )
    };
    socket.send(upgrade("/mqtt", "mqtt").as_bytes());
    let answer = String::from_utf8(socket.read(12)).unwrap();
    assert_eq!(answer, "HTTP/1.1 101");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(socket.read(1));
    }
    // A masked binary frame (RFC 6455, section 5.2) with a mask of nothing.
    let connect = connect("browser", "app", &app.secret);
    let length = u8::try_from(connect.len()).unwrap();
    socket.send(&[&[0x82, 0x80 | length, 0, 0, 0, 0][..], &connect].concat());
    assert_eq!(socket.read(6), [0x82, 4, 0x20, 2, 0, 0], "MQTT in a frame");
    for (path, protocol) in [("/other", "mqtt"), ("/mqtt", "chat")] {
        let mut wrong = Raw::open(&binary.mqtt_port_of("ws"));
        wrong.send(upgrade(path, protocol).as_bytes());
        assert!(String::from_utf8(wrong.read(12)).unwrap().starts_with("HTTP/1.1 4"), "{path} {protocol}");
    }
}

/// A SUBSCRIBE of MQTT 3.1.1, for at least once.
fn subscribe(filter: &str) -> Vec<u8> {
    let length = u16::try_from(filter.len()).unwrap().to_be_bytes();
    packet(0x82, &[&[0, 1], &length[..], filter.as_bytes(), &[1]].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_does_not_keep_up_is_let_go_and_hurts_nobody() {
    let scene = Scene::start().await;
    let app = scene.user("app", &["a/#"], &["a/#", "doorward/door/+/state"]);
    let mut slow = Raw::signed_in(&scene.port, "slow", &app);
    slow.send(&subscribe("a/#"));
    assert_eq!(slow.read(5)[4], 1);
    let states = app.listen("doorward/door/+/state");
    states.has("LOCKED").await;

    // Many large messages, none of which it reads: what waits for it is bounded.
    let mut busy = Raw::signed_in(&scene.port, "busy", &app);
    let payload = vec![b'x'; 32 * 1024];
    let flood = std::thread::spawn(move || {
        for number in 0..4_000u16 {
            let body = [&[0, 3], &b"a/x"[..], &(number + 1).to_be_bytes(), &payload].concat();
            busy.send(&packet(0x32, &body));
            busy.read(4);
        }
    });
    // Meanwhile a door opens, and that is heard at once.
    scene.binary.client().post("/doors/front_door/actions", serde_json::json!({ "action": "unlock" })).await.unwrap();
    states.hears("doorward/door/front_door/state UNLOCKED").await;
    let client = scene.binary.client();
    until("it is let go", async || {
        client.text("/metrics").await.lines().any(|line| line.starts_with("doorward_mqtt_refused_total{what=\"slow\"}"))
    })
    .await;
    flood.join().unwrap();
    assert!(slow.ends_thrown_out());
}
