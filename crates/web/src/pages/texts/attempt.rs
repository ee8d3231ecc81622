//! Words for a command and what became of it. The truth is in these words: a confirmed lock was seen locked, an
//! unconfirmed one was seen by nobody, a contradicted one was seen to be something else.

use super::{Texts, state::Face};
use doorward_wire::{
    attempt::{ActionWord, Actor, ActorKind, Attempt, AttemptState, Reason},
    door::{DoorKind, Evidence},
};

impl Texts {
    /// The action on a button, while it runs, and as a noun.
    pub(crate) const fn action(&self, action: ActionWord) -> (&'static str, &'static str, &'static str) {
        match action {
            ActionWord::Open => (self.open, self.opening, "Open"),
            ActionWord::Lock => (self.lock, self.locking, "Lock"),
            ActionWord::Unlock => (self.unlock, self.unlocking, "Unlock"),
            ActionWord::Refresh => (self.check_now, "Asking…", "Look"),
        }
    }

    /// What a button does, for those who cannot see which card it is on.
    pub(crate) fn action_at(&self, action: ActionWord, door: &str) -> String {
        match action {
            ActionWord::Refresh => format!("Ask {door} for its state now"),
            ActionWord::Open | ActionWord::Lock | ActionWord::Unlock => format!("{} {door}", self.action(action).0),
        }
    }

    /// The verdict.
    pub(crate) const fn verdict(&self, state: AttemptState) -> Face {
        match state {
            AttemptState::Pending => Face { word: "Waiting", icon: "clock", tone: "busy" },
            AttemptState::Confirmed => Face { word: "Confirmed", icon: "check", tone: "ok" },
            AttemptState::Unconfirmed => Face { word: "Unconfirmed", icon: "question", tone: "warn" },
            AttemptState::Contradicted => Face { word: "Contradicted", icon: "alert", tone: "bad" },
            AttemptState::Refused => Face { word: "Refused", icon: "x", tone: "bad" },
            AttemptState::Failed => Face { word: "Failed", icon: "x", tone: "bad" },
        }
    }

    /// What was asked, and by whom.
    pub(crate) fn asked(&self, action: ActionWord, actor: &Actor, me: &str) -> String {
        let what = self.action(action).2;
        if actor.kind == ActorKind::Person && actor.id == me {
            format!("{what} by you")
        } else {
            format!("{what} by {}", self.actor(actor))
        }
    }

    /// Who did it.
    pub(crate) fn actor(&self, actor: &Actor) -> String {
        if let Some(name) = &actor.name {
            return match actor.kind {
                ActorKind::Token => format!("{name} (token)"),
                ActorKind::Pass => format!("{name} (pass)"),
                ActorKind::Tunnel => format!("{name} (tunnel key)"),
                ActorKind::Person | ActorKind::Admin | ActorKind::Local | ActorKind::Mqtt | ActorKind::Device | ActorKind::System => {
                    name.clone()
                }
            };
        }
        match actor.kind {
            ActorKind::Person => "somebody who was erased".into(),
            ActorKind::Token => "a token that is gone".into(),
            ActorKind::Admin => "the command line".into(),
            ActorKind::Local => "a local program".into(),
            ActorKind::Mqtt => format!("MQTT user {}", actor.id),
            ActorKind::Tunnel => format!("tunnel key {}", actor.id),
            ActorKind::Pass => "a pass".into(),
            ActorKind::Device => "the vendor".into(),
            ActorKind::System => "doorward".into(),
        }
    }

    /// The first step: on its way, or sent.
    pub(crate) fn sent(&self, vendor: &str, sent: bool) -> String {
        if sent { "Sent".into() } else { format!("Sending to {vendor}…") }
    }

    /// The vendor took it, which says nothing about the door.
    pub(crate) fn accepted(&self, vendor: &str) -> String {
        format!("Accepted by {vendor}")
    }

    /// Waiting for somebody to see it.
    pub(crate) const fn waiting(&self, action: ActionWord, kind: DoorKind) -> &'static str {
        match (action, kind) {
            (ActionWord::Lock, _) => "Waiting to see it locked…",
            (ActionWord::Unlock, _) => "Waiting to see it unlocked…",
            (ActionWord::Open, DoorKind::Bolt) => "Waiting to see it open…",
            (ActionWord::Open, _) => "Waiting for an answer…",
            (ActionWord::Refresh, _) => "Waiting for its state…",
        }
    }

    /// The last step.
    pub(crate) fn outcome(&self, attempt: &Attempt) -> String {
        let last: Option<&Evidence> = attempt.evidence.iter().rev().find(|evidence| evidence.state.is_some());
        let seen = |word: &str| match last {
            Some(Evidence { kind, state: Some(state), .. }) => format!("{word} {} ({})", self.state_word(*state), self.how(*kind)),
            _ => word.to_owned(),
        };
        match attempt.state {
            AttemptState::Pending => String::new(),
            AttemptState::Confirmed if last.is_some() => seen("Confirmed"),
            AttemptState::Confirmed => "Confirmed".into(),
            AttemptState::Unconfirmed => "Nobody saw what the door did".into(),
            AttemptState::Contradicted => seen("Still seen"),
            AttemptState::Refused => "Nothing was done".into(),
            AttemptState::Failed => String::new(),
        }
    }

    /// What a person can do about an end that is not good.
    pub(crate) const fn advice(&self, attempt: &Attempt, tells: bool) -> Option<&'static str> {
        match (attempt.state, attempt.reason) {
            (AttemptState::Pending | AttemptState::Confirmed, _) => None,
            (_, Some(Reason::Jammed)) => Some("Go to the door. See whether it is quite shut and the bolt is free, then try again."),
            (AttemptState::Contradicted, _) => Some("Do not rely on the lock’s app. Look at the door, then try again."),
            (AttemptState::Unconfirmed, Some(Reason::Superseded)) => None,
            (AttemptState::Unconfirmed, _) if !tells => Some("This door cannot tell. Look at it if it matters."),
            (AttemptState::Unconfirmed, _) => Some("Look at the door before you rely on it. Ask for its state in a moment."),
            (_, Some(Reason::NeedsSignIn)) => Some("Sign the account in again, under Accounts."),
            (_, Some(Reason::Offline)) => Some("Check the lock’s connection and yours, then try again. Nothing was done."),
            (_, Some(Reason::StaleCommand | Reason::Busy | Reason::RateLimited)) => Some("Wait a moment and try again."),
            (_, Some(Reason::AuditUnavailable)) => Some("Look at the disk and the database: what cannot be written down is not done."),
            (AttemptState::Refused | AttemptState::Failed, _) => None,
        }
    }

    /// Asking for the state brought nothing.
    pub(crate) fn look_failed(&self, door: &str, attempt: &Attempt) -> String {
        attempt.detail.clone().unwrap_or_else(|| format!("{door} did not tell its state."))
    }

    /// What is said aloud when an attempt changes.
    pub(crate) fn aloud(&self, attempt: &Attempt, door: &str) -> String {
        let what = self.action(attempt.action).2;
        match attempt.state {
            AttemptState::Pending => format!("{door}: {}", self.action(attempt.action).1),
            AttemptState::Confirmed => format!("{door}: {what}. {}.", self.outcome(attempt)),
            AttemptState::Unconfirmed | AttemptState::Contradicted | AttemptState::Refused | AttemptState::Failed => {
                let verdict = self.verdict(attempt.state).word;
                format!("{door}: {what} {}. {}", verdict.to_lowercase(), attempt.detail.clone().unwrap_or_else(|| self.outcome(attempt)))
            }
        }
    }
}
