//! What a driver is asked to do, and what it answers.

use super::{Fault, Sight};
use crate::{Now, Secret};
use doorward_wire::{Time, attempt::Reason, code::CodeWish, door::DoorId, ring::RingState};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What an action is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The account itself.
    Account,
    /// One of its doors.
    Door {
        /// doorward's identifier.
        id: DoorId,
        /// The vendor's identifier.
        external: String,
        /// The IANA time zone of its site.
        time_zone: String,
    },
}

/// What a driver is asked to do.
#[derive(Debug, Clone)]
pub enum Action {
    /// Open for a moment.
    Open(Once),
    /// Throw the bolt.
    Lock(Once),
    /// Draw the bolt.
    Unlock(Once),
    /// Ask for the state; answered by [`Done::sight`].
    Refresh,
    /// Renew a lease before it ends.
    Renew(String),
    /// List the account's doors; answered by [`Report::Found`](super::Report::Found).
    Discover,
    /// One step of sign-in or set-up; answered by [`Done::output`].
    Setup {
        /// Its name, one of [`About::steps`](super::About::steps).
        step: String,
        /// What the person gave.
        input: Secret<String>,
    },
    /// Change or list the codes that the lock keeps by itself; answered by [`Done::output`].
    Credential(Credential),
    /// One of the vendor's own calls, for support.
    Call(String),
    /// A push from the vendor.
    Deliver(Delivery),
    /// The house ended a ring: the driver ends its call of it, if it has one. A call that it does not have is refused.
    EndRing {
        /// The driver's own key of it, as in [`Report::Ring`](super::Report::Ring).
        call: String,
        /// What the house did about it: answered, opened or rejected.
        end: RingState,
    },
}

/// The limits of a command that happens at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Once {
    /// The command is stale after this time.
    pub not_after: Time,
}

impl Once {
    /// Refuses a command that waited too long. To be asked right before the first byte is sent.
    pub fn check(self, now: Now) -> Result<(), Fault> {
        if now.utc > self.not_after {
            let person = "The command waited too long and was not sent. Try again.";
            return Err(Fault::refused(person, format!("stale: not_after {} is past", self.not_after)).because(Reason::StaleCommand));
        }
        Ok(())
    }
}

/// What to do about the codes that a lock keeps by itself.
#[derive(Debug, Clone)]
pub enum Credential {
    /// List them: an array of [`doorward_wire::code::Code`].
    List,
    /// Add one.
    Add(CodeWish),
    /// Change one.
    Update {
        /// The lock's identifier of the code.
        id: String,
        /// What changes.
        wish: CodeWish,
    },
    /// Delete one.
    Delete {
        /// The lock's identifier of the code.
        id: String,
    },
}

/// A push as it came in at `/hooks/<kind>/<random>`.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The random part of the address.
    pub path: String,
    /// The `Authorization` header.
    pub authorization: Option<Secret<String>>,
    /// The body, at most 64 KiB.
    pub body: Vec<u8>,
}

/// What came of an action.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// What the device itself answered about this command, or what a [`Action::Refresh`] saw.
    pub sight: Option<Sight>,
    /// The answer of a [`Action::Setup`], [`Action::Credential`] or [`Action::Call`].
    pub output: Value,
    /// The vendor's own JSON, for compatible APIs and support.
    pub raw: Option<Value>,
    /// By which the device names this command when it answers later by itself ([`Report::Answer`](super::Report::Answer)).
    pub key: Option<String>,
}

impl Done {
    /// An action that answers something.
    pub fn said(output: Value) -> Self {
        Self { output, ..Self::default() }
    }
}

/// The input of a step: JSON, where nothing at all stands for an empty object.
pub fn step_input<T: DeserializeOwned>(input: &Secret<String>) -> Result<T, Fault> {
    let text = input.reveal().trim();
    let text = if text.is_empty() { "{}" } else { text };
    serde_json::from_str(text).map_err(|error| {
        // Its text could show a part of a secret: only its kind and place are told.
        let log = format!("{:?} error in the input of a step, column {}", error.classify(), error.column());
        Fault::refused("The input of this step is not what it needs.", log).because(Reason::BadRequest)
    })
}
