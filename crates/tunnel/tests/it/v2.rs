//! Version 2 of the wire: Oblivious HTTP, by the client of this crate and by hand.

use crate::support::{House, THEN, somebody};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_core::Secret;
use doorward_tunnel::{
    Options,
    client::{CallError, Client},
    v2::{self, PinnedConfig},
};
use doorward_wire::{event::EventKind, tunnel::StreamEvent};
use reqwest::Response;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const SECRET: [u8; 32] = [9; 32];

async fn house() -> House {
    let house = House::new().await;
    house.tunnel.add_key_with("anna", None, &Secret::new(SECRET), &house.tunnel.first_scopes(), &somebody()).await.unwrap();
    house
}

fn pin(house: &House) -> [u8; 32] {
    URL_SAFE_NO_PAD.decode(house.tunnel.pin()).unwrap().try_into().unwrap()
}

fn client(house: &House, name: &str, secret: [u8; 32], pin: [u8; 32]) -> Client {
    let url = format!("http://{}", house.address()).parse().unwrap();
    let secret = Secret::new(secret);
    let clock: Arc<dyn doorward_engine::Clock> = house.clock.clone();
    Client::new(url, &secret, &[], clock).unwrap().in_version_2(name, &secret, pin)
}

/// What seals for this house.
async fn sealing(house: &House) -> v2::Client {
    let list = reqwest::get(format!("http://{}/tunnel/v2/keys", house.address())).await.unwrap();
    assert_eq!(list.headers()["content-type"], "application/ohttp-keys");
    let config = PinnedConfig::read(&list.bytes().await.unwrap(), &pin(house)).unwrap();
    v2::Client::new(config, "anna", SECRET)
}

async fn post(house: &House, kind: &str, body: Vec<u8>) -> Response {
    let url = format!("http://{}/tunnel/v2", house.address());
    reqwest::Client::new().post(url).header("content-type", kind).body(body).send().await.unwrap()
}

fn list(timestamp: i64) -> Vec<u8> {
    json!({ "service": "doors", "action": "list", "timestamp": timestamp }).to_string().into_bytes()
}

#[tokio::test]
async fn the_same_services_answer_in_version_2() {
    let house = house().await;
    let anna = client(&house, "anna", SECRET, pin(&house));
    let doors = anna.call(json!({ "service": "doors", "action": "list" })).await.unwrap();
    assert_eq!((doors.status, doors.body["doors"].as_array().unwrap().len()), (200, 4));
    let done = anna.call(json!({ "service": "doors", "action": "unlock", "door": "front" })).await.unwrap();
    assert_eq!((done.status, &done.body["state"]), (200, &json!("confirmed")));
    let refused = anna.call(json!({ "url": "http://169.254.169.254/" })).await.unwrap();
    assert_eq!((refused.status, refused.body), (403, json!("{\"error\": \"Not allowed: http\"}")));
    let actor = house.events(EventKind::AttemptRequested).await.remove(0).actor.unwrap();
    assert_eq!(actor.id, "anna");
}

#[tokio::test]
async fn a_stream_comes_in_chunks_as_it_is_published() {
    let house = house().await;
    let anna = client(&house, "anna", SECRET, pin(&house));
    let mut events = anna.listen("a/#").await.unwrap();
    assert_eq!(events.next().await.unwrap(), Some(StreamEvent::connected("a/#")));
    for number in 0..3 {
        anna.call(json!({ "service": "mqtt", "topic": "a/b", "message": number })).await.unwrap();
        let Some(StreamEvent::Message { topic, payload, .. }) = events.next().await.unwrap() else { panic!("no message") };
        assert_eq!((topic.as_str(), payload), ("a/b", json!(number)));
    }
    house.tunnel.revoke_key("anna", &somebody()).await.unwrap();
    assert!(matches!(events.next().await.unwrap(), Some(StreamEvent::Error { .. })));
    assert_eq!(events.next().await.unwrap(), None, "and it says where it ends");
    let again = client(&house, "anna", SECRET, pin(&house));
    let mut refused = again.listen("a/#").await.unwrap();
    assert!(matches!(refused.next().await, Err(CallError::UnknownKey)));
}

#[tokio::test]
async fn who_has_no_key_or_another_house_is_told_so() {
    let house = house().await;
    let call = async |name: &str, secret: [u8; 32], pin: [u8; 32]| {
        client(&house, name, secret, pin).call(json!({ "service": "doors", "action": "list" })).await
    };
    assert!(matches!(call("anna", [8; 32], pin(&house)).await, Err(CallError::UnknownKey)));
    assert!(matches!(call("berta", SECRET, pin(&house)).await, Err(CallError::UnknownKey)));
    assert!(matches!(call("anna", SECRET, [0; 32]).await, Err(CallError::OtherHouse)));
    house.tunnel.rotate_key("anna", Duration::from_mins(10), &somebody()).await.unwrap();
    assert_eq!(call("anna", SECRET, pin(&house)).await.unwrap().status, 200, "the secret before works for a while");
    house.clock.advance(Duration::from_mins(10));
    assert!(matches!(call("anna", SECRET, pin(&house)).await, Err(CallError::UnknownKey)));
}

#[tokio::test]
async fn a_request_of_version_2_counts_once_and_not_when_it_is_old() {
    let house = house().await;
    let sealing = sealing(&house).await;
    let answered = async |body: Vec<u8>, opener: v2::Opener| -> Value {
        let answer = opener.open(&post(&house, v2::REQUEST, body).await.bytes().await.unwrap()).unwrap();
        assert_eq!(answer.status, 200);
        serde_json::from_slice(&answer.body).unwrap()
    };
    let (body, opener) = sealing.seal("POST", "/gateway", &list(THEN)).unwrap();
    assert_eq!(answered(body.clone(), opener).await["status"], 200);
    // The answer to a replay opens for nobody but who sealed it; that it was refused shows in the audit.
    assert_eq!(post(&house, v2::REQUEST, body).await.status(), 200);
    house.until(async |house| house.events(EventKind::TunnelRefused).await.len() == 1).await;
    let (old, opener) = sealing.seal("POST", "/gateway", &list(THEN - 61)).unwrap();
    assert_eq!(answered(old, opener).await["status"], 403);
    let (ours, opener) =
        sealing.seal("POST", "/gateway", &json!({ "status": 200, "body": "", "timestamp": THEN }).to_string().into_bytes()).unwrap();
    assert_eq!(answered(ours, opener).await["status"], 403, "an answer is no request");
}

#[tokio::test]
async fn what_does_not_open_or_leads_nowhere_is_refused() {
    let house = House::with(Options { proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Options::default() }).await;
    house.tunnel.add_key_with("anna", None, &Secret::new(SECRET), &house.tunnel.first_scopes(), &somebody()).await.unwrap();
    let sealing = sealing(&house).await;
    let (good, _) = sealing.seal("POST", "/gateway", &list(THEN)).unwrap();
    for at in (0..good.len()).step_by(11) {
        let mut bent = good.clone();
        bent[at] ^= 1;
        assert_eq!(post(&house, v2::REQUEST, bent).await.status(), 400, "byte {at}");
        assert_eq!(post(&house, v2::REQUEST, good[..at].to_vec()).await.status(), 400, "{at} bytes");
        house.clock.advance(Duration::from_mins(1));
    }
    let told: Value = post(&house, v2::REQUEST, vec![7; 200]).await.json().await.unwrap();
    assert_eq!(told["type"], "https://iana.org/assignments/http-problem-types#ohttp-key");
    assert_eq!(post(&house, v2::REQUEST, vec![7; 300 << 10]).await.status(), 413);
    assert_eq!(post(&house, "application/octet-stream", good.clone()).await.status(), 415);
    assert_eq!(post(&house, v2::CHUNKED_REQUEST, good).await.status(), 400, "whole is not chunked");
    let opened = async |method: &str, path: &str| {
        let (body, opener) = sealing.seal(method, path, &list(house.seconds())).unwrap();
        opener.open(&post(&house, v2::REQUEST, body).await.bytes().await.unwrap()).unwrap()
    };
    for (method, path, status) in
        [("GET", "/gateway", 404), ("POST", "/api/v1/doors", 404), ("POST", "/mqtt/subscribe", 400), ("POST", "/gateway", 200)]
    {
        assert_eq!(opened(method, path).await.status, status, "{method} {path}");
    }
}

#[tokio::test]
async fn strangers_are_shut_out_before_anything_is_opened() {
    let house = house().await;
    let mut last = reqwest::StatusCode::OK;
    for _ in 0..210 {
        last = post(&house, v2::REQUEST, vec![7; 200]).await.status();
    }
    assert_eq!(last, 400, "where nobody knows from where, keys that worked are still tried");
    let sealing = sealing(&house).await;
    let (body, opener) = sealing.seal("POST", "/gateway", &list(THEN)).unwrap();
    let answer = opener.open(&post(&house, v2::REQUEST, body).await.bytes().await.unwrap()).unwrap();
    assert_eq!(answer.status, 401, "one that never worked waits with them");
}

#[tokio::test]
async fn the_houses_key_stays_the_same() {
    let house = house().await;
    let before = house.tunnel.pin();
    let house = house.restart(Options::default()).await;
    assert_eq!(house.tunnel.pin(), before, "pairing codes hold for as long as the house does");
    let other = self::house().await;
    assert_ne!(other.tunnel.pin(), before);
}
