//! How this cloud writes things down, with all the shapes that were seen in the field.

use serde_json::{Map, Value, json};

use super::faults::{Faults, IdName, Wrapping};
use super::locks::{Lock, Position};

/// One device with its states, as `Query` and pushes write it.
pub(crate) fn reported(lock: &Lock, faults: &Faults) -> Value {
    let works = &lock.works;
    let position = match works.rest {
        Position::Locked => "Locked",
        Position::Unlocked => "Unlocked",
        Position::Jammed => "Jammed",
    };
    let online = if works.online { "Online" } else { "Offline" };
    let lock_state = ("st.lock", "lockState", json!(position));
    let mut states = vec![lock_state];
    if !faults.states_as_object {
        states.insert(0, ("st.healthCheck", "status", json!(online)));
        states.push(("st.lock", "lockMode", json!(0)));
        states.push(("st.batteryLevel", "level", json!(works.battery)));
        if lock.spec.door_sensor {
            let door = if works.door_open { "open" } else { "closed" };
            states.push(("st.doorSensor", "sensorState", json!(door)));
        }
    }
    let mut written: Vec<Value> = states.into_iter().map(|(capability, name, value)| state(capability, name, value, faults)).collect();
    let written = if faults.states_as_object { written.swap_remove(0) } else { Value::Array(written) };
    let key = if faults.state_not_states { "state" } else { "states" };
    json!({ "id": lock.spec.id, key: written })
}

fn state(capability: &str, name: &str, value: Value, faults: &Faults) -> Value {
    let case = |text: &str| {
        if faults.lower_case { text.to_ascii_lowercase() } else { text.to_owned() }
    };
    let value = if let Value::String(text) = &value { json!(case(text)) } else { value };
    let key = if faults.attribute_not_name { "attribute" } else { "name" };
    json!({ "capability": case(capability), key: case(name), "value": value })
}

/// One device as `Discovery` writes it.
pub(crate) fn discovered(lock: &Lock, faults: &Faults) -> Value {
    let id = match faults.discovery_id {
        IdName::Id => "id",
        IdName::DeviceId => "device_id",
        IdName::SerialNo => "serial_no",
    };
    let handle = if lock.spec.door_sensor { "utec-lock-sensor" } else { "utec-lock" };
    json!({
        id: lock.spec.id,
        "name": lock.spec.name,
        "category": "SmartLock",
        "handleType": handle,
        "deviceInfo": {
            "manufacturer": "U-tec",
            "model": lock.spec.model,
            "hwVersion": "03.40.0023",
        },
        "attributes": { "batteryLevelRange": { "min": 1, "max": 5, "step": 1 } },
    })
}

/// Devices in an envelope.
pub(crate) fn wrapped(devices: Vec<Value>, shape: Wrapping, header: &Value) -> Value {
    match shape {
        Wrapping::PayloadDevices => json!({ "header": header, "payload": { "devices": devices } }),
        Wrapping::TopLevelDevices => json!({ "header": header, "devices": devices }),
        Wrapping::PayloadList => json!({ "payload": devices }),
        Wrapping::BareList => Value::Array(devices),
    }
}

/// "Accepted; the result will be known in so many seconds", for one device.
pub(crate) fn deferred(lock: &Lock, wait_ms: u64) -> Value {
    json!({
        "id": lock.spec.id,
        "states": [{
            "capability": "st.deferredResponse",
            "name": "seconds",
            "value": wait_ms.div_ceil(1000).max(1),
        }],
    })
}

/// A refusal inside an envelope.
pub(crate) fn error(code: &str, message: &str, header: &Value, faults: &Faults) -> Value {
    let error = json!({ "code": code, "message": message });
    let mut body = Map::new();
    if let Value::Object(header) = header {
        let mut header = header.clone();
        header.insert("name".to_owned(), json!("ErrorResponse"));
        body.insert("header".to_owned(), Value::Object(header));
    }
    if faults.error_at_top {
        body.insert("error".to_owned(), error);
    } else {
        body.insert("payload".to_owned(), json!({ "error": error }));
    }
    Value::Object(body)
}
