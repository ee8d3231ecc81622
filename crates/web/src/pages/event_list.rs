//! Events as they are listed.

use super::{
    scene::{Scene, TimeView},
    shell::fragment,
    texts::{Texts, event::Names, state::Tone},
};
use askama::Template;
use doorward_wire::{
    attempt::AttemptId,
    event::{Event, EventKind},
    ring::RingId,
};

/// One event in a list, under the heading of its day where it is the first.
#[derive(Template)]
#[template(path = "_event.html")]
pub(crate) struct EventItem {
    brief: bool,
    day: Option<Day>,
    event: EventView,
}

struct Day {
    key: String,
    name: String,
}

struct EventView {
    id: i64,
    tone: Tone,
    icon: &'static str,
    text: String,
    /// The page that shows more of it.
    href: Option<String>,
    note: String,
    time: TimeView,
    /// The day under which it is listed.
    day: Option<String>,
}

/// Leaves out what only repeats what a neighbour says better, so that one command is one line.
#[derive(Debug, Default)]
pub(crate) struct Echoes {
    /// The newest attempt that a door's own event told of.
    told: Option<AttemptId>,
}

impl Echoes {
    /// Whether an event says something new. To be asked in the order of events.
    pub(crate) fn lets_pass(&mut self, event: &Event) -> bool {
        if matches!(event.kind, EventKind::DoorLocked | EventKind::DoorUnlocked | EventKind::DoorOpened) {
            self.told = event.attempt.or(self.told);
        }
        if event.kind == EventKind::AttemptFinished {
            // Unconfirmed and the like have events of their own; what was confirmed has one if it changed the door.
            return event.data["state"] == "confirmed" && (event.attempt.is_none() || event.attempt != self.told);
        }
        event.kind != EventKind::AttemptRequested
    }

    fn out_of(events: &[Event]) -> Vec<&Event> {
        let mut echoes = Self::default();
        events.iter().filter(|event| echoes.lets_pass(event)).collect()
    }
}

/// Newest first, without headings and without echoes.
pub(crate) fn brief(scene: &Scene, events: &[Event], most: usize) -> Vec<EventItem> {
    Echoes::out_of(events).into_iter().rev().take(most).map(|event| item(scene, event, None, true)).collect()
}

/// Newest first, each day under its heading; with every record, or without echoes.
pub(crate) fn by_day(scene: &Scene, events: &[Event], every: bool) -> Vec<EventItem> {
    let mut before = None;
    let events = if every { events.iter().collect() } else { Echoes::out_of(events) };
    let listed = events.into_iter().rev().map(|event| {
        let day = day(scene, event);
        let first = before.as_ref() != Some(&day);
        before = Some(day);
        item(scene, event, first.then_some(day), false)
    });
    listed.collect()
}

/// A new event as a fragment, with its heading in case its day is new too.
pub(crate) fn arrived(scene: &Scene, event: &Event, brief: bool) -> String {
    let day = (!brief).then(|| day(scene, event));
    fragment(&item(scene, event, day, brief))
}

fn day(scene: &Scene, event: &Event) -> jiff::civil::Date {
    scene.zoned(event.time, None).date()
}

/// The ring that an event tells of.
fn ring_of(event: &Event) -> Option<RingId> {
    let tells = matches!(event.kind, EventKind::DoorRing | EventKind::DoorRingEnded);
    event.data["ring"].as_str().filter(|_| tells)?.parse().ok()
}

fn item(scene: &Scene, event: &Event, heading: Option<jiff::civil::Date>, brief: bool) -> EventItem {
    let t: &Texts = scene.t;
    let door = event.door.as_ref().map(|id| match scene.web.house().board().door(id) {
        Some(door) => door.name,
        None => event.data["name"].as_str().map_or_else(|| id.to_string(), ToOwned::to_owned),
    });
    let account = event.account.as_deref().map(|id| match scene.account_name(id) {
        gone if gone == id => event.data["name"].as_str().unwrap_or(id),
        name => name,
    });
    let names = Names { door: door.as_deref().unwrap_or_default(), account: account.unwrap_or_default() };
    let (icon, tone) = t.event_face(event);
    EventItem {
        brief,
        day: heading.map(|day| Day { key: day.to_string(), name: t.day(day, scene.zoned(scene.now, None).date()) }),
        event: EventView {
            id: event.id,
            tone,
            icon,
            text: t.event(event, names),
            href: ring_of(event).map(|ring| format!("/rings/{ring}")),
            note: t.event_note(event),
            time: scene.time(event.time, None),
            day: (!brief).then(|| day(scene, event).to_string()),
        },
    }
}
