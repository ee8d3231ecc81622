//! `[[doors]]`: how a door that a driver found is set up.

use super::keys::Keys;
use doorward_core::setup::AutoLock;
use doorward_wire::{account::AccountId, door::DoorId};
use serde_json::{Value, json};
use std::time::Duration;

/// What the configuration file says of a door. What is left out stays as it was found.
#[derive(Debug, Clone)]
pub(crate) struct DoorConfig {
    pub(crate) id: DoorId,
    pub(crate) name: Option<String>,
    pub(crate) site: Option<String>,
    /// Which account and vendor identifier get this id, when the door is first found.
    pub(crate) account: Option<AccountId>,
    pub(crate) external: Option<String>,
    pub(crate) confirm_within: Option<Duration>,
    pub(crate) auto_lock: Option<AutoLock>,
    pub(crate) fail_open: Option<bool>,
}

const KEYS: [&str; 8] = ["id", "name", "site", "account", "external", "confirm_within", "auto_lock", "fail_open"];

pub(super) fn read(keys: &mut Keys) -> Vec<DoorConfig> {
    let mut doors: Vec<DoorConfig> = Vec::new();
    for (path, table) in keys.tables("doors") {
        for key in table.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            keys.mistake(format!("{path}.{key}"), format!("there is no such key; a door has {}", KEYS.join(", ")));
        }
        let text = |name: &str| table.get(name).and_then(toml::Value::as_str).map(str::to_owned);
        let Some(id) = text("id").and_then(|id| id.parse::<DoorId>().ok()) else {
            keys.mistake(format!("{path}.id"), "must be set: 1 to 40 lower-case letters, digits and underscores");
            continue;
        };
        if doors.iter().any(|door| door.id == id) {
            keys.mistake(format!("{path}.id"), "another door has this id");
        }
        let confirm_within = match text("confirm_within").map(|span| span.parse::<jiff::SignedDuration>()) {
            None => None,
            Some(Ok(span)) if span.is_positive() => Some(span.unsigned_abs()),
            Some(_) => {
                keys.mistake(format!("{path}.confirm_within"), "must be a span such as \"5s\"");
                None
            }
        };
        let auto_lock = match table.get("auto_lock").map(|value| value.clone().try_into::<AutoLock>()) {
            None => None,
            Some(Ok(auto_lock)) => Some(auto_lock),
            Some(Err(_)) => {
                keys.mistake(format!("{path}.auto_lock"), "must be { after = minutes } or { at = \"22:00\" }, or both");
                None
            }
        };
        let account = match text("account").map(|account| account.parse()) {
            None => None,
            Some(Ok(account)) => Some(account),
            Some(Err(_)) => {
                keys.mistake(format!("{path}.account"), "must be the id of an account, such as u_tec");
                None
            }
        };
        doors.push(DoorConfig {
            id,
            name: text("name"),
            site: text("site"),
            account,
            external: text("external"),
            confirm_within,
            auto_lock,
            fail_open: table.get("fail_open").and_then(toml::Value::as_bool),
        });
    }
    doors
}

pub(super) fn sample() -> String {
    "\n# How doors are set up. A door is found by its driver; give its id here to change it. Once for each:\n# [[doors]]\n# id = \"front_door\"\n\
     # name = \"Front door\"\n# site = \"home\"\n# auto_lock = { after = 5, at = \"22:00\" }\n# fail_open = false\n"
        .into()
}

pub(super) fn schema() -> Value {
    let text = json!({ "type": "string" });
    json!({ "type": "array", "items": { "type": "object", "additionalProperties": false, "required": ["id"], "properties": {
        "id": { "type": "string", "pattern": "^[a-z0-9_]{1,40}$" }, "name": text, "site": text, "account": text, "external": text,
        "confirm_within": text, "fail_open": { "type": "boolean" },
        "auto_lock": { "type": "object", "additionalProperties": false, "properties": { "after": { "type": "integer" }, "at": text } } } } })
}
