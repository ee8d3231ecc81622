//! What is said of an event, in the words of the pages.

use crate::{
    ApiResult, Web,
    pages::texts::{EN, event::Names},
};
use doorward_wire::{
    Time,
    account::AccountId,
    event::{Event, EventKind},
    notify::NotifyKind,
    ring::RingId,
};

/// What an event is, for people who are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) kind: NotifyKind,
    /// The door or account that it is about.
    pub(super) about: String,
    /// The ring that it tells of.
    pub(super) ring: Option<RingId>,
}

/// What people are told of an event; `None` when they are told nothing.
pub(super) fn subject(event: &Event) -> Option<Subject> {
    let kind = NotifyKind::ALL.iter().copied().find(|kind| event_kind(*kind) == event.kind)?;
    // A battery that was changed is good news.
    if kind == NotifyKind::Battery && event.data["low"] != true {
        return None;
    }
    let about = event.door.as_ref().map(ToString::to_string).or_else(|| event.account.clone()).unwrap_or_default();
    Some(Subject { kind, about, ring: ring(event).filter(|_| kind == NotifyKind::Ring) })
}

/// The ring that ended with an event.
pub(super) fn ring_over(event: &Event) -> Option<RingId> {
    ring(event).filter(|_| event.kind == EventKind::DoorRingEnded)
}

fn ring(event: &Event) -> Option<RingId> {
    event.data["ring"].as_str()?.parse().ok()
}

/// The event that people are told of.
const fn event_kind(kind: NotifyKind) -> EventKind {
    match kind {
        NotifyKind::Ring => EventKind::DoorRing,
        NotifyKind::Jam => EventKind::DoorJammed,
        NotifyKind::Contradiction => EventKind::DoorContradicted,
        NotifyKind::Duress => EventKind::DoorDuress,
        NotifyKind::Battery => EventKind::DoorBattery,
        NotifyKind::SignIn => EventKind::AccountNeedsSignIn,
        NotifyKind::Offline => EventKind::DoorOffline,
    }
}

/// How much something matters, in the words of the Web Push `Urgency` header (RFC 8030, section 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    Low,
    Normal,
    High,
}

/// What is said. Every text is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// What it is about; a test is about nothing.
    pub(super) kind: Option<NotifyKind>,
    pub(super) title: String,
    pub(super) text: String,
    /// The page to look at, as a path.
    pub(super) path: String,
    /// The same for others: a newer message with this tag takes its place.
    pub(super) tag: String,
    /// When it happened.
    pub(super) time: Time,
    /// The same at every try.
    pub(super) id: String,
}

impl Message {
    /// What is said of an event.
    pub(super) async fn of(web: &Web, event: &Event) -> ApiResult<Option<Self>> {
        let Some(Subject { kind, about, ring }) = subject(event) else { return Ok(None) };
        let door = event.door.as_ref();
        let account = match event.account.as_deref().and_then(|id| id.parse::<AccountId>().ok()) {
            Some(id) => web.house().store().account(&id).await?.map_or_else(|| id.to_string(), |account| account.name),
            None => String::new(),
        };
        let door_name = door.map_or_else(String::new, |id| web.house().board().door(id).map_or_else(|| id.to_string(), |door| door.name));
        let names = Names { door: &door_name, account: &account };
        let zoned = event.time.timestamp().to_zoned(web.config().notify.zone.clone());
        Ok(Some(Self {
            kind: Some(kind),
            title: line(&EN.notify_title(kind, names)),
            text: line(&EN.notify_text(kind, event, names, &zoned.strftime("%H:%M").to_string())),
            path: match (ring, door, &event.account) {
                (Some(ring), ..) => format!("/rings/{ring}"),
                (None, Some(door), _) => format!("/doors/{door}"),
                (None, None, Some(account)) => format!("/accounts/{account}#sign-in"),
                (None, None, None) => "/events".into(),
            },
            tag: format!("{kind} {about}"),
            time: event.time,
            id: format!("{}.{}", event.id, event.time.as_micros()),
        }))
    }

    /// Something that says nothing.
    pub(super) fn test(now: Time) -> Self {
        Self {
            kind: None,
            title: EN.notify_test_title.into(),
            text: EN.notify_test_text.into(),
            path: "/notifications".into(),
            tag: "test".into(),
            time: now,
            id: format!("test.{}", now.as_micros()),
        }
    }

    /// The page to look at, as somebody outside calls it.
    pub(super) fn link(&self, web: &Web) -> Option<String> {
        web.config().public_url.as_ref().map(|url| format!("{}{}", url.trim_end_matches('/'), self.path))
    }

    pub(super) const fn urgency(&self) -> Urgency {
        match self.kind {
            Some(NotifyKind::Ring | NotifyKind::Jam | NotifyKind::Contradiction | NotifyKind::Duress) => Urgency::High,
            Some(NotifyKind::SignIn | NotifyKind::Offline) | None => Urgency::Normal,
            Some(NotifyKind::Battery) => Urgency::Low,
        }
    }
}

/// A text without anything that could end a line or begin another header. Names come from vendors, too.
fn line(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let plain: String = text.chars().map(|c| if hidden(c) { ' ' } else { c }).take(300).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_text_is_one_line_whatever_it_holds() {
        assert_eq!(line("Gate\r\nBcc: eve@example.org\t\u{0}\u{2028}x"), "Gate Bcc: eve@example.org x");
        assert_eq!(line(" Haustür  –  Süd 🚪 "), "Haustür – Süd 🚪");
        assert_eq!(line(&"x".repeat(1000)).len(), 300);
    }
}
