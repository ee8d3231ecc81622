//! `[[sites]]`

use super::{keys::Keys, server::time_zone};
use serde_json::{Value, json};

/// A place with doors.
#[derive(Debug, Clone)]
pub(crate) struct SiteConfig {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) time_zone: String,
}

pub(super) fn read(keys: &mut Keys) -> Vec<SiteConfig> {
    let mut sites = Vec::new();
    for (path, table) in keys.tables("sites") {
        let text = |name: &str| table.get(name).and_then(toml::Value::as_str).map(str::to_owned);
        let (id, name, zone) = (text("id"), text("name"), text("time_zone"));
        for key in table.keys().filter(|key| !["id", "name", "time_zone"].contains(&key.as_str())) {
            keys.mistake(format!("{path}.{key}"), "there is no such key; a site has id, name and time_zone");
        }
        let Some(id) = id.filter(|id| id.parse::<doorward_wire::door::DoorId>().is_ok()) else {
            keys.mistake(format!("{path}.id"), "must be set: 1 to 40 lower-case letters, digits and underscores");
            continue;
        };
        let time_zone = match time_zone(zone.as_deref().unwrap_or("")) {
            Ok(zone) => zone,
            Err(hint) => {
                keys.mistake(format!("{path}.time_zone"), hint);
                continue;
            }
        };
        sites.push(SiteConfig { name: name.unwrap_or_else(|| id.clone()), id, time_zone });
    }
    sites
}

pub(super) fn sample() -> String {
    "\n# Places with doors. Once for each:\n# [[sites]]\n# id = \"home\"\n# name = \"Home\"\n# time_zone = \"Europe/Berlin\"\n".into()
}

pub(super) fn schema() -> Value {
    json!({ "type": "array", "items": { "type": "object", "additionalProperties": false, "required": ["id", "time_zone"],
        "properties": { "id": { "type": "string" }, "name": { "type": "string" }, "time_zone": { "type": "string" } } } })
}
