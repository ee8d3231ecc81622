//! `[[doors]]`: how a door that a driver found is set up, and doors that nobody but this file knows.

use super::{AccountConfig, keys::Keys, radio};
use doorward_ble::driver::LockSpec;
use doorward_core::{
    Secret,
    driver::Settings,
    setup::{AutoLock, Contact},
};
use doorward_foreign::config::DoorSpec;
use doorward_wire::{
    account::AccountId,
    door::{Capability, DoorId, DoorKind},
    topic::is_topic,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

/// The name of the account that foreign doors belong to.
const FOREIGN: &str = "Foreign doors";

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
    pub(crate) contact: Option<Contact>,
    /// The code that commands over MQTT must carry to open it.
    pub(crate) mqtt_code: Option<Secret<String>>,
    /// Where whoever rings can be seen.
    pub(crate) stream: Option<String>,
    /// What it is, where nobody but this file knows it.
    pub(crate) own: Option<Own>,
}

/// A door that is in this file and nowhere else.
#[derive(Debug, Clone)]
pub(crate) enum Own {
    /// One behind MQTT or HTTP.
    Foreign(Box<DoorSpec>),
    /// A lock over Bluetooth.
    Radio(Box<LockSpec>),
}

impl Own {
    pub(crate) const fn kind(&self) -> DoorKind {
        match self {
            Self::Foreign(_) => DoorKind::Foreign,
            Self::Radio(_) => DoorKind::Radio,
        }
    }

    pub(crate) fn capabilities(&self) -> Vec<Capability> {
        match self {
            Self::Foreign(spec) => spec.capabilities(),
            // A lock of the original system is opened by phones alone.
            Self::Radio(lock) if lock.runs.as_deref() == Some("original") => Vec::new(),
            Self::Radio(_) => vec![Capability::Open],
        }
    }

    fn account(&self) -> AccountId {
        match self {
            Self::Foreign(_) => AccountId::from_name(FOREIGN, doorward_foreign::KIND),
            Self::Radio(_) => AccountId::from_name(radio::NAME, doorward_ble::KIND),
        }
    }
}

/// What any door may have, and a foreign one.
const KEYS: [&str; 18] = [
    "id",
    "name",
    "site",
    "kind",
    "account",
    "external",
    "confirm_within",
    "auto_lock",
    "fail_open",
    "contact",
    "mqtt_code",
    "mqtt_code_file",
    "stream",
    "ring",
    "open",
    "lock",
    "unlock",
    "state",
];
/// What only a foreign door has.
const TARGETS: [&str; 5] = ["open", "lock", "unlock", "state", "ring"];

pub(super) fn read(keys: &mut Keys) -> Vec<DoorConfig> {
    let mut doors: Vec<DoorConfig> = Vec::new();
    for (path, table) in keys.tables("doors") {
        if let Some(door) = (Door { keys, path, table }).read() {
            if doors.iter().any(|known| known.id == door.id) {
                keys.mistake(format!("doors.{}", door.id), "another door has this id");
            }
            doors.push(door);
        }
    }
    doors
}

/// The account of all foreign doors; mistakes are told with the paths of the doors.
pub(super) fn foreign_account(keys: &mut Keys, doors: &[DoorConfig]) -> Option<AccountConfig> {
    let foreign = |door: &'_ DoorConfig| match &door.own {
        Some(Own::Foreign(spec)) => Some((**spec).clone()),
        Some(Own::Radio(_)) | None => None,
    };
    let specs: Vec<DoorSpec> = doors.iter().filter_map(foreign).collect();
    if specs.is_empty() {
        return None;
    }
    let mut settings = Settings::default();
    settings.secrets.insert("doors".into(), Secret::new(json!(specs).to_string()));
    if let Err(mistakes) = (doorward_foreign::ENTRY.build)(&settings) {
        for mistake in mistakes {
            keys.mistake(format!("doors.{}", mistake.key), mistake.hint);
        }
        return None;
    }
    Some(AccountConfig { kind: doorward_foreign::KIND.into(), name: FOREIGN.into(), settings })
}

struct Door<'k, 'a> {
    keys: &'k mut Keys<'a>,
    path: String,
    table: toml::Table,
}

impl Door<'_, '_> {
    fn mistake(&mut self, key: &str, hint: impl Into<String>) {
        self.keys.mistake(format!("{}.{key}", self.path), hint);
    }

    fn text(&self, name: &str) -> Option<String> {
        self.table.get(name).and_then(toml::Value::as_str).map(str::to_owned)
    }

    fn read(mut self) -> Option<DoorConfig> {
        self.refuse_unknown();
        let Some(id) = self.text("id").and_then(|id| id.parse::<DoorId>().ok()) else {
            self.mistake("id", "must be set: 1 to 40 lower-case letters, digits and underscores");
            return None;
        };
        let own = self.own(&id);
        let account = self.account();
        Some(DoorConfig {
            account: own.as_ref().map(Own::account).or(account),
            external: if own.is_some() { Some(id.to_string()) } else { self.text("external") },
            name: self.text("name"),
            site: self.text("site"),
            confirm_within: self.confirm_within(),
            auto_lock: self.part("auto_lock", "must be { after = minutes } or { at = \"22:00\" }, or both"),
            fail_open: self.table.get("fail_open").and_then(toml::Value::as_bool),
            contact: self.contact(),
            mqtt_code: self.mqtt_code(),
            stream: self.stream(),
            own,
            id,
        })
    }

    fn refuse_unknown(&mut self) {
        let is_radio = self.text("kind").as_deref() == Some(radio::KIND);
        let known: Vec<&str> = KEYS.into_iter().chain(radio::KEYS.into_iter().filter(|_| is_radio)).collect();
        let unknown: Vec<String> = self.table.keys().filter(|key| !known.contains(&key.as_str())).cloned().collect();
        for key in unknown {
            let hint = if radio::KEYS.contains(&key.as_str()) {
                "is for doors with kind = \"radio\"".into()
            } else {
                format!("there is no such key; a door has {}", known.join(", "))
            };
            self.mistake(&key, hint);
        }
    }

    fn account(&mut self) -> Option<AccountId> {
        let account = self.text("account")?.parse();
        if account.is_err() {
            self.mistake("account", "must be the id of an account, such as u_tec");
        }
        account.ok()
    }

    fn confirm_within(&mut self) -> Option<Duration> {
        match self.text("confirm_within")?.parse::<jiff::SignedDuration>() {
            Ok(span) if span.is_positive() => Some(span.unsigned_abs()),
            _ => {
                self.mistake("confirm_within", "must be a span such as \"5s\"");
                None
            }
        }
    }

    fn contact(&mut self) -> Option<Contact> {
        let hint =
            "must be { mqtt = \"topic\", json = \"contact\", open = \"false\" }; json is left out when the whole message is the value";
        let contact: Contact = self.part("contact", hint)?;
        if !is_topic(&contact.mqtt) {
            self.mistake("contact.mqtt", "must be a topic, without wildcards");
            return None;
        }
        Some(contact)
    }

    fn mqtt_code(&mut self) -> Option<Secret<String>> {
        let code = match self.text("mqtt_code_file") {
            Some(file) => match std::fs::read_to_string(&file) {
                Ok(text) => text.trim().to_owned(),
                Err(error) => {
                    self.mistake("mqtt_code_file", format!("{file} cannot be read: {error}"));
                    return None;
                }
            },
            None => self.text("mqtt_code")?,
        };
        if !(4..=10).contains(&code.len()) || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            self.mistake("mqtt_code", "must have 4 to 10 digits, in quotes");
            return None;
        }
        Some(Secret::new(code))
    }

    fn stream(&mut self) -> Option<String> {
        match doorward_web::api::stream_address(self.text("stream")?.trim()) {
            Ok(address) => Some(address),
            Err(hint) => {
                self.mistake("stream", hint);
                None
            }
        }
    }

    /// What the door is, where only this file says it.
    fn own(&mut self, id: &DoorId) -> Option<Own> {
        let kind = self.text("kind");
        let allowed: &[&str] = match kind.as_deref() {
            Some(doorward_foreign::KIND) => &TARGETS,
            Some(radio::KIND) => &["open"],
            Some(_) => {
                self.mistake("kind", "can only be “foreign” or “radio”: what other doors are, their driver knows");
                return None;
            }
            None => &[],
        };
        for key in TARGETS.into_iter().filter(|key| !allowed.contains(key) && self.table.contains_key(*key)).collect::<Vec<_>>() {
            self.mistake(key, "is for doors with kind = \"foreign\"");
        }
        for key in ["account", "external"].into_iter().filter(|key| kind.is_some() && self.table.contains_key(*key)).collect::<Vec<_>>() {
            self.mistake(key, "a door that only this file knows has none");
        }
        match kind.as_deref()? {
            radio::KIND => match radio::lock(id, self.text("name"), &self.table) {
                Ok(spec) => Some(Own::Radio(Box::new(spec))),
                Err((key, hint)) => {
                    self.mistake(key, hint);
                    None
                }
            },
            _ => Some(Own::Foreign(Box::new(self.foreign(id)))),
        }
    }

    fn foreign(&mut self, id: &DoorId) -> DoorSpec {
        let target =
            "must be { mqtt = \"topic\", payload = \"text\" } or { http = \"address\", method, body, headers, authorization, ca_file }";
        let state = "must be { mqtt = \"topic\" } or { http = \"address\", every, headers, authorization, ca_file }, with json, locked, unlocked, open, jammed";
        DoorSpec {
            id: id.to_string(),
            name: self.text("name"),
            open: self.part("open", target),
            lock: self.part("lock", target),
            unlock: self.part("unlock", target),
            state: self.part("state", state),
            ring: self.part("ring", "must be { mqtt = \"topic\", json = \"action\", value = \"single\" }; without value any message rings"),
        }
    }

    /// A table in the door's table.
    fn part<T: DeserializeOwned>(&mut self, key: &str, hint: &str) -> Option<T> {
        let value = self.table.get(key)?.clone();
        let value = self.secret_file(key, words(value));
        match value.try_into() {
            Ok(part) => Some(part),
            Err(error) => {
                let error: toml::de::Error = error;
                self.mistake(key, format!("{hint} ({})", error.message()));
                None
            }
        }
    }

    /// The secret may be in a file of its own.
    fn secret_file(&mut self, key: &str, value: toml::Value) -> toml::Value {
        let toml::Value::Table(mut table) = value else { return value };
        if let Some(file) = table.remove("authorization_file") {
            match std::fs::read_to_string(file.as_str().unwrap_or_default()) {
                Ok(text) => drop(table.insert("authorization".into(), text.trim_end().into())),
                Err(error) => self.mistake(&format!("{key}.authorization_file"), format!("cannot be read: {error}")),
            }
        }
        table.into()
    }
}

/// Values that stand for something may be written as they are in JSON: `open = false`.
fn words(value: toml::Value) -> toml::Value {
    let toml::Value::Table(mut table) = value else { return value };
    for key in ["open", "locked", "unlocked", "jammed", "payload", "value"] {
        if let Some(value @ (toml::Value::Boolean(_) | toml::Value::Integer(_))) = table.get_mut(key) {
            *value = value.to_string().into();
        }
    }
    table.into()
}

pub(super) fn sample() -> String {
    "\n# How doors are set up. A door is found by its driver; give its id here to change it. Once for each:\n# [[doors]]\n# id = \"front_door\"\n\
     # name = \"Front door\"\n# site = \"home\"\n# auto_lock = { after = 5, at = \"22:00\" }\n# fail_open = false\n\
     # mqtt_code = \"\"\n\
     ## Where whoever rings can be seen, as with go2rtc.\n\
     # stream = \"http://192.168.1.5:1984/stream.html?src=front\"\n\
     ## A contact that some sensor tells over MQTT confirms what the door did.\n\
     # contact = { mqtt = \"zigbee2mqtt/front\", json = \"contact\", open = false }\n\
     \n# Doors behind MQTT or HTTP. Once for each:\n# [[doors]]\n# id = \"garage\"\n# name = \"Garage\"\n# kind = \"foreign\"\n\
     # open = { mqtt = \"garage/set\", payload = \"OPEN\" }\n\
     # lock = { http = \"http://192.168.1.20/relay/0?turn=off\" }\n# unlock = { http = \"http://192.168.1.20/relay/0?turn=on\" }\n\
     # state = { http = \"http://192.168.1.20/relay/0\", every = 30, json = \"ison\", locked = false, unlocked = true }\n\
     # ring = { mqtt = \"zigbee2mqtt/bell\", json = \"action\", value = \"single\" }\n"
        .to_owned()
        + radio::SAMPLE
}

pub(super) fn schema() -> Value {
    let text = json!({ "type": "string" });
    let word = json!({ "type": ["string", "boolean", "integer"] });
    let headers = json!({ "type": "object", "additionalProperties": text });
    let target = json!({ "type": "object", "additionalProperties": false, "properties": {
        "mqtt": text, "payload": word, "http": text, "method": text, "body": text, "headers": headers,
        "authorization": text, "authorization_file": text, "ca_file": text } });
    let state = json!({ "type": "object", "additionalProperties": false, "properties": {
        "mqtt": text, "http": text, "every": { "type": "integer" }, "headers": headers, "authorization": text,
        "authorization_file": text, "ca_file": text, "json": text, "locked": word, "unlocked": word, "open": word, "jammed": word } });
    let open = json!({ "anyOf": [target, radio::open_schema()] });
    let mut schema = json!({ "type": "array", "items": { "type": "object", "additionalProperties": false, "required": ["id"], "properties": {
        "id": { "type": "string", "pattern": "^[a-z0-9_]{1,40}$" }, "name": text, "site": text, "account": text, "external": text,
        "kind": { "enum": ["foreign", "radio"] }, "confirm_within": text, "fail_open": { "type": "boolean" }, "mqtt_code": { "type": "string", "pattern": "^[0-9]{4,10}$" }, "mqtt_code_file": text, "stream": { "type": "string", "format": "uri", "maxLength": 500 },
        "auto_lock": { "type": "object", "additionalProperties": false, "properties": { "after": { "type": "integer" }, "at": text } },
        "contact": { "type": "object", "additionalProperties": false, "required": ["mqtt", "open"], "properties": {
            "mqtt": text, "json": text, "open": word } },
        "open": open, "lock": target, "unlock": target, "state": state,
        "ring": { "type": "object", "additionalProperties": false, "required": ["mqtt"], "properties": {
            "mqtt": text, "json": text, "value": word } } } } });
    if let Some(properties) = schema["items"]["properties"].as_object_mut() {
        properties.extend(radio::schema());
    }
    schema
}
