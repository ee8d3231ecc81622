//! Keys: added, rotated, changed, revoked.

use crate::support::{House, Phone, THEN, somebody};
use doorward_core::Secret;
use doorward_tunnel::keys::KeyError;
use doorward_wire::{
    event::EventKind,
    tunnel::{Scopes, Service},
};
use serde_json::json;
use std::time::Duration;

fn list() -> serde_json::Value {
    json!({ "service": "doors", "action": "list" })
}

#[tokio::test]
async fn a_revoked_key_opens_nothing_and_its_streams_end_at_once() {
    let house = House::new().await;
    let (phone, other) = (house.usual_phone().await, house.phone("other", &house.tunnel.first_scopes()).await);
    let (mut stream, mut stays) = (phone.listen("a/#", THEN).await, other.listen("a/#", THEN).await);
    assert_eq!(stream.next().await.unwrap()["type"], "connected");
    assert_eq!(stays.next().await.unwrap()["type"], "connected");
    house.tunnel.revoke_key("phone", &somebody()).await.unwrap();
    let told = tokio::time::timeout(Duration::from_secs(1), stream.next()).await.expect("within a second").unwrap();
    assert_eq!((&told["type"], &told["message"]), (&json!("error"), &json!("The key was changed or revoked")));
    assert_eq!(stream.next().await, None);
    let (_, _, body) = phone.post("/gateway", phone.message(list(), THEN)).await;
    assert_eq!(phone.open(&body), None);
    other.ask(json!({ "service": "mqtt", "topic": "a/b", "message": "on" }), THEN).await;
    assert_eq!(stays.next().await.unwrap()["payload"], "on");
    assert!(matches!(house.tunnel.revoke_key("phone", &somebody()).await, Err(KeyError::Unknown)));
}

#[tokio::test]
async fn a_rotated_key_works_with_both_secrets_for_a_while() {
    let house = House::new().await;
    let old = house.usual_phone().await;
    assert_eq!(old.ask(list(), THEN).await.status, 200);
    let secret = house.tunnel.rotate_key("phone", Duration::from_mins(10), &somebody()).await.unwrap();
    let new = Phone::new(house.address(), *secret.reveal());
    assert_eq!(new.ask(list(), THEN).await.status, 200);
    assert_eq!(old.ask(list(), THEN).await.status, 200, "and is answered under the secret that it used");
    let mut stream = old.listen("a", THEN).await;
    assert_eq!(stream.next().await.unwrap()["type"], "connected");
    house.clock.advance(Duration::from_mins(10));
    let now = house.seconds();
    assert_eq!(new.ask(list(), now).await.status, 200);
    let (_, _, body) = old.post("/gateway", old.message(list(), now)).await;
    assert_eq!(old.open(&body), None, "the secret before is gone");
    let too_long = house.tunnel.rotate_key("phone", Duration::from_hours(24 * 31), &somebody()).await;
    assert!(matches!(too_long, Err(KeyError::Overlap)));
}

#[tokio::test]
async fn changed_scopes_count_at_once_and_streams_come_back_with_them() {
    let house = House::new().await;
    let phone = house.usual_phone().await;
    let mut stream = phone.listen("a/#", THEN).await;
    assert_eq!(stream.next().await.unwrap()["type"], "connected");
    let scopes = Scopes { services: vec![Service::Mqtt], mqtt_subscribe: vec!["b/#".into()], ..Scopes::default() };
    house.tunnel.scope_key("phone", &scopes, &somebody()).await.unwrap();
    assert_eq!(stream.next().await.unwrap()["type"], "error");
    assert_eq!(phone.ask(list(), THEN).await.error(), "Not allowed: doors");
    assert_eq!(phone.listen("a/#", THEN).await.next().await.unwrap()["message"], "Not allowed: subscribe to a/#");
    assert_eq!(phone.listen("b/c", THEN).await.next().await.unwrap()["type"], "connected");
}

#[tokio::test]
async fn what_a_key_cannot_be_is_told() {
    let house = House::new().await;
    let scopes = Scopes::default();
    for name in ["", "a b", "a/b", "é", &"a".repeat(65)] {
        assert!(matches!(house.tunnel.add_key(name, None, &scopes, &somebody()).await, Err(KeyError::Name)), "{name}");
    }
    house.tunnel.add_key("phone", None, &scopes, &somebody()).await.unwrap();
    assert!(matches!(house.tunnel.add_key("phone", None, &scopes, &somebody()).await, Err(KeyError::Taken)));
    let secret = Secret::new([1; 32]);
    house.tunnel.add_key_with("one", None, &secret, &scopes, &somebody()).await.unwrap();
    assert!(matches!(house.tunnel.add_key_with("two", None, &secret, &scopes, &somebody()).await, Err(KeyError::Taken)));
    assert!(matches!(house.tunnel.add_key("three", Some("nobody"), &scopes, &somebody()).await, Err(KeyError::Person)));
    let wrong = Scopes { http: vec!["ftp://a".into()], ..Scopes::default() };
    assert!(house.tunnel.add_key("four", None, &wrong, &somebody()).await.unwrap_err().to_string().starts_with("http: “ftp://a”"));
    assert_eq!(house.events(EventKind::TunnelKeyChanged).await.len(), 2);
}

#[tokio::test]
async fn what_a_key_asked_for_can_be_looked_at_and_holds_no_secret() {
    let house = House::new().await;
    let phone = house.usual_phone().await;
    phone.ask(json!({ "service": "mqtt", "topic": "a/b", "message": "a-secret" }), THEN).await;
    phone.ask(json!({ "url": "http://192.168.1.1/x?token=a-secret", "body": "a-secret" }), THEN).await;
    let live = house.tunnel.key_use("phone").unwrap();
    let shown: Vec<(&str, &str, u16)> = live.recent.iter().map(|entry| (entry.service, entry.what.as_str(), entry.status)).collect();
    assert_eq!(shown, [("http", "POST http://192.168.1.1/x", 403), ("mqtt", "a/b", 200)]);
    assert!(!format!("{live:?}").contains("a-secret"));
    assert!(live.used.is_some() && live.seals >= 2);
    for number in 0..100 {
        phone.ask(json!({ "service": "mqtt", "topic": format!("a/{number}"), "message": "" }), THEN).await;
    }
    assert_eq!(house.tunnel.key_use("phone").unwrap().recent.len(), 50);
}
