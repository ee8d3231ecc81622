//! The settings of an account: from JSON to what a driver takes, and back to what may be shown.

use crate::{ApiError, ApiResult};
use doorward_core::{
    Secret,
    driver::{About, Field, FieldKind, Settings},
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Reads settings, and says everything that is wrong with their keys and types at once.
pub(crate) fn settings(about: &About, given: Map<String, Value>) -> ApiResult<Settings> {
    let mut settings = Settings::default();
    let mut wrong = Vec::new();
    for (key, value) in given {
        let Some(field) = about.fields.iter().find(|field| field.name == key) else {
            let known: Vec<&str> = about.fields.iter().map(|field| field.name).collect();
            wrong.push(format!("settings.{key}: is not known; known are {}", known.join(", ")));
            continue;
        };
        match (field.kind, value) {
            (FieldKind::Secret, Value::String(text)) => {
                settings.secrets.insert(key, Secret::new(text));
            }
            (FieldKind::Text | FieldKind::Url, value @ Value::String(_))
            | (FieldKind::Number, value @ Value::Number(_))
            | (FieldKind::Switch, value @ Value::Bool(_)) => {
                settings.values.insert(key, value);
            }
            (kind, _) => wrong.push(format!("settings.{key}: must be {}", expected(kind))),
        }
    }
    if wrong.is_empty() { Ok(settings) } else { Err(ApiError::Unprocessable(wrong.join("; "))) }
}

const fn expected(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text | FieldKind::Secret => "a text",
        FieldKind::Url => "an address, as a text",
        FieldKind::Number => "a whole number",
        FieldKind::Switch => "true or false",
    }
}

/// A text, as a form sends it, as the value that its field takes.
pub(crate) fn of_text(field: &Field, text: &str) -> Value {
    let text = text.trim();
    match field.kind {
        FieldKind::Text | FieldKind::Secret | FieldKind::Url => Value::String(text.into()),
        FieldKind::Number => text.parse::<i64>().map_or_else(|_| Value::String(text.into()), Value::from),
        FieldKind::Switch => match text.to_ascii_lowercase().as_str() {
            "true" | "on" | "1" | "yes" => Value::Bool(true),
            "false" | "off" | "0" | "no" => Value::Bool(false),
            _ => Value::String(text.into()),
        },
    }
}

/// Settings as they are shown: defaults where nothing is set, and secrets as whether they are.
pub(crate) fn shown(about: &About, settings: &Settings) -> BTreeMap<String, Value> {
    about
        .fields
        .iter()
        .map(|field| {
            let value = match field.kind {
                FieldKind::Secret => Value::Bool(settings.secrets.get(field.name).is_some_and(|secret| !secret.reveal().is_empty())),
                FieldKind::Text | FieldKind::Url | FieldKind::Number | FieldKind::Switch => {
                    settings.values.get(field.name).cloned().unwrap_or_else(|| of_text(field, field.default))
                }
            };
            (field.name.to_owned(), value)
        })
        .collect()
}
