//! Everything that can be made to go wrong, and when it does.

use std::time::Duration;

use axum::http::Method;
use doorward_sim::utec::{Dead, Fault, Faults, On, Sim};
use serde_json::json;

use crate::client::{Client, refresh};
use crate::{FRONT, start, until, within};

fn set(sim: &Sim, change: impl FnOnce(&mut Faults)) {
    let mut faults = Faults::default();
    change(&mut faults);
    sim.set_faults(faults);
}

#[tokio::test]
async fn a_fault_strikes_where_and_as_often_as_it_is_told() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    set(&sim, |faults| faults.server_error = Some(Fault::with(503).on(On::Query).times(2)));
    assert_eq!(client.command(FRONT, "lock").await.expect("an answer").status, 200);
    for status in [503, 503, 200] {
        assert_eq!(client.query(FRONT).await.expect("an answer").status, status);
    }
    assert_eq!(sim.faults(), Faults::default(), "it is used up");
    assert_eq!((sim.counters().query, sim.counters().faults), (3, 2));
    set(&sim, |faults| faults.server_error = Some(Fault::with(500)));
    assert_eq!(client.query(FRONT).await.expect("an answer").status, 500);
    assert_eq!(refresh(sim.addr(), &client.tokens.refresh_token).await.expect("an answer").status, 500);
}

#[tokio::test]
async fn every_refusal_looks_as_it_should() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    let ask = async |change: fn(&mut Faults)| {
        set(&sim, change);
        client.command(FRONT, "unlock").await.expect("an answer")
    };
    assert_eq!(ask(|faults| faults.unauthorized = Some(Fault::default())).await.status, 401);
    let too_many = ask(|faults| faults.too_many = Some(Fault::with(7))).await;
    assert_eq!((too_many.status, too_many.header("retry-after")), (429, "7"));
    let elsewhere = ask(|faults| faults.redirect = Some(Fault::with("https://example.org/".to_owned()))).await;
    assert_eq!((elsewhere.status, elsewhere.header("location")), (302, "https://example.org/"));
    let garbage = ask(|faults| faults.garbage = Some(Fault::default())).await;
    assert_eq!(garbage.status, 200);
    assert!(serde_json::from_slice::<serde_json::Value>(&garbage.body).is_err());
    let dead_token = ask(|faults| faults.invalid_token_in_200 = Some(Fault::default())).await;
    assert_eq!((dead_token.status, &dead_token.json()["payload"]["error"]["code"]), (200, &json!("INVALID_TOKEN")));
    let busy = ask(|faults| {
        faults.error_in_200 = Some(Fault::with("BUSY".to_owned()));
        faults.error_at_top = true;
    })
    .await;
    assert_eq!((busy.status, &busy.json()["error"]["code"]), (200, &json!("BUSY")));
    assert_eq!(sim.lock(FRONT).commands_received, 0, "nothing of it reached the lock");
}

#[tokio::test]
async fn a_fault_after_the_effect_spoils_the_answer_only() {
    let (sim, clock) = start(|_| {}).await;
    let client = Client::new(&sim);
    set(&sim, |faults| faults.server_error = Some(Fault::with(502).after_effect()));
    assert_eq!(client.command(FRONT, "unlock").await.expect("an answer").status, 502);
    clock.advance(Duration::from_secs(2));
    assert_eq!(sim.lock(FRONT).times_opened, 1);
}

#[tokio::test]
async fn an_empty_success_is_a_success() {
    let (sim, _) = start(|_| {}).await;
    set(&sim, |faults| faults.empty_success_204 = Some(Fault::default()));
    let answer = Client::new(&sim).command(FRONT, "unlock").await.expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(sim.lock(FRONT).commands_received, 1);
}

#[tokio::test]
async fn a_cloud_can_hang_up_before_or_within_its_answer() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    set(&sim, |faults| faults.dead = Some(Fault::with(Dead::Close)));
    assert!(client.command(FRONT, "unlock").await.is_err());
    assert_eq!(sim.lock(FRONT).commands_received, 0);
    set(&sim, |faults| faults.half_answer = Some(Fault::default()));
    assert!(client.command(FRONT, "unlock").await.is_err());
    assert_eq!(sim.lock(FRONT).commands_received, 1);
}

#[tokio::test]
async fn half_an_answer_begins_like_a_whole_one() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (sim, _) = start(|_| {}).await;
    set(&sim, |faults| faults.half_answer = Some(Fault::default()));
    let mut stream = tokio::net::TcpStream::connect(sim.addr()).await.expect("a connection");
    let request = "POST /token HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut received = Vec::new();
    within("the end", stream.read_to_end(&mut received)).await.ok();
    let received = String::from_utf8_lossy(&received).to_lowercase();
    let (head, body) = received.split_once("\r\n\r\n").expect("headers came");
    let whole = r#"{"error":"invalid_request"}"#;
    assert!(head.contains(&format!("content-length: {}", whole.len())), "{head}");
    assert_eq!(body, &whole[..whole.len() / 2]);
}

#[tokio::test]
async fn a_silent_cloud_keeps_its_callers_waiting_until_it_stops() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    set(&sim, |faults| faults.dead = Some(Fault::with(Dead::Silent).on(On::Command).times(1).after_effect()));
    let waiting = tokio::spawn(async move { client.command(FRONT, "unlock").await.map(|answer| answer.status) });
    until("the effect", || sim.lock(FRONT).commands_received == 1).await;
    assert_eq!(Client::new(&sim).query(FRONT).await.expect("an answer").status, 200, "others are served");
    assert!(!waiting.is_finished());
    sim.stop().await;
    assert!(within("the end", waiting).await.expect("no panic").is_err());
}

#[tokio::test]
async fn a_slow_cloud_answers_when_its_time_has_come() {
    let (sim, clock) = start(|_| {}).await;
    let client = Client::new(&sim);
    set(&sim, |faults| faults.slow_ms = Some(Fault::with(5000).times(1)));
    let waiting = tokio::spawn(async move { client.command(FRONT, "unlock").await.map(|answer| answer.status) });
    until("the request", || sim.counters().command == 1).await;
    clock.advance(Duration::from_millis(4999));
    assert_eq!(sim.lock(FRONT).commands_received, 0);
    clock.advance(Duration::from_millis(1));
    assert_eq!(within("the answer", waiting).await.expect("no panic").expect("an answer"), 200);
}

#[tokio::test]
async fn a_door_may_open_after_its_caller_has_gone() {
    let (sim, clock) = start(|_| {}).await;
    let client = Client::new(&sim);
    set(&sim, |faults| faults.slow_ms = Some(Fault::with(30_000).times(1)));
    let waiting = tokio::spawn(async move { client.command(FRONT, "unlock").await.map(|answer| answer.status) });
    until("the request", || sim.counters().command == 1).await;
    waiting.abort();
    clock.advance(Duration::from_secs(30));
    until("the command", || sim.lock(FRONT).commands_received == 1).await;
}

#[tokio::test]
async fn faults_can_be_switched_from_outside() {
    let (sim, _) = start(|_| {}).await;
    let put = async |body| crate::client::control(sim.addr(), Method::PUT, "/sim/faults", body).await;
    let answer = put(json!({
        "unauthorized": true,
        "slow_ms": { "on": "query", "with": 10 },
        "server_error": 503,
        "dead": { "with": "close", "times": 3 },
        "control_only": 4,
        "push_shape": "bare_list",
    }))
    .await;
    assert_eq!(answer.status, 200);
    let faults = sim.faults();
    assert_eq!(faults.unauthorized, Some(Fault::default()));
    assert_eq!(faults.slow_ms, Some(Fault::with(10).on(On::Query)));
    assert_eq!(faults.dead, Some(Fault::with(Dead::Close).times(3)));
    assert_eq!(faults.control_only, Some(4));
    assert_eq!(put(json!({ "dead": false, "control_only": null, "push_shape": null })).await.status, 200);
    let faults = sim.faults();
    assert_eq!((faults.dead, faults.control_only, faults.server_error), (None, None, Some(Fault::with(503))));
    for wrong in
        [json!({ "unknown": true }), json!({ "server_error": 200 }), json!({ "control_only": 6 }), json!({ "slow_ms": true }), json!([])]
    {
        assert_eq!(put(wrong.clone()).await.status, 400, "{wrong}");
    }
}
