//! Tokens: kept before they are used, renewed once for all, never asked for again when dead.

use crate::{
    house::{FRONT, House, breathe, door, fine, vectors},
    recorder::{Reply, held, reply},
};
use doorward_core::driver::{Action, Ctx, Family, Report, Target};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

fn renew() -> Action {
    Action::Renew("oauth".into())
}

/// A cloud whose `/token` answers this, and which accepts only `AT2`-like tokens when `strict`.
fn token_answer(answer: &'static str) -> impl Fn(usize, &Value) -> Reply + Send + Sync + 'static {
    move |_, body| if body.get("form").is_some() { reply(200, &vectors()["oauth_answers"][answer]) } else { fine(0, body) }
}

fn kept(house: &House) -> Value {
    serde_json::from_slice(house.bench.store()["tokens"].reveal()).unwrap()
}

#[tokio::test]
async fn a_renewal_sends_what_the_standard_says_and_keeps_what_comes() {
    for (answer, refresh) in [("standard", "RT2"), ("wrapped", "RT2"), ("without_refresh_token", "RT")] {
        let house = House::signed_in(token_answer(answer)).await;
        house.act(&Target::Account, renew()).await.unwrap();
        let request = house.cloud.requests().remove(0);
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/token"));
        assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
        let form: Vec<(String, String)> = request.form().into_iter().collect();
        let expected = [("client_id", "AK"), ("client_secret", "SK"), ("grant_type", "refresh_token"), ("refresh_token", "RT")];
        assert_eq!(form, expected.map(|(name, value)| (name.into(), value.into())));
        assert_eq!((&kept(&house)["access_token"], &kept(&house)["refresh_token"]), (&json!("AT2"), &json!(refresh)), "{answer}");
        let Some(Report::Lease(lease)) = house.bench.reports().pop() else { panic!("no lease") };
        assert!(lease.fresh);
        assert_eq!(lease.not_after, Some(house.bench.now().utc.plus(Duration::from_hours(167))));
        assert_eq!(lease.margin, Some(Duration::from_mins(5)));
        // The new token is the one that is used.
        house.unlock().await.unwrap();
        assert_eq!(house.cloud.requests()[1].headers["authorization"], "Bearer AT2");
    }
}

#[tokio::test]
async fn an_answer_without_a_token_is_told_and_changes_nothing() {
    let house = House::signed_in(token_answer("nothing_usable")).await;
    let fault = house.act(&Target::Account, renew()).await.unwrap_err();
    assert_eq!(fault.family, Family::Protocol);
    assert_eq!(kept(&house)["access_token"], "AT");
    house.unlock().await.unwrap();
    assert_eq!(house.cloud.requests()[1].headers["authorization"], "Bearer AT");
}

#[tokio::test]
async fn a_dead_refresh_token_is_not_used_again_not_even_after_a_restart() {
    for status in [200, 400] {
        let house =
            House::signed_in(
                move |_, body| if body.get("form").is_some() { reply(status, &vectors()["oauth_answers"]["dead"]) } else { fine(0, body) },
            )
            .await;
        assert_eq!(house.act(&Target::Account, renew()).await.unwrap_err().family, Family::Auth);
        let again = house.restarted();
        for driver in [&house.driver, &again] {
            for action in [renew(), Action::Refresh, Action::Unlock(house.once())] {
                let fault = driver.act(&*house.bench, &door(FRONT), action).await.unwrap_err();
                assert_eq!(fault.family, Family::Auth);
            }
        }
        assert_eq!(house.cloud.requests().len(), 1, "one request in all");
        // A person helps.
        house.setup("tokens", &json!({ "access_token": "AT3", "refresh_token": "RT3", "expires_in": 60 })).await.unwrap();
        house.unlock().await.unwrap();
        assert_eq!(house.cloud.requests()[1].headers["authorization"], "Bearer AT3");
    }
}

#[tokio::test]
async fn wrong_keys_are_a_matter_for_a_person_but_the_tokens_are_not_given_up() {
    let house = House::signed_in(|_, _| reply(401, &json!({ "error": "invalid_client" }))).await;
    assert_eq!(house.act(&Target::Account, renew()).await.unwrap_err().family, Family::Auth);
    assert_eq!(house.act(&Target::Account, renew()).await.unwrap_err().family, Family::Auth);
    assert_eq!(house.cloud.requests().len(), 1);
    // With the settings mended the account is built anew.
    house.restarted().act(&*house.bench, &Target::Account, renew()).await.unwrap_err();
    assert_eq!(house.cloud.requests().len(), 2);
}

#[tokio::test]
async fn an_outage_of_the_sign_in_is_tried_again_with_the_same_token() {
    for (answer, family) in
        [(reply(503, &json!({})), Family::Offline), (Reply::HangUp, Family::Timeout), (Reply::Half(200), Family::Timeout)]
    {
        let first = answer.clone();
        let house = House::signed_in(
            move |number, _| if number == 0 { first.clone() } else { reply(200, &vectors()["oauth_answers"]["standard"]) },
        )
        .await;
        assert_eq!(house.act(&Target::Account, renew()).await.unwrap_err().family, family);
        house.act(&Target::Account, renew()).await.unwrap();
        assert_eq!(house.cloud.requests()[1].form()["refresh_token"], "RT");
    }
}

#[tokio::test]
async fn a_401_and_an_invalid_token_in_200_renew_once_and_repeat_once() {
    for refusal in [reply(401, &json!({})), reply(200, &vectors()["error_in_200"]), reply(400, &vectors()["error_in_200"])] {
        let first = refusal.clone();
        let house = House::signed_in(move |number, body| match number {
            0 => first.clone(),
            1 => reply(200, &vectors()["oauth_answers"]["standard"]),
            _ => fine(0, body),
        })
        .await;
        house.unlock().await.unwrap();
        let sent: Vec<String> = house.cloud.requests().iter().map(|request| request.path.clone()).collect();
        assert_eq!(sent, ["/action", "/token", "/action"]);
        assert_eq!(house.cloud.requests()[2].headers["authorization"], "Bearer AT2");
    }
}

#[tokio::test]
async fn a_second_401_is_a_refusal() {
    let house = House::signed_in(|_, body| {
        if body.get("form").is_some() { reply(200, &vectors()["oauth_answers"]["standard"]) } else { reply(401, &json!({})) }
    })
    .await;
    let fault = house.unlock().await.unwrap_err();
    assert_eq!((fault.family, fault.status), (Family::Refused, Some(401)));
    assert_eq!(house.cloud.requests().len(), 3);
}

#[tokio::test]
async fn trouble_with_the_renewal_does_not_leave_a_door_in_doubt() {
    // The door's own request was refused before the renewal failed: it was not opened, and that is known.
    let house = House::signed_in(|_, body| if body.get("form").is_some() { Reply::HangUp } else { reply(401, &json!({})) }).await;
    assert_eq!(house.unlock().await.unwrap_err().family, Family::Offline);
}

#[tokio::test]
async fn an_ended_token_is_not_sent() {
    let house = House::signed_in(token_answer("standard")).await;
    house.bench.advance(Duration::from_hours(167));
    house.unlock().await.unwrap();
    let sent: Vec<String> = house.cloud.requests().iter().map(|request| request.path.clone()).collect();
    assert_eq!(sent, ["/token", "/action"]);
}

#[tokio::test]
async fn a_token_that_is_not_on_disk_is_not_used_and_not_lost() {
    let house = House::signed_in(|_, body| {
        if body.get("form").is_some() { reply(200, &vectors()["oauth_answers"]["standard"]) } else { reply(401, &json!({})) }
    })
    .await;
    house.bench.break_store(true);
    for _ in 0..3 {
        assert_eq!(house.unlock().await.unwrap_err().family, Family::Offline);
    }
    assert!(house.cloud.requests().iter().all(|request| request.headers.get("authorization").is_none_or(|value| value == "Bearer AT")));
    house.bench.break_store(false);
    house.act(&Target::Account, renew()).await.unwrap();
    assert_eq!(house.cloud.renewals(), 1, "the renewal that was paid for is used");
    assert_eq!(kept(&house)["refresh_token"], "RT2");
}

#[tokio::test]
async fn whoever_waits_for_a_renewal_shares_its_end_good_or_bad() {
    for good in [true, false] {
        let gate = Arc::new(Notify::new());
        let closed = Arc::clone(&gate);
        let house = House::signed_in(move |_, body| {
            if body.get("form").is_none() {
                return fine(0, body);
            }
            held(&closed, if good { reply(200, &vectors()["oauth_answers"]["standard"]) } else { reply(503, &json!({})) })
        })
        .await;
        let house = Arc::new(house);
        let renewals: Vec<_> = (0..5)
            .map(|_| {
                let house = Arc::clone(&house);
                tokio::spawn(async move { house.act(&Target::Account, renew()).await })
            })
            .collect();
        while house.cloud.renewals() == 0 {
            breathe().await;
        }
        gate.notify_one();
        for renewal in renewals {
            assert_eq!(renewal.await.unwrap().is_ok(), good);
        }
        assert_eq!(house.cloud.renewals(), 1);
    }
}

#[tokio::test]
async fn a_401_that_comes_after_the_renewal_is_no_reason_for_another() {
    let gate = Arc::new(Notify::new());
    let closed = Arc::clone(&gate);
    let house = House::signed_in(move |number, body| {
        let slow = body["payload"]["devices"][0]["id"] == "slow";
        match (body.get("form").is_some(), number < 2) {
            (true, _) => reply(200, &vectors()["oauth_answers"]["standard"]),
            (false, true) if slow => held(&closed, reply(401, &json!({}))),
            (false, true) => reply(401, &json!({})),
            (false, false) => fine(0, body),
        }
    })
    .await;
    let slow = door("slow");
    let mut late = Box::pin(house.act(&slow, Action::Unlock(house.once())));
    house.asked(1, &mut late).await;
    house.unlock().await.unwrap();
    gate.notify_one();
    late.await.unwrap();
    assert_eq!((house.cloud.renewals(), house.cloud.bodies().len()), (1, 4));
}

#[tokio::test]
async fn a_door_does_not_wait_for_a_renewal_while_its_token_lives() {
    let house = House::signed_in(|_, body| if body.get("form").is_some() { Reply::Silence } else { fine(0, body) }).await;
    let mut renewal = Box::pin(house.act(&Target::Account, renew()));
    house.asked(1, &mut renewal).await;
    house.unlock().await.unwrap();
}

#[tokio::test]
async fn a_life_that_the_vendor_leaves_out_is_an_hour() {
    for (expires_in, life) in [(json!(120), 120), (json!("120"), 120), (Value::Null, 3600), (json!(0), 3600), (json!(-5), 3600)] {
        let house = House::signed_in(move |_, _| reply(200, &json!({ "access_token": "AT2", "expires_in": expires_in }))).await;
        house.act(&Target::Account, renew()).await.unwrap();
        let Some(Report::Lease(lease)) = house.bench.reports().pop() else { panic!("no lease") };
        assert_eq!(lease.not_after, Some(house.bench.now().utc.plus(Duration::from_secs(life))), "it is not renewed without end");
    }
}

#[tokio::test]
async fn a_watch_that_is_stopped_in_a_renewal_brings_it_to_its_end() {
    let gate = Arc::new(Notify::new());
    let closed = Arc::clone(&gate);
    let house = House::signed_in(move |_, body| {
        if body.get("form").is_none() {
            return fine(0, body);
        }
        held(&closed, reply(200, &vectors()["oauth_answers"]["standard"]))
    })
    .await;
    house.bench.advance(Duration::from_hours(167));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let watch = house.driver.watch(&*house.bench, Box::pin(async { drop(stopped.await) }));
    tokio::join!(watch, async {
        while house.cloud.renewals() == 0 {
            breathe().await;
        }
        stop.send(()).unwrap();
        breathe().await;
        gate.notify_one();
    });
    assert_eq!(kept(&house)["access_token"], "AT2");
}
