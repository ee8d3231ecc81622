//! The form of a webhook: where it is, and what it is told.

use super::{
    events::{Choice, ChoiceGroup, kind_choices},
    scene::Scene,
    texts::{EN, Texts},
};
use crate::{ApiError, webhooks::desk::Wish};
use askama::Template;
use doorward_store::Webhook;
use doorward_wire::{door::DoorId, event::EventKind};
use std::collections::HashMap;

pub(super) type Fields = HashMap<String, String>;

/// Names of checkboxes: a door's, beside those of events, which all hold a full stop.
const DOOR: &str = "door:";

/// What a form holds.
#[derive(Default)]
pub(super) struct Filled {
    name: String,
    url: String,
    allow_private: bool,
    kinds: Vec<EventKind>,
    doors: Vec<DoorId>,
}

impl Filled {
    /// What was filled in. Nothing chosen stands for everything.
    pub(super) fn read(form: &Fields) -> Self {
        let text = |key: &str| form.get(key).map_or("", |text| text.trim()).to_owned();
        Self {
            name: text("name"),
            url: text("url"),
            allow_private: text("allow_private") == "true",
            kinds: form.keys().filter_map(|key| key.parse().ok()).collect(),
            doors: form.keys().filter_map(|key| key.strip_prefix(DOOR)?.parse().ok()).collect(),
        }
    }

    pub(super) fn wish(&self) -> Wish {
        Wish {
            name: Some(self.name.clone()),
            url: Some(self.url.clone()),
            kinds: Some(self.kinds.clone()),
            doors: Some(self.doors.clone()),
            allow_private: Some(self.allow_private),
        }
    }
}

impl From<&Webhook> for Filled {
    fn from(webhook: &Webhook) -> Self {
        Self {
            name: webhook.name.clone(),
            url: webhook.url.clone(),
            allow_private: webhook.allow_private,
            kinds: webhook.kinds.clone().unwrap_or_default(),
            doors: webhook.doors.clone(),
        }
    }
}

/// What is wrong with a form. The API names a field as it is called there.
pub(super) fn explain(error: &ApiError) -> String {
    let text = error.to_string();
    text.strip_prefix("url: ").map_or_else(|| EN.explain(error), |rest| EN.webhook_url_wrong(rest))
}

/// The fields as they are shown.
#[derive(Template)]
#[template(path = "_webhook_fields.html")]
pub(super) struct WebhookFields {
    t: &'static Texts,
    error: Option<String>,
    name: String,
    url: String,
    allow_private: bool,
    kinds: Vec<ChoiceGroup>,
    kinds_chosen: usize,
    doors: Vec<Choice>,
    doors_chosen: usize,
}

impl WebhookFields {
    pub(super) fn new(scene: &Scene, filled: Filled, error: Option<String>) -> Self {
        let chosen = |door: &DoorId| filled.doors.contains(door);
        let choice = |id: &DoorId, label: String| Choice { value: format!("{DOOR}{id}"), label, on: chosen(id) };
        let known = scene.web.house().board().doors();
        let mut doors: Vec<Choice> = known.iter().map(|door| choice(&door.id, door.name.clone())).collect();
        // A door that is gone stays until somebody takes it away.
        let gone = filled.doors.iter().filter(|id| known.iter().all(|door| door.id != **id));
        doors.extend(gone.map(|id| choice(id, id.to_string())));
        Self {
            t: scene.t,
            error,
            kinds: kind_choices(scene.t, |kind| filled.kinds.contains(&kind)),
            kinds_chosen: filled.kinds.len(),
            doors_chosen: filled.doors.len(),
            doors,
            name: filled.name,
            url: filled.url,
            allow_private: filled.allow_private,
        }
    }
}
