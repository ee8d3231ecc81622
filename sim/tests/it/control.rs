//! The control API, and the page for people.

use axum::http::Method;
use doorward_sim::utec::{Behaviour, Position};
use serde_json::{Value, json};

use crate::client::{Client, control, refresh, send};
use crate::{FRONT, start};

#[tokio::test]
async fn a_lock_can_be_meddled_with_from_outside() {
    let (sim, _) = start(|_| {}).await;
    let set = async |what: &str, body| control(sim.addr(), Method::POST, &format!("/sim/locks/{FRONT}/{what}"), body).await;
    let turned = set("turn", json!({ "to": "unlocked" })).await;
    assert_eq!((turned.status, &turned.json()["position"]), (200, &json!("unlocked")));
    set("door", json!({ "open": true })).await;
    set("battery", json!({ "level": 1 })).await;
    set("online", json!({ "online": false })).await;
    set("behaviour", json!({ "behaviour": { "reverts": { "after_ms": 5 } } })).await;
    let lock = sim.lock(FRONT);
    assert_eq!((lock.position, lock.door_open, lock.battery, lock.online), (Position::Unlocked, true, 1, false));
    assert_eq!(lock.behaviour, Behaviour::Reverts { after_ms: 5 });
    for (what, body) in [("turn", json!({ "to": "open" })), ("battery", json!({ "level": 6 })), ("door", Value::Null)] {
        assert_eq!(set(what, body).await.status, 400);
    }
    assert_eq!(set("paint", Value::Null).await.status, 404);
    let nowhere = control(sim.addr(), Method::POST, "/sim/locks/nowhere/turn", json!({ "to": "locked" })).await;
    assert_eq!(nowhere.status, 404);
}

#[tokio::test]
async fn the_state_shows_everything_but_secrets() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    client.query(FRONT).await.expect("an answer");
    refresh(sim.addr(), &client.tokens.refresh_token).await.expect("an answer");
    let state = control(sim.addr(), Method::GET, "/sim/state", Value::Null).await;
    let body = state.json();
    assert_eq!(body["locks"][0]["position"], "locked");
    assert_eq!((&body["counters"]["query"], &body["accounts"][0]["refresh_tokens"]), (&json!(1), &json!(2)));
    assert_eq!(body["faults"]["dead"], Value::Null);
    let requests = control(sim.addr(), Method::GET, "/sim/requests", Value::Null).await;
    let lines = requests.json();
    assert_eq!((&lines[0]["what"], &lines[0]["status"]), (&json!("Uhome.Device Query"), &json!(200)));
    assert_eq!((&lines[1]["path"], &lines[1]["what"]), (&json!("/token"), &json!("refresh_token")));
    for shown in [state, requests] {
        let text = String::from_utf8(shown.body).expect("a text");
        for secret in [&client.tokens.access_token, &client.tokens.refresh_token, "sim-secret-key"] {
            assert!(!text.contains(secret));
        }
    }
}

#[tokio::test]
async fn tokens_can_be_killed_from_outside() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    assert_eq!(control(sim.addr(), Method::POST, "/sim/oauth/expire", Value::Null).await.status, 204);
    assert_eq!(client.query(FRONT).await.expect("an answer").status, 401);
    assert_eq!(control(sim.addr(), Method::POST, "/sim/oauth/revoke", Value::Null).await.status, 204);
    assert_eq!(refresh(sim.addr(), &client.tokens.refresh_token).await.expect("an answer").status, 400);
    assert_eq!(control(sim.addr(), Method::POST, "/sim/push/silence", Value::Null).await.status, 204);
}

#[tokio::test]
async fn a_page_of_another_site_cannot_meddle() {
    let (sim, _) = start(|_| {}).await;
    let host = sim.addr().to_string();
    let post = async |origin: &str| {
        let headers = [("origin", origin), ("content-type", "text/plain")];
        let path = format!("/sim/locks/{FRONT}/turn");
        send(sim.addr(), Method::POST, &path, &headers, r#"{"to":"unlocked"}"#.to_owned()).await.expect("an answer").status
    };
    assert_eq!(post("https://evil.example").await, 403);
    assert_eq!(post("null").await, 403);
    assert_eq!(sim.lock(FRONT).position, Position::Locked);
    assert_eq!(post(&format!("http://{host}")).await, 200);
}

#[tokio::test]
async fn a_person_can_turn_a_lock_on_the_page() {
    let (sim, _) = start(|config| config.locks[0].name = "<Front> & \"back\"".to_owned()).await;
    let page = send(sim.addr(), Method::GET, "/", &[], String::new()).await.expect("a page");
    let html = String::from_utf8(page.body).expect("a text");
    assert!(html.contains("&lt;Front&gt; &amp; &quot;back&quot;"));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let form = "id=7C%3ADF%3AA1%3A68%3A3E%3A6A&to=unlocked".to_owned();
    let pressed = send(sim.addr(), Method::POST, "/turn", &headers, form).await.expect("an answer");
    assert_eq!((pressed.status, pressed.header("location")), (303, "/"));
    assert_eq!((sim.lock(FRONT).position, sim.lock(FRONT).turned_by_hand), (Position::Unlocked, 1));
}
