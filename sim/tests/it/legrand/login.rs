//! Signing in, and tokens that rotate.

use std::net::SocketAddr;
use std::time::Duration;

use aws_lc_rs::digest;
use axum::http::Method;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use doorward_sim::legrand::{Config, Fault, Faults, Rotation, Sim};
use serde_json::{Value, json};

use super::{Caller, OID, payload, set, start};
use crate::client::{Answer, send};
use crate::{until, within};

const TENANT: &str = "EliotClouduamprd.onmicrosoft.com";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

fn query(change: impl FnOnce(&mut Vec<(&str, String)>)) -> String {
    let config = Config::default();
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, VERIFIER.as_bytes()));
    let mut fields = vec![
        ("client_id", config.client_id),
        ("redirect_uri", config.redirect_uri),
        ("response_type", "code".to_owned()),
        ("scope", config.scope),
        ("p", config.policy),
        ("state", "s p\"a&c e".to_owned()),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256".to_owned()),
    ];
    change(&mut fields);
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn authorize(query: &str) -> String {
    format!("/{TENANT}/oauth2/v2.0/authorize?{query}")
}

/// A browser that is looking at the sign-in page.
struct Page {
    addr: SocketAddr,
    cookies: String,
    html: String,
}

impl Page {
    async fn open(addr: SocketAddr) -> Self {
        let answer = send(addr, Method::GET, &authorize(&query(|_| {})), &[], String::new()).await.expect("a page");
        assert_eq!(answer.status, 200);
        let cookies = answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().expect("a text").to_owned());
        let cookies = cookies.inspect(|cookie| {
            assert!(cookie.ends_with("; domain=127.0.0.1; path=/; SameSite=None; secure; HttpOnly"), "{cookie}");
        });
        let cookies: Vec<_> = cookies.filter_map(|cookie| Some(cookie.split_once(';')?.0.to_owned())).collect();
        Self { addr, cookies: cookies.join("; "), html: String::from_utf8(answer.body).expect("a text") }
    }

    fn value(&self, name: &str) -> &str {
        self.html.split(&format!("name=\"{name}\" value=\"")).nth(1).and_then(|rest| rest.split('"').next()).expect("a field")
    }

    async fn submit(&self, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> Answer {
        let form = [("tx", self.value("tx")), ("csrf_token", self.value("csrf_token"))];
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).extend_pairs(fields).finish();
        let action = self.html.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an action");
        let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
        all.extend(headers);
        send(self.addr, Method::POST, action, &all, form).await.expect("an answer")
    }
}

const RIGHT: [(&str, &str); 3] = [("signInName", "user@example.com"), ("password", "sim-password"), ("answer", "continue")];

fn parameter(url: &str, name: &str) -> Option<String> {
    let query = url.split_once('?')?.1;
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

async fn token(addr: SocketAddr, fields: &[(&str, &str)]) -> Answer {
    let config = Config::default();
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("client_id", &config.client_id).extend_pairs(fields).finish();
    let path = format!("/{TENANT}/oauth2/v2.0/token?p={}", config.policy);
    send(addr, Method::POST, &path, &[("content-type", "application/x-www-form-urlencoded")], form).await.expect("an answer")
}

async fn refresh(sim: &Sim, refresh_token: &str) -> Answer {
    token(sim.addr(), &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
}

async fn exchange(addr: SocketAddr, code: &str, verifier: &str) -> Answer {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", "com.legrandgroup.diy://oauth2redirect"),
        ("code_verifier", verifier),
    ];
    token(addr, &fields).await
}

fn error(answer: &Answer) -> (u16, Value) {
    (answer.status, answer.json()["error"].clone())
}

#[tokio::test]
async fn a_person_signs_in_and_the_code_works_once() {
    let (sim, _) = start(|_| {}).await;
    let page = Page::open(sim.addr()).await;
    let own = format!("http://{}", sim.addr());
    let headers = [("cookie", page.cookies.as_str()), ("origin", &own), ("referer", &format!("{own}/x"))];
    let wrong = page.submit(&headers, &[RIGHT[0], ("password", "wrong")]).await;
    assert_eq!(wrong.status, 200);
    assert!(String::from_utf8_lossy(&wrong.body).contains("Your password is incorrect."));
    let answer = page.submit(&headers, &RIGHT).await;
    assert_eq!(answer.status, 302);
    let location = answer.header("location");
    assert!(location.starts_with("com.legrandgroup.diy://oauth2redirect?"), "{location}");
    assert_eq!(parameter(location, "state").as_deref(), Some("s p\"a&c e"));
    let code = parameter(location, "code").expect("a code");

    let answer = exchange(sim.addr(), &code, VERIFIER).await;
    assert_eq!(answer.status, 200);
    let tokens = answer.json();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(3600)));
    let claims = payload(tokens["access_token"].as_str().expect("a token"));
    assert_eq!((&claims["oid"], &claims["exp"]), (&json!(OID), &json!(1_767_225_600 + 3600)));
    assert_eq!(error(&exchange(sim.addr(), &code, VERIFIER).await), (400, json!("invalid_grant")));
    assert_eq!(page.submit(&headers, &RIGHT).await.status, 400, "the page was answered");
}

#[tokio::test]
async fn a_form_needs_its_cookies_and_its_own_site() {
    let (sim, _) = start(|_| {}).await;
    let page = Page::open(sim.addr()).await;
    assert_eq!(page.submit(&[], &RIGHT).await.status, 400);
    for header in ["origin", "referer"] {
        let foreign = page.submit(&[("cookie", &page.cookies), (header, "http://localhost:8080")], &RIGHT).await;
        assert_eq!(foreign.status, 403, "{header}");
    }
    assert_eq!(page.submit(&[("cookie", &page.cookies)], &RIGHT).await.status, 302);
}

#[tokio::test]
async fn a_person_cancels() {
    let (sim, _) = start(|_| {}).await;
    let page = Page::open(sim.addr()).await;
    let answer = page.submit(&[("cookie", &page.cookies)], &[("answer", "cancel")]).await;
    let location = answer.header("location");
    assert_eq!((answer.status, parameter(location, "error").as_deref()), (302, Some("access_denied")));
    assert_eq!(parameter(location, "code"), None);
}

#[tokio::test]
async fn every_parameter_of_authorize_is_looked_at() {
    let (sim, _) = start(|_| {}).await;
    for index in [0, 1, 2, 3, 4, 6, 7] {
        let path = authorize(&query(|fields| "wrong".clone_into(&mut fields[index].1)));
        let answer = send(sim.addr(), Method::GET, &path, &[], String::new()).await.expect("an answer");
        assert_eq!(answer.status, 400, "{path}");
    }
    let elsewhere = format!("/another/oauth2/v2.0/authorize?{}", query(|_| {}));
    assert_eq!(send(sim.addr(), Method::GET, &elsewhere, &[], String::new()).await.expect("an answer").status, 400);
    let again = authorize(&query(|fields| fields.push(("prompt", "login".to_owned()))));
    assert_eq!(send(sim.addr(), Method::GET, &again, &[], String::new()).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn a_code_belongs_to_its_verifier_and_its_time() {
    let (sim, clock) = start(|_| {}).await;
    let url = format!("{}{}", sim.base_url(), authorize(&query(|_| {})));
    let code = || parameter(&sim.allow(&url).expect("signed in"), "code").expect("a code");
    assert_eq!(error(&exchange(sim.addr(), &code(), "another").await), (400, json!("invalid_grant")));
    let stale = code();
    clock.advance(Duration::from_mins(10));
    assert_eq!(error(&exchange(sim.addr(), &stale, VERIFIER).await), (400, json!("invalid_grant")));
    assert_eq!(exchange(sim.addr(), &code(), VERIFIER).await.status, 200);
    let plain = format!("{}{}", sim.base_url(), authorize(&query(|fields| fields.truncate(6))));
    let code = parameter(&sim.allow(&plain).expect("signed in"), "code").expect("a code");
    assert_eq!(error(&exchange(sim.addr(), &code, VERIFIER).await), (400, json!("invalid_grant")), "there was no challenge");
    assert!(sim.allow_as(&url, "user@example.com", "wrong").is_err());
}

#[tokio::test]
async fn the_token_endpoint_knows_its_application_and_its_grants() {
    let (sim, _) = start(|_| {}).await;
    assert_eq!(error(&token(sim.addr(), &[("grant_type", "password")]).await), (400, json!("unsupported_grant_type")));
    assert_eq!(error(&token(sim.addr(), &[("grant_type", "refresh_token")]).await), (400, json!("invalid_request")));
    let path = format!("/{TENANT}/oauth2/v2.0/token?p=another");
    let form = "grant_type=refresh_token&refresh_token=x".to_owned();
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let elsewhere = send(sim.addr(), Method::POST, &path, &headers, form).await.expect("an answer");
    assert_eq!(error(&elsewhere), (400, json!("invalid_request")));
}

#[tokio::test]
async fn a_refresh_token_rotates_and_the_old_one_dies_when_it_is_told_to() {
    let next = |answer: Answer| answer.json()["refresh_token"].as_str().expect("a token").to_owned();
    let (sim, clock) = start(|config| config.rotation = Rotation::After(1000)).await;
    let first = sim.grant().refresh_token;
    let second = next(refresh(&sim, &first).await);
    assert_ne!(first, second);
    assert_eq!(refresh(&sim, &first).await.status, 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(error(&refresh(&sim, &first).await), (400, json!("invalid_grant")));
    assert_eq!(refresh(&sim, &second).await.status, 200);

    let (sim, _) = start(|config| config.rotation = Rotation::AtOnce).await;
    let first = sim.grant().refresh_token;
    assert_eq!(refresh(&sim, &first).await.status, 200);
    assert_eq!(refresh(&sim, &first).await.status, 400);

    let (sim, _) = start(|config| config.rotation = Rotation::WhenNewIsUsed).await;
    let first = sim.grant().refresh_token;
    let second = next(refresh(&sim, &first).await);
    let third = next(refresh(&sim, &first).await);
    assert_eq!(refresh(&sim, &third).await.status, 200);
    assert_eq!(refresh(&sim, &first).await.status, 400);
    assert_eq!(refresh(&sim, &second).await.status, 200);

    let (sim, _) = start(|config| config.rotation = Rotation::Never).await;
    let first = sim.grant().refresh_token;
    for _ in 0..3 {
        assert_eq!(refresh(&sim, &first).await.status, 200);
    }
}

#[tokio::test]
async fn an_access_token_ends_when_it_was_said_to() {
    let (sim, clock) = start(|config| config.expires_in = 100).await;
    let caller = Caller::new(&sim);
    clock.advance(Duration::from_secs(99));
    assert_eq!(caller.get("/servicecatalog/api/v3.0/plants").await.status, 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(caller.get("/servicecatalog/api/v3.0/plants").await.status, 401);
}

#[tokio::test]
async fn a_client_can_die_between_the_rotation_and_its_answer() {
    let (sim, clock) = start(|config| config.rotation = Rotation::AtOnce).await;
    let mine = sim.grant().refresh_token;
    set(&sim, |faults| faults.pause_after_rotation_ms = Some(Fault::with(60_000).times(1)));
    let asking = tokio::spawn({
        let (addr, mine) = (sim.addr(), mine.clone());
        async move { token(addr, &[("grant_type", "refresh_token"), ("refresh_token", &mine)]).await.status }
    });
    until("the rotation", || sim.counters().token_ok == 1).await;
    assert_eq!(refresh(&sim, &mine).await.status, 400, "the old one is dead");
    clock.advance(Duration::from_mins(1));
    assert_eq!(within("the answer", asking).await.expect("no panic"), 200);
}

#[tokio::test]
async fn tokens_come_in_other_shapes() {
    let (sim, _) = start(|config| config.rotation = Rotation::Never).await;
    let mine = sim.grant().refresh_token;
    sim.set_faults(Faults { no_refresh_token: true, sub_without_oid: true, expires_in_as_text: true, ..Faults::default() });
    let tokens = refresh(&sim, &mine).await.json();
    assert_eq!((&tokens["expires_in"], tokens.get("refresh_token")), (&json!("3600"), None));
    let claims = payload(tokens["access_token"].as_str().expect("a token"));
    assert_eq!((&claims["sub"], claims.get("oid")), (&json!(OID), None));
    sim.revoke();
    assert_eq!(refresh(&sim, &mine).await.status, 400);
    let caller = Caller::new(&sim);
    sim.expire_access_tokens();
    assert_eq!(caller.get("/servicecatalog/api/v3.0/plants").await.status, 401);
}
