//! People with codes at a lock.

use std::time::Duration;

use doorward_sim::utec::{Fault, Faults, On, Sim};
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::{FRONT, start};

async fn ask(client: &Client, name: &str, arguments: Value) -> Answer {
    let mut command = json!({ "capability": "st.lockUser", "name": name });
    if !arguments.is_null() {
        command["arguments"] = arguments;
    }
    let payload = json!({ "devices": [{ "id": FRONT, "command": command }] });
    client.action("Uhome.Device", "Command", payload).await.expect("an answer")
}

async fn list(client: &Client) -> Value {
    ask(client, "list", Value::Null).await.json()["payload"]["devices"][0]["users"].clone()
}

async fn ready() -> (Sim, std::sync::Arc<doorward_sim::HandClock>, Client) {
    let (sim, clock) = start(|_| {}).await;
    let client = Client::new(&sim);
    (sim, clock, client)
}

#[tokio::test]
async fn a_person_comes_changes_and_goes() {
    let (sim, clock, client) = ready().await;
    let added = ask(&client, "add", json!({ "name": "Ada", "type": 0, "password": 4711 })).await.json();
    assert_eq!(added["payload"]["devices"][0]["states"][0]["capability"], "st.deferredResponse");
    assert_eq!(list(&client).await, json!([{ "id": 1001, "name": "Ada", "type": 0, "status": 1, "sync_status": 0 }]));
    clock.advance(Duration::from_secs(3));
    assert_eq!(list(&client).await[0]["sync_status"], 1);

    assert_eq!(ask(&client, "update", json!({ "id": 1001, "name": "Ada L." })).await.status, 200);
    let one = ask(&client, "get", json!({ "id": 1001 })).await.json()["payload"]["devices"][0]["user"].clone();
    assert_eq!((&one["name"], &one["password"]), (&json!("Ada L."), &json!(4711)), "what is not named stays");

    assert_eq!(ask(&client, "delete", json!({ "id": 1001 })).await.status, 200);
    assert_eq!(list(&client).await[0]["status"], 0, "listed until the lock knows");
    assert_eq!(sim.lock(FRONT).users, 0);
    clock.advance(Duration::from_secs(3));
    assert_eq!(list(&client).await, json!([]));
    assert_eq!(ask(&client, "delete", json!({ "id": 1001 })).await.status, 400);
    assert_eq!(sim.counters().users, 9);
    assert_eq!(sim.lock(FRONT).commands_received, 0, "the bolt has nothing to do with it");
}

#[tokio::test]
async fn a_temporary_person_needs_a_schedule() {
    let (_sim, _clock, client) = ready().await;
    let mut guest = json!({
        "name": "Guest", "type": 2, "password": 123_456,
        "daterange": ["2026-07-01 15:00", "2026-07-03 11:00"],
        "weeks": [0, 1, 2, 3, 4, 5, 6], "timerange": ["00:00", "23:59"], "limit": 0,
    });
    assert_eq!(ask(&client, "add", json!({ "user": guest })).await.status, 200);
    guest["daterange"][0] = json!("2026-07-01T15:00:00Z");
    assert_eq!(ask(&client, "add", guest.clone()).await.status, 400);
    guest.as_object_mut().expect("an object").remove("daterange");
    assert_eq!(ask(&client, "add", guest).await.status, 400);
}

#[tokio::test]
async fn a_code_is_an_integer_of_four_to_eight_digits() {
    let (sim, _clock, client) = ready().await;
    for password in [json!("4711"), json!(471), json!(471_147_110), json!(47.11), json!(null)] {
        let answer = ask(&client, "add", json!({ "name": "Ada", "type": 0, "password": password })).await;
        assert_eq!(answer.status, 400, "{password}");
    }
    assert_eq!(sim.counters().malformed, 5);
    assert_eq!(list(&client).await, json!([]));
}

#[tokio::test]
async fn a_fault_for_people_leaves_the_bolt_alone() {
    let (sim, _clock, client) = ready().await;
    sim.set_faults(Faults { server_error: Some(Fault::with(500).on(On::Users)), ..Faults::default() });
    assert_eq!(ask(&client, "list", Value::Null).await.status, 500);
    assert_eq!(client.command(FRONT, "lock").await.expect("an answer").status, 200);
}
