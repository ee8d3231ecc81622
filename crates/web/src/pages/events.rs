//! Events: everything that happened, newest first, by door and kind.

use super::{
    event_list::{self, EventItem},
    scene::Scene,
    shell::{Oops, Section, Shell, html},
    texts::Texts,
    visitor::{Visitor, encode},
};
use crate::Web;
use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    response::Response,
    routing::get,
};
use doorward_core::scope::Scope;
use doorward_store::EventQuery;
use doorward_wire::{
    door::DoorId,
    event::{Event, EventKind},
};
use serde::Deserialize;

/// Events on a page.
const PAGE: u32 = 60;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/events", get(list))
}

/// What is wanted, as forms send it: an empty text is nothing.
#[derive(Deserialize, Default)]
struct Wanted {
    #[serde(default)]
    door: String,
    #[serde(default)]
    kind: String,
    before: Option<i64>,
}

/// One choice of a filter.
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) on: bool,
}

/// Choices under a heading.
pub(super) struct ChoiceGroup {
    pub(super) name: &'static str,
    pub(super) choices: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    shell: Shell,
    t: &'static Texts,
    doors: Vec<Choice>,
    kinds: Vec<ChoiceGroup>,
    filtered: bool,
    events: Vec<EventItem>,
    last: i64,
    newest: Option<String>,
    older: Option<String>,
}

async fn list(State(web): State<Web>, visitor: Visitor, Query(wanted): Query<Wanted>) -> Result<Response, Oops> {
    let scene = Scene::load(&web, &visitor).await;
    let door = wanted.door.parse::<DoorId>().ok();
    let kind = wanted.kind.parse::<EventKind>().ok();
    let store = web.house().store();
    let latest = store.last_event_id().await?;
    let query = EventQuery { after: None, before: wanted.before, door: door.clone(), kind, limit: PAGE + 1, ..EventQuery::default() };
    visitor.caller.need(&Scope::EventsRead)?;
    let mut events: Vec<Event> = store.events(&query).await?;
    let more = events.len() > PAGE as usize;
    if more {
        events.remove(0);
    }
    let oldest = events.first().map(|event| event.id);
    events.retain(|event| scene.reads(event));
    let filter = format!("door={}&kind={}", encode(&wanted.door), encode(&wanted.kind));
    let view = format!("events:{}:{}", door.as_ref().map_or("", DoorId::as_str), kind.map_or("", EventKind::as_str));
    let shell = Shell::new(&scene, scene.t.events, Section::Events);
    Ok(html(&EventsPage {
        shell: if wanted.before.is_none() { shell.live(view) } else { shell },
        t: scene.t,
        doors: door_choices(&scene, door.as_ref()),
        kinds: kind_choices(scene.t, |choice| kind == Some(choice)),
        filtered: door.is_some() || kind.is_some(),
        older: oldest.filter(|_| more).map(|event| format!("/events?{filter}&before={event}")),
        newest: wanted.before.map(|_| format!("/events?{filter}")),
        last: latest,
        events: event_list::by_day(&scene, &events, kind.is_some()),
    }))
}

pub(super) fn door_choices(scene: &Scene, chosen: Option<&DoorId>) -> Vec<Choice> {
    let doors = scene.doors();
    let mut choices: Vec<Choice> =
        doors.into_iter().map(|door| Choice { on: Some(&door.id) == chosen, value: door.id.to_string(), label: door.name }).collect();
    // A door that is gone still has events.
    if let Some(gone) = chosen.filter(|_| scene.is_administrator() && choices.iter().all(|choice| !choice.on)) {
        choices.push(Choice { value: gone.to_string(), label: gone.to_string(), on: true });
    }
    choices
}

/// Every kind of event in its group.
pub(super) fn kind_choices(t: &'static Texts, chosen: impl Fn(EventKind) -> bool) -> Vec<ChoiceGroup> {
    let mut groups: Vec<ChoiceGroup> = Vec::new();
    for kind in EventKind::ALL {
        let (label, name) = t.event_kind(*kind);
        let choice = Choice { value: kind.to_string(), label: label.into(), on: chosen(*kind) };
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.choices.push(choice),
            None => groups.push(ChoiceGroup { name, choices: vec![choice] }),
        }
    }
    groups
}
