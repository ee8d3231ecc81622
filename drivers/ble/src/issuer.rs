//! The issuer: a beacon that hands out sessions to guests, and makes the messages by which locks get them.
//!
//! It advertises, takes requests of version 1 in pieces and of version 2 in one write, asks a [`Registry`] whether there may be a
//! session, and answers. **Nobody is answered with a session before [`Registry::issued`] says that it is durable and on its way to
//! the lock**: a guest that has one which no lock knows stands before a closed door.
//!
//! It must never decide who may open: rights go by the key, and keys are the registry's. It keeps nothing itself.
//!
//! Reading on: `registry` (whom it asks), `desk` (who is connected, and the bounds), `session` (what is made), [`pace`] (how
//! sessions reach locks), `serve` (the loop), [`FileRegistry`] (keys in a folder, for an issuer that stands alone).
//!
//! # The plain variant
//! An earlier version of the original and its Android app ask without a key, and are answered in clear. [`Config::plain`] allows
//! that, and is off: with it, whoever is near gets a session if the registry gives sessions to nobody in particular, and whoever
//! listens to the air while somebody else asks has that session too, and opens the door with it.

mod desk;
mod files;
mod limits;
pub mod pace;
mod registry;
mod serve;
mod session;

pub use files::{FileRegistry, Publish};
pub use limits::{Rate, Rates};
pub use registry::{Ask, AskedBy, Issued, Leave, Recipient, Refused, Registry};

use crate::{
    clock::Clock,
    radio::{Advertisement, Can, Characteristic, Fields, Service, uuid16},
};
use doorward_wire::ble::{
    ADVERTISED_SERVICE, COMPANY, ISSUER_APPEARANCE, ISSUER_DATA, ISSUER_NAME, ISSUER_SERVICE, REQUEST_CHARACTERISTIC, SESSION_LIFE,
    compat::PrivateKey,
    framing::CHUNK,
    v2::{self, Given, PROVISION_CHARACTERISTIC},
};
use std::{
    num::NonZeroUsize,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

/// How an issuer is set up. The defaults are what guests in the field look for.
#[derive(Debug, Clone)]
pub struct Config {
    /// What it calls itself: with the rest at most 31 bytes of an advertisement.
    pub name: String,
    /// The service of 16 bits that it advertises.
    pub advertised: u16,
    /// The company and its data, by which guests find it.
    pub manufacturer: (u16, Vec<u8>),
    /// How it says that it looks.
    pub appearance: Option<u16>,
    /// The service that it serves.
    pub service: Uuid,
    /// Where it is asked in version 1.
    pub request: Uuid,
    /// Where it is asked in version 2.
    pub provision: Uuid,
    /// Bytes of an answer of version 1 that travel in one piece; fewer where the connection carries less.
    pub chunk: NonZeroUsize,
    /// How long a session is good, unless the grant ends sooner.
    pub life: Duration,
    /// Answers who has no key in clear. Off: see the costs above.
    pub plain: bool,
    /// How many may be connected at the same time.
    pub most_peers: usize,
    /// How often it may be asked.
    pub rates: Rates,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: ISSUER_NAME.into(),
            advertised: ADVERTISED_SERVICE,
            manufacturer: (COMPANY, ISSUER_DATA.into()),
            appearance: Some(ISSUER_APPEARANCE),
            service: uuid(ISSUER_SERVICE),
            request: uuid(REQUEST_CHARACTERISTIC),
            provision: uuid(PROVISION_CHARACTERISTIC),
            chunk: const { NonZeroUsize::new(CHUNK).unwrap() },
            life: Duration::from_secs(SESSION_LIFE),
            plain: false,
            most_peers: 8,
            rates: Rates::default(),
        }
    }
}

impl Config {
    /// The beacon. It is for the caller to see whether it [fits](Advertisement::check).
    pub fn beacon(&self) -> Advertisement {
        let (company, data) = &self.manufacturer;
        let fields = Fields::new().name(&self.name).service16(self.advertised).manufacturer(*company, data);
        Advertisement::new(Fields { appearance: self.appearance, ..fields }).connectable()
    }
}

/// A UUID of the wire, which is one.
pub(crate) fn uuid(text: &str) -> Uuid {
    text.parse().unwrap_or(uuid16(0))
}

/// The issuer's keys: of one version, or of both.
#[derive(Debug, Default)]
pub struct Keys {
    /// RSA, of version 1.
    pub v1: Option<PrivateKey>,
    /// Ed25519 and X25519, of version 2.
    pub v2: Option<v2::Issuer>,
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Requests that were whole.
    pub asked: u64,
    /// Sessions that were given.
    pub issued: u64,
    /// Requests that were refused, whatever the reason.
    pub refused: u64,
    /// Of them, those that came too often.
    pub rate_limited: u64,
    /// Of them, those that were not the guest's fault.
    pub internal: u64,
}

#[derive(Debug, Default)]
struct Counts {
    asked: AtomicU64,
    issued: AtomicU64,
    refused: AtomicU64,
    rate_limited: AtomicU64,
    internal: AtomicU64,
}

/// An issuer at one adapter.
#[derive(Debug)]
pub struct Issuer {
    config: Config,
    keys: Keys,
    desk: Mutex<desk::Desk>,
    counts: Counts,
}

impl Issuer {
    /// An issuer with these keys. Without those of a version it does not speak that version.
    pub fn new(config: Config, keys: Keys) -> Self {
        Self { desk: Mutex::new(desk::Desk::new(&config)), config, keys, counts: Counts::default() }
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { asked, issued, refused, rate_limited, internal } = &self.counts;
        Counters {
            asked: read(asked),
            issued: read(issued),
            refused: read(refused),
            rate_limited: read(rate_limited),
            internal: read(internal),
        }
    }

    /// Its keys.
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// How it is set up.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// A session for whom the house knows by other means than a key ([`AskedBy::House`]), good for so long unless the grant ends
    /// sooner. Whoever calls this makes it durable and brings it to the lock, as [`Registry::issued`] does, before anybody gets
    /// it.
    pub fn make(&self, ask: &Ask, leave: &Leave, life: Duration, clock: &dyn Clock) -> Result<(Given, Issued), Refused> {
        let made = session::make(ask, leave, life, &self.keys, clock)?;
        Ok((made.given(), made.issued))
    }

    fn services(&self) -> Vec<Service> {
        let can = Can { read: true, write: true, notify: true, ..Can::default() };
        let all = [(self.keys.v1.is_some() || self.config.plain, self.config.request), (self.keys.v2.is_some(), self.config.provision)];
        let characteristics = all.into_iter().filter(|(speaks, _)| *speaks).map(|(_, uuid)| Characteristic { uuid, can }).collect();
        vec![Service { uuid: self.config.service, characteristics }]
    }
}
