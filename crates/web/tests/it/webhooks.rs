//! Webhooks: what servers of others are told, and where nothing goes.

use crate::support::{Endpoint, House, Names, Received, Reply, items, says};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use doorward_core::record::NewEvent;
use doorward_engine::Clock;
use doorward_web::{WebConfig, outward::Outward};
use doorward_wire::event::EventKind;
use serde_json::{Value, json};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

impl House {
    /// A webhook at an endpoint, with its secret.
    async fn hook(&self, name: &str, endpoint: &Endpoint, more: Value) -> String {
        let mut new = json!({ "name": name, "url": endpoint.url(), "allow_private": true });
        new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.admin("POST", "/api/v1/webhooks").await.json(&new).send().await.ok(201);
        made["secret"].as_str().unwrap().to_owned()
    }

    async fn deliveries(&self, id: &str) -> Vec<Value> {
        items(&self.admin("GET", format!("/api/v1/webhooks/{id}/deliveries")).await.send().await)
    }

    async fn webhook(&self, id: &str) -> Value {
        self.admin("GET", format!("/api/v1/webhooks/{id}")).await.send().await.ok(200)
    }

    /// What the doctor finds to do.
    async fn troubles(&self) -> Vec<String> {
        let checks = items(&self.admin("GET", "/api/v1/doctor").await.send().await).into_iter();
        checks.filter(|check| check["ok"] == false).map(|check| check["hint"].as_str().unwrap().to_owned()).collect()
    }

    async fn test_hook(&self, id: &str) -> Value {
        self.admin("POST", format!("/api/v1/webhooks/{id}/test")).await.send().await.ok(200)
    }
}

fn ringing() -> Value {
    json!({ "kinds": ["door.ring"] })
}

/// The signature as any receiver computes it.
fn signature(secret: &str, request: &Received) -> String {
    let key = BASE64_STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
    let head = format!("{}.{}.", request.header("webhook-id"), request.header("webhook-timestamp"));
    let signed = [head.as_bytes(), &request.body].concat();
    format!("v1,{}", BASE64_STANDARD.encode(aws_lc_rs::hmac::sign(&key, &signed)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_sent_signed_and_as_the_api_gives_it() {
    let (house, mut endpoint) = (House::new().await, Endpoint::start().await);
    let _sender = house.send_webhooks();
    let secret = house.hook("Home Assistant", &endpoint, ringing()).await;
    let event = house.ring("front").await;
    let request = endpoint.next().await;
    assert_eq!(request.line, "POST /in?room=1 HTTP/1.1");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("webhook-timestamp"), (house.clock.now().utc.as_micros() / 1_000_000).to_string());
    assert_eq!(request.header("webhook-signature"), signature(&secret, &request));
    let told = house.admin("GET", format!("/api/v1/events?after={}&limit=1", event - 1)).await.send().await;
    assert_eq!(request.json(), json!({ "type": "door.ring", "timestamp": "2026-11-23T12:00:00.000Z", "data": items(&told)[0] }),);

    let delivery = house.deliveries("home_assistant").await.remove(0);
    assert_eq!(delivery["message"], request.header("webhook-id"));
    assert_eq!((&delivery["event"], &delivery["kind"], &delivery["door"]), (&json!(event), &json!("door.ring"), &json!("front")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_told_what_it_names_and_in_order() {
    let (house, mut some, mut every) = (House::new().await, Endpoint::start().await, Endpoint::start().await);
    let _sender = house.send_webhooks();
    house.hook("Some", &some, json!({ "kinds": ["door.ring", "token.changed"], "doors": ["gate"] })).await;
    house.hook("Every", &every, json!({})).await;
    let mut rung = Vec::new();
    for door in ["front", "gate", "gate", "front", "gate"] {
        rung.push(house.ring(door).await);
    }
    for event in [rung[1], rung[2], rung[4]] {
        assert_eq!(some.next().await.json()["data"]["id"], event);
    }
    for event in rung[0]..=rung[4] {
        assert_eq!(every.next().await.json()["data"]["id"], event, "without a gap");
    }
}

/// More than a listener may lag behind, and more than waits for one webhook at a time.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_events_is_sent_whole_and_in_order() {
    let (house, mut endpoint) = (House::new().await, Endpoint::start().await);
    let _sender = house.send_webhooks();
    house.hook("Home", &endpoint, ringing()).await;
    let ring = NewEvent::new(house.clock.now().utc, EventKind::DoorRing);
    let events = house.web.house().record(vec![ring; 1100]).await.unwrap();
    for event in events {
        assert_eq!(endpoint.next().await.json()["data"]["id"], event.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_repeated_as_planned_and_then_given_up() {
    let (house, mut endpoint) = (House::new().await, Endpoint::start().await);
    let _sender = house.send_webhooks();
    house.hook("Home", &endpoint, ringing()).await;
    endpoint.replies(Reply::Says(500, String::new(), "out of order"));
    house.after_tries(1, house.ring("front")).await;
    let message = endpoint.next().await.header("webhook-id").to_owned();
    for (attempts, wait) in [(1, 5), (2, 300), (3, 1800), (4, 7200), (5, 18_000), (6, 36_000)] {
        let delivery = house.deliveries("home").await.remove(0);
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("pending"), &json!(attempts)), "{delivery}");
        assert_eq!((&delivery["status"], &delivery["error"]), (&json!(500), &json!("answered 500: out of order")));
        assert_eq!(delivery["next"], json!(house.clock.now().utc.plus(wait * SECOND)));
        assert_eq!(house.webhook("home").await["state"], "retrying");
        assert!(endpoint.is_quiet());
        house.after_tries(1, async { house.clock.advance(wait * SECOND) }).await;
        let request = endpoint.next().await;
        assert_eq!(request.header("webhook-id"), message, "the same message");
        assert_eq!(request.header("webhook-timestamp"), (house.clock.now().utc.as_micros() / 1_000_000).to_string());
    }
    let delivery = house.deliveries("home").await.remove(0);
    assert_eq!((&delivery["state"], &delivery["attempts"], &delivery["next"]), (&json!("failed"), &json!(7), &json!(null)));
    let webhook = house.webhook("home").await;
    assert_eq!((&webhook["state"], &webhook["enabled"], &webhook["pending"]), (&json!("failing"), &json!(true), &json!(0)));

    assert_eq!(house.troubles().await, ["doorward webhook deliveries home says why"]);

    // By hand it is sent once more.
    endpoint.replies(says(200));
    let retry = format!("/api/v1/webhooks/home/deliveries/{message}/retry");
    let answer = house.after_tries(1, house.admin("POST", &retry).await.send()).await;
    assert_eq!(answer.ok(202)["message"], message);
    assert_eq!(endpoint.next().await.header("webhook-id"), message);
    assert_eq!(house.deliveries("home").await[0]["state"], "delivered");
    assert_eq!(house.webhook("home").await["state"], "working");
    let other = retry.replace(&message, "msg_unknown");
    house.admin("POST", other).await.send().await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_asks_for_time_gets_it() {
    let (house, mut endpoint) = (House::new().await, Endpoint::start().await);
    let _sender = house.send_webhooks();
    house.hook("Home", &endpoint, ringing()).await;
    endpoint.replies(Reply::Says(503, "Retry-After: 120\r\n".into(), ""));
    house.after_tries(1, house.ring("front")).await;
    endpoint.next().await;
    let next = |deliveries: Vec<Value>| deliveries[0]["next"].clone();
    assert_eq!(next(house.deliveries("home").await), json!(house.clock.now().utc.plus(120 * SECOND)));
    endpoint.replies(Reply::Says(429, "Retry-After: 999999\r\n".into(), ""));
    house.after_tries(1, async { house.clock.advance(120 * SECOND) }).await;
    endpoint.next().await;
    assert_eq!(next(house.deliveries("home").await), json!(house.clock.now().utc.plus(1800 * SECOND)), "up to the try after the next");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_before_signs_along_for_a_day() {
    let (house, mut endpoint) = (House::new().await, Endpoint::start().await);
    let _sender = house.send_webhooks();
    let first = house.hook("Home", &endpoint, ringing()).await;
    let rotated = house.admin("POST", "/api/v1/webhooks/home/rotate").await.send().await.ok(200);
    let second = rotated["secret"].as_str().unwrap();
    assert_ne!(second, first);
    assert_eq!(rotated["previous_secret_until"], "2026-11-24T12:00:00.000Z");
    house.ring("front").await;
    let request = endpoint.next().await;
    assert_eq!(request.header("webhook-signature"), format!("{} {}", signature(second, &request), signature(&first, &request)));

    house.clock.advance(Duration::from_hours(24));
    house.ring("front").await;
    let request = endpoint.next().await;
    assert_eq!(request.header("webhook-signature"), signature(second, &request));
    assert_eq!(house.webhook("home").await["previous_secret_until"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_no_message_and_repeats_it_under_its_name() {
    let (house, mut endpoint) = (House::new().await, Endpoint::start().await);
    let sender = house.send_webhooks();
    house.hook("Home", &endpoint, ringing()).await;
    endpoint.replies(Reply::Nothing);
    let first = house.ring("front").await;
    let sent = endpoint.next().await;
    // It ends between the request and its answer, and things happen while nobody looks.
    sender.abort();
    assert!(sender.await.unwrap_err().is_cancelled());
    let missed = [house.ring("gate").await, house.ring("front").await];

    endpoint.replies(says(204));
    let restarted = async {
        drop(house.send_webhooks());
        for event in missed {
            assert_eq!(endpoint.next().await.json()["data"]["id"], event);
        }
    };
    house.after_tries(2, restarted).await;
    house.after_tries(1, async { house.clock.advance(30 * SECOND) }).await;
    let again = endpoint.next().await;
    assert_eq!(again.json()["data"]["id"], first);
    assert_eq!(again.header("webhook-id"), sent.header("webhook-id"), "so that a receiver knows it");
    let states: Vec<Value> = house.deliveries("home").await.iter().map(|delivery| delivery["state"].clone()).collect();
    assert_eq!(states, ["delivered", "delivered", "delivered"]);
    assert_eq!(house.deliveries("home").await[2]["attempts"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_endpoint_does_not_hold_up_another() {
    let (house, mut slow, mut quick) = (House::new().await, Endpoint::start().await, Endpoint::start().await);
    let _sender = house.send_webhooks();
    house.hook("Slow", &slow, ringing()).await;
    house.hook("Quick", &quick, ringing()).await;
    slow.replies(Reply::Nothing);
    let events = house.after_tries(3, async { [house.ring("front").await, house.ring("front").await, house.ring("front").await] }).await;
    slow.next().await;
    for event in events {
        assert_eq!(quick.next().await.json()["data"]["id"], event);
    }
    assert!(slow.is_quiet(), "it has one request at a time");
    house.after_tries(1, async { house.clock.advance(15 * SECOND) }).await;
    let oldest = house.deliveries("slow").await.remove(2);
    assert_eq!((&oldest["status"], &oldest["error"]), (&json!(null), &json!("no answer within 15 s")));
    assert_eq!(slow.next().await.json()["data"]["id"], events[1], "the others have their turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_end_is_read_at_its_beginning_alone() {
    let (house, mut endpoint) = (House::new().await, Endpoint::start().await);
    house.hook("Home", &endpoint, ringing()).await;
    for (status, delivered) in [(200, true), (500, false)] {
        endpoint.replies(Reply::Endless(status));
        let tested = house.test_hook("home").await;
        assert_eq!((&tested["delivered"], &tested["status"]), (&json!(delivered), &json!(status)));
        assert!(tested["error"].as_str().is_none_or(|error| error.len() < 300), "{tested}");
        let taken = tokio::time::timeout(Duration::from_secs(20), endpoint.taken.recv()).await.expect("it is hung up on").unwrap();
        // What was not read lay in the buffers of two sockets.
        assert!(taken < 16 << 20, "{taken} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_left_alone() {
    let (house, mut endpoint, mut other) = (House::new().await, Endpoint::start().await, Endpoint::start().await);
    let _sender = house.send_webhooks();
    house.hook("Home", &endpoint, ringing()).await;
    house.hook("Other", &other, json!({ "kinds": ["webhook.disabled"] })).await;
    endpoint.replies(says(410));
    house.after_tries(1, house.ring("front")).await;
    let gone = endpoint.next().await.header("webhook-id").to_owned();
    let webhook = house.webhook("home").await;
    assert_eq!((&webhook["state"], &webhook["enabled"], &webhook["disabled"]), (&json!("disabled"), &json!(false), &json!("gone")));
    assert_eq!(house.deliveries("home").await[0]["error"], "answered 410: it does not want messages any more");
    let told = other.next().await.json();
    assert_eq!(told["data"]["data"], json!({ "webhook": "home", "reason": "gone" }));

    assert_eq!(house.troubles().await, ["remove it, or enable it on the webhooks page"]);
    house.ring("front").await;
    let retry = format!("/api/v1/webhooks/home/deliveries/{gone}/retry");
    house.admin("POST", retry).await.send().await.problem(409);
    endpoint.replies(says(204));
    let on = house.admin("PATCH", "/api/v1/webhooks/home").await.json(&json!({ "enabled": true })).send().await.ok(200);
    assert_eq!((&on["enabled"], &on["disabled"]), (&json!(true), &json!(null)));
    let event = house.ring("gate").await;
    assert_eq!(endpoint.next().await.json()["data"]["id"], event, "what happened meanwhile is not sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let (house, endpoint, inner) = (House::new().await, Endpoint::start().await, Endpoint::start().await);
    house.hook("Home", &endpoint, ringing()).await;
    for status in [301, 302, 303, 307, 308] {
        endpoint.replies(Reply::Says(status, format!("Location: {}\r\n", inner.url()), ""));
        let tested = house.test_hook("home").await;
        assert_eq!(tested["error"], format!("answered {status}; redirects are not followed"));
    }
    assert_eq!((endpoint.connections(), inner.connections()), (5, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_that_may_not_be_called_are_refused() {
    let house = House::new().await;
    let refused = async |url: &str, private: bool, hint: &str| {
        let new = json!({ "name": "x", "url": url, "allow_private": private });
        let problem = house.admin("POST", "/api/v1/webhooks").await.json(&new).send().await.problem(422);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("url: ") && detail.contains(hint), "{url}: {detail}");
    };
    for url in [
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://10.1.2.3/",
        "https://192.168.0.1/",
        "https://[fd00::1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fe80::1]/",
        "https://[::ffff:192.168.0.1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://0x7f000001/",
    ] {
        refused(url, false, "private network").await;
    }
    refused("http://hooks.example/", false, "https://").await;
    refused("http://8.8.8.8/", true, "https://").await;
    refused("https://[::ffff:169.254.169.254]/", true, "written itself").await;
    refused("https://ada:secret@hooks.example/", true, "password").await;
    refused("hooks.example", true, "https://example.org/hook").await;
    assert!(items(&house.admin("GET", "/api/v1/webhooks").await.send().await).is_empty());

    // What was allowed is looked at again when it is changed.
    let endpoint = Endpoint::start().await;
    house.hook("Home", &endpoint, ringing()).await;
    house.admin("PATCH", "/api/v1/webhooks/home").await.json(&json!({ "allow_private": false })).send().await.problem(422);
    house.admin("PATCH", "/api/v1/webhooks/home").await.json(&json!({ "url": "https://127.0.0.1/" })).send().await.ok(200);
}

/// A house whose names lead where a test wants, and a webhook at a name.
async fn named(names: &Names, url: &str, private: bool) -> House {
    let outward = Outward::with(names.clone(), Vec::new());
    let house = House::with(WebConfig { outward, ..WebConfig::default() }).await;
    let new = json!({ "name": "Home", "url": url, "allow_private": private });
    house.admin("POST", "/api/v1/webhooks").await.json(&new).send().await.ok(201);
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_inside_is_not_called() {
    let endpoint = Endpoint::start().await;
    let url = format!("https://hooks.example:{}/", endpoint.port());
    // One address of many is enough.
    for inside in ["127.0.0.1", "10.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "fd00::1"] {
        let house = named(&Names::leading_to(&[&["93.184.216.34", inside]]), &url, false).await;
        let tested = house.test_hook("home").await;
        assert_eq!((&tested["delivered"], &tested["status"]), (&json!(false), &json!(null)));
        let error = tested["error"].as_str().unwrap();
        assert!(error.starts_with(inside) && error.contains("private network"), "{error}");
    }
    // Allowed inside, a name still does not lead to what gives out a cloud's keys.
    for scheme in ["http", "https"] {
        let url = url.replace("https", scheme);
        let house = named(&Names::leading_to(&[&["127.0.0.1", "169.254.169.254"]]), &url, true).await;
        assert!(house.test_hook("home").await["error"].as_str().unwrap().contains("written itself"));
    }
    let house = named(&Names::leading_to(&[&["93.184.216.34"]]), &url.replace("https", "http"), true).await;
    assert!(house.test_hook("home").await["error"].as_str().unwrap().contains("must be called by https"), "or others could read along");
    assert_eq!(endpoint.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_that_was_checked_is_the_one_that_is_called() {
    let mut endpoint = Endpoint::start().await;
    // A name that answers otherwise a moment later, as in an attack by DNS rebinding.
    let names = Names::leading_to(&[&["127.0.0.1"], &["169.254.169.254"]]);
    let house = named(&names, &format!("http://hooks.example:{}/in", endpoint.port()), true).await;
    assert_eq!(house.test_hook("home").await, json!({ "delivered": true, "status": 204, "error": null }));
    assert_eq!(names.asked(), ["hooks.example"], "once, and what came back was called");
    let request = endpoint.next().await;
    assert_eq!(request.header("host"), format!("hooks.example:{}", endpoint.port()));
    assert_eq!(house.test_hook("home").await["delivered"], false, "each request is checked");
    assert_eq!((names.asked().len(), endpoint.connections()), (2, 1));
    assert!(endpoint.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (mut endpoint, certificate) = Endpoint::sealed("hooks.example").await;
    let url = format!("https://hooks.example:{}/in", endpoint.port());
    let names = Names::leading_to(&[&["127.0.0.1"]]);
    let tested = named(&names, &url, true).await.test_hook("home").await;
    assert!(tested["error"].as_str().unwrap().contains("certificate"), "{tested}");
    assert!(endpoint.is_quiet(), "no request was sent");

    let outward = Outward::with(names, vec![certificate]);
    let house = House::with(WebConfig { outward, ..WebConfig::default() }).await;
    for (host, delivered) in [("hooks.example", true), ("other.example", false)] {
        let new = json!({ "name": host, "url": url.replace("hooks.example", host), "allow_private": true });
        let made = house.admin("POST", "/api/v1/webhooks").await.json(&new).send().await.ok(201);
        assert_eq!(house.test_hook(made["id"].as_str().unwrap()).await["delivered"], delivered, "{host}");
    }
    assert_eq!(endpoint.next().await.json()["type"], "webhook.test");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_says_what_the_endpoint_said() {
    let (house, mut endpoint) = (House::new().await, Endpoint::start().await);
    let secret = house.hook("Home", &endpoint, ringing()).await;
    assert_eq!(house.test_hook("home").await, json!({ "delivered": true, "status": 204, "error": null }));
    let request = endpoint.next().await;
    assert_eq!(request.header("webhook-signature"), signature(&secret, &request));
    assert_eq!((&request.json()["type"], &request.json()["data"]), (&json!("webhook.test"), &json!({ "webhook": "home", "name": "Home" })));
    endpoint.replies(Reply::Says(401, String::new(), "who are\nyou?"));
    assert_eq!(house.test_hook("home").await, json!({ "delivered": false, "status": 401, "error": "answered 401: who are you?" }));
    assert!(house.deliveries("home").await.is_empty(), "it is no event");
    let closed = json!({ "url": "http://127.0.0.1:1/" });
    house.admin("PATCH", "/api/v1/webhooks/home").await.json(&closed).send().await.ok(200);
    let tested = house.test_hook("home").await;
    assert!(tested["error"].as_str().unwrap().starts_with("no connection: "), "{tested}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_added_changed_and_removed_and_its_secret_shown_once() {
    let (house, endpoint) = (House::new().await, Endpoint::start().await);
    let first = house.hook("Süd-Tür", &endpoint, json!({ "kinds": ["door.ring", "door.ring"], "doors": ["gate"] })).await;
    house.hook("Süd-Tür", &endpoint, json!({})).await;
    let edit = json!({ "name": "South", "kinds": [], "doors": [], "enabled": false });
    let edited = house.admin("PATCH", "/api/v1/webhooks/sued_tuer").await.json(&edit).send().await.ok(200);
    assert_eq!(
        (&edited["name"], &edited["kinds"], &edited["doors"], &edited["state"]),
        (&json!("South"), &json!([]), &json!([]), &json!("disabled"))
    );
    let second = house.admin("POST", "/api/v1/webhooks/sued_tuer/rotate").await.send().await.ok(200)["secret"].as_str().unwrap().to_owned();
    let list = house.admin("GET", "/api/v1/webhooks").await.send().await;
    let ids: Vec<Value> = items(&list).iter().map(|webhook| webhook["id"].clone()).collect();
    assert_eq!(ids, ["sued_tuer", "sued_tuer_2"]);
    let one = house.admin("GET", "/api/v1/webhooks/sued_tuer").await.send().await;
    assert_eq!(house.admin("DELETE", "/api/v1/webhooks/sued_tuer").await.send().await.status, 204);
    house.admin("GET", "/api/v1/webhooks/sued_tuer").await.send().await.problem(404);
    house.admin("GET", "/api/v1/webhooks/sued_tuer/deliveries").await.send().await.problem(404);

    let events = house.admin("GET", "/api/v1/events?kind=webhook.changed").await.send().await;
    let changes: Vec<Value> = items(&events).iter().map(|event| event["data"]["change"].clone()).collect();
    assert_eq!(changes, ["added", "added", "changed", "disabled", "rotated", "removed"]);
    assert_eq!((&items(&events)[0]["data"]["host"], &items(&events)[0]["actor"]["kind"]), (&json!("127.0.0.1"), &json!("token")));
    for answer in [&list, &one, &events] {
        assert!(!answer.text().contains("whsec_") && !answer.text().contains(&first) && !answer.text().contains(&second));
    }
    assert!(!events.text().contains("room=1"), "an address may hold a secret of the receiver's");

    let odd = json!({ "name": "Odd", "url": " HTTPS://Hooks.Exämple:443/a b\u{1b}[31m\n" });
    let odd = house.admin("POST", "/api/v1/webhooks").await.json(&odd).send().await.ok(201);
    assert_eq!(odd["url"], "https://hooks.xn--exmple-cua/a%20b%1B[31m", "in one form, and harmless on a terminal");
    for (wrong, hint) in [
        (json!({ "name": "", "url": "https://hooks.example/" }), "name"),
        (json!({ "name": "x", "url": "https://hooks.example/", "kinds": ["door.blown_up"] }), "kinds[0]"),
        (json!({ "name": "x", "url": "https://hooks.example/", "doors": ["nowhere"] }), "doors"),
        (json!({ "name": "x", "url": "https://hooks.example/", "colour": 1 }), "colour"),
    ] {
        let problem = house.admin("POST", "/api/v1/webhooks").await.json(&wrong).send().await.problem(422);
        assert!(problem["detail"].as_str().unwrap().contains(hint), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_fifty_webhooks_at_most_and_their_lists_have_pages() {
    let (house, mut endpoint) = (House::new().await, Endpoint::start().await);
    let _sender = house.send_webhooks();
    house.hook("Home", &endpoint, ringing()).await;
    for number in 1..50 {
        house.hook(&format!("Number {number}"), &endpoint, json!({ "kinds": ["backup.made"] })).await;
    }
    let one_more = json!({ "name": "One more", "url": "https://hooks.example/" });
    house.admin("POST", "/api/v1/webhooks").await.json(&one_more).send().await.problem(409);

    let mut rung = Vec::new();
    for _ in 0..5 {
        rung.push(house.ring("front").await);
        endpoint.next().await;
    }
    let page = async |query: &str| house.admin("GET", format!("/api/v1/webhooks/home/deliveries?{query}")).await.send().await.ok(200);
    let events = |page: &Value| -> Vec<i64> { page["items"].as_array().unwrap().iter().filter_map(|it| it["event"].as_i64()).collect() };
    let first = page("limit=3").await;
    assert_eq!(events(&first), [rung[4], rung[3], rung[2]]);
    let rest = page(&format!("limit=3&before={}", first["next"])).await;
    assert_eq!((events(&rest), &rest["next"]), (vec![rung[1], rung[0]], &json!(null)));
}

#[tokio::test]
async fn webhooks_are_for_administrators_alone() {
    let house = House::new().await;
    let scopes = ["doors:read", "doors:act", "events:read", "accounts", "people", "devices", "config", "metrics"];
    let token = house.token(&scopes).await;
    let document: Value = serde_json::from_str(&doorward_web::api::openapi_json()).unwrap();
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.contains("/webhooks")) {
        for method in methods.as_object().unwrap().keys() {
            let method: &'static str = method.to_uppercase().leak();
            let ask = house.ask(method, path.replace(['{', '}'], "")).token(&token);
            let body = json!({ "name": "x", "url": "https://hooks.example/" });
            let ask = if matches!(method, "POST" | "PATCH") { ask.json(&body) } else { ask };
            let problem = ask.send().await.problem(403);
            assert!(problem["detail"].as_str().unwrap().contains("admin"), "{method} {path}");
            asked += 1;
        }
    }
    assert_eq!(asked, 9);
}
