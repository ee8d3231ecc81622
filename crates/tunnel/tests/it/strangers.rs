//! Who has no key: guesses, floods, and connections that dawdle.

use crate::support::{House, Phone, THEN};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use doorward_tunnel::Options;
use doorward_wire::event::EventKind;
use serde_json::json;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn list() -> serde_json::Value {
    json!({ "service": "doors", "action": "list" })
}

/// A house behind a proxy on this machine.
async fn behind_a_proxy() -> House {
    House::with(Options { proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Options::default() }).await
}

async fn from(address: SocketAddr, client: &str, body: String) -> u16 {
    let request = reqwest::Client::new().post(format!("http://{address}/gateway")).header("x-forwarded-for", client);
    request.body(body).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn bodies_that_were_tampered_with_say_nothing() {
    let house = behind_a_proxy().await;
    let phone = house.usual_phone().await;
    let good = STANDARD.decode(phone.message(list(), THEN)).unwrap();
    let mut bodies: Vec<Vec<u8>> = (0..good.len()).step_by(7).map(|end| good[..end].to_vec()).collect();
    let (a, b) = good.split_at(good.len() / 2);
    bodies.extend([[b, a].concat(), [&good[..], &good].concat(), good.iter().rev().copied().collect(), vec![0; 64], vec![0xff; 4096]]);
    bodies.extend((0..good.len()).step_by(5).map(|at| {
        let mut bent = good.clone();
        bent[at] ^= 0x10;
        bent
    }));
    for (number, body) in bodies.into_iter().enumerate() {
        let client = format!("203.0.{}.{}", number / 200, number % 200);
        assert_eq!(from(house.address(), &client, STANDARD.encode(body)).await, 200);
    }
    for (number, text) in ["@@@@", "é", "\0\0", "{\"service\":\"doors\"}", "AAAA"].into_iter().enumerate() {
        assert_eq!(from(house.address(), &format!("203.0.9.{number}"), text.into()).await, 200);
    }
    assert_eq!(phone.told("/gateway", STANDARD.encode(&good)).await.status, 200, "the message itself is still good");
}

#[tokio::test]
async fn a_network_that_guesses_is_shut_out_before_anything_is_opened() {
    let house = behind_a_proxy().await;
    let phone = house.usual_phone().await;
    let wrong = STANDARD.encode([7; 100]);
    let mut statuses = Vec::new();
    for _ in 0..25 {
        statuses.push(from(house.address(), "203.0.113.7", wrong.clone()).await);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 20);
    assert_eq!(statuses.last(), Some(&429));
    assert_eq!(from(house.address(), "203.0.113.7", phone.message(list(), THEN)).await, 429, "even a right key is not tried");
    assert_eq!(from(house.address(), "203.0.113.8", phone.message(list(), THEN)).await, 200, "and others are not slowed");
    house.clock.advance(Duration::from_secs(4));
    assert_eq!(from(house.address(), "203.0.113.7", phone.message(list(), THEN)).await, 200);
    house.clock.advance(Duration::from_mins(2));
    let _ = from(house.address(), "203.0.113.7", wrong).await;
    house.until(async |house| !house.events(EventKind::RequestsRefused).await.is_empty()).await;
}

#[tokio::test]
async fn guesses_from_nowhere_do_not_lock_out_a_phone_that_works() {
    let house = House::new().await;
    let (phone, other) = (house.usual_phone().await, house.phone("new", &house.tunnel.first_scopes()).await);
    assert_eq!(phone.ask(list(), THEN).await.status, 200);
    let stranger = Phone::new(house.address(), [7; 32]);
    let mut last = 0;
    for _ in 0..210 {
        last = stranger.post("/gateway", stranger.message(list(), THEN)).await.0;
    }
    assert_eq!(last, 429, "strangers share one budget");
    for _ in 0..5 {
        assert_eq!(phone.ask(list(), THEN).await.status, 200);
    }
    assert_eq!(other.post("/gateway", other.message(list(), THEN)).await.0, 429, "a key that never worked waits with them");
    house.clock.advance(Duration::from_mins(2));
    assert_eq!(other.ask(list(), THEN).await.status, 403, "and then is opened again, if late");
}

#[tokio::test]
async fn a_forwarding_header_of_nobody_in_particular_changes_nothing() {
    let house = House::new().await;
    let wrong = STANDARD.encode([7; 100]);
    let mut last = 0;
    for number in 0..210 {
        last = from(house.address(), &format!("203.0.113.{number}"), wrong.clone()).await;
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_so() {
    let house = House::with(Options { key_rate: 5.try_into().unwrap(), ..Options::default() }).await;
    let (busy, calm) = (house.usual_phone().await, house.phone("calm", &house.tunnel.first_scopes()).await);
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(busy.ask(list(), THEN).await.status);
    }
    assert!(statuses[..5].iter().all(|status| *status == 200) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(calm.ask(list(), THEN).await.status, 200);
    house.until(async |house| !house.events(EventKind::TunnelRefused).await.is_empty()).await;
    let told = house.events(EventKind::TunnelRefused).await;
    assert_eq!(told.len(), 1, "it is written down once a minute");
    assert_eq!(told[0].actor.as_ref().unwrap().id, "phone");
}

#[tokio::test]
async fn a_connection_that_dawdles_is_closed() {
    let house = House::with(Options { patience: Duration::from_millis(300), ..Options::default() }).await;
    let silent = TcpStream::connect(house.address()).await.unwrap();
    let mut head = TcpStream::connect(house.address()).await.unwrap();
    let mut body = TcpStream::connect(house.address()).await.unwrap();
    body.write_all(b"POST /gateway HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nAAAA").await.unwrap();
    let dribble = async {
        // A byte now and then, for as long as it is taken.
        for byte in b"POST /gateway HTTP/1.1\r\nhost: a\r\nx-slow: ".iter().chain(std::iter::repeat(&b'a')).take(200) {
            if head.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it was read for four seconds");
    };
    let (closed, ()) = tokio::join!(closes(silent), dribble);
    assert!(closed.is_empty(), "{closed}");
    let told = closes(body).await;
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
}

#[tokio::test]
async fn a_head_that_never_ends_is_refused() {
    let house = House::new().await;
    let mut stream = TcpStream::connect(house.address()).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\nx-long: ").await.unwrap();
    let _ = stream.write_all(&vec![b'a'; 64 << 10]).await;
    let told = closes(stream).await;
    assert!(told.starts_with("HTTP/1.1 431") || told.is_empty(), "{told}");
}

#[tokio::test]
async fn connections_have_an_end() {
    let house = House::with(Options { connections: 4, ..Options::default() }).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(house.address()).await.unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        held.push(stream);
    }
    assert_eq!(closes(TcpStream::connect(house.address()).await.unwrap()).await, "");
    held.clear();
    house.until(async |house| reqwest::get(format!("http://{}/health", house.address())).await.is_ok()).await;
}

#[tokio::test]
async fn what_does_not_authenticate_is_tried_with_every_key_and_answered_alike() {
    let house = House::new().await;
    for number in 0..63 {
        house.phone(&format!("phone-{number}"), &doorward_wire::tunnel::Scopes::default()).await;
    }
    let last = house.phone("last", &house.tunnel.first_scopes()).await;
    assert_eq!(last.ask(list(), THEN).await.status, 200, "the last of 64 keys opens too");
    let full = house.tunnel.add_key("one-more", None, &doorward_wire::tunnel::Scopes::default(), &crate::support::somebody()).await;
    assert!(full.unwrap_err().to_string().contains("64"));
    let stranger = Phone::new(house.address(), [7; 32]);
    let answers = [
        stranger.post("/gateway", stranger.message(list(), THEN)).await,
        stranger.post("/gateway", stranger.message(list(), 1)).await,
        stranger.post("/gateway", "nonsense").await,
    ];
    let length = answers[0].2.len();
    for (status, kind, body) in answers {
        assert_eq!((status, kind.as_str(), body.len()), (200, "application/octet-stream", length));
    }
}

/// What comes until the other end closes.
async fn closes(mut stream: TcpStream) -> String {
    let mut told = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut told)).await.expect("it is closed");
    // A reset is an end too.
    let _ = end;
    String::from_utf8_lossy(&told).into_owned()
}
