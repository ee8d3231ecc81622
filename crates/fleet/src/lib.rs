//! Devices of a fleet: how each gets its own identity and rights, and what it may do with them.
//!
//! * [`credentials`] makes or derives what a device shows.
//! * `desk` is the one way to a right, for every surface; [`csv`] reads lists of devices.
//! * `claims` lets a device fetch its credentials by itself.
//! * `listener` is the provisioning server: the wire of the original's clients and devices.
//! * `firmware` takes images in and signs them, `download` gives them to devices, `offers` follows a device's update to its end,
//!   `rollouts` brings it to a fleet.
//! * `settle` keeps devices' users at another broker as they should be, `doctor` compares.
//! * `announce` shows devices in Home Assistant.
//! * `telemetry` is what devices tell of themselves, `order` what they are told to do.
//!
//! A device is its own user at the embedded broker ([`doorward_store::MqttUser::of`]), with the rights of its role
//! ([`doorward_wire::device::DeviceId::role`]): none can read another's topics.
//!
//! It must never give credentials to somebody who has not shown a right to them.

mod announce;
mod claims;
pub mod credentials;
pub mod csv;
mod desk;
mod doctor;
mod download;
mod firmware;
mod listener;
mod offers;
mod order;
mod rollouts;
mod settle;
mod telemetry;

pub use claims::Stands;
pub use desk::{DeskError, Wish};
pub use doctor::{Finding, Looked};
pub use firmware::{FirmwareError, Upload};
pub use offers::OfferError;
pub use order::{Order, OrderError, Outcome};
pub use rollouts::{RolloutError, RolloutView, Turn};

use credentials::Derivation;
use doorward_core::Secret;
use doorward_engine::Handle;
use doorward_http::network::Network;
use doorward_listen::{Listening, limits::Limits};
use doorward_mqtt::Mqtt;
use doorward_store::BrokerUser;
use doorward_wire::{device::DeviceId, firmware::Hardware};
use firmware::Images;
use offers::{News, Offers};
use rustls::ServerConfig;
use settle::Settling;
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use telemetry::Registry;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// How the fleet works.
#[derive(Debug, Clone)]
pub struct Options {
    /// How credentials come about.
    pub derivation: Derivation,
    /// Where devices find their broker.
    pub broker: Where,
    /// What devices are told about whose they are.
    pub company: String,
    /// What devices are told about what they are for, such as `production`.
    pub development: String,
    /// A bearer token beside those of the house, for scripts of the original.
    pub admin_token: Option<Secret<String>>,
    /// Secrets may go over plain HTTP.
    pub plain_http: bool,
    /// Proxies before the provisioning server whose forwarding headers count.
    pub proxies: Vec<Network>,
    /// The address at which devices reach the provisioning server.
    pub public_url: Option<String>,
    /// The hardware of devices of which nothing else is said.
    pub hardware: Hardware,
    /// Bytes that firmware may have.
    pub partition_size: usize,
    /// How long a claim stands, if nothing else is said.
    pub claim_for: Duration,
    /// Devices that are shown in Home Assistant, at most; with more none is.
    pub shown: usize,
    /// Connections to the provisioning server at once.
    pub connections: usize,
    /// How long the head of a request and a TLS handshake may take each.
    pub patience: Duration,
}

/// Where devices find their broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Where {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it speaks TLS there.
    pub tls: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            derivation: Derivation::default(),
            broker: Where { host: "localhost".into(), port: 1883, tls: false },
            company: String::new(),
            development: "production".into(),
            admin_token: None,
            plain_http: false,
            proxies: Vec::new(),
            public_url: None,
            hardware: usual_hardware(),
            partition_size: 0x33_0000,
            claim_for: Duration::from_mins(15),
            shown: 500,
            connections: 4096,
            patience: Duration::from_secs(10),
        }
    }
}

/// The board of the seed.
fn usual_hardware() -> Hardware {
    #[expect(clippy::expect_used, reason = "it is one")]
    "xiao-esp32s3".parse().expect("a word")
}

/// The fleet. Cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    house: Handle,
    mqtt: Option<Arc<Mqtt>>,
    limits: Limits,
    registry: Registry,
    settling: Settling,
    /// There are devices.
    used: AtomicBool,
    images: Images,
    offers: Offers,
    news: Mutex<Option<mpsc::Receiver<(DeviceId, News)>>>,
    stopping: watch::Sender<bool>,
    running: Mutex<Vec<JoinHandle<()>>>,
    listening: Mutex<Option<Listening>>,
}

impl Fleet {
    /// The fleet of a house, whose devices connect to this broker.
    pub fn new(options: Options, house: Handle, mqtt: Option<Arc<Mqtt>>) -> Self {
        let (offers, news) = Offers::new();
        let inner = Inner {
            options,
            house,
            mqtt,
            limits: Limits::default(),
            registry: Registry::default(),
            settling: Settling::default(),
            used: AtomicBool::new(false),
            images: Images::default(),
            offers,
            news: Mutex::new(Some(news)),
            stopping: watch::Sender::new(false),
            running: Mutex::default(),
            listening: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Listens to devices from now on.
    pub fn start(&self) {
        if let Some(mqtt) = self.mqtt() {
            mqtt.roster().watch(Arc::new(self.clone()));
        }
        let mut running = vec![tokio::spawn(self.clone().listen_to_devices()), tokio::spawn(self.clone().keep_rolling())];
        if let Some(news) = lock(&self.inner.news).take() {
            running.push(tokio::spawn(self.clone().follow_updates(news)));
        }
        if let Some(mqtt) = &self.inner.mqtt {
            running.push(tokio::spawn(self.clone().keep_shown(Arc::clone(mqtt))));
        }
        if self.broker_elsewhere() {
            running.push(tokio::spawn(self.clone().keep_settled()));
            running.extend(self.hear_elsewhere());
        }
        *lock(&self.inner.running) = running;
    }

    /// Serves devices and the clients of the original at a listener, until it is stopped.
    pub fn serve_at(&self, listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> io::Result<()> {
        let listening = Listening::start(listener, tls, listener::bounds(self), self.clone())?;
        *lock(&self.inner.listening) = Some(listening);
        Ok(())
    }

    /// Where the provisioning server listens.
    pub fn address(&self) -> Option<SocketAddr> {
        lock(&self.inner.listening).as_ref().map(Listening::address)
    }

    /// Whether the provisioning server has TLS of its own.
    pub fn has_tls(&self) -> bool {
        lock(&self.inner.listening).as_ref().is_some_and(Listening::has_tls)
    }

    /// Whether there are devices, or somebody has set up that there will be.
    pub fn is_used(&self) -> bool {
        self.inner.used.load(Ordering::Relaxed) || self.address().is_some()
    }

    /// How it works.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Ends its connections, and writes down what is to be written.
    pub async fn stop(&self) {
        self.inner.stopping.send_replace(true);
        let (listening, running) = (lock(&self.inner.listening).take(), std::mem::take(&mut *lock(&self.inner.running)));
        if let Some(listening) = listening {
            listening.stop().await;
        }
        for task in running {
            let _ = task.await;
        }
    }

    fn house(&self) -> &Handle {
        &self.inner.house
    }

    fn mqtt(&self) -> Option<&Mqtt> {
        self.inner.mqtt.as_deref()
    }

    fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// There is a device from now on.
    fn use_it(&self) {
        self.inner.used.store(true, Ordering::Relaxed);
    }

    fn settling(&self) -> &Settling {
        &self.inner.settling
    }

    fn images(&self) -> &Images {
        &self.inner.images
    }

    fn offers(&self) -> &Offers {
        &self.inner.offers
    }

    fn stopping(&self) -> watch::Receiver<bool> {
        self.inner.stopping.subscribe()
    }

    /// The devices that are connected to the embedded broker, and the number of each one's connection. Another broker does not tell
    /// who is connected: there those count that were heard lately.
    fn connected(&self) -> BTreeMap<DeviceId, u64> {
        if self.broker_elsewhere() {
            return self.registry().heard_lately(self.house().now().mono);
        }
        self.mqtt().map(|mqtt| mqtt.roster().devices()).unwrap_or_default()
    }

    /// The number of a device's connection, while it has one.
    fn connection(&self, id: &DeviceId) -> Option<u64> {
        if self.broker_elsewhere() {
            return self.registry().heard_lately(self.house().now().mono).remove(id);
        }
        self.mqtt().and_then(|mqtt| mqtt.roster().connection_of(id))
    }

    /// Whether the devices' broker is another one than the embedded one, which knows them as soon as the store does.
    fn broker_elsewhere(&self) -> bool {
        self.mqtt().is_some_and(|mqtt| mqtt.remote().is_some())
    }

    /// How far the user of a device with new secrets is.
    fn to_be_made(&self) -> BrokerUser {
        let keeps = self.mqtt().is_some_and(Mqtt::keeps_users_elsewhere);
        if keeps { BrokerUser::Making { error: None } } else { BrokerUser::Settled }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
