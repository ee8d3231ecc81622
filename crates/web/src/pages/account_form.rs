//! The settings of an account as a form, made from what its driver says about itself.

use crate::api::fields;
use doorward_core::{
    Secret,
    driver::{About, Field, FieldKind, Mistake, Settings},
};
use serde_json::Value;
use std::collections::HashMap;

/// A form as it is shown.
pub(crate) struct FormView {
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) summary: String,
    pub(crate) name: String,
    pub(crate) error: Option<String>,
    /// What most people need.
    pub(crate) fields: Vec<FieldView>,
    /// What few people need, folded away.
    pub(crate) more: Vec<FieldView>,
    pub(crate) more_open: bool,
}

pub(crate) struct FieldView {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) help: &'static str,
    pub(crate) input: &'static str,
    pub(crate) placeholder: &'static str,
    pub(crate) value: String,
    pub(crate) required: bool,
    /// On or off, for a switch.
    pub(crate) switch: Option<bool>,
    /// A secret that is there and not shown.
    pub(crate) set: bool,
    pub(crate) error: Option<String>,
}

/// What a form was filled in with, or what is stored.
pub(crate) enum Filled<'a> {
    Nothing,
    Form(&'a HashMap<String, String>, &'a Settings),
    Stored(&'a Settings),
}

/// What was wrong with a form.
#[derive(Default)]
pub(crate) struct Wrong {
    pub(crate) error: Option<String>,
    pub(crate) mistakes: Vec<Mistake>,
}

/// A driver's form. `brief` folds everything away that has a sensible default, as for a new account.
pub(crate) fn view(about: &About, name: &str, filled: &Filled<'_>, wrong: &Wrong, brief: bool) -> FormView {
    let split = if brief { about.fields.iter().position(has_default).unwrap_or(about.fields.len()) } else { essential(about.fields) };
    let mut fields: Vec<FieldView> = about.fields.iter().map(|field| field_view(field, filled, &wrong.mistakes)).collect();
    let more = fields.split_off(split);
    let elsewhere = wrong.mistakes.iter().filter(|mistake| about.fields.iter().all(|field| field.name != mistake.key));
    let mut errors: Vec<String> = wrong.error.iter().cloned().chain(elsewhere.map(ToString::to_string)).collect();
    if errors.is_empty() && !wrong.mistakes.is_empty() {
        errors.push(super::texts::EN.look_at_fields.into());
    }
    FormView {
        kind: about.kind.into(),
        title: about.title.into(),
        summary: about.summary.into(),
        name: name.into(),
        error: (!errors.is_empty()).then(|| errors.join(" ")),
        fields,
        more_open: more.iter().any(|field| field.error.is_some()),
        more,
    }
}

const fn has_default(field: &Field) -> bool {
    matches!(field.kind, FieldKind::Number | FieldKind::Switch) || !field.default.is_empty()
}

/// Optional texts at the end of a driver's list are for special cases.
fn essential(fields: &[Field]) -> usize {
    let special = |field: &&Field| !field.required && matches!(field.kind, FieldKind::Text | FieldKind::Url);
    fields.len() - fields.iter().rev().take_while(special).count()
}

fn field_view(field: &Field, filled: &Filled<'_>, mistakes: &[Mistake]) -> FieldView {
    let stored = |settings: &Settings| match settings.values.get(field.name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => field.default.to_owned(),
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_))) => other.to_string(),
    };
    let secret = field.kind == FieldKind::Secret;
    let value = match filled {
        Filled::Nothing => field.default.to_owned(),
        Filled::Form(form, _) => form.get(field.name).cloned().unwrap_or_default(),
        Filled::Stored(settings) => stored(settings),
    };
    let set = match filled {
        Filled::Form(_, settings) | Filled::Stored(settings) => {
            settings.secrets.get(field.name).is_some_and(|secret| !secret.reveal().is_empty())
        }
        Filled::Nothing => false,
    };
    FieldView {
        name: field.name,
        label: field.label,
        help: field.help,
        input: match field.kind {
            FieldKind::Text | FieldKind::Switch => "text",
            FieldKind::Secret => "password",
            FieldKind::Url => "url",
            FieldKind::Number => "number",
        },
        placeholder: if set { "••••••••" } else { field.default },
        switch: (field.kind == FieldKind::Switch).then_some(value == "true"),
        value: if secret { String::new() } else { value },
        required: field.required,
        set: set && secret,
        error: mistakes.iter().find(|mistake| mistake.key == field.name).map(|mistake| super::texts::EN.sentence(&mistake.hint)),
    }
}

/// Reads a filled-in form. A secret that was left empty stays as it is; a switch that was not sent is off.
pub(crate) fn read(about: &About, form: &HashMap<String, String>) -> Settings {
    let mut settings = Settings::default();
    for field in about.fields {
        let text = form.get(field.name).map_or("", |text| text.trim());
        match field.kind {
            FieldKind::Secret if text.is_empty() => {}
            FieldKind::Secret => {
                settings.secrets.insert(field.name.into(), Secret::new(text.to_owned()));
            }
            FieldKind::Switch => {
                settings.values.insert(field.name.into(), Value::Bool(text == "true"));
            }
            FieldKind::Number if text.is_empty() => {
                settings.values.insert(field.name.into(), Value::Null);
            }
            FieldKind::Text | FieldKind::Url | FieldKind::Number => {
                settings.values.insert(field.name.into(), fields::of_text(field, text));
            }
        }
    }
    settings
}
