//! What the keeper wants written down, and what comes back when it is durable.

use doorward_wire::{
    Time,
    account::AccountId,
    attempt::{Actor, Attempt, AttemptId, AttemptState, Reason},
    device::DeviceId,
    door::DoorId,
    event::{Event, EventKind},
    ring::Ring,
};

use crate::setup::{DoorSetup, Told};

/// An event that has no sequence number yet: it gets one when it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// When it happened.
    pub time: Time,
    /// What happened.
    pub kind: EventKind,
    /// The door that it is about.
    pub door: Option<DoorId>,
    /// The account that it is about.
    pub account: Option<AccountId>,
    /// The device that it is about.
    pub device: Option<DeviceId>,
    /// Who did it; only kind and id are chained.
    pub actor: Option<Actor>,
    /// Why.
    pub reason: Option<Reason>,
    /// The attempt that it belongs to.
    pub attempt: Option<AttemptId>,
    /// More about it.
    pub data: serde_json::Value,
}

impl NewEvent {
    /// An event about nothing in particular yet.
    pub const fn new(time: Time, kind: EventKind) -> Self {
        let data = serde_json::Value::Null;
        Self { time, kind, door: None, account: None, device: None, actor: None, reason: None, attempt: None, data }
    }

    /// An event about an attempt as it stands.
    pub fn about(attempt: &Attempt, kind: EventKind, now: Time) -> Self {
        Self::new(now, kind)
            .door(&attempt.door)
            .actor(&attempt.actor)
            .attempt(attempt.id)
            .reason(attempt.reason)
            .data(serde_json::json!({ "action": attempt.action, "detail": attempt.detail }))
    }

    /// The same event, about this door.
    #[must_use]
    pub fn door(mut self, door: &DoorId) -> Self {
        self.door = Some(door.clone());
        self
    }

    /// The same event, about this account.
    #[must_use]
    pub fn account(mut self, account: &AccountId) -> Self {
        self.account = Some(account.clone());
        self
    }

    /// The same event, about this device.
    #[must_use]
    pub fn device(mut self, device: &DeviceId) -> Self {
        self.device = Some(device.clone());
        self
    }

    /// The same event, done by this actor.
    #[must_use]
    pub fn actor(mut self, actor: &Actor) -> Self {
        self.actor = Some(actor.clone());
        self
    }

    /// The same event, for this reason.
    #[must_use]
    pub const fn reason(mut self, reason: Option<Reason>) -> Self {
        self.reason = reason;
        self
    }

    /// The same event, belonging to this attempt.
    #[must_use]
    pub const fn attempt(mut self, attempt: AttemptId) -> Self {
        self.attempt = Some(attempt);
        self
    }

    /// The same event, with more about it.
    #[must_use]
    pub fn data(mut self, data: serde_json::Value) -> Self {
        self.data = data;
        self
    }
}

/// One thing to write. Everything in one record is durable together, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A command, before anything is done about it.
    Intent {
        /// The attempt; pending, or already refused.
        attempt: Attempt,
        /// The account whose owner may claim it.
        account: AccountId,
        /// The command is stale after this time.
        not_after: Time,
        /// Claim it in the same commit, because nothing else waits at this door.
        claim: bool,
        /// The grant that allows it. Its use is counted in the same commit, and when it was taken back or used up
        /// meanwhile the attempt is written as [`Record::denied`] has it.
        grant: Option<String>,
        /// What is told about it.
        events: Vec<NewEvent>,
    },
    /// The right to act on an attempt that waited in the mailbox. Only one claim of an attempt ever succeeds.
    Claim {
        /// The attempt.
        attempt: AttemptId,
    },
    /// How an attempt ended, or how its end was corrected.
    Outcome {
        /// The attempt as it stands now.
        attempt: Attempt,
        /// What is told about it.
        events: Vec<NewEvent>,
    },
    /// A door that a driver found, with the event that tells of it.
    Door {
        /// The door.
        door: Box<DoorSetup>,
        /// What is told about it.
        events: Vec<NewEvent>,
    },
    /// A ring that began or ended.
    Ring {
        /// The ring as it stands now.
        ring: Box<Ring>,
        /// What is told about it.
        events: Vec<NewEvent>,
    },
    /// Things that happened, and what they told of a door.
    Events {
        /// What happened.
        events: Vec<NewEvent>,
        /// What is told of a door with it, for the next start; what is `None` stays as it was told before.
        told: Option<(DoorId, Told)>,
    },
}

impl Record {
    /// The events that are written with this record.
    pub fn events(&self) -> &[NewEvent] {
        match self {
            Self::Intent { events, .. }
            | Self::Outcome { events, .. }
            | Self::Door { events, .. }
            | Self::Ring { events, .. }
            | Self::Events { events, .. } => events,
            Self::Claim { .. } => &[],
        }
    }

    /// What is written of an intent in its place whose grant does not allow it any more.
    pub fn denied(&self, reason: Reason, now: Time) -> Option<(Attempt, NewEvent)> {
        let Self::Intent { attempt, .. } = self else { return None };
        let mut attempt = attempt.clone();
        attempt.state = AttemptState::Refused;
        attempt.reason = Some(reason);
        attempt.detail = Some(if reason == Reason::UsesExhausted {
            "Not allowed: this right was used as often as it may be.".into()
        } else {
            "Not allowed: this right was taken back.".into()
        });
        attempt.finished = Some(now);
        let event = NewEvent::about(&attempt, EventKind::DoorRefused, now);
        Some((attempt, event))
    }

    /// Whether the record is an intent or an outcome, which are written even when the disk is nearly full.
    pub const fn is_vital(&self) -> bool {
        match self {
            Self::Intent { .. } | Self::Claim { .. } | Self::Outcome { .. } => true,
            Self::Door { .. } | Self::Ring { .. } | Self::Events { .. } => false,
        }
    }
}

/// A record that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its events with their sequence numbers.
    pub events: Vec<Event>,
    /// What became of it.
    pub what: WrittenAs,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrittenAs {
    /// It was written.
    Plain,
    /// The intent or claim was written; `true` when this instance may act on it.
    Claim(bool),
    /// The intent's identifier was used before: nothing was written.
    Known(Box<Attempt>),
    /// The grant behind the intent was taken back or used up meanwhile: it was written as refused.
    Denied(Box<Attempt>),
}
