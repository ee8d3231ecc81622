//! `[[sites]]`

use super::{keys::Keys, server::time_zone};
use doorward_store::Site;
use doorward_wire::grant::{Holiday, HolidayError};
use serde_json::{Value, json};

pub(super) fn read(keys: &mut Keys) -> Vec<Site> {
    let mut sites = Vec::new();
    for (path, table) in keys.tables("sites") {
        let text = |name: &str| table.get(name).and_then(toml::Value::as_str).map(str::to_owned);
        let (id, name, zone) = (text("id"), text("name"), text("time_zone"));
        for key in table.keys().filter(|key| !["id", "name", "time_zone", "holidays"].contains(&key.as_str())) {
            keys.mistake(format!("{path}.{key}"), "there is no such key; a site has id, name, time_zone and holidays");
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
        let holidays = match holidays(table.get("holidays")) {
            Ok(holidays) => holidays,
            Err(hint) => {
                keys.mistake(format!("{path}.holidays"), hint);
                continue;
            }
        };
        sites.push(Site { name: name.unwrap_or_else(|| id.clone()), id, time_zone, holidays });
    }
    sites
}

fn holidays(value: Option<&toml::Value>) -> Result<Vec<Holiday>, String> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let days = value.as_array().ok_or("must be a list of days, such as [\"12-25\", \"2026-12-24\"]")?;
    let day = |day: &toml::Value| day.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| HolidayError.to_string());
    days.iter().map(day).collect()
}

pub(super) fn sample() -> String {
    "\n# Places with doors. Once for each:\n# [[sites]]\n# id = \"home\"\n# name = \"Home\"\n# time_zone = \"Europe/Berlin\"\n# holidays = [\"12-25\", \"2026-12-24\"]   # each year, or once\n".into()
}

pub(super) fn schema() -> Value {
    json!({ "type": "array", "items": { "type": "object", "additionalProperties": false, "required": ["id", "time_zone"],
        "properties": { "id": { "type": "string" }, "name": { "type": "string" }, "time_zone": { "type": "string" },
            "holidays": { "type": "array", "items": { "type": "string" } } } } })
}
