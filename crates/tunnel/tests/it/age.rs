//! Messages that are old, were there before, or are our own.

use crate::support::{House, THEN, seal_with, somebody};
use doorward_core::Secret;
use doorward_wire::event::EventKind;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_message_that_is_too_old_or_too_new_is_refused() {
    let house = House::new().await;
    let phone = house.usual_phone().await;
    let list = json!({ "service": "doors", "action": "list" });
    for (timestamp, status) in [
        (json!(THEN), 200),
        (json!(THEN - 60), 200),
        (json!(THEN + 60), 200),
        (json!(1_764_197_216.5), 200),
        (json!(THEN - 61), 403),
        (json!(1_764_197_155.99), 403),
        (json!(THEN + 61), 403),
        (json!(null), 403),
        (json!("1764197216"), 403),
        (json!(true), 403),
        (json!(1e300), 403),
        (json!(-1), 403),
    ] {
        let said = phone.ask(list.clone(), timestamp.clone()).await;
        assert_eq!(said.status, status, "{timestamp}");
        if status == 403 {
            assert_eq!(said.body, json!("{\"error\": \"Request expired\"}"));
        }
    }
    // At this route the original tells it as an object.
    let publish = json!({ "topic": "a", "message": "b" });
    let said = phone.told("/mqtt/publish", phone.message(publish, THEN - 61)).await;
    assert_eq!((said.status, said.body), (403, json!({ "error": "Request expired" })));
    let mut stream = phone.listen("a", THEN - 61).await;
    assert_eq!(stream.next().await.unwrap(), json!({ "type": "error", "message": "Request expired", "timestamp": THEN }));
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_message_sent_twice_is_done_once() {
    let house = House::new().await;
    let phone = house.usual_phone().await;
    let unlock = phone.message(json!({ "service": "doors", "action": "unlock", "door": "front" }), THEN);
    assert_eq!(phone.told("/gateway", unlock.clone()).await.status, 200);
    for wait in [0, 1, 30, 29] {
        house.clock.advance(Duration::from_secs(wait));
        let said = phone.told("/gateway", unlock.clone()).await;
        assert_eq!((said.status, said.error().as_str()), (409, "Replayed request"), "after {wait} s more");
    }
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(phone.told("/gateway", unlock).await.status, 403, "by now it is too old");
    assert_eq!(house.events(EventKind::AttemptRequested).await.len(), 1);
}

#[tokio::test]
async fn a_replay_at_another_route_is_refused() {
    let house = House::new().await;
    let phone = house.usual_phone().await;
    let publish = phone.message(json!({ "service": "mqtt", "topic": "a", "message": "b" }), THEN);
    assert_eq!(phone.told("/mqtt/publish", publish.clone()).await.status, 200);
    assert_eq!(phone.told("/gateway", publish.clone()).await.status, 409);
    assert_eq!(phone.stream(publish).await.next().await.unwrap()["message"], "Replayed request");
    let listen = phone.message(json!({ "topic": "a", "message": "b" }), THEN);
    assert_eq!(phone.stream(listen.clone()).await.next().await.unwrap()["type"], "connected");
    assert_eq!(phone.told("/mqtt/publish", listen).await.status, 409);
}

#[tokio::test]
async fn a_nonce_that_was_used_counts_whatever_is_sealed_under_it() {
    let house = House::new().await;
    let secret = [9; 32];
    house.tunnel.add_key_with("phone", None, &Secret::new(secret), &house.tunnel.first_scopes(), &somebody()).await.unwrap();
    let phone = crate::support::Phone::new(house.address(), secret);
    let message =
        |at: i64| seal_with(&secret, [1; 12], json!({ "service": "doors", "action": "list", "timestamp": at }).to_string().as_bytes());
    assert_eq!(phone.told("/gateway", message(THEN)).await.status, 200);
    assert_eq!(phone.told("/gateway", message(THEN + 1)).await.status, 409);
}

#[tokio::test]
async fn a_replay_after_a_restart_is_refused() {
    let house = House::new().await;
    let phone = house.usual_phone().await;
    let list = || json!({ "service": "doors", "action": "list" });
    let before = phone.message(list(), THEN);
    let never_sent = phone.message(list(), THEN + 3);
    assert_eq!(phone.told("/gateway", before.clone()).await.status, 200);
    let house = house.restart(doorward_tunnel::Options::default()).await;
    let phone = phone.at(house.address());
    assert_eq!(phone.told("/gateway", before).await.status, 409);
    assert_eq!(phone.told("/gateway", never_sent).await.status, 409, "nobody knows whether it was there");
    house.clock.advance(Duration::from_secs(6));
    assert_eq!(phone.ask(list(), THEN + 6).await.status, 200, "what is newer goes on");
}

#[tokio::test]
async fn our_own_answers_sent_back_are_refused() {
    let house = House::new().await;
    let phone = house.usual_phone().await;
    let (_, _, answer) = phone.post("/gateway", phone.message(json!({ "service": "doors", "action": "list" }), THEN)).await;
    let mut stream = phone.listen("a/#", THEN).await;
    let connected = stream.raw().await.unwrap();
    phone.ask(json!({ "service": "mqtt", "topic": "a/b", "message": "{\"service\":\"doors\"}" }), THEN).await;
    let message = stream.raw().await.unwrap();
    for ours in [answer, connected[6..].to_owned(), message[6..].to_owned()] {
        assert!(phone.open(&ours).is_some());
        let said = phone.told("/gateway", ours.clone()).await;
        assert_eq!((said.status, said.error().as_str()), (403, "This is an answer, not a request"));
        assert_eq!(phone.told("/mqtt/publish", ours.clone()).await.status, 403);
        assert_eq!(phone.stream(ours).await.next().await.unwrap()["type"], "error");
    }
    // A message that somebody dresses up as one of ours and as a request is neither.
    let both = json!({ "type": "message", "service": "doors", "action": "unlock", "door": "front" });
    assert_eq!(phone.ask(both, THEN).await.status, 403);
    let both = json!({ "status": 200, "body": "", "service": "doors", "action": "unlock", "door": "front" });
    assert_eq!(phone.ask(both, THEN).await.status, 403);
    assert!(house.events(EventKind::AttemptRequested).await.is_empty());
}

#[tokio::test]
async fn an_opening_older_than_ten_seconds_opens_nothing() {
    let house = House::new().await;
    let mut scopes = house.tunnel.first_scopes();
    scopes.mqtt_publish = vec!["doorward/door/+/set".into()];
    let phone = house.phone("phone", &scopes).await;
    let unlock = json!({ "service": "doors", "action": "unlock", "door": "front" });
    for timestamp in [THEN - 11, THEN + 11] {
        let said = phone.ask(unlock.clone(), timestamp).await;
        assert_eq!((said.status, said.error().as_str()), (403, "Request expired"));
    }
    let set = json!({ "service": "mqtt", "topic": "doorward/door/front/set", "message": "UNLOCK" });
    assert_eq!(phone.ask(set.clone(), THEN - 11).await.status, 403);
    assert!(house.events(EventKind::AttemptRequested).await.is_empty());
    assert_eq!(phone.ask(json!({ "service": "doors", "action": "lock", "door": "front" }), THEN - 11).await.status, 200);
    assert_eq!(phone.ask(unlock, THEN - 10).await.status, 200);
    house.clock.advance(Duration::from_secs(3));
    assert_eq!(phone.ask(set, THEN).await.status, 200);
    house.until(async |house| house.events(EventKind::AttemptRequested).await.len() == 3).await;
}
