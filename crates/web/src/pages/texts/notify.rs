//! What people are told, and the sentences of the page about it.

use super::{
    Texts,
    event::Names,
    state::{Face, face},
};
use crate::notify::desk::Standing;
use doorward_wire::{
    event::Event,
    notify::{NotifyChannel, NotifyKind},
};

impl Texts {
    /// What it is about, in a few words.
    pub(crate) fn notify_title(&self, kind: NotifyKind, names: Names<'_>) -> String {
        let Names { door, account } = names;
        match kind {
            NotifyKind::Ring => format!("Ring at {door}"),
            NotifyKind::Jam => format!("{door} is jammed"),
            NotifyKind::Contradiction => format!("{door} did the opposite"),
            NotifyKind::Duress => format!("{door} was opened under duress"),
            NotifyKind::Battery => format!("Battery of {door} is low"),
            NotifyKind::SignIn => format!("{account} must be signed in again"),
            NotifyKind::Offline => format!("{door} cannot be reached"),
        }
    }

    /// The same in a sentence, with the time of day at which it happened.
    pub(crate) fn notify_text(&self, kind: NotifyKind, event: &Event, names: Names<'_>, at: &str) -> String {
        let door = names.door;
        match kind {
            NotifyKind::Ring => match event.data["from"].as_str() {
                Some(from) => format!("Somebody rang at {door} at {at}: {from}."),
                None => format!("Somebody rang at {door} at {at}."),
            },
            NotifyKind::Jam => format!("The bolt of {door} is stuck since {at}. Look whether it is closed."),
            NotifyKind::Contradiction => {
                format!("{door} was seen at {at} to do the opposite of what it was asked. Look whether it is closed.")
            }
            NotifyKind::Duress => {
                let who = event.actor.as_ref().map_or_else(|| "Somebody".to_owned(), |actor| super::event::sentence(&self.actor(actor)));
                format!("{who} opened {door} at {at} and is forced to. The door says nothing of it; do not call back.")
            }
            NotifyKind::Battery => match event.data["battery"].as_u64() {
                Some(level) => format!("It was at {level} % at {at}. Change it soon."),
                None => format!("It was low at {at}. Change it soon."),
            },
            NotifyKind::SignIn => {
                format!("The vendor has ended the sign-in at {at}. Until a person signs in, its doors cannot be opened from here.")
            }
            NotifyKind::Offline => format!("{door} has not answered since {at}."),
        }
    }

    /// What people are told of.
    pub(crate) const fn notify_kind(&self, kind: NotifyKind) -> &'static str {
        match kind {
            NotifyKind::Ring => "somebody rings",
            NotifyKind::Jam => "a bolt is stuck",
            NotifyKind::Contradiction => "a door does the opposite",
            NotifyKind::Duress => "somebody is forced to open",
            NotifyKind::Battery => "a battery is low",
            NotifyKind::SignIn => "an account needs its sign-in",
            NotifyKind::Offline => "a door cannot be reached",
        }
    }

    /// A way of telling people.
    pub(crate) const fn notify_channel(&self, channel: NotifyChannel) -> &'static str {
        match channel {
            NotifyChannel::Push => "Browsers",
            NotifyChannel::Ntfy => "ntfy",
            NotifyChannel::Mail => "Mail",
        }
    }

    /// Where a channel leads.
    pub(crate) fn notify_place(&self, standing: &Standing) -> String {
        match (standing.channel, &standing.place) {
            (NotifyChannel::Push, _) => match standing.browsers {
                0 => "No browser is told yet".into(),
                1 => "1 browser is told".into(),
                browsers => format!("{browsers} browsers are told"),
            },
            (NotifyChannel::Ntfy, Some(host)) => format!("A topic at {host}"),
            (NotifyChannel::Mail, Some(host)) => format!("By way of {host}"),
            (NotifyChannel::Ntfy | NotifyChannel::Mail, None) => "Not set up".into(),
        }
    }

    /// How a channel stands.
    pub(crate) const fn notify_state(&self, standing: &Standing) -> Face {
        match (standing.on, &standing.last) {
            (false, _) => face("Off", "x", "calm"),
            (true, None) => face("Nothing told yet", "clock", "calm"),
            (true, Some(last)) if last.error.is_none() => face("Working", "check", "ok"),
            (true, Some(_)) if standing.waiting > 0 => face("Trying again", "refresh", "warn"),
            (true, Some(_)) => face("Failing", "alert", "bad"),
        }
    }

    pub(crate) fn notify_test_aria(&self, channel: NotifyChannel) -> String {
        format!("Send a test: {}", self.notify_channel(channel))
    }

    pub(crate) fn notify_tested(&self, channel: NotifyChannel) -> String {
        match channel {
            NotifyChannel::Push => "The test was taken by the push service. It should be here in a moment.".into(),
            NotifyChannel::Ntfy | NotifyChannel::Mail => format!("The test was taken: {}.", self.notify_channel(channel)),
        }
    }

    pub(crate) fn notify_test_failed(&self, channel: NotifyChannel, error: &str) -> String {
        self.sentence(&format!("The test was not taken by {}: {error}", self.notify_way(channel)))
    }

    const fn notify_way(&self, channel: NotifyChannel) -> &'static str {
        match channel {
            NotifyChannel::Push => "the push service",
            NotifyChannel::Ntfy => "ntfy",
            NotifyChannel::Mail => "the mail server",
        }
    }
}
