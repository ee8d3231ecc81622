//! A door with `kind = "radio"`: a lock of this machine that phones open over Bluetooth.

use super::{
    AccountConfig,
    ble::BleConfig,
    doors::{DoorConfig, Own},
    keys::Keys,
};
use doorward_ble::driver::LockSpec;
use doorward_core::{Secret, driver::Settings};
use doorward_wire::door::DoorId;
use serde_json::{Map, Value, json};

/// What such a door says that it is.
pub(super) const KIND: &str = "radio";
/// The name of the account that these doors belong to.
pub(super) const NAME: &str = "Locks over Bluetooth";
/// What only such a door has.
pub(super) const KEYS: [&str; 10] =
    ["runs", "lock_id", "radio", "slot", "rssi", "phones", "rssi_unknown", "bind_mac", "secure", "other_issuer"];
/// How its `open` is written.
const OPEN: &str = "{ mqtt = \"topic\", payload = \"text\" }, { command = [\"/path/of/program\", \"argument\"] }, \
                    { gpio = { chip = \"/dev/gpiochip0\", line = 17 } } or { door = \"id of another door\" }";

/// The lock that a door's table describes, or which key is wrong and why.
pub(super) fn lock(id: &DoorId, name: Option<String>, table: &toml::Table) -> Result<LockSpec, (&'static str, String)> {
    let mut own: toml::Table =
        table.iter().filter(|(key, _)| KEYS.contains(&key.as_str())).map(|(key, value)| (key.clone(), value.clone())).collect();
    own.insert("id".into(), id.to_string().into());
    match (table.get("open"), runs_here(table)) {
        (Some(open), true) => own.extend(opens(open.as_table().ok_or_else(|| ("open", format!("must be {OPEN}")))?)?),
        (None, true) => return Err(("open", format!("must say what opens it: {OPEN}"))),
        (Some(_), false) => return Err(("open", "is for locks that run here: where it runs, it is said what opens it".into())),
        (None, false) => {}
    }
    let spec: LockSpec = toml::Value::Table(own)
        .try_into()
        .map_err(|error: toml::de::Error| ("kind", format!("is not described right: {}", error.message())))?;
    Ok(LockSpec { name, ..spec })
}

/// Whether it runs in this program.
fn runs_here(table: &toml::Table) -> bool {
    table.get("runs").is_none_or(|runs| runs.as_str() == Some("here"))
}

/// What opens it, as the driver has it written.
fn opens(open: &toml::Table) -> Result<toml::Table, (&'static str, String)> {
    let wrong = || ("open", format!("must be {OPEN}"));
    let mut found = toml::Table::new();
    let mut rest = open.clone();
    if let Some(topic) = rest.remove("mqtt") {
        let payload = rest.remove("payload").ok_or_else(wrong)?;
        found.insert("mqtt".into(), toml::Table::from_iter([("topic".to_owned(), topic), ("payload".to_owned(), payload)]).into());
    }
    for key in ["command", "gpio", "door"] {
        found.extend(rest.remove(key).map(|value| (key.to_owned(), value)));
    }
    if found.is_empty() || !rest.is_empty() { Err(wrong()) } else { Ok(found) }
}

/// The account of these doors; mistakes are told with the paths of the doors.
pub(super) fn account(keys: &mut Keys, doors: &[DoorConfig], ble: &BleConfig) -> Option<AccountConfig> {
    let mut locks = locks(doors);
    if locks.is_empty() {
        return None;
    }
    for lock in locks.iter_mut().filter(|lock| lock.runs.as_deref().is_none_or(|runs| runs == "here")) {
        lock.radio.get_or_insert_with(|| ble.radio.clone());
    }
    let mut settings = Settings::default();
    settings.values.insert("keys".into(), json!(ble.keys));
    settings.secrets.insert("doors".into(), Secret::new(json!(locks).to_string()));
    if let Err(mistakes) = (doorward_ble::ENTRY.build)(&settings) {
        for mistake in mistakes {
            keys.mistake(format!("doors.{}", mistake.key), mistake.hint);
        }
        return None;
    }
    Some(AccountConfig { kind: doorward_ble::KIND.into(), name: NAME.into(), settings })
}

/// Those of some doors.
pub(crate) fn locks(doors: &[DoorConfig]) -> Vec<LockSpec> {
    let lock = |door: &DoorConfig| match &door.own {
        Some(Own::Radio(lock)) => Some((**lock).clone()),
        Some(Own::Foreign(_)) | None => None,
    };
    doors.iter().filter_map(lock).collect()
}

pub(super) const SAMPLE: &str = "\n# Locks of this machine that phones open over Bluetooth. Once for each:\n# [[doors]]\n# id = \"garden\"\n\
     # name = \"Garden\"\n# kind = \"radio\"\n# open = { mqtt = \"garden/strike\", payload = \"ON\" }\n\
     ## Or: { command = [\"/usr/local/bin/strike\"] }, { gpio = { chip = \"/dev/gpiochip0\", line = 17, pulse_ms = 500 } }, { door = \"front_door\" }\n\
     ## Where it runs: here, elsewhere (doorward ble lock), or original (a lock of the original system).\n# runs = \"here\"\n\
     ## What the lock is called on the air; the id when absent. Its key: doorward ble keys create lock garden\n# lock_id = \"garden\"\n\
     ## It opens only above this signal strength, in dBm. That is no proof of distance.\n# rssi = -70\n\
     ## Only for who answers a challenge: a token that is relayed opens nothing.\n# secure = false\n";

pub(super) fn open_schema() -> Value {
    let text = json!({ "type": "string" });
    json!({ "type": "object", "additionalProperties": false, "properties": {
        "mqtt": text, "payload": text, "command": { "type": "array", "items": text, "minItems": 1 }, "door": text,
        "gpio": { "type": "object", "additionalProperties": false, "required": ["chip", "line"], "properties": {
            "chip": text, "line": { "type": "integer", "minimum": 0 }, "pulse_ms": { "type": "integer" },
            "active_low": { "type": "boolean" } } } } })
}

pub(super) fn schema() -> Map<String, Value> {
    let rssi = json!({ "type": "integer", "minimum": -127, "maximum": 20 });
    let (text, switch) = (json!({ "type": "string" }), json!({ "type": "boolean" }));
    Map::from_iter([
        ("runs".to_owned(), json!({ "enum": ["here", "elsewhere", "original"] })),
        ("lock_id".to_owned(), text.clone()),
        ("radio".to_owned(), text),
        ("slot".to_owned(), json!({ "type": "integer", "minimum": 1, "maximum": 60 })),
        ("rssi".to_owned(), rssi.clone()),
        ("phones".to_owned(), json!({ "type": "object", "additionalProperties": rssi })),
        ("rssi_unknown".to_owned(), json!({ "enum": ["refuse", "accept"] })),
        ("bind_mac".to_owned(), switch.clone()),
        ("secure".to_owned(), switch.clone()),
        ("other_issuer".to_owned(), switch),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<LockSpec, (&'static str, String)> {
        lock(&"garden".parse().unwrap(), None, &text.parse().unwrap())
    }

    #[test]
    fn a_lock_is_read_from_its_door() {
        let lock = read("kind = 'radio'\nrssi = -60\nsite = 'home'\nphones = { anna = -80 }\nopen = { command = ['/bin/true'] }").unwrap();
        assert_eq!((lock.id.as_str(), lock.rssi, lock.phones["anna"], lock.command.len()), ("garden", Some(-60), -80, 1));
        let lock = read("open = { mqtt = 'a/b', payload = '1' }").unwrap();
        assert_eq!(lock.mqtt.map(|mqtt| mqtt.topic).as_deref(), Some("a/b"));
        let lock = read("open = { gpio = { chip = '/dev/gpiochip0', line = 17 } }").unwrap();
        assert_eq!(lock.gpio.map(|gpio| gpio.line), Some(17));
        assert_eq!(read("open = { door = 'front' }").unwrap().door.as_deref(), Some("front"));
        assert_eq!(read("runs = 'original'").unwrap().runs.as_deref(), Some("original"));
    }

    #[test]
    fn what_does_not_open_it_is_said() {
        for (text, key) in [
            ("rssi = -60", "open"),
            ("open = { mqtt = 'a/b' }", "open"),
            ("open = { gong = 1 }", "open"),
            ("runs = 'elsewhere'\nopen = { door = 'front' }", "open"),
            ("open = { command = ['/bin/true'], shell = true }", "open"),
            ("open = { command = ['/bin/true'] }\nrssi = 'near'", "kind"),
        ] {
            assert_eq!(read(text).unwrap_err().0, key, "{text}");
        }
    }
}
