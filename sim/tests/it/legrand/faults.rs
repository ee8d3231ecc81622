//! Everything else that can be made to go wrong, and when it does.

use std::time::Duration;

use axum::http::Method;
use doorward_sim::legrand::{Dead, Fault, Faults, On, Refusal};
use serde_json::{Value, json};

use super::phone::Phone;
use super::{Caller, GATE, set, start};
use crate::{until, within};

const PLANTS: &str = "/servicecatalog/api/v3.0/plants";
const MODULES: &str = "/servicecatalog/api/v3.0/modules";

#[tokio::test]
async fn a_fault_strikes_where_and_as_often_as_it_is_told() {
    let (sim, _) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    set(&sim, |faults| faults.status = Some(Fault::with(503).on(On::Plants).times(2)));
    assert_eq!(caller.get(MODULES).await.status, 200);
    for status in [503, 503, 200] {
        assert_eq!(caller.get(PLANTS).await.status, status);
    }
    assert_eq!(sim.faults(), Faults::default(), "it is used up");
    set(&sim, |faults| faults.status = Some(Fault::with(500).on(On::Sip)));
    assert_eq!(caller.get(PLANTS).await.status, 200);
    assert_eq!((sim.counters().plants, sim.counters().faults), (4, 2));
}

#[tokio::test]
async fn every_failure_of_the_api_looks_as_it_should() {
    let (sim, _) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    let whole = caller.get(PLANTS).await.body;
    let ask = async |change: fn(&mut Faults)| {
        set(&sim, change);
        caller.get(PLANTS).await
    };
    assert_eq!(ask(|faults| faults.unauthorized = Some(Fault::default())).await.status, 401);
    let too_many = ask(|faults| faults.too_many = Some(Fault::with(7))).await;
    assert_eq!((too_many.status, too_many.header("retry-after")), (429, "7"));
    let html = ask(|faults| faults.garbage = Some(Fault::default())).await;
    assert_eq!((html.status, html.header("content-type")), (200, "text/html"));
    let truncated = ask(|faults| faults.truncated = Some(Fault::default())).await;
    assert_eq!((truncated.status, truncated.body.as_slice()), (200, &whole[..whole.len() / 2]));
    set(&sim, |faults| faults.half_answer = Some(Fault::default()));
    assert!(caller.try_call(Method::GET, PLANTS, &Value::Null).await.is_err());
    set(&sim, |faults| faults.dead = Some(Fault::with(Dead::Close).on(On::Http)));
    assert!(caller.try_call(Method::GET, PLANTS, &Value::Null).await.is_err());
}

#[tokio::test]
async fn an_answer_may_be_lost_after_its_effect() {
    let (sim, _) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    set(&sim, |faults| faults.dead = Some(Fault::with(Dead::Close).on(On::SipAccount).after_effect()));
    let path = "/vde/sip/v1.0/devices/gw-1234/sipaccount";
    assert!(caller.try_call(Method::POST, path, &super::registration(super::CLIENT)).await.is_err());
    assert_eq!(sim.counters().accounts_made, 1);
    set(&sim, |_| {});
    assert_eq!(caller.register().await.status, 200, "it was made");
}

#[tokio::test]
async fn a_slow_cloud_answers_when_its_time_has_come() {
    let (sim, clock) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    set(&sim, |faults| faults.slow_ms = Some(Fault::with(5000).times(1)));
    let waiting = tokio::spawn(async move { caller.get(PLANTS).await.status });
    until("the request", || sim.counters().plants == 1).await;
    clock.advance(Duration::from_millis(4999));
    assert!(!waiting.is_finished());
    clock.advance(Duration::from_millis(1));
    assert_eq!(within("the answer", waiting).await.expect("no panic"), 200);
}

#[tokio::test]
async fn a_command_may_be_answered_late_or_never() {
    let (sim, clock) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    phone.registered().await;
    set(&sim, |faults| faults.slow_ms = Some(Fault::with(30_000).on(On::Message).times(1)));
    let late = phone.command(GATE);
    phone.write(&late).await;
    until("the command", || sim.counters().message == 1).await;
    let request = phone.register(600);
    assert_eq!(phone.ask(&request).await.what(), "200", "others are served meanwhile");
    assert_eq!(sim.opener(GATE).commands_received, 0);
    clock.advance(Duration::from_secs(30));
    assert_eq!(phone.next().await.header("CSeq"), "3 MESSAGE");
    assert_eq!(sim.opener(GATE).commands_received, 1);

    for (after_effect, received) in [(false, 1), (true, 2)] {
        set(&sim, |faults| faults.dead = Some(Fault { after_effect, ..Fault::with(Dead::Silent).on(On::Message).times(1) }));
        let lost = phone.command(GATE);
        let next = phone.register(600);
        assert_eq!(phone.ask(&(lost + &next)).await.what(), "200");
        assert_eq!(sim.opener(GATE).commands_received, received);
    }
}

#[tokio::test]
async fn the_line_may_break_before_or_after_the_effect() {
    for (after_effect, received) in [(false, 0), (true, 1)] {
        let (sim, _) = start(|_| {}).await;
        let mut phone = Phone::new(&sim).await;
        phone.registered().await;
        set(&sim, |faults| faults.dead = Some(Fault { after_effect, ..Fault::with(Dead::Close).on(On::Message) }));
        let request = phone.command(GATE);
        phone.write(&request).await;
        assert!(phone.read().await.is_none());
        assert_eq!(sim.opener(GATE).commands_received, received);
    }
}

#[tokio::test]
async fn half_an_answer_breaks_off() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    phone.registered().await;
    set(&sim, |faults| faults.half_answer = Some(Fault::default().on(On::Message)));
    let request = phone.command(GATE);
    phone.write(&request).await;
    assert!(phone.read_some().await.expect("half").starts_with(b"SIP/2.0 200 OK\r\n"));
    assert!(phone.read_some().await.is_none());
    assert_eq!(sim.opener(GATE).commands_received, 1);
}

#[tokio::test]
async fn any_final_status_may_come_with_and_without_its_effect() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    phone.registered().await;
    for (status, text) in [(202, "202"), (404, "404"), (503, "503")] {
        set(&sim, |faults| faults.status = Some(Fault::with(status).on(On::Message)));
        let request = phone.command(GATE);
        assert_eq!(phone.ask(&request).await.what(), text);
    }
    assert_eq!(sim.opener(GATE).commands_received, 0);
    set(&sim, |faults| faults.status = Some(Fault::with(202).on(On::Message).after_effect()));
    let request = phone.command(GATE);
    assert_eq!(phone.ask(&request).await.what(), "202");
    assert_eq!(sim.opener(GATE).commands_received, 1);
    set(&sim, |faults| faults.garbage = Some(Fault::default().on(On::Message)));
    let request = phone.command(GATE);
    phone.write(&request).await;
    assert!(phone.read_some().await.expect("bytes").starts_with(b"<html>"));
}

#[tokio::test]
async fn nonces_and_passwords_may_be_refused_though_they_are_right() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    phone.registered().await;
    set(&sim, |faults| faults.stale_nonce = Some(Fault::default().times(1)));
    let request = phone.command(GATE);
    let stale = phone.ask(&request).await;
    assert!(stale.header("Proxy-Authenticate").contains("stale=true"));
    phone.challenged(&stale);
    let request = phone.command(GATE);
    assert_eq!(phone.ask(&request).await.what(), "200");
    for (refusal, status) in [(Refusal::Forbidden, "403"), (Refusal::ChallengeAgain, "407")] {
        set(&sim, |faults| faults.wrong_password = Some(Fault::with(refusal)));
        let request = phone.command(GATE);
        assert_eq!(phone.ask(&request).await.what(), status);
    }
    assert_eq!(sim.opener(GATE).commands_received, 1);
}

#[tokio::test]
async fn faults_can_be_switched_from_outside() {
    let (sim, _) = start(|_| {}).await;
    let put = async |body| crate::client::control(sim.addr(), Method::PUT, "/sim/faults", body).await;
    let answer = put(json!({
        "unauthorized": true,
        "slow_ms": { "on": "message", "with": 10 },
        "status": 202,
        "dead": { "with": "close", "times": 3, "after_effect": true },
        "wrong_password": "forbidden",
        "qop": "list",
        "writing": "halves",
        "realm": "elsewhere",
    }))
    .await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let faults = sim.faults();
    assert_eq!(faults.slow_ms, Some(Fault::with(10).on(On::Message)));
    assert_eq!(faults.dead, Some(Fault::with(Dead::Close).times(3).after_effect()));
    assert_eq!((faults.status, faults.realm.as_deref()), (Some(Fault::with(202)), Some("elsewhere")));
    assert_eq!(put(json!({ "dead": false, "qop": null, "realm": null })).await.status, 200);
    assert_eq!((sim.faults().dead, sim.faults().realm), (None, None));
    for wrong in [json!({ "unknown": true }), json!({ "status": 100 }), json!({ "qop": "maybe" }), json!({ "slow_ms": true }), json!([])] {
        assert_eq!(put(wrong.clone()).await.status, 400, "{wrong}");
    }
}
