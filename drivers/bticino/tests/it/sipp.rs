//! SIPp as the intercom: it rings at the client through Kamailio, and says what Kamailio would not let through as a server
//! of its own.
//!
//! Debian builds SIPp without TLS. Where it is the server it speaks TCP, and the [`Tap`] before it TLS.

mod intercom;

use crate::{
    authority::Authority,
    captures,
    kamailio::server::Kamailio,
    support::{Client, Connected, GATE, until},
    tap::{Tap, Who},
};
use doorward_bticino::sip::{
    CallEnd,
    line::{Lost, Order},
    message::Broken,
    session::{End, Happening},
};
use intercom::Sipp;
use std::time::Duration;

/// A client that is registered with Kamailio, which brings it whoever rings.
struct House {
    kamailio: Kamailio,
    tap: Tap,
    connected: Connected,
}

impl House {
    async fn new() -> Self {
        let kamailio = Kamailio::start().await;
        let (tap, client) = kamailio.tapped().await;
        let connected = client.connect().await.unwrap();
        connected.registered().await;
        Self { kamailio, tap, connected }
    }

    fn calls(&self, scenario: &str, more: &[&str]) -> Sipp {
        Sipp::calls(scenario, self.kamailio.udp, more)
    }

    fn ringing(&self) -> Vec<String> {
        let told = self.connected.told.lock().unwrap();
        told.iter().filter_map(|news| if let Happening::Rings { call, .. } = news { Some(call.clone()) } else { None }).collect()
    }

    fn over(&self) -> Vec<CallEnd> {
        over(&self.connected)
    }

    async fn ends(&self, call: &str, status: u16) {
        self.connected.orders.send(Order::EndCall { call: call.to_owned(), status }).await.unwrap();
    }
}

fn over(connected: &Connected) -> Vec<CallEnd> {
    let told = connected.told.lock().unwrap();
    told.iter().filter_map(|news| if let Happening::RingOver { end, .. } = news { Some(*end) } else { None }).collect()
}

#[tokio::test]
async fn a_bell_rings_until_whoever_rang_goes_away() {
    let house = House::new().await;
    house.calls("rings_and_cancels", &["-key", "reason", "SIP;cause=487"]).done().await;
    assert!(house.connected.heard(
        |news| matches!(news, Happening::Rings { call, name: Some(name), user: Some(user) } if call == "ring-1" && name == "Porta" && user == "c300x")
    ));
    until("it is over", || house.over() == [CallEnd::Cancelled]).await;
    captures::agrees("sipp-rings-and-cancels", &house.tap).await;
}

#[tokio::test]
async fn a_bell_that_another_phone_answered_is_told_from_one_that_nobody_did() {
    let house = House::new().await;
    house.calls("rings_and_cancels", &["-key", "reason", r#"SIP;cause=200;text="Call completed elsewhere""#]).done().await;
    until("it is over", || house.over() == [CallEnd::Elsewhere]).await;
}

#[tokio::test]
async fn short_names_and_folded_lines_are_understood() {
    let house = House::new().await;
    house.calls("compact", &[]).done().await;
    assert!(
        house.connected.heard(
            |news| matches!(news, Happening::Rings { name: Some(name), user: Some(user), .. } if name == "Porta" && user == "c300x")
        )
    );
    until("it is over", || house.over() == [CallEnd::Cancelled]).await;
    captures::agrees("sipp-compact", &house.tap).await;
}

#[tokio::test]
async fn the_house_ends_a_call() {
    for status in [486, 480] {
        let house = House::new().await;
        let rings = house.calls("rings", &[]);
        until("it rings", || house.ringing() == ["ring-1"]).await;
        house.ends("ring-1", status).await;
        rings.done().await;
        assert_eq!(house.tap.count(Who::Client, format!("SIP/2.0 {status} ").as_bytes()), 1);
        until("Kamailio acknowledges", || house.tap.count(Who::Server, b"ACK sip:") == 1).await;
        captures::agrees(&format!("sipp-house-says-{status}"), &house.tap).await;
    }
}

#[tokio::test]
async fn a_bell_that_nobody_answers_is_told_so_after_a_minute() {
    let house = House::new().await;
    let rings = house.calls("rings", &[]);
    until("it rings", || house.ringing().len() == 1).await;
    house.connected.bench.advance(Duration::from_secs(61));
    rings.done().await;
    assert_eq!(house.over(), [CallEnd::Timeout]);
    assert_eq!(house.tap.count(Who::Client, b"SIP/2.0 480 "), 1);
}

#[tokio::test]
async fn sixteen_ring_at_once_and_more_are_told_to_be_busy() {
    let house = House::new().await;
    let rings = house.calls("rings", &["-m", "20", "-r", "20", "-rp", "100", "-l", "20"]);
    until("they ring", || house.ringing().len() == 16).await;
    until("the others are busy", || house.tap.count(Who::Client, b"SIP/2.0 486 ") == 4).await;
    assert!(house.over().is_empty() && matches!(house.connected.open(GATE).await, End::Accepted { .. }), "and the gate opens");
    for call in house.ringing() {
        house.ends(&call, 480).await;
    }
    rings.done().await;
    assert_eq!(house.tap.count(Who::Client, b"SIP/2.0 480 "), 16);
}

#[tokio::test]
async fn the_answer_of_a_gate_comes_to_its_command() {
    let house = House::new().await;
    let End::Accepted { key } = house.connected.open(GATE).await else { panic!("not accepted") };
    house.calls("message", &["-key", "key", &key]).done().await;
    let replied =
        |news: &Happening| matches!(news, Happening::Replied { gate, key: known, outcome: Ok(()) } if gate == GATE && *known == key);
    assert!(house.connected.heard(replied));
    // The same answer once more belongs to nothing.
    house.calls("message", &["-key", "key", &key]).done().await;
    assert!(house.connected.heard(|news| matches!(news, Happening::Said(_))));
    captures::agrees("sipp-gate-answers", &house.tap).await;
}

#[tokio::test]
async fn whoever_asks_hears_what_is_known() {
    let house = House::new().await;
    house.calls("asks", &[]).done().await;
    captures::agrees("sipp-asks", &house.tap).await;
}

#[tokio::test]
async fn the_bell_rings_on_the_new_line_alone_when_the_old_one_has_left() {
    let kamailio = Kamailio::start().await;
    let client = kamailio.client();
    let lines = [client.connect().await.unwrap(), client.connect().await.unwrap()];
    for line in &lines {
        line.registered().await;
    }
    let [old, new] = lines;
    let rings = |line: &Connected| line.told.lock().unwrap().iter().filter(|news| matches!(news, Happening::Rings { .. })).count();
    let told = std::sync::Arc::clone(&old.told);
    let call = Sipp::calls("rings", kamailio.udp, &[]);
    until("both ring", || (rings(&old), rings(&new)) == (1, 1)).await;
    for line in [&old, &new] {
        line.orders.send(Order::EndCall { call: "ring-1".into(), status: 486 }).await.unwrap();
    }
    call.done().await;
    old.orders.send(Order::Retire).await.unwrap();
    assert_eq!(old.lost().await, Lost::Retired);
    kamailio.forgets_all_but(1).await;
    Sipp::calls("rings_and_cancels", kamailio.udp, &["-key", "reason", "SIP;cause=487"]).done().await;
    assert_eq!((rings(&new), over(&new)), (2, vec![CallEnd::Cancelled]));
    assert_eq!(told.lock().unwrap().iter().filter(|news| matches!(news, Happening::Rings { .. })).count(), 1);
}

/// A client at a server that is SIPp.
async fn at(scenario: &str) -> (Sipp, Tap, Client) {
    let authority = Authority::new();
    let (sipp, stream) = Sipp::serves(scenario).await;
    let stream = std::sync::Mutex::new(Some(stream));
    let tap = Tap::new(&authority, move || {
        let stream = stream.lock().unwrap().take();
        async move { stream.expect("one connection") }
    })
    .await;
    let client = Client::of(&authority, &authority.client("doorward"), tap.port);
    (sipp, tap, client)
}

#[tokio::test]
async fn what_belongs_to_no_call_is_answered_as_the_standard_says() {
    let (sipp, tap, client) = at("server_rings").await;
    let connected = client.connect().await.unwrap();
    sipp.done().await;
    assert_eq!(over(&connected), [CallEnd::Cancelled]);
    assert_eq!(connected.told.lock().unwrap().iter().filter(|news| matches!(news, Happening::Rings { .. })).count(), 1);
    captures::agrees("sipp-server-rings", &tap).await;
}

#[tokio::test]
async fn garbage_between_messages_does_not_hide_them() {
    let (sipp, tap, client) = at("server_garbage").await;
    let _connected = client.connect().await.unwrap();
    sipp.done().await;
    captures::agrees("sipp-garbage", &tap).await;
}

#[tokio::test]
async fn what_has_no_end_ends_the_connection() {
    for (scenario, broken) in [("server_endless", Broken::TooLong), ("server_negative", Broken::NoLength)] {
        let (sipp, _tap, client) = at(scenario).await;
        let connected = client.connect().await.unwrap();
        assert_eq!(connected.lost().await, Lost::Broken(broken));
        sipp.done().await;
    }
}

#[tokio::test]
async fn a_server_that_asks_for_another_password_each_time_is_answered_twice_at_most() {
    let (sipp, tap, client) = at("server_refuses").await;
    let connected = client.connect().await.unwrap();
    let refused = |news: &Happening| matches!(news, Happening::NotRegistered(refusal) if refusal.status == 401 && !refusal.wrong_password);
    until("it is refused", || connected.heard(refused)).await;
    sipp.done().await;
    assert_eq!(tap.count(Who::Client, b"REGISTER sip:"), 3, "without an answer, with one, and with one for a fresh nonce");
    captures::agrees("sipp-always-stale", &tap).await;
}
