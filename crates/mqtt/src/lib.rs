//! MQTT: a broker that nobody has to install, or another one in its place, and every door on it.
//!
//! * [`broker`] is the embedded broker, [`remote`] the connection to another one: the two files that know the library.
//! * [`mod@line`] is whichever of the two there is, for all others here.
//! * [`roster`] says who may connect, publish and subscribe at the embedded broker: users of the store, nothing unless it
//!   is named.
//! * `doors` publishes what doors are, `events` what happened, `discovery` what Home Assistant is told about a door.
//! * [`users`] adds and removes users, at the embedded broker or by [`admin`] at another one.
//! * [`devices`] keeps the users of devices at another one.
//! * `inbox` turns what is published at `doorward/door/<id>/set` into commands, and passes on what is for devices.
//! * What drivers and contacts want to hear and say goes through [`doorward_engine::Exchange`].
//!
//! It must never decide whether a door opens (that is `doorward-core`): a right to publish there is the grant, and the
//! keeper decides with it.
//!
//! # What happens to a command
//! The embedded broker hands it over before anybody gets it. It is never kept, never delivered to other clients (it may
//! hold a code), and one that was sent to be retained opens nothing.

pub mod admin;
pub mod broker;
pub mod devices;
pub mod discovery;
mod doors;
pub mod elsewhere;
mod events;
mod inbox;
pub mod line;
pub mod remote;
pub mod roster;
pub mod tap;
pub mod users;

use admin::AdminOptions;
use broker::{Broker, BrokerError, Letter, Listener, Options};
use discovery::Mode;
pub use doors::ShownDevice;
use doors::{Doors, ShownDevices};
use doorward_engine::Handle;
use doorward_store::StoreError;
use doorward_wire::{attempt::ActorKind, device::DeviceId, topic::Filter};
use elsewhere::{Elsewhere, ElsewhereError};
use events::Events;
pub use inbox::Install;
use inbox::Told;
use line::Line;
use remote::{Remote, RemoteOptions};
use roster::Roster;
use std::sync::{Arc, Mutex, PoisonError};
use tap::Tap;
use tokio::sync::{Notify, mpsc, watch};

/// Devices that are to be updated and wait for it.
const INSTALLS: usize = 1024;

/// MQTT, running.
pub struct Mqtt {
    line: Line,
    /// Users of the embedded broker.
    roster: Arc<Roster>,
    /// How users of another broker are kept, if doorward does that.
    admin: Option<AdminOptions>,
    house: Handle,
    publishing: Mutex<Option<(Doors, Events)>>,
    /// Devices of the fleet that are shown.
    devices: watch::Sender<Option<Arc<Vec<ShownDevice>>>>,
    /// Those that somebody wants to be updated, until the fleet takes them.
    installs: Mutex<Option<mpsc::Receiver<Install>>>,
}

fn told() -> (Told, mpsc::Receiver<Install>) {
    let (installs, wanted) = mpsc::channel(INSTALLS);
    (Told { born: Arc::new(Notify::new()), installs }, wanted)
}

/// Why MQTT cannot start. `Display` says what a person can do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The broker cannot listen, or cannot use its folder.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Mqtt {
    /// Starts the embedded broker, and puts the doors of a house on it.
    pub async fn embedded(options: &Options, mode: Mode, house: &Handle) -> Result<Self, StartError> {
        let roster = Arc::new(Roster::load(house.store().clone(), house.now(), options.anonymous_locks).await?);
        let (told, installs) = told();
        let broker = Broker::start(options, Arc::clone(&roster), house.clone(), told.clone()).await?;
        Ok(Self::start(Line::Embedded(Arc::new(broker)), roster, mode, house, told.born, installs))
    }

    /// Connects to a broker elsewhere, for as long as the house runs, and puts its doors there. It need not be up yet.
    pub async fn external(options: RemoteOptions, admin: Option<AdminOptions>, mode: Mode, house: &Handle) -> Result<Self, StartError> {
        let roster = Arc::new(Roster::load(house.store().clone(), house.now(), roster::Anonymous::Nobody).await?);
        let (told, installs) = told();
        let remote = Remote::start(options, house.clone(), told.clone());
        Ok(Self { admin, ..Self::start(Line::External(remote), roster, mode, house, told.born, installs) })
    }

    fn start(line: Line, roster: Arc<Roster>, mode: Mode, house: &Handle, born: Arc<Notify>, installs: mpsc::Receiver<Install>) -> Self {
        house.exchange().join(Arc::new(line.clone()));
        let (devices, shown): (_, ShownDevices) = watch::channel(None);
        let doors = Doors::start(house.clone(), line.clone(), mode, born, shown);
        let events = Events::start(house.clone(), line.clone());
        let (publishing, installs) = (Mutex::new(Some((doors, events))), Mutex::new(Some(installs)));
        Self { line, roster, admin: None, house: house.clone(), publishing, devices, installs }
    }

    /// Shows these devices of the fleet in Home Assistant, and no others.
    pub fn show_devices(&self, devices: Vec<ShownDevice>) {
        self.devices.send_if_modified(|shown| {
            let changes = shown.as_deref() != Some(&devices);
            if changes {
                *shown = Some(Arc::new(devices));
            }
            changes
        });
    }

    /// The devices that somebody wants to be updated, from now on. Only the first one who asks gets them.
    pub fn installs(&self) -> Option<mpsc::Receiver<Install>> {
        self.installs.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Where the embedded broker listens.
    pub fn listeners(&self) -> &[Listener] {
        match &self.line {
            Line::Embedded(broker) => broker.listeners(),
            Line::External(_) => &[],
        }
    }

    /// The connection to a broker elsewhere.
    pub fn remote(&self) -> Option<&Remote> {
        match &self.line {
            Line::Embedded(_) => None,
            Line::External(remote) => Some(remote),
        }
    }

    /// Who may do what at the embedded broker.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// Ends the connections of a user whose rights have changed; they come back with the new ones.
    async fn kick(&self, user: &str) {
        let Line::Embedded(broker) = &self.line else { return };
        for client in self.roster.clients_of(user) {
            broker.disconnect(&client).await;
        }
    }

    /// Ends the connection of a device whose rights or secrets have changed, and with `session` all that waits for it.
    pub async fn end_device(&self, id: &DeviceId, user: &str, session: bool) {
        let Line::Embedded(broker) = &self.line else { return };
        self.roster.drop_user(user);
        if session {
            broker.forget(&id.client_id()).await;
        }
        self.kick(user).await;
    }

    /// Publishes for somebody whose right to do so was looked at, and who is written down where it is a command.
    pub async fn publish_for(&self, elsewhere: &Elsewhere, kind: ActorKind, user: &str, letter: Letter) -> Result<(), String> {
        match &self.line {
            Line::Embedded(broker) => broker.publish_for(kind, user, letter).await.map_err(str::to_owned),
            Line::External(remote) => elsewhere.publish(&remote.as_place(), letter).await.map_err(|error| error.to_string()),
        }
    }

    /// Publishes for doorward itself, past all rights; `false` when the broker is away. Nothing is kept.
    pub async fn tell(&self, topic: String, payload: String) -> bool {
        self.line.publish(line::Message { topic, payload: payload.into_bytes(), retain: false }).await
    }

    /// Listens to a filter for somebody whose right to do so was looked at.
    pub async fn tap(&self, elsewhere: &Elsewhere, filter: &Filter) -> Result<Tap, String> {
        match &self.line {
            Line::Embedded(broker) => broker.tap(filter).await.map_err(|error| error.to_string()),
            Line::External(remote) => elsewhere.tap(&remote.as_place(), filter).await.map_err(|error: ElsewhereError| error.to_string()),
        }
    }

    /// Says that doorward goes, and stops.
    pub async fn stop(&self) {
        let publishing = self.publishing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((doors, events)) = publishing {
            events.stop().await;
            doors.stop().await;
        }
        match &self.line {
            Line::Embedded(broker) => broker.stop().await,
            Line::External(remote) => remote.stop().await,
        }
        self.house.exchange().leave();
    }
}
