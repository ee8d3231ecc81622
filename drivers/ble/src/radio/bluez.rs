//! A radio that `BlueZ` drives, over the system's message bus.
//!
//! [`BlueZ::start`] looks for an adapter, and again whenever it, `bluetoothd` or the bus goes away. Each time that it is there is
//! one [generation](super::Standing::generation), and one connection to the bus: when that is closed, `BlueZ` takes back by itself
//! all that was started on it.
//!
//! ```no_run
//! use doorward_ble::radio::{Radio as _, Scan, bluez::{BlueZ, Settings}};
//! use doorward_core::Mono;
//! use std::sync::Arc;
//!
//! # async fn example() -> Result<(), doorward_ble::radio::RadioError> {
//! let radio = BlueZ::start(Settings::default(), Arc::new(|| Mono::default()));
//! radio.state().up().await?;
//! let mut sightings = radio.scan(Scan::default()).await?;
//! while let Some(sighting) = sightings.next().await {
//!     println!("{} {:?}", sighting.address, sighting.manufacturer);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it cannot
//! - **Tell one alone.** A notification goes to every device that subscribed ([`tells_one`](super::Server::tells_one) is false), and
//!   `BlueZ` does not say which one did: [`Incoming::Subscribed`](super::Incoming::Subscribed) is told only while one device is
//!   connected. What is meant for one is sealed for it, or says whom it is for.
//! - **Listen without asking.** A discovery asks for scan responses, whatever [`Scan::active`](super::Scan::active) says. It is shared
//!   with other programs. `AdvertisementMonitor1` would listen, and has crashed `bluetoothd` (bluez#1169).
//! - **Say when.** After a restart of `bluetoothd`, bytes that a device advertised before may be told again, seconds after newer ones.
//! - **Long values.** `BlueZ` 5.66 carries 510 bytes of a value, and about 400 in a write that it takes apart.
//! - **Scan responses of our own.** It puts the name there and all else into the advertisement.
//! - **Keep the address of who broadcasts.** What nobody can connect to is advertised from a random address, another one after each
//!   [`replace`](super::Advertising::replace). Where a lock is bound to the guest's address, the guest advertises as connectable.
//!
//! The name of a sighting is the last one that `BlueZ` heard of: after a connection it may be the one that the device has inside.
//!
//! # What it does not
//! It does not switch adapters on or off: somebody may have done that on purpose, and others use them. After a crash of `bluetoothd`
//! the kernel goes on scanning for up to ten seconds, during which a new scan is refused: [`scan`](super::Radio::scan) tries again
//! until it is not.
//!
//! Reading on: `life` (adapters that come and go), `link` (one generation), `scan`, `advertise`, `serve`, `connect`.

mod advertise;
mod connect;
mod life;
mod link;
mod names;
mod remote;
mod scan;
mod serve;
mod trouble;

use super::{Address, Advertisement, Advertising, Connection, Radio, RadioError, Scan, Server, Service, Sightings, StateWatch};
use doorward_core::{Mono, driver::BoxFuture};
use life::Life;
use link::Link;
use std::{fmt, sync::Arc, time::Duration};
use tokio::task::AbortHandle;

/// The monotonic clock, which says when something was heard.
pub type Clock = Arc<dyn Fn() -> Mono + Send + Sync>;

/// Which adapter, and how long is waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name, as `hci0`. `None` for the first that is switched on.
    pub adapter: Option<String>,
    /// The address of the bus; `None` for the system's.
    pub bus: Option<String>,
    /// How long is waited.
    pub waits: Waits,
    /// Signals of `BlueZ` that wait while the machine is busy, before more are dropped.
    pub signals: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { adapter: None, bus: None, waits: Waits::default(), signals: 2048 }
    }
}

/// How long is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// For an answer of the bus or of `BlueZ` that needs no radio.
    pub call: Duration,
    /// For a connection and what the other side has.
    pub connect: Duration,
    /// For the answer to a read, a write or a subscription, theirs or ours.
    pub gatt: Duration,
    /// For a scan that `BlueZ` does not start yet.
    pub scan: Duration,
    /// Before the bus is tried again, the first time; it doubles up to `look`.
    pub retry: Duration,
    /// Between two looks for an adapter that nobody told of.
    pub look: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        let [call, connect, gatt, scan, look] = [5, 10, 10, 15, 5].map(Duration::from_secs);
        Self { call, connect, gatt, scan, retry: Duration::from_millis(250), look }
    }
}

/// An adapter that `BlueZ` drives. What was started on it ends with it.
pub struct BlueZ {
    life: Arc<Life>,
    task: AbortHandle,
}

impl BlueZ {
    /// Looks for the adapter from now on. Must be called where tokio runs.
    pub fn start(settings: Settings, clock: Clock) -> Self {
        let life = Arc::new(Life::new(settings, clock));
        let task = tokio::spawn(life::run(Arc::clone(&life))).abort_handle();
        Self { life, task }
    }

    fn link(&self) -> Result<Arc<Link>, RadioError> {
        self.life.link()
    }
}

impl Radio for BlueZ {
    fn state(&self) -> StateWatch {
        self.life.state()
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Sightings, RadioError>> {
        Box::pin(async move { scan::scan(&self.link()?, scan).await })
    }

    fn advertise(&self, advertisement: Advertisement) -> BoxFuture<'_, Result<Box<dyn Advertising>, RadioError>> {
        Box::pin(async move { advertise::advertise(self.link()?, advertisement).await })
    }

    fn serve(&self, services: Vec<Service>) -> BoxFuture<'_, Result<Box<dyn Server>, RadioError>> {
        Box::pin(async move { serve::serve(self.link()?, services).await })
    }

    fn connect(&self, address: Address) -> BoxFuture<'_, Result<Box<dyn Connection>, RadioError>> {
        Box::pin(async move { connect::connect(self.link()?, address).await })
    }
}

impl Drop for BlueZ {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for BlueZ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlueZ").field("state", &self.life.state().now()).finish_non_exhaustive()
    }
}
