//! What came of a ring, in words.

use super::{
    Texts,
    event::{Names, sentence},
    state::{Face, face},
};
use doorward_wire::{attempt::Actor, event::Event, ring::RingState};

impl Texts {
    /// What came of a ring, as a sentence without its full stop.
    pub(crate) fn ring_outcome(&self, state: RingState, by: Option<&Actor>, door: &str) -> String {
        let by = |did: &str, done: &str| match by {
            Some(actor) => format!("{} {did}", sentence(&self.actor(actor))),
            None => done.to_owned(),
        };
        match state {
            RingState::Ringing => format!("Somebody rings at {door}"),
            RingState::Answered => by(&format!("answered the ring at {door}"), &format!("The ring at {door} was answered")),
            RingState::Opened => by(&format!("opened {door} for whoever rang"), &format!("{door} was opened for whoever rang")),
            RingState::Rejected => by(&format!("ignored the ring at {door}"), &format!("The ring at {door} was refused")),
            RingState::Cancelled => format!("Whoever rang at {door} gave up"),
            RingState::Timeout => format!("Nobody answered the ring at {door}"),
            RingState::AnsweredElsewhere => format!("The ring at {door} was answered elsewhere"),
        }
    }

    /// The title of a ring's page.
    pub(crate) fn ring_at(&self, door: &str) -> String {
        format!("Ring at {door}")
    }

    /// That it rings at the door beside these words.
    pub(crate) fn rings_now(&self, from: Option<&str>) -> String {
        from.map_or_else(|| "Somebody rings here".into(), |from| format!("Somebody rings here: {from}"))
    }

    /// How a ring ended, or how many were too many.
    pub(super) fn ring_ended(&self, event: &Event, names: Names<'_>) -> String {
        let state = event.data["state"].as_str().and_then(|state| state.parse().ok());
        match (state, event.data["count"].as_u64()) {
            (Some(state), _) => self.ring_outcome(state, event.actor.as_ref(), names.door),
            (None, None) => format!("The ring at {} ended", names.door),
            (None, Some(1)) => format!("So many rang through {} that one ring was not taken", names.account),
            (None, Some(count)) => format!("So many rang through {} that {count} rings were not taken", names.account),
        }
    }

    /// Where a ring stands, in a word.
    pub(crate) const fn ring_state(&self, state: RingState) -> Face {
        match state {
            RingState::Ringing => face("Rings now", "bell", "busy"),
            RingState::Answered => face("Answered", "check", "ok"),
            RingState::Opened => face("Opened", "door-open", "ok"),
            RingState::Rejected => face("Ignored", "x", "calm"),
            RingState::Cancelled => face("Gave up", "bell", "calm"),
            RingState::Timeout => face("Not answered", "bell", "warn"),
            RingState::AnsweredElsewhere => face("Answered elsewhere", "check", "calm"),
        }
    }
}
