//! What Home Assistant is told about a door, an account or a device of the fleet, so that it appears there by itself.
//!
//! Either one message for each entity, at `homeassistant/<component>/doorward_<id>/<name>/config` ([`Mode::Component`]),
//! which every release understands, or one for each device, at `homeassistant/device/doorward_<id>/config`
//! ([`Mode::Device`], Home Assistant 2024.11 and later). Nothing is optimistic, and commands are never retained: Home
//! Assistant shows what the door was seen to do.

use crate::{doors::ShownDevice, inbox::INSTALL};
use doorward_wire::{
    account::AccountId,
    device::DeviceId,
    door::{Capability, Door, DoorId, DoorKind},
    ring::RingState,
    topic::{DeviceTopic, DoorTopic, Topic},
};
use serde_json::{Map, Value, json};

/// Where Home Assistant says that it has started.
pub(crate) const BIRTH: &str = "homeassistant/status";
/// What tells Home Assistant that an entity is announced in the other way from now on, and keeps its name and history.
const MIGRATE: &str = r#"{"migrate_discovery":true}"#;

/// How doors are announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One message for each entity.
    Component,
    /// One message for each device.
    Device,
}

impl Mode {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::Device => "device",
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Component => Self::Device,
            Self::Device => Self::Component,
        }
    }
}

/// Components and names of all that a door may have.
const OF_DOOR: [(&str, &str); 7] = [
    ("lock", "lock"),
    ("button", "open"),
    ("sensor", "battery"),
    ("binary_sensor", "contact"),
    ("binary_sensor", "problem"),
    ("binary_sensor", "connectivity"),
    ("event", "ring"),
];
/// Components and names of all that an account has.
const OF_ACCOUNT: [(&str, &str); 1] = [("binary_sensor", "problem")];

/// Components and names of all that a device of the fleet has.
const OF_DEVICE: [(&str, &str); 1] = [("update", "firmware")];

/// Something with entities: a door, an account or a device of the fleet.
struct Device {
    object: String,
    about: Value,
    entities: Vec<(&'static str, &'static str, Option<Value>)>,
}

/// The messages about a door: topic and payload. What it does not have (any more) has an empty one.
pub(crate) fn door(door: &Door, mode: Mode) -> Vec<(String, Vec<u8>)> {
    let can = |capability| door.capabilities.contains(&capability);
    let lockable = can(Capability::Lock) || can(Capability::Unlock);
    // A button gives no code, so it could only be refused.
    let button_opens = can(Capability::Open) && !lockable && !door.mqtt_code;
    let about = [
        lockable.then(|| lock(door)),
        button_opens.then(|| button(door)),
        can(Capability::Battery).then(|| battery(door)),
        can(Capability::Contact).then(|| contact(door)),
        Some(problem(door)),
        Some(connectivity(door)),
        can(Capability::Ring).then(|| ring(door)),
    ];
    let entities = OF_DOOR.into_iter().zip(about).map(|((component, name), about)| (component, name, about)).collect();
    Device { object: door_object(&door.id), about: door_device(door), entities }.messages(mode)
}

/// The messages about an account.
pub(crate) fn account(id: &AccountId, name: &str, mode: Mode) -> Vec<(String, Vec<u8>)> {
    let object = account_object(id);
    let about = json!({ "identifiers": [object], "name": format!("doorward: {name}"), "manufacturer": "doorward", "model": "Account" });
    let problem = json!({
        "name": "Needs attention",
        "object_id": format!("doorward_{id}_problem"),
        "state_topic": Topic::AccountProblem(id.clone()).to_string(),
        "device_class": "problem",
        "entity_category": "diagnostic",
        "availability": [{ "topic": Topic::Status.to_string() }],
    });
    let [(component, entity)] = OF_ACCOUNT;
    Device { object, about, entities: vec![(component, entity, Some(problem))] }.messages(mode)
}

/// The messages about a device of the fleet: its firmware, and that it can be updated.
pub(crate) fn device(device: &ShownDevice, mode: Mode) -> Vec<(String, Vec<u8>)> {
    let object = device_object(&device.id);
    let about = json!({ "identifiers": [object], "name": device.name, "manufacturer": "doorward", "model": device.hardware });
    let topic = |what| Topic::Device(device.id.clone(), what).to_string();
    let firmware = json!({
        "name": "Firmware",
        "title": device.hardware,
        "device_class": "firmware",
        "state_topic": topic(DeviceTopic::Firmware),
        "command_topic": topic(DeviceTopic::Set),
        "payload_install": INSTALL,
        "availability": [{ "topic": Topic::Status.to_string() }, { "topic": topic(DeviceTopic::Availability) }],
        "availability_mode": "all",
        "retain": false,
    });
    let [(component, entity)] = OF_DEVICE;
    Device { object, about, entities: vec![(component, entity, Some(firmware))] }.messages(mode)
}

/// Every topic at which something about a device of the fleet may be announced.
pub(crate) fn device_topics(device: &DeviceId) -> Vec<String> {
    topics(&device_object(device), &OF_DEVICE)
}

/// Every topic at which something about a door may be announced.
pub(crate) fn door_topics(door: &DoorId) -> Vec<String> {
    topics(&door_object(door), &OF_DOOR)
}

/// Every topic at which something about an account may be announced.
pub(crate) fn account_topics(account: &AccountId) -> Vec<String> {
    topics(&account_object(account), &OF_ACCOUNT)
}

/// What is said before something that was announced in the other way is announced in this one.
pub(crate) fn migration(object: Object<'_>, to: Mode) -> Vec<(String, Vec<u8>)> {
    let (object, entities) = match object {
        Object::Door(door) => (door_object(door), &OF_DOOR[..]),
        Object::Account(account) => (account_object(account), &OF_ACCOUNT[..]),
        Object::Device(device) => (device_object(device), &OF_DEVICE[..]),
    };
    let from = match to.other() {
        Mode::Component => entities.iter().map(|(component, name)| config_topic(&object, component, name)).collect(),
        Mode::Device => vec![device_topic(&object)],
    };
    from.into_iter().map(|topic| (topic, MIGRATE.into())).collect()
}

/// Something that was announced.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Object<'a> {
    Door(&'a DoorId),
    Account(&'a AccountId),
    Device(&'a DeviceId),
}

fn door_object(door: &DoorId) -> String {
    format!("doorward_{door}")
}

fn account_object(account: &AccountId) -> String {
    format!("doorward_account_{account}")
}

fn device_object(device: &DeviceId) -> String {
    format!("doorward_device_{device}")
}

fn topics(object: &str, entities: &[(&str, &str)]) -> Vec<String> {
    let single = entities.iter().map(|(component, name)| config_topic(object, component, name));
    single.chain([device_topic(object)]).collect()
}

fn config_topic(object: &str, component: &str, name: &str) -> String {
    format!("homeassistant/{component}/{object}/{name}/config")
}

fn device_topic(object: &str) -> String {
    format!("homeassistant/device/{object}/config")
}

fn origin() -> Value {
    json!({ "name": "doorward", "sw_version": env!("CARGO_PKG_VERSION") })
}

impl Device {
    /// First what is there, then what is cleared: an entity that moves is never gone in between.
    fn messages(self, mode: Mode) -> Vec<(String, Vec<u8>)> {
        match mode {
            Mode::Component => {
                let mut messages: Vec<_> = self.entities.iter().map(|entity| self.single(entity)).collect();
                messages.push((device_topic(&self.object), Vec::new()));
                messages
            }
            Mode::Device => {
                let cleared = self.entities.iter().map(|(component, name, _)| (config_topic(&self.object, component, name), Vec::new()));
                std::iter::once((device_topic(&self.object), self.whole())).chain(cleared).collect()
            }
        }
    }

    fn single(&self, (component, name, about): &(&str, &str, Option<Value>)) -> (String, Vec<u8>) {
        let topic = config_topic(&self.object, component, name);
        let Some(Value::Object(about)) = about else { return (topic, Vec::new()) };
        let mut entity = json!({ "unique_id": self.unique(name), "device": self.about, "origin": origin(), "qos": 1 });
        if let Value::Object(entity) = &mut entity {
            entity.extend(about.clone());
        }
        (topic, entity.to_string().into_bytes())
    }

    fn whole(&self) -> Vec<u8> {
        let mut components = Map::new();
        for (component, name, about) in &self.entities {
            // Home Assistant removes a component of which nothing but the platform is said.
            let mut entity = json!({ "platform": component });
            if let (Value::Object(entity), Some(Value::Object(about))) = (&mut entity, about) {
                entity.insert("unique_id".into(), json!(self.unique(name)));
                entity.extend(about.clone());
            }
            components.insert((*name).to_owned(), entity);
        }
        json!({ "device": self.about, "origin": origin(), "components": components, "qos": 1 }).to_string().into_bytes()
    }

    fn unique(&self, name: &str) -> String {
        format!("{}_{name}", self.object)
    }
}

fn door_device(door: &Door) -> Value {
    let model = match door.kind {
        DoorKind::Bolt => "Lock",
        DoorKind::Strike => "Door opener",
        DoorKind::Radio => "Radio lock",
        DoorKind::Foreign => "Door",
    };
    json!({ "identifiers": [door_object(&door.id)], "name": door.name, "manufacturer": "doorward", "model": model })
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
    if door.mqtt_code {
        lock["code_format"] = json!("^[0-9]{4,10}$");
        lock["command_template"] = json!("{{ {'action': value | lower, 'code': code} | tojson }}");
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
        "event_types": ring_types(),
        // What is published is doorward's own event; Home Assistant wants to read a type, and keeps the rest as attributes.
        "value_template": "{{ dict(value_json.data | default({}), event_type='ring' if value_json.kind == 'door.ring' else value_json.data.state) | tojson }}",
        "device_class": "doorbell",
        "availability": [{ "topic": Topic::Status.to_string() }],
    })
}
/// That it rings, and everything that may come of it.
fn ring_types() -> Vec<&'static str> {
    let ends = RingState::ALL.iter().filter(|state| state.is_final()).map(|state| state.as_str());
    std::iter::once("ring").chain(ends).collect()
}

#[cfg(test)]
mod tests;
