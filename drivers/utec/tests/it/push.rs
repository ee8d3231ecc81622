//! Pushes.

use crate::{
    house::{BACK, FRONT, House, breathe, fine, vectors},
    recorder::{Reply, reply},
};
use doorward_core::driver::{Action, Delivery, Family, How, Report, Target};
use doorward_wire::{attempt::Reason, door::DoorState};
use serde_json::{Value, json};
use std::time::Duration;

fn cloud(_: usize, body: &Value) -> Reply {
    if body["header"]["name"] == "Discovery" {
        reply(200, &json!({ "devices": [{ "id": FRONT, "name": "Front", "category": "LOCK" }] }))
    } else {
        fine(0, body)
    }
}

/// Address and secret as the cloud was told them last.
fn registration(house: &House) -> (String, String) {
    let body = house.cloud.bodies().into_iter().rev().find(|body| body["header"]["namespace"] == "Uhome.Configure").unwrap();
    let notification = &body["payload"]["configure"]["notification"];
    (notification["url"].as_str().unwrap().to_owned(), notification["access_token"].as_str().unwrap().to_owned())
}

fn delivery(url: &str, authorization: Option<&str>, body: &str) -> Action {
    let path = url.rsplit('/').next().unwrap().to_owned();
    Action::Deliver(Delivery { path, authorization: authorization.map(Into::into), body: body.as_bytes().to_vec() })
}

async fn registered() -> House {
    let house = House::signed_in(cloud).await;
    house.act(&Target::Account, Action::Discover).await.unwrap();
    house.setup("push", &json!({ "public_url": "https://home.example.org/" })).await.unwrap();
    house.bench.reports();
    house
}

#[tokio::test]
async fn a_push_needs_the_address_and_the_secret_that_were_registered() {
    let house = registered().await;
    let (url, secret) = registration(&house);
    let random = url.strip_prefix("https://home.example.org/hooks/utec/").unwrap();
    assert!(random.len() >= 32 && secret.len() >= 32, "128 bits each");
    let body = vectors()["push_bodies"][0].to_string();
    let bearer = format!("Bearer {secret}");
    for action in [
        delivery(&url, None, &body),
        delivery(&url, Some(""), &body),
        delivery(&url, Some("Bearer "), &body),
        delivery(&url, Some(&secret), &body),
        delivery(&url, Some(&format!("Basic {secret}")), &body),
        delivery(&url, Some(&format!("Bearer {secret}0")), &body),
        delivery("https://home.example.org/hooks/utec/other", Some(&bearer), &body),
    ] {
        let fault = house.act(&Target::Account, action).await.unwrap_err();
        assert_eq!((fault.family, fault.reason), (Family::Refused, Some(Reason::NotAuthenticated)));
    }
    assert!(house.bench.reports().is_empty());
    house.act(&Target::Account, delivery(&url, Some(&bearer), &body)).await.unwrap();
    assert_eq!(house.words(), ["push".to_owned(), format!("seen {FRONT}")]);
    // It is known after a restart too.
    let again = house.restarted();
    again.act(&*house.bench, &Target::Account, delivery(&url, Some(&bearer), &body)).await.unwrap();
}

#[tokio::test]
async fn no_push_is_taken_while_none_is_registered() {
    let house = House::signed_in(cloud).await;
    for authorization in [None, Some("Bearer "), Some("Bearer x")] {
        let fault = house.act(&Target::Account, delivery("x", authorization, "{}")).await.unwrap_err();
        assert_eq!(fault.reason, Some(Reason::NotAuthenticated));
    }
}

#[tokio::test]
async fn each_shape_of_push_is_read_and_stands_for_the_whole_state() {
    let house = registered().await;
    let (url, secret) = registration(&house);
    let bearer = format!("Bearer {secret}");
    let expected = [(Some(DoorState::Unlocked), None), (Some(DoorState::Locked), None), (None, Some(30))];
    for (body, (state, battery)) in vectors()["push_bodies"].as_array().unwrap().iter().zip(expected) {
        house.act(&Target::Account, delivery(&url, Some(&bearer), &body.to_string())).await.unwrap();
        let reports = house.bench.reports();
        let [Report::Push(_), Report::Seen { sight, .. }] = reports.as_slice() else { panic!("{reports:?}") };
        assert_eq!((sight.how, sight.state, sight.battery), (How::Pushed, state, battery));
    }
}

#[tokio::test]
async fn what_is_no_push_is_refused_and_an_unknown_device_is_not_reported() {
    let house = registered().await;
    let (url, secret) = registration(&house);
    let bearer = format!("Bearer {secret}");
    let fault = house.act(&Target::Account, delivery(&url, Some(&bearer), "not JSON")).await.unwrap_err();
    assert_eq!((fault.family, fault.reason), (Family::Refused, Some(Reason::BadRequest)));
    for body in ["{}", "[]", "7", "null", &json!([{ "id": BACK, "states": [] }]).to_string()] {
        house.act(&Target::Account, delivery(&url, Some(&bearer), body)).await.unwrap();
    }
    assert_eq!(house.words(), ["push"; 5]);
}

#[tokio::test]
async fn only_a_public_https_address_is_registered() {
    let house = House::signed_in(cloud).await;
    for address in [
        "",
        "home.example.org",
        "http://home.example.org",
        "https://user:pass@home.example.org",
        "https://home.example.org/?x=1",
        "ftp://x",
    ] {
        house.setup("push", &json!({ "public_url": address })).await.unwrap_err();
    }
    assert!(house.cloud.requests().is_empty());
}

#[tokio::test]
async fn the_secret_changes_every_day_and_both_are_taken_meanwhile() {
    let house = registered().await;
    let (url, old) = registration(&house);
    let body = vectors()["push_bodies"][0].to_string();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let watch = house.driver.watch(&*house.bench, Box::pin(async { drop(stopped.await) }));
    tokio::join!(watch, async {
        breathe().await;
        house.bench.advance(Duration::from_hours(24));
        while registration(&house).1 == old {
            breathe().await;
        }
        // The old one is taken until the cloud's answer has come.
        while house.act(&Target::Account, delivery(&url, Some(&format!("Bearer {old}")), &body)).await.is_ok() {
            breathe().await;
        }
        stop.send(()).unwrap();
    });
    let (same, new) = registration(&house);
    assert_eq!(same, url);
    house.act(&Target::Account, delivery(&url, Some(&format!("Bearer {new}")), &body)).await.unwrap();
}

#[tokio::test]
async fn while_nobody_knows_which_secret_the_cloud_has_both_are_taken() {
    let house = House::signed_in(|number, body| match number {
        1 => Reply::HangUp,
        _ => cloud(number, body),
    })
    .await;
    house.setup("push", &json!({ "public_url": "https://home.example.org" })).await.unwrap();
    let (url, old) = registration(&house);
    let input = json!({ "public_url": "https://home.example.org" });
    let mut second = Box::pin(house.setup("push", &input));
    house.asked(2, &mut second).await;
    // It waits before it asks again.
    let body = vectors()["push_bodies"][0].to_string();
    let (_, new) = registration(&house);
    assert_ne!(old, new);
    drop(second);
    for secret in [&old, &new] {
        house.act(&Target::Account, delivery(&url, Some(&format!("Bearer {secret}")), &body)).await.unwrap();
    }
}
