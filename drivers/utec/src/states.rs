//! Reading what the cloud writes about devices: tolerant, since its answers differ between servers and firmwares.
//!
//! Names of capabilities and values are compared without case. What is not understood is kept in `raw` and never an
//! error; what is absent is unknown, never unlocked.

use doorward_core::driver::{Found, How, Sight};
use doorward_wire::door::{Capability, DoorKind, DoorState};
use serde_json::Value;

/// Battery levels of the vendor, 1 to 5, in per cent.
const BATTERY: [u8; 5] = [10, 30, 50, 70, 100];

/// The devices of an answer or a push: `{"payload":{"devices":[…]}}`, `{"devices":[…]}`, `{"payload":[…]}` or `[…]`.
pub fn devices(answer: &Value) -> &[Value] {
    let payload = answer.get("payload");
    let places = [payload.and_then(|payload| payload.get("devices")), answer.get("devices"), payload, Some(answer)];
    places.into_iter().flatten().find_map(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The identifier of a device, verbatim: `id`, `device_id` or `serial_no`.
pub fn id(device: &Value) -> Option<String> {
    ["id", "device_id", "serial_no"].into_iter().find_map(|name| match device.get(name)? {
        Value::String(id) if !id.trim().is_empty() => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

/// The device of an answer that is about `wanted`.
pub fn device<'a>(answer: &'a Value, wanted: &str) -> Option<&'a Value> {
    let devices = devices(answer);
    let exact = devices.iter().find(|device| id(device).as_deref() == Some(wanted));
    exact.or_else(|| devices.iter().find(|device| id(device).is_some_and(|id| id.eq_ignore_ascii_case(wanted))))
}

/// A lock as it is listed; `None` for lights, plugs and whatever has no identifier.
pub fn found(device: &Value, has_contact: bool) -> Option<Found> {
    let external = id(device)?;
    if !is_lock(device) {
        return None;
    }
    let name = ["name", "device_name", "nickname"]
        .into_iter()
        .find_map(|key| device.get(key)?.as_str().map(str::trim).filter(|name| !name.is_empty()));
    let mut capabilities = vec![Capability::Lock, Capability::Unlock, Capability::Refresh, Capability::Pin, Capability::Battery];
    if has_contact {
        capabilities.push(Capability::Contact);
    }
    let name = name.map_or_else(|| external.clone(), str::to_owned);
    Some(Found { external, name, kind: DoorKind::Bolt, capabilities, raw: device.clone() })
}

/// A device is a lock when its category, type or handle says so; one that says nothing at all is taken for one, since
/// short listings hold only an identifier and a name.
fn is_lock(device: &Value) -> bool {
    let words = ["category", "handleType", "handle_type", "type", "deviceType"];
    let mut said = words.iter().filter_map(|key| device.get(key)?.as_str()).peekable();
    if said.peek().is_some() {
        return said.any(|word| word.to_ascii_lowercase().contains("lock"));
    }
    let attributes = device.get("attributes").filter(|attributes| attributes.as_object().is_none_or(|fields| !fields.is_empty()));
    match (attributes, states(device).next().is_some()) {
        (Some(attributes), _) => attributes.to_string().to_ascii_lowercase().contains("lock"),
        (None, true) => states(device).any(|state| state.capability == "lock"),
        (None, false) => true,
    }
}

/// What was said about one device.
pub fn sight(device: &Value, how: How) -> Sight {
    let mut sight = Sight { raw: Some(device.clone()), ..Sight::new(how) };
    for state in states(device) {
        match (state.capability.as_str(), state.name.as_str()) {
            ("lock", "lockstate") => sight.state = Some(bolt(state.value)),
            ("batterylevel", "level") => sight.battery = battery(state.value),
            ("healthcheck", "status") => sight.online = word(state.value).and_then(|word| either(&word, "online", "offline")),
            ("doorsensor", "sensorstate") => sight.contact_open = word(state.value).and_then(|word| either(&word, "open", "closed")),
            _ => {}
        }
    }
    if device_error(device).is_some_and(|said| said.is_offline()) {
        sight.online = Some(false);
    }
    sight
}

struct State<'a> {
    capability: String,
    name: String,
    value: &'a Value,
}

/// The states of a device: an array or one object, under `states` or `state`, named by `name` or `attribute`.
fn states(device: &Value) -> impl Iterator<Item = State<'_>> {
    let said = device.get("states").or_else(|| device.get("state"));
    let list = match said {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => &[],
    };
    list.iter().filter_map(|state| {
        let capability = state.get("capability")?.as_str()?.to_ascii_lowercase();
        let capability = capability.strip_prefix("st.").map(str::to_owned).unwrap_or(capability);
        let name = state.get("name").or_else(|| state.get("attribute"))?.as_str()?.to_ascii_lowercase();
        Some(State { capability, name, value: state.get("value")? })
    })
}

fn word(value: &Value) -> Option<String> {
    value.as_str().map(|word| word.trim().to_ascii_lowercase())
}

fn either(word: &str, yes: &str, no: &str) -> Option<bool> {
    (word == yes).then_some(true).or_else(|| (word == no).then_some(false))
}

/// A bolt that is said to be something else than these is unknown.
fn bolt(value: &Value) -> DoorState {
    match word(value).as_deref() {
        Some("locked") => DoorState::Locked,
        Some("unlocked") => DoorState::Unlocked,
        Some("jammed") => DoorState::Jammed,
        _ => DoorState::Unknown,
    }
}

fn battery(value: &Value) -> Option<u8> {
    let level = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    BATTERY.get(usize::try_from(level.checked_sub(1)?).ok()?).copied()
}

/// What the cloud has against a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its word for it: `INVALID_TOKEN`.
    pub code: String,
    /// More in words.
    pub message: String,
}

impl Said {
    /// Whether the token is to blame.
    pub fn is_invalid_token(&self) -> bool {
        self.code.eq_ignore_ascii_case("INVALID_TOKEN")
    }

    fn is_offline(&self) -> bool {
        self.code.to_ascii_uppercase().contains("OFFLINE")
    }

    /// Word and message in one line.
    pub fn shown(&self) -> String {
        match (self.code.as_str(), self.message.as_str()) {
            ("", message) => message.to_owned(),
            (code, "") => code.to_owned(),
            (code, message) => format!("{message} ({code})"),
        }
    }
}

/// The refusal in an answer, which may well come with status 200: `payload.error` or `error`.
pub fn error(answer: &Value) -> Option<Said> {
    let places = [answer.get("payload").and_then(|payload| payload.get("error")), answer.get("error")];
    places.into_iter().flatten().find_map(said)
}

/// The refusal about one device of an answer.
pub fn device_error(device: &Value) -> Option<Said> {
    device.get("error").and_then(said)
}

fn said(error: &Value) -> Option<Said> {
    let text = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    match error {
        Value::Null | Value::Bool(false) => None,
        Value::String(code) => (!code.is_empty()).then(|| Said { code: code.clone(), message: String::new() }),
        Value::Object(fields) if fields.is_empty() => None,
        Value::Object(fields) => {
            let message = text(fields.get("message").or_else(|| fields.get("msg")));
            let code = text(fields.get("code"));
            // An object that says neither is a refusal all the same.
            let code = if code.is_empty() && message.is_empty() { "no reason given".into() } else { code };
            Some(Said { code, message })
        }
        Value::Bool(true) | Value::Number(_) | Value::Array(_) => Some(Said { code: error.to_string(), message: String::new() }),
    }
}
