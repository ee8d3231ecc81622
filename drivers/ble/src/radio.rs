//! What an adapter can do: hear advertisements, advertise, serve characteristics, and ask those of others.
//!
//! An issuer [advertises](Radio::advertise) and [serves](Radio::serve); a guest [scans](Radio::scan), [connects](Radio::connect)
//! and advertises; a lock scans, and serves its challenge. All of it is for one adapter.
//!
//! # When the adapter goes away
//! It can be unplugged, and its daemon restarted. [`Radio::state`] tells; all that was started on it is then over: sightings and
//! requests end, calls fail with [`RadioError::Gone`]. Whoever uses a radio therefore runs one loop:
//! 1. Wait until it [is up](Standing::is_up).
//! 2. Scan, advertise, serve.
//! 3. Go to 1 when any of it ends, or when the state tells of another [generation](Standing::generation).
//!
//! # To add a backend
//! 1. Make `radio/<name>.rs` with a type that implements [`Radio`], and the four handles with it: [`Sightings`] come of
//!    [`sightings`], whose [`Hearer`] is fed; [`Advertising`], [`Server`] and [`Connection`] are traits of their own.
//! 2. Keep the bounds: `Hearer` has its own, requests wait in a channel of [`MOST_REQUESTS`], a value has at most
//!    [`MOST_VALUE`] bytes, [`Advertisement::check`] comes before anything is sent.
//! 3. Turn every error into one of [`RadioError`], and tell of [`Standing`] before handles end.
//! 4. End what is dropped: advertising, serving, connections, scans.
//!
//! The one for adapters of this computer is [`bluez`].

mod advertisement;
pub mod air;
pub mod bluez;
mod gatt;
mod place;
mod sighting;
mod trouble;

pub use advertisement::{Advertisement, Fields, LEGACY};
pub use gatt::{
    AttError, Can, Characteristic, Connection, Incoming, MOST_REQUESTS, MOST_VALUE, Notifications, Peer, PeerId, Reply, Server, Service,
};
pub use place::{Place, PlaceError};
pub use sighting::{
    Address, AddressError, Hearer, MOST_MANUFACTURER, Manufacturer, RSSI_UNKNOWN, Scan, Sighting, Sightings, rssi, sightings,
};
pub use trouble::{Down, RadioError, Standing, StateWatch};

use doorward_core::driver::BoxFuture;
use uuid::Uuid;

/// One Bluetooth adapter.
pub trait Radio: Send + Sync {
    /// How the adapter stands, now and whenever that changes.
    fn state(&self) -> StateWatch;

    /// Listens for advertisements until the sightings are dropped. Several may listen at the same time.
    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Sightings, RadioError>>;

    /// Advertises until the handle is dropped. It returns once the adapter has it.
    fn advertise(&self, advertisement: Advertisement) -> BoxFuture<'_, Result<Box<dyn Advertising>, RadioError>>;

    /// Lets others read and write these services until the server is dropped. One at a time: a second one is
    /// [`RadioError::Busy`].
    fn serve(&self, services: Vec<Service>) -> BoxFuture<'_, Result<Box<dyn Server>, RadioError>>;

    /// Connects to who has this address, and finds out what it serves. It ends by itself after some ten seconds with
    /// [`RadioError::Timeout`]; that the future is dropped ends it sooner.
    fn connect(&self, address: Address) -> BoxFuture<'_, Result<Box<dyn Connection>, RadioError>>;
}

/// What is advertised. It ends when this is dropped.
pub trait Advertising: Send {
    /// Advertises this instead, without a gap if the adapter can. It returns once the adapter has it; after an error nobody knows
    /// which of the two is advertised, or whether any is.
    fn replace(&mut self, advertisement: Advertisement) -> BoxFuture<'_, Result<(), RadioError>>;
}

/// The UUID of 128 bits that one of 16 bits stands for (Core Specification 5.4, volume 3, part B, 2.5.1).
///
/// ```
/// use doorward_ble::radio::{uuid16, short_uuid};
///
/// assert_eq!(uuid16(0x180D).to_string(), "0000180d-0000-1000-8000-00805f9b34fb");
/// assert_eq!(short_uuid(uuid16(0x180D)), Some(0x180D));
/// ```
pub const fn uuid16(short: u16) -> Uuid {
    Uuid::from_u128(BASE | (short as u128) << 96)
}

/// The 16 bits that a UUID is advertised as; `None` when it needs all 128.
pub fn short_uuid(uuid: Uuid) -> Option<u16> {
    let short = u16::try_from(uuid.as_u128() >> 96).ok()?;
    (uuid16(short) == uuid).then_some(short)
}

const BASE: u128 = 0x0000_0000_0000_1000_8000_0080_5f9b_34fb;
