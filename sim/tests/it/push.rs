//! What the cloud tells without being asked.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use doorward_sim::utec::{Bolt, Faults, Wrapping};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::client::Client;
use crate::{FRONT, start, until, within};

/// Listens for pushes; gives the bearer and the body of each.
async fn receiver() -> (SocketAddr, mpsc::UnboundedReceiver<(String, Value)>) {
    let (heard, pushes) = mpsc::unbounded_channel();
    let hook = post(move |headers: HeaderMap, body: Bytes| async move {
        let bearer = headers["authorization"].to_str().expect("a text").to_owned();
        heard.send((bearer, serde_json::from_slice(&body).expect("JSON"))).expect("somebody listens");
        StatusCode::NO_CONTENT
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/hooks/utec/{secret}", hook)).await });
    (addr, pushes)
}

async fn register(client: &Client, url: &str, secret: &str) {
    let notification = json!({ "access_token": secret, "url": url });
    let payload = json!({ "configure": { "notification": notification } });
    let answer = client.action("Uhome.Configure", "Set", payload).await.expect("an answer");
    assert_eq!(answer.status, 200);
}

fn lock_state(device: &Value) -> &Value {
    let states = device["states"].as_array().expect("states");
    &states.iter().find(|state| state["name"] == "lockState").expect("a lock state")["value"]
}

#[tokio::test]
async fn what_happens_at_a_lock_is_pushed_with_the_secret() {
    let (sim, clock) = start(|_| {}).await;
    let client = Client::new(&sim);
    let (addr, mut pushes) = receiver().await;
    register(&client, &format!("http://{addr}/hooks/utec/abc"), "our-secret").await;

    sim.turn(FRONT, Bolt::Unlocked);
    let (bearer, body) = within("a push", pushes.recv()).await.expect("a push");
    assert_eq!(bearer, "Bearer our-secret");
    assert_eq!(body["header"]["name"], "DeviceState");
    let device = &body["payload"]["devices"][0];
    assert_eq!((&device["id"], lock_state(device)), (&json!(FRONT), &json!("Unlocked")));

    client.command(FRONT, "lock").await.expect("an answer");
    clock.advance(Duration::from_millis(1500));
    let (_, body) = within("a push by itself, without anybody asking", pushes.recv()).await.expect("a push");
    assert_eq!(lock_state(&body["payload"]["devices"][0]), "Locked");

    sim.set_battery(FRONT, 1);
    let (_, body) = within("a push", pushes.recv()).await.expect("a push");
    let states = body["payload"]["devices"][0]["states"].as_array().expect("states").clone();
    assert!(states.contains(&json!({ "capability": "st.batteryLevel", "name": "level", "value": 1 })));

    register(&client, &format!("http://{addr}/hooks/utec/def"), "rotated").await;
    sim.set_door(FRONT, true);
    assert_eq!(within("a push", pushes.recv()).await.expect("a push").0, "Bearer rotated");
    until("all counted", || sim.counters().push_delivered == 4).await;
}

#[tokio::test]
async fn pushes_come_in_all_shapes_that_were_seen_and_twice() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    let (addr, mut pushes) = receiver().await;
    register(&client, &format!("http://localhost:{}/hooks/utec/abc", addr.port()), "our-secret").await;

    sim.set_faults(Faults { push_shape: Wrapping::PayloadList, lower_case: true, ..Faults::default() });
    sim.turn(FRONT, Bolt::Unlocked);
    let (_, list) = within("a push", pushes.recv()).await.expect("a push");
    assert_eq!((&list["payload"][0]["id"], &list["payload"][0]["states"][1]["value"]), (&json!(FRONT), &json!("unlocked")));

    sim.set_faults(Faults { push_shape: Wrapping::BareList, push_duplicate: true, ..Faults::default() });
    sim.turn(FRONT, Bolt::Locked);
    let (_, first) = within("a push", pushes.recv()).await.expect("a push");
    let (_, second) = within("the same push", pushes.recv()).await.expect("a push");
    assert_eq!(first, second);
    assert_eq!(lock_state(&first[0]), "Locked");
}

#[tokio::test]
async fn only_this_machine_is_ever_contacted() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    for (nth, url) in
        ["https://doorward.example.org/hooks/utec/abc", "http://192.0.2.1/hooks", "https://127.0.0.1/hooks"].into_iter().enumerate()
    {
        register(&client, url, "our-secret").await;
        sim.turn(FRONT, Bolt::Unlocked);
        until("the refusal", || sim.counters().push_refused == nth as u64 + 1).await;
    }
    assert_eq!(sim.counters().push_delivered, 0);
}

#[tokio::test]
async fn a_push_that_cannot_be_delivered_is_counted_and_forgotten() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    let (addr, mut pushes) = receiver().await;
    register(&client, &format!("http://{addr}/no-such-hook"), "our-secret").await;
    sim.turn(FRONT, Bolt::Unlocked);
    until("the failure", || sim.counters().push_failed == 1).await;
    assert!(pushes.try_recv().is_err());
}

#[tokio::test]
async fn pushes_can_fall_silent() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    let (addr, mut pushes) = receiver().await;
    register(&client, &format!("http://{addr}/hooks/utec/abc"), "our-secret").await;
    sim.silence_pushes(true);
    sim.turn(FRONT, Bolt::Unlocked);
    sim.silence_pushes(false);
    sim.turn(FRONT, Bolt::Locked);
    let (_, body) = within("a push", pushes.recv()).await.expect("a push");
    assert_eq!(lock_state(&body["payload"]["devices"][0]), "Locked", "the first was never sent");
}
