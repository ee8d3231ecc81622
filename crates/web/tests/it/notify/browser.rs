//! Browsers: who may subscribe one, what it is told, and when that ends.

use super::with_browser;
use crate::support::{Browser, Endpoint, House, Names, says};
use doorward_engine::Clock;
use doorward_web::{WebConfig, notify::Settings, outward::Outward};
use doorward_wire::event::EventKind;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_told_what_only_it_can_read() {
    let (house, mut service, browser) = with_browser(Settings::default()).await;
    house.send_notifications();
    house.subscribe(&browser).await;
    house.happens(EventKind::DoorRing, "front").await;
    let request = service.next().await;
    assert_eq!(request.line, "POST /wpush/secret-of-a-browser HTTP/1.1");
    assert_eq!((request.header("ttl"), request.header("urgency")), ("60", "high"));
    let told = browser.open(&request);
    assert!(told["title"].as_str().unwrap().starts_with("Ring at "), "{told}");
    assert_eq!(
        (&told["url"], &told["tag"], &told["time"]),
        (&json!("/doors/front"), &json!("ring front"), &json!("2026-11-23T12:00:00.000Z"))
    );

    let sender = Browser::sender(&request);
    assert_eq!(sender.audience, format!("https://push.example:{}", service.port()));
    assert_eq!(sender.contact, "https://doors.example");
    let now = house.clock.now().utc.as_micros() / 1_000_000;
    assert!((now + 1..=now + 86_400).contains(&sender.until), "at most a day: {}", sender.until);
    let key = house.admin("GET", "/api/v1/push/key").await.send().await.ok(200);
    assert_eq!(key["key"], sender.key, "the key that browsers subscribe with");

    house.happens(EventKind::DoorBattery, "front").await;
    let request = service.next().await;
    assert_eq!((request.header("ttl"), request.header("urgency")), ("21600", "low"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_is_gone_is_forgotten() {
    for status in [404, 410] {
        let (house, service, browser) = with_browser(Settings::default()).await;
        house.send_notifications();
        house.subscribe(&browser).await;
        service.replies(says(status));
        house.after_notifications(1, house.happens(EventKind::DoorJammed, "front")).await;
        assert_eq!(house.browsers().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_signed_in_cannot_subscribe() {
    let (house, _, browser) = with_browser(Settings::default()).await;
    let ask = |cookie: &str| house.ask("POST", "/api/v1/push/subscriptions").header("Cookie", cookie).json(&browser.subscription());
    ask("doorward=nonsense").send().await.problem(401);
    house.admin("POST", "/api/v1/push/subscriptions").await.json(&browser.subscription()).send().await.problem(403);
    house.ask("GET", "/api/v1/push/key").send().await.problem(401);
    let (cookie, csrf) = house.session().await;
    ask(&cookie).header("Origin", "https://evil.example").send().await.problem(403);
    let form = house.ask("POST", "/api/v1/push/subscriptions").header("Cookie", &cookie);
    form.text("text/plain", browser.subscription().to_string()).send().await.problem(415);
    let id = ask(&cookie).send().await.ok(201)["id"].as_str().unwrap().to_owned();

    let remove =
        |csrf: &str| house.ask("DELETE", format!("/api/v1/push/subscriptions/{id}")).header("Cookie", &cookie).header("X-CSRF-Token", csrf);
    remove("").send().await.problem(403);
    let store = house.web.house().store();
    let bob = store.add_person("Bob", "administrator", house.clock.now().utc).await.unwrap();
    let data = br#"{"csrf":"his"}"#;
    store.put_session(b"his-session", Some(&bob.id), data, house.clock.now().utc.plus(Duration::from_hours(1))).await.unwrap();
    let other = house.ask("DELETE", format!("/api/v1/push/subscriptions/{id}")).header("Cookie", "doorward=his-session");
    other.header("X-CSRF-Token", "his").send().await.problem(404);
    remove(csrf).send().await.ok(204);
    assert_eq!(house.browsers().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_leads_nowhere_inside_and_holds_real_keys() {
    let (house, _, browser) = with_browser(Settings::default()).await;
    let (cookie, _) = house.session().await;
    let ask = |body: &Value| house.ask("POST", "/api/v1/push/subscriptions").header("Cookie", &cookie).json(body);
    for endpoint in
        ["https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/", "http://push.example/", "https://a:b@push.example/", ""]
    {
        let mut body = browser.subscription();
        body["endpoint"] = json!(endpoint);
        ask(&body).send().await.problem(422);
    }
    for (key, value) in [("p256dh", "BBBB"), ("auth", "AAAA"), ("p256dh", ""), ("auth", "!")] {
        let mut body = browser.subscription();
        body["keys"][key] = json!(value);
        ask(&body).send().await.problem(422);
    }
    assert_eq!(house.browsers().await, 0);
}

/// A name that led outside when it was typed may lead inside later.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_service_that_moves_inside_is_not_called() {
    let (service, certificate) = Endpoint::sealed("push.example").await;
    let outward = Outward::with(Names::leading_to(&[&["127.0.0.1"]]), vec![certificate]);
    let house = House::with(WebConfig { outward, ..WebConfig::default() }).await;
    house.subscribe(&Browser::new("push.example", &service)).await;
    let tested = house.test_channel("push").await;
    assert!(tested[0]["error"].as_str().unwrap().contains("private network"), "{tested:?}");
    assert_eq!(service.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_what_a_browser_is_told() {
    let (house, mut service, browser) = with_browser(Settings::default()).await;
    house.send_notifications();
    let (cookie, _) = house.subscribe(&browser).await;
    house.happens(EventKind::DoorRing, "front").await;
    service.next().await;
    let ask = house.ask("POST", "/sign-out").header("Cookie", &cookie);
    let answer = ask.text("application/x-www-form-urlencoded", "csrf=the-csrf-token").send().await;
    assert_eq!((answer.status, house.browsers().await), (303, 0), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_its_worker_come_under_the_strict_policy() {
    let (house, mut service, browser) = with_browser(Settings { quiet: Some("22:00-07:00".parse().unwrap()), ..Settings::default() }).await;
    let (cookie, id) = house.subscribe(&browser).await;
    let page = house.ask("GET", "/notifications").header("Cookie", &cookie).send().await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
    let text = page.text();
    for part in [&format!("data-subscription=\"{id}\""), "/assets/notify.js?v=", "<noscript>", "22:00-07:00", "1 browser is told"] {
        assert!(text.contains(part), "{part}");
    }
    assert!(!text.contains("secret-of-a-browser"));
    let settings = house.ask("GET", "/settings").header("Cookie", &cookie).send().await;
    assert!(settings.text().contains("href=\"/notifications\""));

    for path in ["/push-worker.js", "/assets/notify.js"] {
        let script = house.ask("GET", path).send().await;
        assert_eq!((script.status, script.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
        assert_eq!((script.header("cache-control"), script.header("x-content-type-options")), (Some("no-cache"), Some("nosniff")));
        assert!(script.header("content-security-policy").unwrap().contains("default-src 'none'"));
    }

    let post = |csrf: &str| {
        let ask = house.ask("POST", "/notifications/test").header("Cookie", &cookie);
        ask.text("application/x-www-form-urlencoded", format!("csrf={csrf}&channel=push"))
    };
    assert_eq!(post("wrong").send().await.status, 403);
    assert!(post("the-csrf-token").send().await.text().contains("The test was taken"));
    assert_eq!(browser.open(&service.next().await)["url"], "/notifications");
    service.replies(says(500));
    assert!(post("the-csrf-token").send().await.text().contains("answered 500"));
}

/// Whoever changes their password signs out everywhere else.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_keeps_this_browser_and_no_other() {
    let (house, _service, browser) = with_browser(Settings::default()).await;
    let (cookie, id) = house.subscribe(&browser).await;
    let ask = house.ask("POST", "/settings/password").header("Cookie", &cookie);
    let answer = ask.text("application/x-www-form-urlencoded", "csrf=the-csrf-token&new=tram+lemon+quartz").send().await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(house.ask("GET", "/notifications").header("Cookie", &cookie).send().await.status, 303, "the session before has ended");
    let fresh = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let page = house.ask("GET", "/notifications").header("Cookie", fresh).send().await;
    assert!(page.text().contains(&format!("data-subscription=\"{id}\"")));
}
