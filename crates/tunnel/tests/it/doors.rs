//! Doors through the tunnel.

use crate::support::{House, THEN};
use doorward_wire::{
    attempt::ActorKind,
    event::EventKind,
    tunnel::{Scopes, Service},
};
use serde_json::{Value, json};

fn doors(doors: &[&str]) -> Scopes {
    Scopes { services: vec![Service::Doors], doors: doors.iter().map(|door| (*door).to_owned()).collect(), ..Scopes::default() }
}

fn act(action: &str, door: &str) -> Value {
    json!({ "service": "doors", "action": action, "door": door })
}

#[tokio::test]
async fn a_phone_sees_and_moves_the_doors_of_its_key_and_no_others() {
    let house = House::new().await;
    let phone = house.phone("anna", &doors(&["front", "gate"])).await;
    let list = phone.ask(json!({ "service": "doors", "action": "list" }), THEN).await;
    let ids: Vec<&str> = list.body["doors"].as_array().unwrap().iter().map(|door| door["id"].as_str().unwrap()).collect();
    assert_eq!((list.status, ids), (200, vec!["front", "gate"]));
    let status = phone.ask(act("status", "front"), THEN).await;
    assert_eq!((status.status, &status.body["state"]), (200, &json!("locked")));
    let unlocked = phone.ask(act("unlock", "front"), THEN).await;
    assert_eq!((unlocked.status, &unlocked.body["state"]), (200, &json!("confirmed")));
    for action in ["status", "open", "unlock", "lock"] {
        for door in ["attic", "cellar", "nowhere", "../front", "Front Door", ""] {
            let said = phone.ask(act(action, door), THEN).await;
            assert_eq!((said.status, said.error().as_str()), (404, "Unknown door"), "{action} {door}");
        }
    }
    let requested = house.events(EventKind::AttemptRequested).await;
    let actor = requested[0].actor.clone().unwrap();
    assert_eq!((requested.len(), actor.kind, actor.id.as_str()), (1, ActorKind::Tunnel, "anna"));
}

#[tokio::test]
async fn what_is_not_known_is_not_told_as_done() {
    let house = House::new().await;
    let phone = house.phone("anna", &doors(&["*"])).await;
    let refused = phone.ask(act("unlock", "attic"), THEN).await;
    assert_eq!((refused.status, &refused.body["state"]), (403, &json!("refused")), "{refused:?}");
    let waiting = async {
        let pushing = async {
            loop {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                house.clock.advance(std::time::Duration::from_secs(1));
            }
        };
        tokio::select! {
            said = phone.ask(act("unlock", "gate"), THEN) => said,
            () = pushing => unreachable!(),
        }
    };
    let said = waiting.await;
    assert!(matches!(said.body["state"].as_str(), Some("unconfirmed" | "pending")), "{said:?}");
}

#[tokio::test]
async fn the_same_id_is_the_same_command() {
    let house = House::new().await;
    let phone = house.phone("anna", &doors(&["*"])).await;
    let id = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0";
    let wish = |action: &str, door: &str| json!({ "service": "doors", "action": action, "door": door, "id": id });
    let first = phone.ask(wish("unlock", "front"), THEN).await;
    assert_eq!((first.status, &first.body["id"]), (200, &json!(id)));
    assert_eq!(phone.ask(wish("unlock", "front"), THEN).await, first);
    assert_eq!(phone.ask(wish("lock", "front"), THEN).await.status, 409);
    assert_eq!(phone.ask(json!({ "service": "doors", "action": "unlock", "door": "front", "id": "7" }), THEN).await.status, 400);
    assert_eq!(house.events(EventKind::AttemptRequested).await.len(), 1);
}

#[tokio::test]
async fn a_key_without_the_service_or_without_doors_does_nothing() {
    let house = House::new().await;
    let phone = house.phone("mqtt-only", &Scopes { doors: vec!["*".into()], ..Scopes::default() }).await;
    let said = phone.ask(act("unlock", "front"), THEN).await;
    assert_eq!((said.status, said.error().as_str()), (403, "Not allowed: doors"));
    let phone = house.phone("no-doors", &doors(&[])).await;
    assert_eq!(phone.ask(act("unlock", "front"), THEN).await.status, 404);
    let list = phone.ask(json!({ "service": "doors", "action": "list" }), THEN).await;
    assert_eq!(list.body, json!({ "doors": [] }));
    assert!(house.events(EventKind::AttemptRequested).await.is_empty());
    house.until(async |house| house.events(EventKind::TunnelRefused).await.len() == 2).await;
}

#[tokio::test]
async fn a_command_over_a_topic_is_written_down_as_the_keys() {
    let house = House::new().await;
    let scopes =
        Scopes { services: vec![Service::Mqtt], mqtt_publish: vec!["doorward/door/front/set".into(), "#".into()], ..Scopes::default() };
    let phone = house.phone("anna", &scopes).await;
    let publish = |topic: &str, retain: bool| json!({ "service": "mqtt", "topic": topic, "message": "UNLOCK", "retain": retain });
    let said = phone.ask(publish("doorward/door/gate/set", false), THEN).await;
    assert_eq!(said.error(), "Not allowed: publish to doorward/door/gate/set", "no wildcard opens doors");
    assert_eq!(phone.ask(publish("doorward/door/front/set", true), THEN).await.status, 200);
    house.until(async |house| house.events(EventKind::MqttRetainedCommand).await.len() == 1).await;
    assert!(house.events(EventKind::AttemptRequested).await.is_empty(), "what was to be kept opens nothing");
    assert_eq!(phone.ask(publish("doorward/door/front/set", false), THEN).await.status, 200);
    house.until(async |house| house.events(EventKind::AttemptRequested).await.len() == 1).await;
    let actor = house.events(EventKind::AttemptRequested).await.remove(0).actor.unwrap();
    assert_eq!((actor.kind, actor.id.as_str()), (ActorKind::Tunnel, "anna"));
}
