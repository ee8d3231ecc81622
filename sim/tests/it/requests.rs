//! What a client may send, and what it is told.

use axum::http::Method;
use doorward_sim::utec::{Behaviour, Faults, IdName, Position, Wrapping};
use serde_json::{Value, json};
use std::time::Duration;

use crate::client::{Client, message_id, send};
use crate::{FRONT, GARDEN, WORKSHOP, start};

const TRAVEL: Duration = Duration::from_millis(1500);

/// The requests of the original client, as it wrote them.
fn vectors() -> Value {
    serde_json::from_str(include_str!("utec.json")).expect("vectors")
}

/// A vector's body with a fresh id.
fn fresh(body: &Value) -> Value {
    let mut body = body.clone();
    body["header"]["messageId"] = json!(message_id());
    body
}

#[tokio::test]
async fn discovery_and_query_are_accepted_as_the_original_writes_them() {
    let (sim, _) = start(|_| {}).await;
    let tokens = sim.grant();
    for name in ["discovery", "query"] {
        let vector = &vectors()[name][0];
        let mut headers: Vec<(String, String)> = Vec::new();
        for (header, value) in vector["headers"].as_object().expect("headers") {
            let value = value.as_str().expect("a text");
            let value = value.replace("AT", &tokens.access_token).replace("AK", "sim-access-key").replace("SK", "sim-secret-key");
            headers.push((header.clone(), value));
        }
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let path = vector["path"].as_str().expect("a path");
        let answer = send(sim.addr(), Method::POST, path, &headers, fresh(&vector["body"]).to_string()).await.expect("an answer");
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.json()["payload"]["devices"].as_array().is_some_and(|devices| devices.len() >= 2));
    }
    let counters = sim.counters();
    assert_eq!((counters.discovery, counters.query, counters.malformed), (1, 1, 0));
}

#[tokio::test]
async fn of_the_seven_ways_to_lock_a_cloud_takes_one() {
    for (list, moved) in
        [("unlock_attempts_when_each_is_refused", Position::Unlocked), ("lock_attempts_when_each_is_refused", Position::Locked)]
    {
        for accepted in 0..7_u8 {
            let (sim, clock) = start(|_| {}).await;
            let client = Client::new(&sim);
            if moved == Position::Locked {
                sim.turn(FRONT, doorward_sim::utec::Bolt::Unlocked);
            }
            let before = sim.lock(FRONT);
            sim.set_faults(Faults { control_only: accepted.checked_sub(1), ..Faults::default() });
            let vectors = vectors();
            for (index, body) in vectors[list].as_array().expect("attempts").iter().enumerate() {
                let answer = client.post(&fresh(body)).await.expect("an answer");
                let taken = index == usize::from(accepted);
                assert_eq!(answer.status, if taken { 200 } else { 400 }, "{list} {index}, accepting {accepted}");
            }
            clock.advance(TRAVEL);
            let lock = sim.lock(FRONT);
            assert_eq!(lock.position, moved);
            assert_eq!(lock.commands_received, before.commands_received + 1);
            let counters = sim.counters();
            assert_eq!((counters.command, counters.command_accepted, counters.command_refused), (7, 1, 6));
            assert_eq!(counters.malformed, 0);
        }
    }
}

#[tokio::test]
async fn an_answer_to_query_is_written_like_the_example() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    sim.turn(GARDEN, doorward_sim::utec::Bolt::Unlocked);
    let answer = client.query(GARDEN).await.expect("an answer").json();
    let mut expected = vectors()["query_response_example"]["payload"].clone();
    expected["devices"][0]["id"] = json!(GARDEN);
    assert_eq!(answer["payload"], expected);
}

#[tokio::test]
async fn a_door_contact_is_reported_where_there_is_one() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    assert_eq!(client.state(FRONT, "st.doorSensor", "sensorState").await, "closed");
    sim.set_door(FRONT, true);
    assert_eq!(client.state(FRONT, "st.doorSensor", "sensorState").await, "open");
    sim.set_door(GARDEN, true);
    assert_eq!(client.state(GARDEN, "st.doorSensor", "sensorState").await, Value::Null);
}

#[tokio::test]
async fn a_liar_says_yes_and_stays_where_it_is() {
    let (sim, clock) = start(|_| {}).await;
    let client = Client::new(&sim);
    let answer = client.command(GARDEN, "unlock").await.expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["payload"]["devices"][0]["states"][0]["capability"], "st.deferredResponse");
    clock.advance(TRAVEL * 10);
    assert_eq!(client.state(GARDEN, "st.lock", "lockState").await, "Locked");
    let lock = sim.lock(GARDEN);
    assert_eq!((lock.commands_received, lock.times_moved, lock.times_opened), (1, 0, 0));
}

#[tokio::test]
async fn the_workshop_jams_at_every_fifth_command() {
    let (sim, clock) = start(|_| {}).await;
    let client = Client::new(&sim);
    for nth in 1..=10 {
        client.command(WORKSHOP, if nth % 2 == 0 { "lock" } else { "unlock" }).await.expect("an answer");
        clock.advance(TRAVEL);
        let jammed = client.state(WORKSHOP, "st.lock", "lockState").await == "Jammed";
        assert_eq!(jammed, nth % 5 == 0, "command {nth}");
    }
}

#[tokio::test]
async fn while_the_bolt_travels_the_cloud_reports_where_it_came_from() {
    let (sim, clock) = start(|_| {}).await;
    let client = Client::new(&sim);
    client.command(FRONT, "unlock").await.expect("an answer");
    assert!(sim.lock(FRONT).moving);
    assert_eq!(client.state(FRONT, "st.lock", "lockState").await, "Locked");
    clock.advance(TRAVEL);
    assert_eq!(client.state(FRONT, "st.lock", "lockState").await, "Unlocked");
}

#[tokio::test]
async fn a_behaviour_can_be_changed_while_it_runs() {
    let (sim, clock) = start(|_| {}).await;
    let client = Client::new(&sim);
    sim.set_behaviour(FRONT, Behaviour::Reverts { after_ms: 2000 });
    client.command(FRONT, "unlock").await.expect("an answer");
    clock.advance(TRAVEL);
    assert_eq!(client.state(FRONT, "st.lock", "lockState").await, "Unlocked");
    clock.advance(Duration::from_secs(2));
    assert_eq!(client.state(FRONT, "st.lock", "lockState").await, "Locked");
}

#[tokio::test]
async fn an_unreachable_or_unknown_lock_refuses_in_a_200() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    sim.set_online(FRONT, false);
    assert_eq!(client.state(FRONT, "st.healthCheck", "status").await, "Offline");
    for (id, code) in [(FRONT, "DEVICE_OFFLINE"), ("00:00:00:00:00:00", "DEVICE_NOT_FOUND")] {
        let answer = client.command(id, "unlock").await.expect("an answer");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["payload"]["error"]["code"], code);
    }
    assert_eq!(sim.lock(FRONT).commands_received, 0);
    let unknown = client.query("00:00:00:00:00:00").await.expect("an answer");
    assert_eq!(unknown.json()["payload"]["devices"], json!([]));
}

#[tokio::test]
async fn every_header_is_looked_at() {
    let (sim, _) = start(|_| {}).await;
    let bearer = format!("Bearer {}", sim.grant().access_token);
    let right = [
        ("authorization", bearer.as_str()),
        ("x-access-key", "sim-access-key"),
        ("x-secret-key", "sim-secret-key"),
        ("x-scope", "openapi"),
        ("accept", "application/json"),
        ("content-type", "application/json"),
    ];
    let body = || fresh(&vectors()["discovery"][0]["body"]).to_string();
    for (index, status) in [401, 401, 401, 400, 400, 400].into_iter().enumerate() {
        for wrong in [None, Some("wrong")] {
            let mut headers = right.to_vec();
            match wrong {
                None => drop(headers.remove(index)),
                Some(wrong) => headers[index].1 = wrong,
            }
            let answer = send(sim.addr(), Method::POST, "/action", &headers, body()).await.expect("an answer");
            assert_eq!(answer.status, status, "{} {wrong:?}", right[index].0);
        }
    }
    let answer = send(sim.addr(), Method::POST, "/action", &right, body()).await.expect("an answer");
    assert_eq!(answer.status, 200);
    let counters = sim.counters();
    assert_eq!((counters.unauthorized, counters.malformed), (6, 6));
}

#[tokio::test]
async fn a_malformed_request_is_refused_and_counted() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    let good = fresh(&vectors()["query"][0]["body"]);
    let spoil = |pointer: &str, value: Value| {
        let mut body = good.clone();
        *body.pointer_mut(pointer).expect("a place") = value;
        body
    };
    let wrong = [
        spoil("/header/payloadVersion", json!(1)),
        spoil("/header/messageId", json!("not-a-uuid")),
        spoil("/header/messageId", json!("c232ab00-9414-11ec-b3c8-9f68deced846")),
        spoil("/header/name", json!("Ask")),
        spoil("/payload", json!([])),
        spoil("/payload/devices", json!([])),
        spoil("/payload/devices/0", json!(FRONT)),
        json!("not an object"),
    ];
    for body in &wrong {
        let answer = client.post(body).await.expect("an answer");
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.json()["payload"]["error"]["code"], "BAD-REQUEST");
    }
    assert_eq!(sim.counters().malformed, wrong.len() as u64);
}

#[tokio::test]
async fn a_message_id_that_is_used_again_is_noticed() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    let body = fresh(&vectors()["query"][0]["body"]);
    for _ in 0..2 {
        assert_eq!(client.post(&body).await.expect("an answer").status, 200);
    }
    assert_eq!(sim.counters().repeated_message_ids, 1);
}

#[tokio::test]
async fn the_account_knows_who_it_is() {
    let (sim, _) = start(|_| {}).await;
    let answer = Client::new(&sim).action("Uhome.User", "Get", json!({})).await.expect("an answer");
    assert_eq!(answer.json()["payload"]["user"]["id"], "sim-user-1");
}

#[tokio::test]
async fn states_come_in_all_shapes_that_were_seen() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    let device = async |faults: Faults| {
        sim.set_faults(faults);
        client.query(FRONT).await.expect("an answer").json()["payload"]["devices"][0].clone()
    };
    let one = device(Faults { states_as_object: true, ..Faults::default() }).await;
    assert_eq!(one["states"], json!({ "capability": "st.lock", "name": "lockState", "value": "Locked" }));
    let other_words = device(Faults { state_not_states: true, attribute_not_name: true, ..Faults::default() }).await;
    assert_eq!(other_words["state"][1], json!({ "capability": "st.lock", "attribute": "lockState", "value": "Locked" }));
    let small = device(Faults { lower_case: true, ..Faults::default() }).await;
    assert_eq!(small["states"][3], json!({ "capability": "st.batterylevel", "name": "level", "value": 5 }));
    assert_eq!(small["states"][1]["value"], "locked");
}

#[tokio::test]
async fn discovery_comes_in_all_shapes_that_were_seen() {
    let (sim, _) = start(|_| {}).await;
    let client = Client::new(&sim);
    let discover = async |discovery_shape, discovery_id| {
        sim.set_faults(Faults { discovery_shape, discovery_id, ..Faults::default() });
        client.action("Uhome.Device", "Discovery", json!({})).await.expect("an answer").json()
    };
    let usual = discover(Wrapping::PayloadDevices, IdName::Id).await;
    assert_eq!(usual["payload"]["devices"][0]["id"], FRONT);
    assert_eq!(usual["payload"]["devices"][0]["deviceInfo"]["manufacturer"], "U-tec");
    let top = discover(Wrapping::TopLevelDevices, IdName::DeviceId).await;
    assert_eq!(top["devices"][1]["device_id"], GARDEN);
    let bare = discover(Wrapping::BareList, IdName::SerialNo).await;
    assert_eq!(bare[2]["serial_no"], WORKSHOP);
    let list = discover(Wrapping::PayloadList, IdName::Id).await;
    assert_eq!(list["payload"][0]["id"], FRONT);
}
