//! The air between Bluetooth radios: who hears whom, how well, and what goes wrong.
//!
//! A radio is a client of a socket: TCP on a loopback port, or a Unix socket. It says where it stands, advertises, scans, serves
//! and connects; the air says what it hears. How strong that is comes of the distance, as [`Physics`] says.
//!
//! # The lines
//! Each line is a JSON object of at most 8 KiB. A client begins with `radio`; every line of its own that has an `id` is
//! answered by one with that `id`, and `ok` or `error` (`busy`, `refused`, `too_long`, `not_found`, `disconnected`, `gone`,
//! `protocol`) with a `text`. Bytes are hex, UUIDs have 36 characters, addresses are `C0:01:02:03:04:05`.
//!
//! ```text
//! {"id":1,"op":"radio","name":"lock","address":"…","place":[0,0,0]}        ok: true
//! {"id":2,"op":"scan","active":true,"company":65535}  {"op":"unscan"}      company may be left out
//! {"id":3,"op":"advertise","advert":1,"data":F,"response":F,"connectable":true,"interval":150}   the same number replaces
//!                        F: {"name":…,"services":[…],"company":65535,"bytes":"0100","appearance":832}, each may be left out
//! {"op":"silence","advert":1}
//! {"id":4,"op":"serve","services":[{"uuid":…,"characteristics":[{"uuid":…,"can":["read","write","command","notify"]}]}]}
//! {"op":"unserve"}
//! {"id":5,"op":"connect","address":…}                                      ok: {"link":7,"mtu":247,"services":[…]}
//! {"id":6,"op":"read","link":7,"uuid":…}                                   ok: "…"
//! {"id":7,"op":"write","link":7,"uuid":…,"value":"…"}                      ok: true; "command": without response
//! {"id":8,"op":"subscribe","link":7,"uuid":…}                              ok: true
//! {"id":9,"op":"notify","link":7,"uuid":…,"value":"…"}                     ok: true
//! {"op":"reply","request":3,"value":"…"}  or  {"op":"reply","request":3,"error":"not_permitted"}
//! {"op":"disconnect","link":7}
//! ```
//! The air says, without an `id`:
//! ```text
//! {"event":"standing","up":true,"generation":2,"why":"…"}
//! {"event":"seen","address":…,"rssi":-61,"company":65535,"bytes":"…","name":…,"services":[…]}     rssi 127: not known
//! {"event":"read","request":3,"link":7,"address":…,"mtu":247,"uuid":…}
//! {"event":"write","request":4,…,"value":"…"}  {"event":"subscribed",…,"on":true}      without request: nobody waits
//! {"event":"notified","link":7,"uuid":…,"value":"…"}
//! {"event":"gone","link":7}
//! ```
//! A client that reads slowly misses sightings, which are counted; one that does not read at all is thrown out.
//!
//! ```
//! use doorward_sim::air::{Air, Config, Place};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let air = Air::start(Config::default()).await?;
//! let ear = air.eavesdrop(Place::new(3.0, 0.0, 0.0));
//! assert!(ear.heard().is_empty(), "nobody advertises yet");
//! # Ok::<(), std::io::Error>(()) }).unwrap();
//! ```

mod ear;
mod fields;
mod link;
mod ops;
mod physics;
mod server;
mod world;

pub use ear::{Eavesdropper, Heard};
pub use physics::{Physics, Place};

use crate::{Clock, SystemClock};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use world::World;

/// What the air is like.
#[derive(Clone)]
pub struct Config {
    /// Where radios connect.
    pub listen: SocketAddr,
    /// Where time comes from. Advertisements come at their interval in this time; one that jumps brings each once.
    pub clock: Arc<dyn Clock>,
    /// The seed of all that is random.
    pub seed: u64,
    /// How waves travel.
    pub physics: Physics,
    /// Advertisements come so many times as often as they say.
    pub hurry: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: ([127, 0, 0, 1], 0).into(), clock: Arc::new(SystemClock), seed: 1, physics: Physics::default(), hurry: 1 }
    }
}

/// The air. It is gone when this is dropped, and every radio with it.
pub struct Air {
    shared: Arc<Shared>,
    address: SocketAddr,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

pub(crate) struct Shared {
    clock: Arc<dyn Clock>,
    world: Mutex<World>,
    wake: Notify,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the world, and wakes who sends its advertisements.
    fn change<T>(&self, change: impl FnOnce(&mut World, u64) -> T) -> T {
        let now = self.clock.now_ms();
        let result = change(&mut self.world(), now);
        self.wake.notify_one();
        result
    }
}

impl Air {
    /// Starts it.
    pub async fn start(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let world = Mutex::new(World::new(config.seed, config.physics, config.hurry));
        let shared = Arc::new(Shared { clock: config.clock, world, wake: Notify::new() });
        let waves = tokio::spawn(waves(Arc::clone(&shared)));
        let radios = tokio::spawn(server::tcp(listener, Arc::clone(&shared)));
        Ok(Self { shared, address, tasks: Mutex::new(vec![waves, radios]) })
    }

    /// Where radios connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets radios connect by a Unix socket too.
    pub fn listen_at(&self, path: &Path) -> io::Result<()> {
        let task = tokio::spawn(server::unix(UnixListener::bind(path)?, Arc::clone(&self.shared)));
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        Ok(())
    }

    /// The names of the radios that are there.
    pub fn radios(&self) -> Vec<String> {
        self.shared.world().radios.keys().cloned().collect()
    }

    /// Carries a radio somewhere else. Nothing happens when there is none of this name.
    pub fn carry(&self, name: &str, place: Place) {
        self.shared.change(|world, _| world.carry(name, place));
    }

    /// Unplugs the radio: all that it did is over.
    pub fn unplug(&self, name: &str) {
        self.shared.change(|world, _| world.fail(name, Some("the adapter was unplugged")));
    }

    /// Plugs the radio in again, in a new generation.
    pub fn plug_in(&self, name: &str) {
        self.shared.change(|world, _| world.fail(name, None));
    }

    /// Restarts the daemon of the radio.
    pub fn restart(&self, name: &str) {
        self.shared.change(|world, _| {
            world.fail(name, Some("the daemon was stopped"));
            world.fail(name, None);
        });
    }

    /// Ends every connection of the radio.
    pub fn disconnect(&self, name: &str) {
        self.shared.change(|world, _| world.disconnect(name));
    }

    /// From now on so many of all advertisements are lost, between 0 and 1.
    pub fn lose(&self, part: f64) {
        self.shared.change(|world, _| world.physics.loss = part);
    }

    /// From now on what one radio says takes so long to reach another. What the air itself answers does not.
    pub fn delay(&self, latency: Duration) {
        self.shared.change(|world, _| world.physics.latency = latency);
    }

    /// From now on radios do not say how strong a signal is.
    pub fn hide_rssi(&self, hide: bool) {
        self.shared.change(|world, _| world.hide_rssi = hide);
    }

    /// From now on strangers advertise so many times a second, at every radio. One in eight of them looks like a token.
    pub fn flood(&self, per_second: u32) {
        self.shared.change(|world, now| world.flood(per_second, now));
    }

    /// How many sightings were dropped since a radio read slowly.
    pub fn dropped(&self, name: &str) -> u64 {
        self.shared.world().dropped(name)
    }

    /// Somebody listens here, and keeps what is advertised.
    pub fn eavesdrop(&self, place: Place) -> Eavesdropper {
        Eavesdropper::new(Arc::clone(&self.shared), place)
    }
}

impl Drop for Air {
    fn drop(&mut self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.drain(..).for_each(|task| task.abort());
        self.shared.world().end();
    }
}

/// Sends what is due.
async fn waves(shared: Arc<Shared>) {
    loop {
        let next = {
            let now = shared.clock.now_ms();
            shared.world().turn(now)
        };
        tokio::select! {
            () = shared.clock.sleep_until(next) => {}
            () = shared.wake.notified() => {}
        }
    }
}
