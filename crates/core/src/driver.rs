//! What a vendor, a radio or a target looks like from the core.
//!
//! A driver knows how to reach doors, and nothing else: it never stores, publishes or answers HTTP by itself. It is
//! given a [`Ctx`] for time, dice and durable storage of its own, and tells what it sees through [`Ctx::report`].
//!
//! # To add a driver
//! 1. Make `drivers/<kind>/` with the same file names as its siblings: `config.rs` (fields of an account, parsed once),
//!    `client.rs` (the vendor's wire format), `driver.rs` (this trait).
//! 2. Pass the suite in [`crate::conformance`] against a simulator in `sim/` that shares no code with the driver.
//! 3. Add one line to the table in `doorward/src/drivers.rs`.

use crate::{Mono, Now, Secret};
use doorward_wire::{
    Time,
    account::Stage,
    attempt::Reason,
    code::CodeWish,
    door::{Capability, DoorId, DoorKind, DoorState},
    ring::RingState,
    topic::Filter,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};

/// A future that can be boxed, so that [`Driver`] is object-safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A vendor or radio. One value serves one account.
pub trait Driver: Send + Sync {
    /// What this driver is and can do.
    fn about(&self) -> &About;

    /// Does one thing, and returns when the vendor or device has answered.
    ///
    /// An [`Action::Open`] or [`Action::Unlock`] is at most once: after its first byte was sent it is repeated only
    /// after a definite refusal, and [`Once::not_after`] is checked again before that first byte.
    /// [`Fault::timeout`] says that something was sent and nobody knows what came of it.
    fn act<'a>(&'a self, ctx: &'a dyn Ctx, target: &'a Target, action: Action) -> BoxFuture<'a, Result<Done, Fault>>;

    /// Watches the account until `stop` ends: polls, listens, reports. It returns only when stopped; a vendor that is
    /// away is reported and tried again, not returned.
    fn watch<'a>(&'a self, ctx: &'a dyn Ctx, stop: BoxFuture<'a, ()>) -> BoxFuture<'a, ()>;
}

/// What a driver may use of the house.
pub trait Ctx: Send + Sync {
    /// Both clocks, now.
    fn now(&self) -> Now;

    /// Waits. Tests let this time pass by hand.
    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()>;

    /// Fills a buffer with random bytes, good enough for keys.
    fn fill(&self, bytes: &mut [u8]);

    /// Stores a value of the driver's own, sealed. It returns once the value is on disk; only then may it be used.
    fn keep<'a>(&'a self, key: &'a str, value: Secret<Vec<u8>>) -> BoxFuture<'a, Result<(), KeepError>>;

    /// Reads a value back.
    fn kept<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, KeepError>>;

    /// Tells what was seen. Never waits; the house takes it in order.
    fn report(&self, report: Report);

    /// Counts a request to the vendor for the figures: over `http` or `sip`, and its status; 0 when nobody answered.
    fn answered(&self, _protocol: &'static str, _status: u16) {}

    /// Publishes over MQTT, and returns when the broker has it. Not connected means that nothing was sent.
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<(), Fault>> {
        let log = format!("no MQTT for {}", message.topic);
        Box::pin(async move { Err(Fault::offline("doorward has no MQTT broker here.", log)) })
    }

    /// The next of what this account listens for ([`Report::Listen`]), in the order in which it came.
    fn hear(&self) -> BoxFuture<'_, Heard> {
        Box::pin(std::future::pending())
    }
}

/// A message for the MQTT broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// Kept by the broker for whoever subscribes later.
    pub retain: bool,
    /// For what must not come late or twice, as what opens a door: it is sent at most once, and a broker that knows
    /// MQTT 5 drops it when this time is over. `None` for all else: it is sent at least once.
    pub fresh_for: Option<Duration>,
}

/// What an account hears over MQTT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The broker can be reached, or not any more. Told first of all.
    Connected(bool),
    /// Somebody published.
    Message {
        /// Where.
        topic: String,
        /// What.
        payload: Vec<u8>,
        /// The broker had kept it: nobody knows how old it is.
        kept: bool,
    },
}

/// The store could not keep or read a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store could not be written or read: {0}")]
pub struct KeepError(pub String);

/// What a driver is and can do.
#[derive(Debug, Clone)]
pub struct About {
    /// The word in configuration and API: `utec`.
    pub kind: &'static str,
    /// The vendor's name, as people know it.
    pub title: &'static str,
    /// One sentence for the page where an account is added.
    pub summary: &'static str,
    /// Settings of an account.
    pub fields: &'static [Field],
    /// Steps of sign-in and set-up, in their order.
    pub steps: &'static [Step],
    /// The vendor's sign-in page can be served on this machine, to a browser that runs here too: `start` takes
    /// `{"here":true}`.
    pub signs_in_here: bool,
    /// The vendor's own calls that support may make ([`Action::Call`]).
    pub calls: &'static [&'static str],
    /// Offsets after a command's answer at which the door is asked again.
    pub verify: Vec<Duration>,
    /// How old evidence may be before it counts as none.
    pub stale_after: Duration,
    /// An account of this kind is made by the configuration file alone, and is not offered elsewhere.
    pub only_in_file: bool,
}

/// One setting of an account.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key in configuration and API.
    pub name: &'static str,
    /// What people read beside the input.
    pub label: &'static str,
    /// What it is for and where to find it.
    pub help: &'static str,
    /// What kind of value.
    pub kind: FieldKind,
    /// The value when nothing is set, as text.
    pub default: &'static str,
    /// An account does not work without it.
    pub required: bool,
}

impl Field {
    /// Whether it says to whom the account's secrets go: changing it gives them out.
    pub fn names_a_server(&self) -> bool {
        self.kind == FieldKind::Url || matches!(self.name, "sip_server" | "ca_file" | "pin_sha256")
    }
}

/// What kind of value a setting has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A text.
    Text,
    /// A text that is sealed at rest and never shown again.
    Secret,
    /// An `https://` address (or `http://` on loopback).
    Url,
    /// A whole number.
    Number,
    /// On or off.
    Switch,
}

/// One step of sign-in or set-up.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The word in the API: `start`, `exchange`.
    pub name: &'static str,
    /// What people read on the button.
    pub label: &'static str,
    /// What happens and what is needed.
    pub help: &'static str,
}

/// The settings of one account, as the store and the configuration file give them. Values are JSON; secrets come apart.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Values that may be shown.
    pub values: BTreeMap<String, Value>,
    /// Values that may not.
    pub secrets: BTreeMap<String, Secret<String>>,
}

/// A setting that cannot be used, with its key and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {hint}")]
pub struct Mistake {
    /// The key.
    pub key: String,
    /// What is wrong and what to write instead.
    pub hint: String,
}

/// Makes a driver for one account, or says everything that is wrong with its settings at once.
pub type Build = fn(&Settings) -> Result<Arc<dyn Driver>, Vec<Mistake>>;

/// A line of the driver table in the binary.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The word in configuration and API.
    pub kind: &'static str,
    /// What it is, before an account exists.
    pub about: fn() -> About,
    /// Makes a driver for one account.
    pub build: Build,
}

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
    /// List the account's doors; answered by [`Report::Found`].
    Discover,
    /// One step of sign-in or set-up; answered by [`Done::output`].
    Setup {
        /// Its name, one of [`About::steps`].
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
        /// The driver's own key of it, as in [`Report::Ring`].
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
    /// By which the device names this command when it answers later by itself ([`Report::Answer`]).
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
        /// Which command: its [`Done::key`] or [`Fault::key`].
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
    /// What the account wants to hear over MQTT from now on, all of it; it comes by [`Ctx::hear`].
    Listen(Vec<Filter>),
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

/// Why an action failed: five families, a verdict each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{log}")]
pub struct Fault {
    /// The family, which says what the house does about it.
    pub family: Family,
    /// What a person can do.
    pub person: String,
    /// What the log needs.
    pub log: String,
    /// A more exact reason than the family's.
    pub reason: Option<Reason>,
    /// The vendor's HTTP status, for compatible APIs.
    pub status: Option<u16>,
    /// Not before this time is over.
    pub retry_after: Option<Duration>,
    /// Of what was sent and not answered: by which the device names it when it answers later by itself, as [`Done::key`].
    pub key: Option<String>,
}

/// The verdict on a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// The refresh itself was refused: stop, ask a person once.
    Auth,
    /// Nothing was sent: retry with backoff, never an open.
    Offline,
    /// The vendor or door said no: tell, do not retry.
    Refused,
    /// The answer was not understood: tell, keep the bytes in the log.
    Protocol,
    /// Something was sent and nobody knows what came of it.
    Timeout,
}

impl Fault {
    fn new(family: Family, person: impl Into<String>, log: impl Into<String>) -> Self {
        Self { family, person: person.into(), log: log.into(), reason: None, status: None, retry_after: None, key: None }
    }

    /// The refresh itself was refused.
    pub fn auth(person: impl Into<String>, log: impl Into<String>) -> Self {
        Self::new(Family::Auth, person, log)
    }

    /// Nothing was sent.
    pub fn offline(person: impl Into<String>, log: impl Into<String>) -> Self {
        Self::new(Family::Offline, person, log)
    }

    /// The vendor or door said no.
    pub fn refused(person: impl Into<String>, log: impl Into<String>) -> Self {
        Self::new(Family::Refused, person, log)
    }

    /// The answer was not understood.
    pub fn protocol(person: impl Into<String>, log: impl Into<String>) -> Self {
        Self::new(Family::Protocol, person, log)
    }

    /// Something was sent and nobody knows what came of it.
    pub fn timeout(person: impl Into<String>, log: impl Into<String>) -> Self {
        Self::new(Family::Timeout, person, log)
    }

    /// The same fault with a more exact reason.
    #[must_use]
    pub const fn because(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// The same fault with the vendor's HTTP status.
    #[must_use]
    pub const fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The same fault, not to be tried again before this time is over.
    #[must_use]
    pub const fn retry_after(mut self, span: Duration) -> Self {
        self.retry_after = Some(span);
        self
    }
}

impl From<KeepError> for Fault {
    /// What cannot be kept must not be used: nothing was sent.
    fn from(error: KeepError) -> Self {
        Self::offline("doorward could not write to its store. Look at the disk and the database.", error.to_string())
            .because(Reason::AuditUnavailable)
    }
}
