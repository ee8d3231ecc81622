//! What a driver tells by itself: what it saw at a door, who rings, what ends when, and how the account stands.

use super::Fault;
use crate::Mono;
use doorward_wire::{
    Time,
    account::Stage,
    attempt::{Actor, Reason},
    door::{Capability, DoorKind, DoorState},
    grant::Means,
    ring::RingState,
    topic::Filter,
};
use serde_json::Value;
use std::time::Duration;

/// What was seen at a door.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// How it was seen.
    pub how: How,
    /// The bolt; absent when nothing was said about it.
    pub state: Option<DoorState>,
    /// Whether the door can be reached.
    pub online: Option<bool>,
    /// Battery in per cent.
    pub battery: Option<u8>,
    /// Whether the contact is open.
    pub contact_open: Option<bool>,
    /// The vendor's own JSON about this door.
    pub raw: Option<Value>,
}

impl Sight {
    /// A sight that tells nothing yet.
    pub const fn new(how: How) -> Self {
        Self { how, state: None, online: None, battery: None, contact_open: None, raw: None }
    }
}

/// How something was seen, and for polls since when it can be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The device's own reply about this very command.
    Answer,
    /// Asked for; what was asked before a command was answered says nothing about the command.
    Polled {
        /// When the question was sent.
        requested: Mono,
    },
    /// Sent by the vendor.
    Pushed,
    /// A contact at the door.
    Contact,
    /// Kept by a broker: true when it was published, and nobody knows when that was. It says nothing about a command.
    Kept,
}

/// What a driver tells by itself.
#[derive(Debug, Clone)]
pub enum Report {
    /// Every door of the account, as the vendor lists them now.
    Found(Vec<Found>),
    /// What was seen at a door.
    Seen {
        /// The vendor's identifier.
        external: String,
        /// What was seen.
        sight: Sight,
    },
    /// Somebody presented at a door what opens it, and the lock found it good.
    Presented(Presented),
    /// A lock that decides by itself let somebody in. It is told of, and nothing is done about it.
    Admitted(Admitted),
    /// A lock turned somebody away. The driver tells it once for each reason and credential, however often it is tried.
    TurnedAway(TurnedAway),
    /// Somebody rings at a door.
    Ring {
        /// The vendor's identifier.
        external: String,
        /// The driver's own key of this ring, at most [`CALL_MAX`] bytes: for SIP the Call-ID. Empty when the vendor never
        /// tells how a ring ends; then it ends by itself after a minute.
        call: String,
        /// What the vendor calls whoever rings; cut when it is long.
        from: Option<String>,
    },
    /// A ring ended at the vendor.
    RingEnded {
        /// The driver's own key of it, as in [`Report::Ring`].
        call: String,
        /// How it ended.
        end: RingState,
    },
    /// A device answered by itself to a command that its vendor had taken, or may have.
    Answer {
        /// The vendor's identifier.
        external: String,
        /// Which command: its [`Done::key`](super::Done::key) or [`Fault::key`](super::Fault::key).
        key: String,
        /// It did it, or why not.
        outcome: Result<(), Fault>,
    },
    /// A step of set-up has come to its end, for the history.
    Milestone {
        /// Which one.
        what: Milestone,
        /// More about it, without secrets.
        data: Value,
    },
    /// How far the account is set up, and how well each part of it is: all of it, whenever something changes.
    Stages(Vec<Stage>),
    /// A secret or registration and when it ends.
    Lease(Lease),
    /// A lease that is not needed any more, by its identifier.
    LeaseForgotten(String),
    /// A person must do something about a part of the account, or need not any more. The rest of it goes on.
    NeedsPerson(Option<Fault>),
    /// A person signed the account in.
    SignedIn,
    /// The vendor can be reached.
    Up,
    /// The vendor cannot be reached or does not answer as it should; its doors are unknown from now on.
    Down(Fault),
    /// How the vendor's pushes stand: told at the start, when they are registered, and when one comes.
    Push(Push),
    /// What the account wants to hear over MQTT from now on, all of it; it comes by [`Ctx::hear`](super::Ctx::hear).
    Listen(Vec<Filter>),
}

/// What somebody presented at a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The vendor's identifier of the door.
    pub external: String,
    /// What the house knows it by: the nonce of a session.
    pub credential: String,
    /// By which means.
    pub means: Means,
    /// Whether whoever issued it is not this house: then the lock vouches for it, and its own check is the right.
    pub vouched: bool,
}

/// Whom a lock let in by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Admitted {
    /// The vendor's identifier of the door.
    pub external: String,
    /// What the house knows it by: the nonce of a session. Empty when the lock does not say.
    pub credential: String,
    /// Who it was, where the driver knows; else the house looks it up.
    pub actor: Option<Actor>,
    /// By which means.
    pub means: Means,
    /// What the door did.
    pub came: Came,
    /// What else is known: when it was by the lock's clock, the strength of the signal.
    pub about: Value,
}

/// What a door did that let somebody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It opened.
    Opened,
    /// Nobody knows.
    Unconfirmed,
    /// What opens it does not work.
    Failed,
}

/// Whom a lock turned away.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnedAway {
    /// The vendor's identifier of the door.
    pub external: String,
    /// Why.
    pub reason: Reason,
    /// By which means it was tried.
    pub means: Means,
    /// What is known of who tried: the name of a session or key, the strength of the signal.
    pub about: Value,
}

/// The longest key of a ring, in bytes; a longer one counts as none.
pub const CALL_MAX: usize = 200;

/// What the history tells of an account's set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Milestone {
    /// It was registered as a device at the vendor.
    Registered,
    /// It was given a client certificate. Its renewals are those of its lease.
    CertificateCreated,
    /// A part of it that was registered is not used any more.
    Unregistered,
}

/// How a vendor's pushes stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Push {
    /// The vendor was given an address and a secret for them.
    pub registered: bool,
    /// When the last one came.
    pub last: Option<Time>,
}

/// A door that the vendor lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The vendor's identifier.
    pub external: String,
    /// The vendor's name for it.
    pub name: String,
    /// What it can be known to do.
    pub kind: DoorKind,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// The vendor's own JSON.
    pub raw: Value,
}

/// A secret or registration that ends at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Which of the account's leases.
    pub id: String,
    /// What it is: `oauth_token`.
    pub kind: &'static str,
    /// When it ends; `None` when the vendor did not say, and so it is renewed at once.
    pub not_after: Option<Time>,
    /// How long before its end it is renewed; `None` when that is switched off.
    pub margin: Option<Duration>,
    /// When it was made or last renewed; `None` when nobody knows, as for one of another program.
    pub made: Option<Time>,
    /// Whether it was just made or renewed, as against read back at start-up.
    pub fresh: bool,
}
