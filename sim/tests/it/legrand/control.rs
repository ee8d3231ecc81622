//! The control API, and the page for people.

use axum::http::Method;
use doorward_sim::legrand::{Behaviour, Faults, Position, RingState};
use serde_json::{Value, json};

use super::phone::Phone;
use super::{Caller, GATE, PANEL, start};
use crate::client::{control, send};

#[tokio::test]
async fn a_gate_can_be_meddled_with_from_outside() {
    let (sim, _) = start(|_| {}).await;
    let set = async |what: &str, body| control(sim.addr(), Method::POST, &format!("/sim/openers/20%232/{what}"), body).await;
    let contacts = async || control(sim.addr(), Method::GET, "/sim/contacts", Value::Null).await.json();
    assert_eq!(contacts().await, json!({ GATE: false }));
    let moved = set("hand", json!({ "open": true })).await;
    assert_eq!((moved.status, &moved.json()["position"]), (200, &json!("open")));
    assert_eq!(contacts().await, json!({ GATE: true }));
    set("behaviour", json!({ "behaviour": "stuck" })).await;
    set("delete", json!({ "deleted": true })).await;
    let gate = sim.opener(GATE);
    assert_eq!((gate.position, gate.behaviour, gate.deleted), (Position::Open, Behaviour::Stuck, true));
    assert_eq!(set("hand", json!({ "open": "wide" })).await.status, 400);
    assert_eq!(set("paint", Value::Null).await.status, 404);
    for path in ["/sim/openers/nowhere/hand", "/sim/panels/nowhere/ring", "/sim/rings/nowhere/cancel", "/sim/sip/nothing"] {
        assert_eq!(control(sim.addr(), Method::POST, path, json!({ "open": true })).await.status, 404, "{path}");
    }
    assert_eq!(control(sim.addr(), Method::POST, "/sim/plants/plant-2/delete", json!({ "deleted": true })).await.status, 204);
    assert_eq!(sim.state()["plants"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_bell_can_be_rung_from_outside() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    phone.registered().await;
    let post = async |path: String| control(sim.addr(), Method::POST, &path, Value::Null).await;
    let ring = post(format!("/sim/panels/{PANEL}/ring")).await.json()["rings"][0].as_str().expect("an id").to_owned();
    assert_eq!(phone.next().await.header("Call-ID"), ring);
    assert_eq!(post(format!("/sim/rings/{ring}/cancel")).await.status, 204);
    assert_eq!(phone.next().await.what(), "CANCEL");
    assert_eq!(sim.ring_view(&ring).state, RingState::Cancelled);
    let sent = control(sim.addr(), Method::POST, "/sim/sip/send", json!({ "method": "OPTIONS" })).await;
    assert_eq!(sent.json()["sent"][0], phone.next().await.header("Call-ID"));
    assert_eq!(post("/sim/sip/close".to_owned()).await.status, 204);
    assert!(phone.read().await.is_none());
}

#[tokio::test]
async fn the_state_shows_everything_but_secrets() {
    let (sim, _) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    let mut phone = Phone::new(&sim).await;
    phone.registered().await;
    caller.get("/servicecatalog/api/v3.0/plants").await;
    let state = control(sim.addr(), Method::GET, "/sim/state", Value::Null).await;
    let body = state.json();
    assert_eq!((&body["openers"][0]["position"], &body["connections"]), (&json!("shut"), &json!(1)));
    assert_eq!((&body["counters"]["registered"], &body["people"][0]["access_tokens"]), (&json!(1), &json!(1)));
    assert_eq!(body["registered"][0]["address"], format!("{}@gw-1234.bs.iotleg.com", phone.who.user));
    let requests = control(sim.addr(), Method::GET, "/sim/requests", Value::Null).await;
    let lines: Vec<_> =
        requests.json().as_array().expect("lines").iter().map(|line| (line["method"].clone(), line["status"].clone())).collect();
    assert_eq!(
        lines,
        [(json!("TLS"), json!(200)), (json!("REGISTER"), json!(407)), (json!("REGISTER"), json!(200)), (json!("GET"), json!(200))]
    );
    for shown in [state, requests] {
        let text = String::from_utf8(shown.body).expect("a text");
        for secret in [&caller.token, &phone.who.password, "sim-password", "sim-subscription-key"] {
            assert!(!text.contains(secret));
        }
    }
}

#[tokio::test]
async fn tokens_can_be_killed_from_outside() {
    let (sim, _) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    assert_eq!(control(sim.addr(), Method::POST, "/sim/oauth/revoke", Value::Null).await.status, 204);
    assert_eq!(caller.get("/servicecatalog/api/v3.0/plants").await.status, 200);
    assert_eq!(control(sim.addr(), Method::POST, "/sim/oauth/expire", Value::Null).await.status, 204);
    assert_eq!(caller.get("/servicecatalog/api/v3.0/plants").await.status, 401);
}

#[tokio::test]
async fn a_person_can_do_it_all_on_the_page() {
    let (sim, _) = start(|config| config.plants[0].gateways[0].openers[0].name = "<Gate> & \"more\"".to_owned()).await;
    let press = async |name: &str, value: &str| {
        let form = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        send(sim.addr(), Method::POST, "/do", &headers, form).await.expect("an answer").status
    };
    let page =
        async || String::from_utf8(send(sim.addr(), Method::GET, "/", &[], String::new()).await.expect("a page").body).expect("a text");
    assert!(page().await.contains("&lt;Gate&gt; &amp; &quot;more&quot;"));
    assert_eq!(press("open", GATE).await, 303);
    assert_eq!(sim.opener(GATE).position, Position::Open);
    assert_eq!(press("ring", PANEL).await, 303);
    assert_eq!(sim.counters().rings, 1);
    let html = page().await;
    let fault = html.split("name=\"faults\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a switch");
    assert_eq!(press("faults", &fault.replace("&quot;", "\"")).await, 303);
    assert_ne!(sim.faults(), Faults::default());
    assert!(page().await.contains("Everything off"));
    assert_eq!(press("faults", "off").await, 303);
    assert_eq!(sim.faults(), Faults::default());
    assert_eq!(press("open", "nowhere").await, 404);
}

#[tokio::test]
async fn a_page_of_another_site_cannot_meddle() {
    let (sim, _) = start(|_| {}).await;
    for path in ["/do", "/sim/panels/20/ring"] {
        let headers = [("origin", "https://evil.example"), ("content-type", "text/plain")];
        let answer = send(sim.addr(), Method::POST, path, &headers, "ring=20".to_owned()).await.expect("an answer");
        assert_eq!(answer.status, 403);
    }
    assert_eq!(sim.counters().rings, 0);
}
