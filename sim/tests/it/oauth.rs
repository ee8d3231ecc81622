//! Signing in, and tokens that rotate.

use std::time::Duration;

use axum::http::Method;
use doorward_sim::utec::{CodeName, Fault, Faults, Rotation, TokenAnswer};
use serde_json::json;

use crate::client::{Client, refresh, send, token};
use crate::{FRONT, start, until, within};

const BACK: &str = "http://localhost:8000/oauth/callback";

fn authorize_path(change: impl FnOnce(&mut Vec<(&str, &str)>)) -> String {
    let mut fields = vec![
        ("response_type", "code"),
        ("client_id", "sim-access-key"),
        ("client_secret", "sim-secret-key"),
        ("redirect_uri", BACK),
        ("scope", "openapi"),
        ("state", "s p\"a&c e"),
    ];
    change(&mut fields);
    format!("/authorize?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish())
}

fn parameter(url: &str, name: &str) -> Option<String> {
    let query = url.split_once('?')?.1;
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Opens the page and presses a button; gives the redirect.
async fn press(addr: std::net::SocketAddr, button: &str) -> String {
    let page = send(addr, Method::GET, &authorize_path(|_| {}), &[], String::new()).await.expect("a page");
    assert_eq!(page.status, 200);
    let html = String::from_utf8(page.body).expect("a text");
    assert!(html.contains("allow doorward?"));
    assert!(!html.contains("sim-secret-key"), "the page holds no secret");
    let question = html.split("name=\"question\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a question");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let form = format!("question={question}&answer={button}");
    let answer = send(addr, Method::POST, "/authorize", &headers, form).await.expect("an answer");
    assert_eq!(answer.status, 302);
    answer.header("location").to_owned()
}

#[tokio::test]
async fn a_person_allows_and_the_code_works_once() {
    let (sim, _) = start(|_| {}).await;
    let redirected = press(sim.addr(), "allow").await;
    assert!(redirected.starts_with(BACK));
    assert_eq!(parameter(&redirected, "state").as_deref(), Some("s p\"a&c e"));
    let code = parameter(&redirected, "authorization_code").expect("a code");
    let exchange = || {
        let fields = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", BACK)];
        let addr = sim.addr();
        async move { token(addr, &fields).await.expect("an answer") }
    };
    let answer = exchange().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["token_type"], "Bearer");
    assert_eq!(answer.json()["expires_in"], 601_200);
    let again = exchange().await;
    assert_eq!((again.status, again.json()), (400, json!({ "error": "invalid_grant" })));
    assert_eq!((sim.counters().token_ok, sim.counters().token_refused), (1, 1));
}

#[tokio::test]
async fn a_person_denies() {
    let (sim, _) = start(|_| {}).await;
    let redirected = press(sim.addr(), "deny").await;
    assert_eq!(parameter(&redirected, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&redirected, "authorization_code"), None);
}

#[tokio::test]
async fn the_question_is_not_asked_for_a_stranger() {
    let (sim, _) = start(|_| {}).await;
    for index in 0..5 {
        let path = authorize_path(|fields| fields[index].1 = "wrong");
        let answer = send(sim.addr(), Method::GET, &path, &[], String::new()).await.expect("an answer");
        assert_eq!(answer.status, 400, "{path}");
    }
}

#[tokio::test]
async fn a_code_can_have_another_name_and_lives_ten_minutes() {
    let (sim, clock) = start(|_| {}).await;
    sim.set_faults(Faults { code_name: CodeName::Code, ..Faults::default() });
    let redirected = sim.allow(&format!("{}{}", sim.base_url(), authorize_path(|_| {}))).expect("allowed");
    let code = parameter(&redirected, "code").expect("a code");
    clock.advance(Duration::from_mins(10));
    let answer = token(sim.addr(), &[("grant_type", "authorization_code"), ("code", &code)]).await.expect("an answer");
    assert_eq!(answer.json(), json!({ "error": "invalid_grant" }));
}

#[tokio::test]
async fn a_code_belongs_to_its_address() {
    let (sim, _) = start(|_| {}).await;
    let redirected = sim.allow(&authorize_path(|_| {})).expect("allowed");
    let code = parameter(&redirected, "authorization_code").expect("a code");
    let fields = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", "http://elsewhere/")];
    assert_eq!(token(sim.addr(), &fields).await.expect("an answer").status, 400);
}

#[tokio::test]
async fn the_client_must_be_known_and_the_request_whole() {
    let (sim, _) = start(|_| {}).await;
    let ask = |body: &'static str, headers: &'static [(&str, &str)]| send(sim.addr(), Method::POST, "/token", headers, body.to_owned());
    let wrong = ask("grant_type=refresh_token&refresh_token=x&client_id=sim-access-key&client_secret=no", FORM).await;
    assert_eq!(wrong.expect("an answer").json(), json!({ "error": "invalid_client" }));
    let json = ask(r#"{"grant_type":"refresh_token"}"#, &[("content-type", "application/json")]).await;
    assert_eq!(json.expect("an answer").json(), json!({ "error": "invalid_request" }));
    let kind = token(sim.addr(), &[("grant_type", "password")]).await.expect("an answer");
    assert_eq!((kind.status, kind.json()), (400, json!({ "error": "unsupported_grant_type" })));
    let missing = token(sim.addr(), &[("grant_type", "refresh_token")]).await.expect("an answer");
    assert_eq!(missing.json(), json!({ "error": "invalid_request" }));
}

const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];

#[tokio::test]
async fn with_grace_the_old_refresh_token_works_for_another_minute() {
    let (sim, clock) = start(|config| config.rotation = Rotation::Grace).await;
    let first = sim.grant().refresh_token;
    let second = refresh(sim.addr(), &first).await.expect("an answer").json()["refresh_token"].clone();
    assert_ne!(second, first);
    clock.advance(Duration::from_secs(59));
    assert_eq!(refresh(sim.addr(), &first).await.expect("an answer").status, 200);
    clock.advance(Duration::from_secs(1));
    let late = refresh(sim.addr(), &first).await.expect("an answer");
    assert_eq!((late.status, late.json()), (400, json!({ "error": "invalid_grant" })));
    assert_eq!(refresh(sim.addr(), second.as_str().expect("a text")).await.expect("an answer").status, 200);
    assert_eq!((sim.counters().token, sim.counters().token_ok, sim.counters().token_refused), (4, 3, 1));
}

#[tokio::test]
async fn when_strict_the_old_refresh_token_is_dead_at_once() {
    let (sim, _) = start(|config| config.rotation = Rotation::Strict).await;
    let first = sim.grant().refresh_token;
    assert_eq!(refresh(sim.addr(), &first).await.expect("an answer").status, 200);
    assert_eq!(refresh(sim.addr(), &first).await.expect("an answer").json(), json!({ "error": "invalid_grant" }));
    assert_eq!(sim.counters().token_refused, 1);
}

#[tokio::test]
async fn a_fixed_refresh_token_stays() {
    let (sim, _) = start(|config| config.rotation = Rotation::Fixed).await;
    let first = sim.grant();
    let second = refresh(sim.addr(), &first.refresh_token).await.expect("an answer").json();
    assert_eq!(second["refresh_token"], first.refresh_token);
    assert_ne!(second["access_token"], first.access_token);
}

#[tokio::test]
async fn an_access_token_ends_when_it_was_said_to() {
    let (sim, clock) = start(|config| config.expires_in = 100).await;
    let client = Client::new(&sim);
    clock.advance(Duration::from_secs(99));
    assert_eq!(client.query(FRONT).await.expect("an answer").status, 200);
    clock.advance(Duration::from_secs(1));
    let late = client.query(FRONT).await.expect("an answer");
    assert_eq!((late.status, &late.json()["payload"]["error"]["code"]), (401, &json!("INVALID_TOKEN")));
}

#[tokio::test]
async fn a_cloud_whose_clock_runs_ahead_ends_tokens_early() {
    let (sim, _) = start(|config| config.expires_in = 3600).await;
    let client = Client::new(&sim);
    let usual = client.query(FRONT).await.expect("an answer");
    assert_eq!((usual.status, usual.header("date")), (200, "Thu, 01 Jan 2026 00:00:00 GMT"));
    sim.set_faults(Faults { clock_skew_seconds: 3600, ..Faults::default() });
    let skewed = client.query(FRONT).await.expect("an answer");
    assert_eq!((skewed.status, skewed.header("date")), (401, "Thu, 01 Jan 2026 01:00:00 GMT"));
}

#[tokio::test]
async fn tokens_can_be_killed() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    sim.revoke();
    assert_eq!(client.query(FRONT).await.expect("an answer").status, 200, "the access token lives on");
    assert_eq!(refresh(sim.addr(), &client.tokens.refresh_token).await.expect("an answer").status, 400);
    let client = Client::new(&sim);
    sim.expire_access_tokens();
    assert_eq!(client.query(FRONT).await.expect("an answer").status, 401);
    assert_eq!(refresh(sim.addr(), &client.tokens.refresh_token).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn token_answers_come_in_all_shapes_that_were_seen() {
    let (sim, _) = start(|config| config.rotation = Rotation::Fixed).await;
    let mine = sim.grant().refresh_token;
    let ask = async |shape| {
        sim.set_faults(Faults { token_answer: Some(Fault::with(shape).times(1)), ..Faults::default() });
        refresh(sim.addr(), &mine).await.expect("an answer").json()
    };
    let wrapped = ask(TokenAnswer::Wrapped).await;
    assert_eq!((&wrapped["code"], &wrapped["data"]["refresh_token"]), (&json!(200), &json!(mine)));
    let without = ask(TokenAnswer::WithoutRefreshToken).await;
    assert!(without["access_token"].is_string() && without.get("refresh_token").is_none());
    assert_eq!(ask(TokenAnswer::NothingUsable).await, json!({ "code": 200, "data": {} }));
    let usual = refresh(sim.addr(), &mine).await.expect("an answer").json();
    assert!(usual["access_token"].is_string(), "the fault was for one time");
}

#[tokio::test]
async fn a_client_can_die_between_the_rotation_and_its_answer() {
    let (sim, clock) = start(|config| config.rotation = Rotation::Strict).await;
    let mine = sim.grant().refresh_token;
    let pause = Some(Fault::with(60_000).times(1));
    sim.set_faults(Faults { pause_after_rotation_ms: pause, ..Faults::default() });
    let asking = tokio::spawn({
        let (addr, mine) = (sim.addr(), mine.clone());
        async move { refresh(addr, &mine).await.map(|answer| answer.status) }
    });
    until("the rotation", || sim.counters().token_ok == 1).await;
    asking.abort();
    assert_eq!(refresh(sim.addr(), &mine).await.expect("an answer").status, 400, "the old one is dead");
    clock.advance(Duration::from_mins(1));
}

#[tokio::test]
async fn a_rotation_can_be_delayed_too() {
    let (sim, clock) = start(|_| {}).await;
    let mine = sim.grant().refresh_token;
    let pause = Some(Fault::with(60_000).times(1));
    sim.set_faults(Faults { pause_before_rotation_ms: pause, ..Faults::default() });
    let asking = tokio::spawn({
        let addr = sim.addr();
        async move { refresh(addr, &mine).await.map(|answer| answer.status) }
    });
    until("the request", || sim.counters().token == 1).await;
    assert_eq!(sim.counters().token_ok, 0);
    clock.advance(Duration::from_mins(1));
    let status = within("the answer", asking).await.expect("no panic").expect("an answer");
    assert_eq!((status, sim.counters().token_ok), (200, 1));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_tokens() {
    let tokens = async |seed| {
        let (sim, _) = start(|config| config.seed = seed).await;
        sim.grant()
    };
    assert_eq!(tokens(7).await, tokens(7).await);
    assert_ne!(tokens(7).await, tokens(8).await);
}
