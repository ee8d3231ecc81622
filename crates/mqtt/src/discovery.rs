//! What Home Assistant is told about a door, so that it appears there by itself.
//!
//! One message for each entity, at `homeassistant/<component>/doorward_<id>/<name>/config` (MQTT discovery, "single component"),
//! which every release understands. All entities of a door belong to one device. Nothing is optimistic, and commands are
//! never retained: Home Assistant shows what the door was seen to do.

use doorward_wire::{
    door::{Capability, Door, DoorId, DoorKind},
    topic::{DoorTopic, Topic},
};
use serde_json::{Value, json};

/// Where Home Assistant says that it has started.
pub(crate) const BIRTH: &str = "homeassistant/status";

/// The discovery messages of a door: topic and payload. Entities that it does not have (any more) have an empty one.
pub(crate) fn entities(door: &Door) -> Vec<(String, Vec<u8>)> {
    let can = |capability| door.capabilities.contains(&capability);
    let lockable = can(Capability::Lock) || can(Capability::Unlock);
    let about = [
        lockable.then(|| lock(door)),
        (can(Capability::Open) && !lockable).then(|| button(door)),
        can(Capability::Battery).then(|| battery(door)),
        can(Capability::Contact).then(|| contact(door)),
        Some(problem(door)),
        Some(connectivity(door)),
        can(Capability::Ring).then(|| ring(door)),
    ];
    ENTITIES.into_iter().zip(about).map(|((component, name), about)| entity(door, component, name, about)).collect()
}

/// Every topic at which something about a door may be announced.
pub(crate) fn topics(door: &DoorId) -> impl Iterator<Item = String> {
    ENTITIES.into_iter().map(|(component, name)| config_topic(door, component, name))
}

/// Components and names of all that a door may have.
const ENTITIES: [(&str, &str); 7] = [
    ("lock", "lock"),
    ("button", "open"),
    ("sensor", "battery"),
    ("binary_sensor", "contact"),
    ("binary_sensor", "problem"),
    ("binary_sensor", "connectivity"),
    ("event", "ring"),
];

fn config_topic(door: &DoorId, component: &str, name: &str) -> String {
    format!("homeassistant/{component}/doorward_{door}/{name}/config")
}

fn entity(door: &Door, component: &str, name: &str, about: Option<Value>) -> (String, Vec<u8>) {
    let topic = config_topic(&door.id, component, name);
    let Some(Value::Object(about)) = about else { return (topic, Vec::new()) };
    let mut entity = json!({
        "unique_id": format!("doorward_{}_{name}", door.id),
        "device": device(door),
        "origin": { "name": "doorward", "sw_version": env!("CARGO_PKG_VERSION") },
        "qos": 1,
    });
    if let Value::Object(entity) = &mut entity {
        entity.extend(about);
    }
    (topic, entity.to_string().into_bytes())
}

fn device(door: &Door) -> Value {
    let model = match door.kind {
        DoorKind::Bolt => "Lock",
        DoorKind::Strike => "Door opener",
        DoorKind::Radio => "Radio lock",
        DoorKind::Foreign => "Door",
    };
    json!({ "identifiers": [format!("doorward_{}", door.id)], "name": door.name, "manufacturer": "doorward", "model": model })
}

fn topic(door: &Door, what: DoorTopic) -> String {
    Topic::door(&door.id, what).to_string()
}

/// doorward runs, and reaches the door.
fn available(door: &Door) -> Value {
    json!([{ "topic": Topic::Status.to_string() }, { "topic": topic(door, DoorTopic::Availability) }])
}

fn lock(door: &Door) -> Value {
    let mut lock = json!({
        // The device's own name.
        "name": null,
        "object_id": door.id,
        "state_topic": topic(door, DoorTopic::State),
        // Releases before 2024.6 know no open door.
        "value_template": "{{ 'UNLOCKED' if value == 'OPEN' else value }}",
        "state_locked": "LOCKED",
        "state_locking": "LOCKING",
        "state_unlocked": "UNLOCKED",
        "state_unlocking": "UNLOCKING",
        "state_jammed": "JAMMED",
        "command_topic": topic(door, DoorTopic::Set),
        "payload_lock": "LOCK",
        "payload_unlock": "UNLOCK",
        "json_attributes_topic": topic(door, DoorTopic::Attributes),
        "availability": available(door),
        "availability_mode": "all",
        "optimistic": false,
        "retain": false,
    });
    if door.capabilities.contains(&Capability::Open) {
        lock["payload_open"] = json!("OPEN");
    }
    lock
}

fn button(door: &Door) -> Value {
    json!({
        "name": "Open",
        "object_id": format!("{}_open", door.id),
        "command_topic": topic(door, DoorTopic::Set),
        "payload_press": "OPEN",
        "availability": available(door),
        "availability_mode": "all",
        "retain": false,
    })
}

fn battery(door: &Door) -> Value {
    json!({
        "name": "Battery",
        "object_id": format!("{}_battery", door.id),
        "state_topic": topic(door, DoorTopic::Battery),
        "device_class": "battery",
        "state_class": "measurement",
        "unit_of_measurement": "%",
        "entity_category": "diagnostic",
        "availability": available(door),
        "availability_mode": "all",
    })
}

fn contact(door: &Door) -> Value {
    json!({
        "name": "Contact",
        "object_id": format!("{}_contact", door.id),
        "state_topic": topic(door, DoorTopic::Contact),
        "device_class": "door",
        "availability": available(door),
        "availability_mode": "all",
    })
}

/// The last command was accepted, and the door did not do it.
fn problem(door: &Door) -> Value {
    json!({
        "name": "Problem",
        "object_id": format!("{}_problem", door.id),
        "state_topic": topic(door, DoorTopic::Contradiction),
        "device_class": "problem",
        "entity_category": "diagnostic",
        "availability": [{ "topic": Topic::Status.to_string() }],
    })
}

fn connectivity(door: &Door) -> Value {
    json!({
        "name": "Connection",
        "object_id": format!("{}_connection", door.id),
        "state_topic": topic(door, DoorTopic::Availability),
        "payload_on": "online",
        "payload_off": "offline",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
        "availability": [{ "topic": Topic::Status.to_string() }],
    })
}

fn ring(door: &Door) -> Value {
    json!({
        "name": "Doorbell",
        "object_id": format!("{}_doorbell", door.id),
        "state_topic": topic(door, DoorTopic::Ring),
        "event_types": ["ring"],
        "device_class": "doorbell",
        "availability": [{ "topic": Topic::Status.to_string() }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward_wire::door::DoorState;

    fn door(kind: DoorKind, capabilities: &[Capability]) -> Door {
        Door {
            id: "front".parse().unwrap(),
            name: "Front door".into(),
            site: "home".into(),
            kind,
            state: DoorState::Locked,
            since: None,
            online: Some(true),
            battery: None,
            capabilities: capabilities.to_vec(),
            evidence: Vec::new(),
            account: None,
            external: None,
            contact_open: None,
            managed: None,
            attempt: None,
        }
    }

    fn announced(door: &Door) -> Vec<String> {
        let there = entities(door).into_iter().filter(|(_, payload)| !payload.is_empty());
        there.map(|(topic, _)| topic.trim_start_matches("homeassistant/").trim_end_matches("/config").to_owned()).collect()
    }

    #[test]
    fn a_door_has_the_entities_that_it_can_fill() {
        let bolt = door(DoorKind::Bolt, &[Capability::Lock, Capability::Unlock, Capability::Battery, Capability::Contact]);
        assert_eq!(
            announced(&bolt),
            [
                "lock/doorward_front/lock",
                "sensor/doorward_front/battery",
                "binary_sensor/doorward_front/contact",
                "binary_sensor/doorward_front/problem",
                "binary_sensor/doorward_front/connectivity"
            ]
        );
        let strike = door(DoorKind::Strike, &[Capability::Open, Capability::Ring]);
        assert_eq!(
            announced(&strike),
            [
                "button/doorward_front/open",
                "binary_sensor/doorward_front/problem",
                "binary_sensor/doorward_front/connectivity",
                "event/doorward_front/ring"
            ]
        );
    }

    #[test]
    fn nothing_is_optimistic_and_no_command_is_retained() {
        let all = door(DoorKind::Bolt, &[Capability::Lock, Capability::Unlock, Capability::Open]);
        let (_, lock) = entities(&all).remove(0);
        let lock: Value = serde_json::from_slice(&lock).unwrap();
        assert_eq!((&lock["optimistic"], &lock["retain"], &lock["payload_open"]), (&json!(false), &json!(false), &json!("OPEN")));
        assert_eq!(lock["availability_mode"], "all");
        assert_eq!(lock["command_topic"], "doorward/door/front/set");
    }
}
