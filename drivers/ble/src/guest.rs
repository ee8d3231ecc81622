//! The guest: gets a session from an issuer, and opens with it. A phone on Linux, and the other end of every test.
//!
//! 1. [`session`](Guest::session) looks for an issuer, asks it, and believes nothing that is not signed by the issuer that it was
//!    enrolled with.
//! 2. [`show`](Guest::show) advertises a token for each slot, by the guest's own clock, until the session is over.
//! 3. Or [`open`](Guest::open) answers the challenge of a lock after a gesture, and [`present`](Guest::present) shows it a pass.
//!
//! **A guest that was enrolled in version 2 never asks in version 1**, whatever it hears or does not hear: [`Enrolment`] has the
//! keys of one version, and there is no way from the one to the other.
//!
//! Reading on: `find` (which beacon is it), `ask` (the two ways to ask), `show` (tokens), `gesture` (challenges and passes),
//! `trouble` (what a person can do).

mod ask;
mod find;
mod gesture;
mod show;
mod trouble;

pub use find::Find;
pub use gesture::Confirm;
pub use show::{Schedule, Step};
pub use trouble::GuestError;

use crate::{
    clock::Clock,
    issuer::uuid,
    radio::{Address, Radio},
};
use doorward_wire::{
    Time,
    ble::{
        GUEST_NAME, ISSUER_SERVICE, LockId, REQUEST_CHARACTERISTIC,
        compat::{PrivateKey, PublicKey},
        framing::CHUNK,
        session::Session,
        token::SlotLength,
        v2::{self, Given, PROVISION_CHARACTERISTIC, Ways, challenge::Outcome},
    },
    device::Mac,
};
use std::{num::NonZeroUsize, time::Duration};
use uuid::Uuid;

/// How a guest is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// The lock that it wants to open.
    pub lock: LockId,
    /// Which beacon is the issuer.
    pub find: Find,
    /// The address of the lock, for gestures; `None` takes any that serves as one.
    pub lock_address: Option<Address>,
    /// The issuer's service, and where it is asked in version 1 and 2.
    pub service: Uuid,
    /// Where the issuer is asked in version 1.
    pub request: Uuid,
    /// Where the issuer is asked in version 2.
    pub provision: Uuid,
    /// How long it looks for an issuer or a lock (`ISSUER_SCAN_TIMEOUT`).
    pub search: Duration,
    /// How long it waits for an answer.
    pub answer: Duration,
    /// Bytes of a request of version 1 that travel in one piece; fewer where the connection carries less.
    pub chunk: NonZeroUsize,
    /// How long each token is shown in version 1 (`ADVERT_INTERVAL`); in version 2 the issuer says it.
    pub slot: SlotLength,
    /// What it calls itself while it advertises; `None` sends no name, as Android does.
    pub name: Option<String>,
    /// What it calls itself to the issuer. Nothing vouches for it.
    pub client_id: Option<String>,
    /// The address of its adapter, if the issuer shall know it.
    pub phone_mac: Option<Mac>,
    /// The one-time code of a pass.
    pub invite: Option<String>,
    /// Tells the issuer what its clock shows, so that a clock that is off does no harm.
    pub tell_time: bool,
}

impl Config {
    /// A guest of this lock, with the wire's defaults.
    pub fn new(lock: LockId) -> Self {
        Self {
            lock,
            find: Find::default(),
            lock_address: None,
            service: uuid(ISSUER_SERVICE),
            request: uuid(REQUEST_CHARACTERISTIC),
            provision: uuid(PROVISION_CHARACTERISTIC),
            search: Duration::from_secs(30),
            answer: Duration::from_secs(15),
            chunk: const { NonZeroUsize::new(CHUNK).unwrap() },
            slot: SlotLength::default(),
            name: Some(GUEST_NAME.into()),
            client_id: None,
            phone_mac: None,
            invite: None,
            tell_time: true,
        }
    }
}

/// How a guest was enrolled. Its keys are those of one version.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a guest has one of them")]
pub enum Enrolment {
    /// In version 1.
    V1 {
        /// Its own key.
        key: PrivateKey,
        /// The issuer's.
        issuer: PublicKey,
    },
    /// In version 2.
    V2 {
        /// Its own key.
        key: v2::Guest,
        /// The issuer's.
        issuer: v2::Identity,
    },
    /// Not at all: it asks in clear, is answered in clear, and believes whoever answers.
    Plain,
}

/// A session, as a guest holds it.
#[derive(Debug, Clone)]
pub struct Held {
    /// The lock that it is for.
    pub lock: LockId,
    /// The session.
    pub session: Session,
    /// How long each token is shown.
    pub slot: SlotLength,
    /// How the lock can be opened with it.
    pub ways: Ways,
    /// The same as version 2 has it: what answers a challenge.
    pub given: Option<Given>,
}

impl Held {
    /// When it is over, by the guest's own clock.
    pub fn end(&self) -> Time {
        self.session.guest_end()
    }
}

/// What is being done, for a person to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It listens for an issuer, or for a lock.
    Looking,
    /// It heard one, and connects.
    Found {
        /// Who.
        address: Address,
        /// What it calls itself.
        name: Option<String>,
    },
    /// That one was none, or not ours; it looks on.
    Passed(GuestError),
    /// It asks, in this version.
    Asking(u8),
    /// It has a session, until then by its own clock.
    Session(Time),
    /// It shows the token of this number since the start, and of this slot.
    Advertising {
        /// Counts from 1.
        token: u64,
        /// The slot.
        slot: u64,
    },
    /// The adapter is gone, and it waits for it.
    AdapterGone,
    /// It waits for the gesture of its owner.
    Gesture,
    /// What the lock told. The door tells the truth.
    Told(Outcome),
    /// The session is over.
    Ended,
}

/// Where progress is told.
pub type Tell<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// A guest.
#[derive(Debug)]
pub struct Guest {
    config: Config,
    enrolment: Enrolment,
}

impl Guest {
    /// A guest with its keys.
    pub const fn new(config: Config, enrolment: Enrolment) -> Self {
        Self { config, enrolment }
    }

    /// Gets a session and advertises tokens until it is over.
    pub async fn run(&self, radio: &dyn Radio, clock: &dyn Clock, tell: Tell<'_>) -> Result<(), GuestError> {
        let held = self.session(radio, clock, tell).await?;
        self.show(&held, radio, clock, tell).await
    }
}
