//! What a vendor, a radio or a target looks like from the core.
//!
//! A driver knows how to reach doors, and nothing else: it never stores, publishes or answers HTTP by itself. It is
//! given a [`Ctx`] for time, dice and durable storage of its own, and tells what it sees through [`Ctx::report`].
//!
//! This file holds the two traits. What a driver says of itself is in `about`, what it is asked to do and answers in
//! `action`, what it tells by itself in `report`, and why something failed in `fault`.
//!
//! # To add a driver
//! 1. Make `drivers/<kind>/` with the same file names as its siblings: `config.rs` (fields of an account, parsed once),
//!    `client.rs` (the vendor's wire format), `driver.rs` (this trait).
//! 2. Pass the suite in [`crate::conformance`] against a simulator in `sim/` that shares no code with the driver.
//! 3. Add one line to the table in `doorward/src/drivers.rs`.

mod about;
mod action;
mod fault;
mod report;

pub use about::{About, Build, Entry, Field, FieldKind, Mistake, Settings, Step};
pub use action::{Action, Credential, Delivery, Done, Once, Target, step_input};
pub use fault::{Family, Fault};
pub use report::{Admitted, CALL_MAX, Came, Found, How, Lease, Milestone, Presented, Push, Report, Sight, TurnedAway};

use crate::{Mono, Now, Secret};
use doorward_wire::door::DoorId;
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

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

/// Reads the monotonic clock.
pub type Stopwatch = Arc<dyn Fn() -> Mono + Send + Sync>;

/// Values of a driver's own, with their keys.
pub type Kept = Vec<(String, Secret<Vec<u8>>)>;

/// What a driver may use of the house.
pub trait Ctx: Send + Sync {
    /// Both clocks, now.
    fn now(&self) -> Now;

    /// The monotonic clock for whoever goes on beside the driver, such as a radio that stamps what it hears.
    fn stopwatch(&self) -> Stopwatch;

    /// Waits. Tests let this time pass by hand.
    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()>;

    /// Fills a buffer with random bytes, good enough for keys.
    fn fill(&self, bytes: &mut [u8]);

    /// Stores a value of the driver's own, sealed. It returns once the value is on disk; only then may it be used.
    fn keep<'a>(&'a self, key: &'a str, value: Secret<Vec<u8>>) -> BoxFuture<'a, Result<(), KeepError>>;

    /// Reads a value back.
    fn kept<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, KeepError>>;

    /// Forgets a value. It returns once it is gone from disk.
    fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), KeepError>>;

    /// Reads every value back whose key begins so, by key.
    fn kept_under<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Kept, KeepError>>;

    /// Tells what was seen. Never waits; the house takes it in order.
    fn report(&self, report: Report);

    /// Says what [`Report::Presented`] says, and gives what came of it as soon as the door's driver is back: it opened, or why
    /// not. It is said at once, also when nobody waits for the answer. Where there is no house, nobody ever answers.
    fn present(&self, presented: Presented) -> BoxFuture<'_, Result<(), Fault>> {
        self.report(Report::Presented(presented));
        Box::pin(std::future::pending())
    }

    /// Opens another door of the house for a door of this account, at which somebody was let in: at most once, and by the right of
    /// that one command. It ends when the other door's driver is back.
    fn open_for<'a>(&'a self, external: &'a str, door: &'a DoorId, _once: Once) -> BoxFuture<'a, Result<(), Fault>> {
        let log = format!("no house to open {door} for {external}");
        Box::pin(async move { Err(Fault::refused("There is no other door here.", log)) })
    }

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
