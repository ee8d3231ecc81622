//! Signing in.

use crate::{
    house::{House, fine, vectors},
    recorder::{Reply, reply},
};
use doorward_core::driver::{Action, Family, Target};
use doorward_wire::attempt::Reason;
use serde_json::{Value, json};
use std::time::Duration;

fn cloud(_: usize, body: &Value) -> Reply {
    if body.get("form").is_some() { reply(200, &vectors()["oauth_answers"]["standard"]) } else { fine(0, body) }
}

#[tokio::test]
async fn the_sign_in_page_is_asked_with_a_new_state_each_time() {
    let house = House::new(cloud).await;
    let first = house.setup("start", &json!({})).await.unwrap();
    let second = house.setup("start", &json!({})).await.unwrap();
    assert_ne!(first["state"], second["state"]);
    assert_eq!(first["state"].as_str().unwrap().len(), 43, "256 bits");
    let url = reqwest::Url::parse(first["authorize_url"].as_str().unwrap()).unwrap();
    assert_eq!(url.path(), "/authorize");
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let state = first["state"].as_str().unwrap();
    let expected = [
        ("response_type", "code"),
        ("client_id", "AK"),
        ("client_secret", "SK"),
        ("redirect_uri", "http://localhost:9501"),
        ("scope", "openapi"),
        ("state", state),
    ];
    assert_eq!(query, expected.map(|(name, value)| (name.into(), value.into())));
    assert!(house.cloud.requests().is_empty());
}

#[tokio::test]
async fn a_code_is_taken_in_every_way_a_person_may_paste_it() {
    for (key, write) in [
        ("code", "C1"),
        ("code", "code=C1&state=STATE"),
        ("code", "http://localhost:9501/?authorization_code=C1&state=STATE"),
        ("callback_url", "http://localhost:9501/?code=C1&state=STATE"),
        ("callback_url", "https://example.org/cb?x=y&authorization_code=C1"),
        ("callback_url", " ?authorization_code=C1&state=STATE#top "),
    ] {
        let house = House::new(cloud).await;
        let state = house.setup("start", &json!({})).await.unwrap()["state"].as_str().unwrap().to_owned();
        let done = house.setup("exchange", &json!({ key: write.replace("STATE", &state) })).await.unwrap();
        assert_eq!(done, json!({ "signed_in": true, "expires_at": "2026-11-30T06:00:00.000Z" }), "no token is shown");
        let form = house.cloud.requests()[0].form();
        assert_eq!(
            (form["grant_type"].as_str(), form["code"].as_str(), form["redirect_uri"].as_str()),
            ("authorization_code", "C1", "http://localhost:9501")
        );
        assert_eq!(house.words(), ["signed in", "lease oauth fresh=true", "found 0"]);
    }
}

#[tokio::test]
async fn tokens_are_shown_only_when_that_is_asked_for() {
    let house = House::new(cloud).await;
    house.setup("start", &json!({})).await.unwrap();
    let done = house.setup("exchange", &json!({ "code": "C1", "reveal": true })).await.unwrap();
    assert_eq!((&done["access_token"], &done["refresh_token"], &done["expires_in"]), (&json!("AT2"), &json!("RT2"), &json!(601_200)));
}

#[tokio::test]
async fn a_state_is_good_once_for_ten_minutes_and_for_its_own_sign_in() {
    let house = House::new(cloud).await;
    assert_eq!(refusal(&house, "C1").await, Some(Reason::BadRequest), "nothing was started");
    house.setup("start", &json!({})).await.unwrap();
    assert_eq!(refusal(&house, "?code=C1&state=other").await, Some(Reason::BadRequest));
    assert!(house.cloud.requests().is_empty());
    assert_eq!(refusal(&house, "C1").await, None);
    assert_eq!(refusal(&house, "C1").await, Some(Reason::BadRequest), "used up");
    house.setup("start", &json!({})).await.unwrap();
    house.bench.advance(Duration::from_secs(601));
    assert_eq!(refusal(&house, "C1").await, Some(Reason::BadRequest), "too late");
}

/// Why a code is not taken.
async fn refusal(house: &House, code: &str) -> Option<Reason> {
    house.setup("exchange", &json!({ "code": code })).await.err().and_then(|fault| fault.reason)
}

#[tokio::test]
async fn a_code_that_the_vendor_refuses_ends_nothing() {
    let house = House::signed_in(
        |_, body| if body.get("form").is_some() { reply(400, &vectors()["oauth_answers"]["dead"]) } else { fine(0, body) },
    )
    .await;
    house.setup("start", &json!({})).await.unwrap();
    let fault = house.setup("exchange", &json!({ "code": "C1" })).await.unwrap_err();
    assert_eq!(fault.family, Family::Refused);
    house.unlock().await.unwrap();
}

#[tokio::test]
async fn input_that_is_no_input_is_refused_without_showing_it() {
    let house = House::new(fine).await;
    for (step, input) in [
        ("exchange", json!({})),
        ("exchange", json!({ "code": "" })),
        ("exchange", json!({ "callback_url": "http://x/?error=access_denied&state=1" })),
        ("exchange", json!({ "secret-hunter2": 1 })),
        ("start", json!({ "redirect_url": "javascript:alert(1)" })),
        ("tokens", json!({ "access_token": "hunter2 with spaces" })),
        ("tokens", json!("hunter2")),
        ("dance", json!({})),
    ] {
        let fault = house.setup(step, &input).await.unwrap_err();
        assert_eq!(fault.family, Family::Refused);
        assert!(!format!("{} {}", fault.person, fault.log).contains("hunter2"), "{fault}");
    }
}

#[tokio::test]
async fn imported_tokens_of_unknown_age_are_renewed_at_once() {
    let house = House::new(cloud).await;
    house.setup("tokens", &json!({ "access_token": "AT", "refresh_token": "RT" })).await.unwrap();
    let Some(doorward_core::driver::Report::Lease(lease)) = house.bench.reports().into_iter().nth(1) else { panic!("no lease") };
    assert_eq!((lease.not_after, lease.fresh), (None, false));
}

#[tokio::test]
async fn nobody_signed_in_is_a_matter_for_a_person() {
    let house = House::new(fine).await;
    assert_eq!(house.unlock().await.unwrap_err().family, Family::Auth);
    assert_eq!(house.act(&Target::Account, Action::Renew("oauth".into())).await.unwrap_err().family, Family::Auth);
    assert!(house.cloud.requests().is_empty());
}
