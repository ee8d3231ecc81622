//! What is sent, and what becomes of answers.

use crate::{
    house::{BACK, FRONT, House, breathe, door, fine, vectors},
    recorder::{Reply, held, reply},
};
use doorward_core::driver::{Action, Ctx, Family, How, Target};
use doorward_wire::{attempt::Reason, door::DoorState};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// The body with its message id, which must be a UUID of version 4, replaced by the word of the vectors.
fn plain(mut body: Value) -> Value {
    let id: uuid::Uuid = body["header"]["messageId"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 4);
    body["header"]["messageId"] = json!("<uuid4>");
    body
}

fn listing(ids: &[&str]) -> Value {
    let devices: Vec<Value> =
        ids.iter().map(|id| json!({ "id": id, "name": id, "category": "SmartLock", "handleType": "utec-lock" })).collect();
    json!({ "payload": { "devices": devices } })
}

fn is(body: &Value, name: &str) -> bool {
    body["header"]["name"] == name
}

#[tokio::test]
async fn requests_are_those_of_the_vectors() {
    let house = House::signed_in(|_, body| {
        if is(body, "Discovery") { reply(200, &listing(&[FRONT, BACK])) } else { reply(200, &vectors()["query_response_example"]) }
    })
    .await;
    house.act(&Target::Account, Action::Discover).await.unwrap();
    house.act(&Target::Account, Action::Refresh).await.unwrap();
    let requests = house.cloud.requests();
    assert_eq!(requests.len(), 2);
    for (request, name) in requests.iter().zip(["discovery", "query"]) {
        let vector = &vectors()[name][0];
        assert_eq!(request.method, vector["method"]);
        assert_eq!(request.path, vector["path"]);
        for (header, value) in vector["headers"].as_object().unwrap() {
            assert_eq!(request.headers.get(header).map(String::as_str), value.as_str(), "{header}");
        }
        assert_eq!(plain(request.json()), vector["body"]);
        assert!(request.headers["user-agent"].starts_with("doorward/"));
    }
    let ids: Vec<Value> = requests.iter().map(|request| request.json()["header"]["messageId"].clone()).collect();
    assert_ne!(ids[0], ids[1], "a message id is used once");
}

#[tokio::test]
async fn every_shape_is_tried_in_order_when_each_is_refused() {
    for (list, unlock) in [("lock_attempts_when_each_is_refused", false), ("unlock_attempts_when_each_is_refused", true)] {
        let house = House::signed_in(|_, _| reply(400, &json!({ "error": { "code": "NOT_SUPPORTED" } }))).await;
        let outcome = if unlock { house.unlock().await } else { house.lock().await };
        let fault = outcome.unwrap_err();
        assert_eq!((fault.family, fault.status), (Family::Refused, Some(400)));
        let sent: Vec<Value> = house.cloud.bodies().into_iter().map(plain).collect();
        assert_eq!(Value::from(sent), vectors()[list]);
    }
}

#[tokio::test]
async fn the_shape_that_was_taken_is_used_first_the_next_time_and_after_a_restart() {
    // This cloud takes the fifth shape alone.
    let house = House::signed_in(|_, body| {
        let value = &body["payload"]["devices"][0]["actions"][0]["value"];
        if value["targetState"].is_string() && body["payload"]["devices"][0]["actions"][0]["name"] == "Lock" {
            fine(0, body)
        } else {
            reply(400, &json!({}))
        }
    })
    .await;
    house.lock().await.unwrap();
    assert_eq!(house.cloud.requests().len(), 5);
    house.unlock().await.unwrap();
    assert_eq!(house.cloud.requests().len(), 6, "one request for the second command");
    assert_eq!(plain(house.cloud.bodies()[5].clone()), vectors()["unlock_attempts_when_each_is_refused"][4]);
    let again = house.restarted();
    again.act(&*house.bench, &door(FRONT), Action::Unlock(house.once())).await.unwrap();
    assert_eq!(house.cloud.requests().len(), 7);
}

#[tokio::test]
async fn a_shape_that_cannot_be_remembered_does_not_fail_the_command() {
    let house = House::signed_in(|number, body| if number == 0 { reply(400, &json!({})) } else { fine(0, body) }).await;
    house.bench.break_store(true);
    house.unlock().await.unwrap();
    assert_eq!(house.cloud.requests().len(), 2);
}

/// How a cloud fails, and the status that is told.
type Failing = (fn() -> Reply, Option<u16>);

#[tokio::test]
async fn an_unlock_whose_outcome_nobody_knows_is_not_sent_again() {
    let html = || Reply::Answer(200, String::new(), b"<html>".to_vec());
    let answers: [Failing; 7] = [
        (|| reply(500, &json!({})), Some(500)),
        (|| reply(503, &json!({})), Some(503)),
        (|| reply(408, &json!({})), Some(408)),
        (|| Reply::HangUp, None),
        (|| Reply::Half(200), Some(200)),
        (html, Some(200)),
        (|| Reply::Answer(302, "location: http://127.0.0.1:1/\r\n".into(), Vec::new()), Some(302)),
    ];
    for (answer, status) in answers {
        let house = House::signed_in(move |_, _| answer()).await;
        let fault = house.unlock().await.unwrap_err();
        assert_eq!((fault.family, fault.reason, fault.status), (Family::Timeout, Some(Reason::OutcomeUnknown), status), "{fault}");
        assert_eq!(house.cloud.requests().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_ends_after_twenty_seconds() {
    let house = House::signed_in(|_, _| Reply::Silence).await;
    let mut unlock = Box::pin(house.unlock());
    house.asked(1, &mut unlock).await;
    house.bench.advance(Duration::from_secs(19));
    tokio::select! { biased; _ = &mut unlock => panic!("too early"), () = breathe() => {} }
    house.bench.advance(Duration::from_secs(1));
    assert_eq!(unlock.await.unwrap_err().family, Family::Timeout);
    assert_eq!(house.cloud.requests().len(), 1);
}

#[tokio::test]
async fn nothing_is_sent_without_a_connection() {
    let house = House::signed_in(fine).await;
    let driver = crate::house::build(&crate::house::settings("http://127.0.0.1:1"));
    let fault = driver.act(&*house.bench, &door(FRONT), Action::Unlock(house.once())).await.unwrap_err();
    assert_eq!((fault.family, fault.reason), (Family::Offline, Some(Reason::Offline)), "{fault}");
}

#[tokio::test]
async fn an_error_in_200_is_a_refusal_and_no_reason_for_another_shape() {
    for body in [
        json!({ "payload": { "error": { "code": "DEVICE_OFFLINE", "message": "device is offline" } } }),
        json!({ "error": { "code": "DEVICE_OFFLINE" } }),
    ] {
        let house = House::signed_in(move |_, _| reply(200, &body)).await;
        let fault = house.unlock().await.unwrap_err();
        assert_eq!((fault.family, fault.status), (Family::Refused, Some(502)));
        assert!(fault.person.contains("DEVICE_OFFLINE"), "{}", fault.person);
        assert_eq!(house.cloud.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_device_of_an_answer_can_be_refused_alone() {
    let house =
        House::signed_in(|_, _| reply(200, &json!({ "payload": { "devices": [{ "id": FRONT, "error": { "code": "LOCKOUT" } }] } }))).await;
    assert_eq!(house.unlock().await.unwrap_err().family, Family::Refused);
}

#[tokio::test]
async fn an_empty_success_is_one() {
    let house = House::signed_in(|_, _| Reply::Answer(204, String::new(), Vec::new())).await;
    let done = house.unlock().await.unwrap();
    assert_eq!((done.raw, done.sight), (None, None), "a vendor's OK says nothing about the door");
}

#[tokio::test]
async fn too_many_requests_are_told_for_an_unlock() {
    let house = House::signed_in(|_, _| Reply::Answer(429, "retry-after: 7\r\n".into(), Vec::new())).await;
    let fault = house.unlock().await.unwrap_err();
    assert_eq!((fault.family, fault.status, fault.retry_after), (Family::Refused, Some(429), Some(Duration::from_secs(7))));
    assert_eq!(house.cloud.requests().len(), 1);
}

#[tokio::test]
async fn a_lock_command_waits_as_long_as_it_is_asked_to_and_comes_again() {
    let house = House::signed_in(
        |number, body| if number == 0 { Reply::Answer(429, "retry-after: 3\r\n".into(), Vec::new()) } else { fine(0, body) },
    )
    .await;
    let mut lock = Box::pin(house.lock());
    house.sleeps(Duration::from_secs(3), Duration::from_secs(3), &mut lock).await;
    house.bench.advance(Duration::from_millis(2900));
    tokio::select! { biased; _ = &mut lock => panic!("too early"), () = breathe() => {} }
    assert_eq!(house.cloud.requests().len(), 1);
    house.bench.advance(Duration::from_millis(100));
    lock.await.unwrap();
    assert_eq!(house.cloud.requests().len(), 2);
}

#[tokio::test]
async fn a_lock_command_that_may_have_arrived_is_not_called_stale() {
    let house = House::signed_in(|_, _| reply(503, &json!({}))).await;
    let mut lock = Box::pin(house.lock());
    house.sleeps(Duration::ZERO, Duration::from_secs(1), &mut lock).await;
    house.bench.advance(Duration::from_secs(11));
    let fault = lock.await.unwrap_err();
    assert_eq!((fault.family, fault.reason), (Family::Timeout, Some(Reason::OutcomeUnknown)), "{fault}");
    assert_eq!(house.cloud.requests().len(), 1);
}

#[tokio::test]
async fn a_longer_wait_than_half_a_minute_is_not_sat_out() {
    let house = House::signed_in(|_, _| Reply::Answer(429, "retry-after: 60\r\n".into(), Vec::new())).await;
    let fault = house.act(&door(FRONT), Action::Refresh).await.unwrap_err();
    assert_eq!((fault.family, fault.retry_after), (Family::Refused, Some(Duration::from_mins(1))));
}

#[tokio::test]
async fn a_query_comes_again_after_an_outage_and_stops_in_time() {
    let house = House::signed_in(|_, _| reply(503, &json!({}))).await;
    let begun = house.bench.now().mono;
    let mut look = Box::pin(house.driver.act(&*house.bench, &Target::Account, Action::Discover));
    // Waits before repeats are short, the limit of a request is not.
    let short = Duration::from_secs(10);
    let fault = loop {
        tokio::select! { biased; outcome = &mut look => break outcome.unwrap_err(), () = breathe() => {} }
        let now = house.bench.now().mono;
        if let Some(wake) = house.bench.next_wake().filter(|wake| wake.since(now) <= short) {
            house.bench.advance(wake.since(now));
        }
    };
    assert_eq!((fault.family, fault.status), (Family::Offline, Some(503)));
    let requests = house.cloud.requests().len();
    assert_eq!(requests, 5, "four repeats");
    assert!(house.bench.now().mono.since(begun) < Duration::from_secs(31));
}

#[tokio::test]
async fn a_command_that_became_stale_during_the_renewal_is_not_sent_again() {
    let gate = Arc::new(Notify::new());
    let closed = Arc::clone(&gate);
    let house = House::signed_in(move |_, body| {
        if body.get("form").is_none() {
            return reply(401, &json!({}));
        }
        held(&closed, reply(200, &vectors()["oauth_answers"]["standard"]))
    })
    .await;
    let mut unlock = Box::pin(house.unlock());
    house.asked(2, &mut unlock).await;
    house.bench.advance(Duration::from_secs(11));
    gate.notify_one();
    let fault = unlock.await.unwrap_err();
    assert_eq!((fault.family, fault.reason), (Family::Refused, Some(Reason::StaleCommand)));
    assert_eq!(house.cloud.bodies().len(), 1);
}

#[tokio::test]
async fn a_look_at_one_lock_tells_its_state() {
    let house = House::signed_in(|_, _| reply(200, &vectors()["query_response_example"])).await;
    let done = house.act(&door(FRONT), Action::Refresh).await.unwrap();
    let sight = done.sight.unwrap();
    assert_eq!((sight.state, sight.online, sight.battery, sight.contact_open), (Some(DoorState::Unlocked), Some(true), Some(100), None));
    assert_eq!(sight.how, How::Polled { requested: house.bench.now().mono });
    assert_eq!(done.raw.unwrap(), vectors()["query_response_example"]);
    assert_eq!(house.cloud.bodies()[0]["payload"], json!({ "devices": [{ "id": FRONT }] }));
    // A lock that the answer leaves out is no lock that is unlocked.
    let fault = house.act(&door("other"), Action::Refresh).await.unwrap_err();
    assert_eq!(fault.family, Family::Protocol);
}

#[tokio::test]
async fn custom_data_of_the_listing_goes_back_with_each_request() {
    let house = House::signed_in(|_, body| {
        if is(body, "Discovery") {
            reply(200, &json!({ "payload": { "devices": [{ "id": FRONT, "category": "LOCK", "customData": { "userId": 123 } }] } }))
        } else {
            fine(0, body)
        }
    })
    .await;
    house.act(&Target::Account, Action::Discover).await.unwrap();
    house.unlock().await.unwrap();
    assert_eq!(house.cloud.bodies()[1]["payload"]["devices"][0]["customData"], json!({ "userId": 123 }));
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let house = House::signed_in(|_, _| Reply::Answer(200, String::new(), vec![b' '; 3 << 20])).await;
    assert_eq!(house.unlock().await.unwrap_err().family, Family::Timeout);
}

#[tokio::test]
async fn support_calls_give_the_clouds_own_json() {
    let house =
        House::signed_in(
            |_, body| if is(body, "Get") { reply(200, &json!({ "payload": { "user": { "id": "x" } } })) } else { fine(0, body) },
        )
        .await;
    let done = house.act(&Target::Account, Action::Call("whoami".into())).await.unwrap();
    assert_eq!(done.output["payload"]["user"]["id"], "x");
    assert_eq!(house.cloud.bodies()[0]["header"]["namespace"], "Uhome.User");
    for call in ["devices", "status"] {
        house.act(&Target::Account, Action::Call(call.into())).await.unwrap();
    }
    house.act(&Target::Account, Action::Call("format".into())).await.unwrap_err();
}
