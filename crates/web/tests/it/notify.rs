//! Notifications: who is told what, by which way, when, and how often.

mod browser;
mod mail;

use crate::support::{Browser, Endpoint, House, MailServer, Names, Reply, items, says};
use doorward_core::record::NewEvent;
use doorward_engine::Clock;
use doorward_store::DoorEdit;
use doorward_web::{
    WebConfig,
    notify::{Mail, Ntfy, Settings, mailbox},
    outward::{Outward, Target},
};
use doorward_wire::{Time, event::EventKind, notify::NotifyKind};
use serde_json::{Value, json};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn ntfy(endpoint: &Endpoint) -> Ntfy {
    let topic = Target::parse(&endpoint.url(), true).unwrap();
    Ntfy::new(topic, Some("tk_hunter2".into()))
}

fn mail(server: &MailServer, implicit: bool) -> Mail {
    Mail {
        host: "localhost".into(),
        port: server.port,
        implicit,
        user: Some(("door".into(), "hunter3".into())),
        from: mailbox("doorward <doorward@example.org>").unwrap(),
        to: vec![mailbox("ada@example.org").unwrap(), mailbox("Bob <bob@example.org>").unwrap()],
        authorities: vec![server.authority.clone()],
    }
}

async fn house(notify: Settings) -> House {
    House::with(WebConfig { notify, public_url: Some("https://doors.example".into()), ..WebConfig::default() }).await
}

/// A house with a topic, whose sender has begun.
async fn with_topic(settings: Settings) -> (House, Endpoint) {
    let endpoint = Endpoint::start().await;
    let house = house(Settings { ntfy: Some(ntfy(&endpoint)), ..settings }).await;
    house.begun("notify ntfy").await;
    (house, endpoint)
}

/// A house that browsers can subscribe to, the push service that they have, and one of them.
async fn with_browser(settings: Settings) -> (House, Endpoint, Browser) {
    let (service, certificate) = Endpoint::sealed("push.example").await;
    let outward = Outward::with(Names::of_the_internet(), vec![certificate]);
    let config = WebConfig { notify: settings, outward, public_url: Some("https://doors.example".into()), ..WebConfig::default() };
    let browser = Browser::new("push.example", &service);
    (House::with(config).await, service, browser)
}

impl House {
    /// Begins to send, and waits until the channel is there.
    async fn begun(&self, note: &str) {
        self.send_notifications();
        self.noted(note).await;
    }

    async fn noted(&self, note: &str) {
        self.until_note(note, |_| true).await;
    }

    /// Waits until what is noted is so.
    async fn until_note(&self, note: &str, so: impl Fn(&str) -> bool) {
        while !self.web.house().store().note(note).await.unwrap().is_some_and(|text| so(&text)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Turns notifications on as the page does. Gives the cookie and the subscription.
    async fn subscribe(&self, browser: &Browser) -> (String, String) {
        let (cookie, _) = self.session().await;
        let ask = self.ask("POST", "/api/v1/push/subscriptions").header("Cookie", &cookie);
        let made = ask.json(&browser.subscription()).send().await.ok(201);
        (cookie, made["id"].as_str().unwrap().to_owned())
    }

    async fn channels(&self) -> Value {
        self.admin("GET", "/api/v1/notifications").await.send().await.ok(200)["channels"].clone()
    }

    async fn test_channel(&self, channel: &str) -> Vec<Value> {
        let ask = self.admin("POST", "/api/v1/notifications/test").await;
        items(&ask.json(&json!({ "channel": channel })).send().await)
    }

    async fn browsers(&self) -> usize {
        self.web.house().store().pushes(self.clock.now().utc).await.unwrap().len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_told_in_plain_words_with_what_ntfy_needs() {
    let (house, mut endpoint) = with_topic(Settings::default()).await;
    house.happens(EventKind::DoorRing, "front").await;
    let request = endpoint.next().await;
    assert_eq!(request.line, "POST /in?room=1 HTTP/1.1");
    let text = String::from_utf8(request.body.clone()).unwrap();
    assert!(text.starts_with("Somebody rang at ") && text.ends_with(" at 12:00."), "{text}");
    assert!(request.header("title").starts_with("Ring at "));
    assert_eq!((request.header("priority"), request.header("tags")), ("high", "bell"));
    assert_eq!(request.header("click"), "https://doors.example/doors/front");
    assert_eq!(request.header("authorization"), "Bearer tk_hunter2");

    for (kind, priority) in [(EventKind::DoorJammed, "high"), (EventKind::DoorContradicted, "high"), (EventKind::DoorBattery, "low")] {
        house.happens(kind, "front").await;
        assert_eq!(endpoint.next().await.header("priority"), priority);
    }
    let account = NewEvent::new(house.clock.now().utc, EventKind::AccountNeedsSignIn).account(&house.account);
    house.web.house().record(vec![account]).await.unwrap();
    let request = endpoint.next().await;
    assert_eq!((request.header("title"), request.header("priority")), ("Home must be signed in again", "default"));
    assert_eq!(request.header("click"), format!("https://doors.example/accounts/{}#sign-in", house.account));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_leads_to_its_page_and_is_not_told_when_it_is_over() {
    let (house, mut endpoint) = with_topic(Settings::default()).await;
    let ring = house.after_notifications(1, house.rings("front", "call-1")).await;
    let request = endpoint.next().await;
    assert_eq!(request.header("click"), format!("https://doors.example/rings/{}", ring.id));
    assert!(String::from_utf8_lossy(&request.body).ends_with(" at 12:00: Main <entrance>."));

    // It is over before it could be told.
    endpoint.replies(says(500));
    let ring = house.after_notifications(1, house.rings("gate", "call-2")).await.id.to_string();
    endpoint.next().await;
    house.rings_over("call-2", "cancelled").await;
    house.until_note("notify ntfy", |note| !note.contains(&ring)).await;
    endpoint.replies(says(200));
    house.clock.advance(6 * SECOND);
    house.after_notifications(1, house.happens(EventKind::DoorJammed, "cellar")).await;
    assert_eq!(endpoint.next().await.header("tags"), "rotating_light");
    assert!(endpoint.is_quiet(), "nobody stands there any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_asked_for_is_not_told() {
    let (house, mut endpoint) = with_topic(Settings { kinds: vec![NotifyKind::Jam], ..Settings::default() }).await;
    for kind in [EventKind::DoorRing, EventKind::DoorOffline, EventKind::DoorUnlocked] {
        house.happens(kind, "front").await;
    }
    house.happens(EventKind::DoorJammed, "front").await;
    assert_eq!(endpoint.next().await.header("tags"), "rotating_light");
    assert!(endpoint.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_cannot_begin_another_header() {
    let server = MailServer::start(true).await;
    let mut endpoint = Endpoint::start().await;
    let house = house(Settings { ntfy: Some(ntfy(&endpoint)), mail: Some(mail(&server, true)), ..Settings::default() }).await;
    house.begun("notify ntfy").await;
    let edit = DoorEdit { name: Some("Tür\r\nBcc: eve@example.org\r\n\r\nx".into()), ..DoorEdit::default() };
    let actor = doorward_wire::attempt::Actor { kind: doorward_wire::attempt::ActorKind::System, id: "test".into(), name: None };
    house.web.house().update_door(&"front".parse().unwrap(), &edit, &actor).await.unwrap();
    house.noted("notify mail").await;
    house.happens(EventKind::DoorRing, "front").await;
    let request = endpoint.next().await;
    let title = request.header("title");
    assert!(title.starts_with("=?UTF-8?B?") && title.is_ascii(), "{title}");
    let mut server = server;
    let handed = server.next().await;
    let head = handed.data.split("\r\n\r\n").next().unwrap();
    assert!(!head.to_lowercase().contains("\nbcc:") && head.is_ascii(), "{head}");
    assert_eq!(handed.to.len(), 2, "{:?}", handed.to);
    assert!(handed.header("Subject").starts_with("Ring at =?utf-8?b?"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_repeated_and_then_given_up() {
    let (house, mut endpoint) = with_topic(Settings::default()).await;
    endpoint.replies(says(500));
    house.after_notifications(1, house.happens(EventKind::DoorJammed, "front")).await;
    endpoint.next().await;
    for wait in [5, 30, 120, 600] {
        assert_eq!(house.channels().await[1]["pending"], 1);
        house.after_notifications(1, async { house.clock.advance(wait * SECOND) }).await;
        endpoint.next().await;
    }
    let channel = house.channels().await[1].clone();
    assert_eq!((&channel["pending"], &channel["last_error"]), (&json!(0), &json!("answered 500")));
    endpoint.replies(says(200));
    house.after_notifications(1, house.happens(EventKind::DoorJammed, "gate")).await;
    let channel = house.channels().await[1].clone();
    assert_eq!((&channel["last_error"], &channel["last_tried"]), (&json!(null), &json!(house.clock.now().utc)));
    assert_eq!(endpoint.next().await.header("click"), "https://doors.example/doors/gate");
    assert!(endpoint.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_is_a_minute_late_is_not_told_any_more() {
    let (house, mut endpoint) = with_topic(Settings::default()).await;
    endpoint.replies(says(503));
    house.after_notifications(1, house.happens(EventKind::DoorRing, "front")).await;
    for wait in [5, 30] {
        house.after_notifications(1, async { house.clock.advance(wait * SECOND) }).await;
    }
    for _ in 0..3 {
        endpoint.next().await;
    }
    assert_eq!(house.channels().await[1]["pending"], 0, "the next try would be too late");
    endpoint.replies(says(200));
    house.clock.advance(120 * SECOND);
    house.after_notifications(1, house.happens(EventKind::DoorJammed, "front")).await;
    assert_eq!(endpoint.next().await.header("tags"), "rotating_light");
    assert!(endpoint.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_dead_does_not_hold_up_others() {
    let (service, certificate) = Endpoint::sealed("push.example").await;
    let (mut topic, mut server) = (Endpoint::start().await, MailServer::start(true).await);
    let settings = Settings { ntfy: Some(ntfy(&topic)), mail: Some(mail(&server, true)), ..Settings::default() };
    let outward = Outward::with(Names::of_the_internet(), vec![certificate]);
    let house = House::with(WebConfig { notify: settings, outward, ..WebConfig::default() }).await;
    house.begun("notify mail").await;
    house.subscribe(&Browser::new("push.example", &service)).await;
    service.replies(Reply::Nothing);
    topic.replies(Reply::Nothing);
    for _ in 0..3 {
        house.happens(EventKind::DoorJammed, "front").await;
        server.next().await;
    }
    topic.next().await;
    assert!(topic.is_quiet(), "one try is under way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_neither_loses_nor_repeats() {
    let endpoint = Endpoint::start().await;
    let house = house(Settings { ntfy: Some(ntfy(&endpoint)), ..Settings::default() }).await;
    let mut endpoint = endpoint;
    house.happens(EventKind::DoorJammed, "attic").await;
    let sender = house.send_notifications();
    house.noted("notify ntfy").await;
    house.after_notifications(1, house.happens(EventKind::DoorJammed, "front")).await;
    assert_eq!(endpoint.next().await.header("click"), "https://doors.example/doors/front", "what was before it was set up is not told");
    endpoint.replies(says(500));
    house.after_notifications(1, house.happens(EventKind::DoorJammed, "gate")).await;
    endpoint.next().await;
    sender.abort();
    assert!(sender.await.unwrap_err().is_cancelled());

    house.happens(EventKind::DoorRing, "cellar").await;
    house.clock.advance(120 * SECOND);
    house.happens(EventKind::DoorJammed, "cellar").await;
    endpoint.replies(says(200));
    house.after_notifications(2, async { drop(house.send_notifications()) }).await;
    for door in ["gate", "cellar"] {
        assert_eq!(endpoint.next().await.header("click"), format!("https://doors.example/doors/{door}"));
    }
    assert!(endpoint.is_quiet(), "the ring is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_copies_tell_everything_once() {
    let (house, mut endpoint) = with_topic(Settings::default()).await;
    house.send_notifications();
    for door in ["front", "gate", "front", "cellar"] {
        house.after_notifications(1, house.happens(EventKind::DoorJammed, door)).await;
        assert_eq!(endpoint.next().await.header("click"), format!("https://doors.example/doors/{door}"));
    }
    assert!(endpoint.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_hours_only_what_is_urgent_comes_through() {
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    // It is 13:00 in Berlin.
    let quiet = Some("12:30-14:00".parse().unwrap());
    let (house, mut endpoint) = with_topic(Settings { quiet, zone, ..Settings::default() }).await;
    house.happens(EventKind::DoorBattery, "front").await;
    house.happens(EventKind::DoorRing, "gate").await;
    let request = endpoint.next().await;
    assert_eq!(request.header("tags"), "bell");
    assert!(String::from_utf8_lossy(&request.body).ends_with("at 13:00."));
    assert!(endpoint.is_quiet());
    house.after_notifications(1, async { house.clock.advance(Duration::from_hours(1)) }).await;
    assert_eq!(endpoint.next().await.header("tags"), "battery");
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_shown_and_tested_without_their_secrets() {
    let (house, mut endpoint) = with_topic(Settings::default()).await;
    let shown = house.admin("GET", "/api/v1/notifications").await.send().await;
    assert!(!shown.text().contains("room=1") && !shown.text().contains("hunter"), "{}", shown.text());
    let channels = shown.ok(200)["channels"].clone();
    assert_eq!(
        (&channels[1]["channel"], &channels[1]["server"], &channels[1]["enabled"]),
        (&json!("ntfy"), &json!("127.0.0.1"), &json!(true))
    );
    assert_eq!((&channels[0]["enabled"], &channels[2]["enabled"]), (&json!(false), &json!(false)));
    assert_eq!(house.test_channel("ntfy").await[0], json!({ "channel": "ntfy", "taken": true, "error": null }));
    assert_eq!(endpoint.next().await.header("tags"), "white_check_mark");
    endpoint.replies(says(403));
    let tested = house.test_channel("ntfy").await;
    assert!(tested[0]["error"].as_str().unwrap().contains("token"), "{tested:?}");
    let nothing = house.admin("POST", "/api/v1/notifications/test").await.json(&json!({ "channel": "mail" })).send().await;
    assert!(nothing.problem(409)["detail"].as_str().unwrap().contains("[notify]"));
    house.ask("GET", "/api/v1/notifications").send().await.problem(401);
    let reader = house.token(&["doors:read"]).await;
    house.ask("GET", "/api/v1/notifications").token(&reader).send().await.problem(403);
}

/// The night in which the clocks go back is an hour longer.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_quiet_hours_is_that_of_the_clock_on_the_wall() {
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let quiet = Some("22:00-07:00".parse().unwrap());
    let (house, mut endpoint) = with_topic(Settings { quiet, zone, ..Settings::default() }).await;
    let night: Time = "2027-10-30T21:00:00Z".parse().unwrap();
    house.clock.set_wall(night);
    house.happens(EventKind::DoorBattery, "front").await;
    house.after_notifications(1, house.happens(EventKind::DoorJammed, "front")).await;
    assert_eq!(endpoint.next().await.header("tags"), "rotating_light");
    house.after_notifications(1, house.happens(EventKind::DoorJammed, "gate")).await;
    endpoint.next().await;
    house.clock.advance(Duration::from_hours(8) + Duration::from_mins(59));
    house.after_notifications(1, house.happens(EventKind::DoorJammed, "gate")).await;
    assert_eq!(endpoint.next().await.header("tags"), "rotating_light", "it is 06:59");
    house.after_notifications(1, async { house.clock.advance(Duration::from_mins(1)) }).await;
    assert_eq!(endpoint.next().await.header("tags"), "battery");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_topic_is_told_by_tls_with_its_own_authority_alone() {
    let (mut endpoint, authority) = Endpoint::sealed("localhost").await;
    let topic = Target::parse(&format!("https://localhost:{}/doors", endpoint.port()), true).unwrap();
    let settings = Settings { ntfy: Some(Ntfy::new(topic, None)), ..Settings::default() };
    let stranger = house(settings.clone()).await;
    let tested = stranger.test_channel("ntfy").await;
    assert!(tested[0]["error"].as_str().unwrap().contains("certificate"), "{tested:?}");
    assert!(endpoint.is_quiet());

    let house = house(Settings { outward: Outward::trusting(vec![authority]), ..settings }).await;
    assert_eq!(house.test_channel("ntfy").await[0]["taken"], true);
    assert_eq!(endpoint.next().await.line, "POST /doors HTTP/1.1");
}
