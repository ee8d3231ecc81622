//! Events, read back and followed live.

use crate::support::{House, items};
use serde_json::{Value, json};
use std::time::Duration;

async fn unlock(house: &House, door: &str) {
    // The front door is confirmed at once, and then everything about it is written; the gate never is.
    let wait = if door == "front" { "?wait=10s" } else { "" };
    let path = format!("/api/v1/doors/{door}/actions{wait}");
    let answer = house.admin("POST", path).await.json(&json!({ "action": "unlock" })).send().await;
    assert!([200, 202].contains(&answer.status), "{}", answer.text());
}

fn ids(events: &[Value]) -> Vec<i64> {
    events.iter().map(|event| event["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn events_are_read_in_pages_without_a_gap() {
    let house = House::new().await;
    let all = items(&house.admin("GET", "/api/v1/events?after=0&limit=1000").await.send().await);
    assert_eq!(ids(&all), (1..=i64::try_from(all.len()).unwrap()).collect::<Vec<_>>());
    let mut paged = Vec::new();
    let mut after = 0;
    loop {
        let page = house.admin("GET", format!("/api/v1/events?after={after}&limit=2")).await.send().await.ok(200);
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_i64() else { break };
        after = next;
    }
    assert_eq!(paged, all);
    let newest = items(&house.admin("GET", "/api/v1/events?limit=2").await.send().await);
    assert_eq!(newest, all[all.len() - 2..]);
}

#[tokio::test]
async fn a_stream_resumes_after_its_last_event_and_goes_on_live() {
    let house = House::new().await;
    let token = house.token(&["events:read"]).await;
    let mut stream = house.ask("GET", "/api/v1/events/stream?after=0").token(&token).follow().await;
    let first = stream.event().await.unwrap();
    assert_eq!(first["id"], 1);
    drop(stream);

    unlock(&house, "front").await;
    let mut stream = house.ask("GET", "/api/v1/events/stream").token(&token).header("Last-Event-ID", "1").follow().await;
    let stored = house.web.house().store().last_event_id().await.unwrap();
    let mut seen = Vec::new();
    while seen.last() != Some(&stored) {
        seen.push(stream.event().await.unwrap()["id"].as_i64().unwrap());
    }
    unlock(&house, "gate").await;
    let live = stream.event().await.unwrap();
    assert_eq!(live["kind"], "attempt.requested");
    assert_eq!(live["door"], "gate");
    seen.push(live["id"].as_i64().unwrap());
    assert_eq!(seen, (2..=stored + 1).collect::<Vec<_>>(), "no gap, no repeat");
    house.ask("GET", "/api/v1/events/stream").token(&token).header("Last-Event-ID", "x").send().await.problem(400);
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_revoked() {
    let house = House::new().await;
    let made =
        house.admin("POST", "/api/v1/tokens").await.json(&json!({ "name": "panel", "scopes": ["events:read"] })).send().await.ok(201);
    let mut stream = house.ask("GET", "/api/v1/events/stream").token(made["secret"].as_str().unwrap()).follow().await;
    let removed = house.admin("DELETE", format!("/api/v1/tokens/{}", made["id"].as_str().unwrap())).await.send().await;
    assert_eq!(removed.status, 204);
    house.clock.advance(Duration::from_secs(1));
    stream.ended().await;
}

#[tokio::test]
async fn a_stream_shows_a_narrow_token_its_own_door_alone() {
    let house = House::new().await;
    let token = house.token(&["events:read", "doors:act:gate"]).await;
    let mut stream = house.ask("GET", "/api/v1/events/stream").token(&token).follow().await;
    unlock(&house, "front").await;
    unlock(&house, "gate").await;
    assert_eq!(stream.event().await.unwrap()["door"], "gate");
    for event in items(&house.ask("GET", "/api/v1/events?after=0").token(&token).send().await) {
        assert_eq!(event["door"], "gate");
    }
    let blind = house.token(&["doors:read"]).await;
    house.ask("GET", "/api/v1/events/stream").token(&blind).send().await.problem(403);
}

#[tokio::test]
async fn a_silent_stream_says_that_it_is_there() {
    let house = House::new().await;
    let token = house.token(&["events:read"]).await;
    let mut stream = house.ask("GET", "/api/v1/events/stream").token(&token).follow().await;
    house.while_time_passes(stream.comment()).await;
    house.while_time_passes(stream.comment()).await;
}
