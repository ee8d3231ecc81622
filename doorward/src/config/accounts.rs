//! `[[accounts]]`

use super::keys::Keys;
use doorward_core::{
    Secret,
    driver::{Entry, FieldKind, Settings},
};
use doorward_wire::account::AccountId;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// An account that the configuration file sets.
#[derive(Debug, Clone)]
pub(crate) struct AccountConfig {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) settings: Settings,
}

impl AccountConfig {
    pub(crate) fn id(&self) -> AccountId {
        AccountId::from_name(&self.name, &self.kind)
    }
}

pub(super) fn read(keys: &mut Keys, drivers: &[Entry]) -> Vec<AccountConfig> {
    let mut accounts = Vec::new();
    for (path, mut table) in keys.tables("accounts") {
        let mut take = |name: &str| table.remove(name).and_then(|value| value.as_str().map(str::to_owned));
        let kind = take("kind").unwrap_or_default();
        let name = take("name").unwrap_or_else(|| kind.clone());
        let Some(entry) = drivers.iter().find(|entry| entry.kind == kind) else {
            let known: Vec<&str> = drivers.iter().map(|entry| entry.kind).collect();
            keys.mistake(format!("{path}.kind"), format!("must be one of: {}", known.join(", ")));
            continue;
        };
        let about = (entry.about)();
        let mut settings = Settings::default();
        for (key, value) in table {
            let bare = key.strip_suffix("_file").unwrap_or(&key);
            let Some(field) = about.fields.iter().find(|field| field.name == key || field.name == bare) else {
                let known: Vec<&str> = about.fields.iter().map(|field| field.name).collect();
                keys.mistake(format!("{path}.{key}"), format!("there is no such key; an account of kind {kind} has {}", known.join(", ")));
                continue;
            };
            let value = if field.name == key { json(&value) } else { secret_file(keys, &format!("{path}.{key}"), &value) };
            match (field.kind, value) {
                (FieldKind::Secret, Some(Value::String(text))) => {
                    settings.secrets.insert(field.name.into(), Secret::new(text));
                }
                (FieldKind::Secret, _) => keys.mistake(format!("{path}.{key}"), "must be a text in quotes"),
                (_, Some(value)) => {
                    settings.values.insert(field.name.into(), value);
                }
                (_, None) => keys.mistake(format!("{path}.{key}"), "must be a text, a number, true or false"),
            }
        }
        match (entry.build)(&settings) {
            Ok(_) => accounts.push(AccountConfig { kind, name, settings }),
            Err(mistakes) => {
                for mistake in mistakes {
                    keys.mistake(format!("{path}.{}", mistake.key), mistake.hint);
                }
            }
        }
    }
    let mut ids: Vec<AccountId> = accounts.iter().map(AccountConfig::id).collect();
    ids.sort();
    for pair in ids.windows(2).filter(|pair| pair[0] == pair[1]) {
        keys.mistake("accounts", format!("two accounts would be called {}: give them different names", pair[0]));
    }
    accounts
}

fn json(value: &toml::Value) -> Option<Value> {
    match value {
        toml::Value::String(text) => Some(json!(text)),
        toml::Value::Integer(number) => Some(json!(number)),
        toml::Value::Boolean(on) => Some(json!(on)),
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

fn secret_file(keys: &mut Keys, path: &str, value: &toml::Value) -> Option<Value> {
    let file = value.as_str()?;
    match std::fs::read_to_string(file) {
        Ok(text) => Some(json!(text.trim_end())),
        Err(error) => {
            keys.mistake(path, format!("{file} cannot be read: {error}"));
            None
        }
    }
}

pub(super) fn sample(drivers: &[Entry]) -> String {
    let mut text = String::new();
    for entry in drivers {
        let about = (entry.about)();
        let _ = write!(text, "\n# {}\n# [[accounts]]\n# kind = {:?}\n# name = {:?}\n", about.summary, about.kind, about.title);
        for field in about.fields {
            let _ = writeln!(text, "## {}", field.help);
            let value = match field.kind {
                FieldKind::Number | FieldKind::Switch if !field.default.is_empty() => field.default.to_owned(),
                FieldKind::Text | FieldKind::Secret | FieldKind::Url | FieldKind::Number | FieldKind::Switch => {
                    format!("{:?}", field.default)
                }
            };
            let _ = writeln!(text, "# {} = {value}", field.name);
        }
    }
    text
}

pub(super) fn schema(drivers: &[Entry]) -> Value {
    let kinds: Vec<Value> = drivers
        .iter()
        .map(|entry| {
            let about = (entry.about)();
            let mut properties = serde_json::Map::new();
            properties.insert("kind".into(), json!({ "const": about.kind }));
            properties.insert("name".into(), json!({ "type": "string" }));
            for field in about.fields {
                let kind = match field.kind {
                    FieldKind::Text | FieldKind::Secret | FieldKind::Url => "string",
                    FieldKind::Number => "integer",
                    FieldKind::Switch => "boolean",
                };
                properties.insert(field.name.into(), json!({ "type": kind, "description": field.help }));
                if field.kind == FieldKind::Secret {
                    let help = format!("A file that holds {}.", field.name);
                    properties.insert(format!("{}_file", field.name), json!({ "type": "string", "description": help }));
                }
            }
            json!({ "type": "object", "additionalProperties": false, "required": ["kind"], "properties": properties })
        })
        .collect();
    json!({ "type": "array", "items": { "oneOf": kinds } })
}
