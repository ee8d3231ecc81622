//! The tunnel: an end-to-end encrypted gateway to HTTP, Jeedom, MQTT and the doors of this house, which phone apps of the
//! original reach through a network that neither they nor the house trust.
//!
//! * `listener` is where requests come in, and bounds them before anything looks inside.
//! * `gateway` takes a message from its first byte to its answer; [`doorward_listen`], [`keyring`](Tunnel), `replay` and [`scopes`]
//!   are what it asks on the way.
//! * `service` does what is asked: `http` and Jeedom by [`outbound`], `mqtt`, `doors`. `streams` tells what is heard.
//! * [`remote`] is a page for phones without an app, which speaks to the listener as they do.
//! * `diary` remembers what was asked and refused, for people.
//!
//! It must never decide whether a door opens (that is `doorward-core`): a key's scopes are the grant, and the keeper
//! decides with it. It must never send anything to an address that no scope names.

pub mod client;
mod diary;
mod gateway;
mod keyring;
pub mod keys;
mod listener;
mod oblivious;
pub mod outbound;
pub mod pairing;
pub mod remote;
mod replay;
pub mod scopes;
mod seal;
mod service;
mod streams;
pub mod v2;

pub use diary::Entry;
pub use keyring::{MANY_SEALS, MOST_SEALS};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use diary::Diary;
use doorward_core::Secret;
use doorward_engine::Handle;
use doorward_http::network::Network;
use doorward_listen::{Listening, limits::Limits};
use doorward_mqtt::{Mqtt, elsewhere::Elsewhere};
use doorward_store::StoreError;
use doorward_wire::{Time, attempt::Reason};
use keyring::{Bounds, Key, Keyring};
use outbound::Outbound;
use replay::Replay;
use reqwest::Url;
use rustls::ServerConfig;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};
use v2::GatewayKey;

/// Under which name the seed of the gateway's key is kept.
const SEED: &str = "tunnel v2 seed";
/// The number of that key; another one when the key is changed.
const GATEWAY: u8 = 1;
/// How often keys that another copy of doorward changed are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// How the tunnel works.
#[derive(Debug, Clone)]
pub struct Options {
    /// How old a message may be, and how far ahead.
    pub max_age: Duration,
    /// Jeedom, if it is used.
    pub jeedom: Option<JeedomOptions>,
    /// The broker that is meant where a request names none; the house's own when absent.
    pub broker: Option<(String, u16)>,
    /// Brokers that any key may name.
    pub brokers: Vec<(String, u16)>,
    /// Proxies whose forwarding headers count.
    pub proxies: Vec<Network>,
    /// Requests of a key in a second.
    pub key_rate: NonZeroU32,
    /// Streams of a key at once.
    pub key_streams: usize,
    /// Connections at once.
    pub connections: usize,
    /// Whether the page `/remote` is served.
    pub remote: bool,
    /// How long the head of a request, its body, and a TLS handshake may take each.
    pub patience: Duration,
    /// The way to other servers.
    pub outbound: Outbound,
}

/// Where Jeedom is.
#[derive(Debug, Clone)]
pub struct JeedomOptions {
    /// Its address.
    pub url: Url,
    /// The key for clients that bring none.
    pub apikey: Option<Secret<String>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_age: Duration::from_mins(1),
            jeedom: None,
            broker: None,
            brokers: Vec::new(),
            proxies: Vec::new(),
            key_rate: NonZeroU32::new(50).unwrap_or(NonZeroU32::MIN),
            key_streams: 32,
            connections: 12_000,
            remote: false,
            patience: Duration::from_secs(10),
            outbound: Outbound::default(),
        }
    }
}

/// The tunnel. Cheap to clone.
#[derive(Clone)]
pub struct Tunnel {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    house: Handle,
    mqtt: Option<Arc<Mqtt>>,
    elsewhere: Elsewhere,
    keyring: Keyring,
    gateway_key: GatewayKey,
    limits: Limits,
    replay: Mutex<Replay>,
    diary: Diary,
    streams: Arc<Semaphore>,
    stopping: watch::Sender<bool>,
    listening: Mutex<Option<Listening>>,
}

/// How a key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// When it was last used.
    pub used: Option<Time>,
    /// Messages that were sealed with it, at most.
    pub seals: u64,
    /// What it asked for last, newest first.
    pub recent: Vec<Entry>,
}

impl Tunnel {
    /// Reads the keys.
    pub async fn new(options: Options, house: Handle, mqtt: Option<Arc<Mqtt>>) -> Result<Self, StoreError> {
        let bounds = Bounds { rate: options.key_rate, streams: options.key_streams };
        let keyring = Keyring::load(house.store().clone(), bounds).await?;
        let gateway_key = gateway_key(&house).await?;
        let inner = Inner {
            elsewhere: Elsewhere::new(house.clone()),
            streams: Arc::new(Semaphore::new(options.connections)),
            keyring,
            gateway_key,
            limits: Limits::default(),
            replay: Mutex::default(),
            diary: Diary::default(),
            stopping: watch::Sender::new(false),
            listening: Mutex::default(),
            options,
            house,
            mqtt,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Serves at a listener until it is stopped.
    pub fn serve_at(&self, listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> io::Result<()> {
        let listening = Listening::start(listener, tls, listener::bounds(self), self.clone())?;
        if self.house().store().is_shared() {
            tokio::spawn(self.clone().look());
        }
        *lock(&self.inner.listening) = Some(listening);
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        lock(&self.inner.listening).as_ref().map(Listening::address)
    }

    /// Whether it has TLS of its own.
    pub fn has_tls(&self) -> bool {
        lock(&self.inner.listening).as_ref().is_some_and(Listening::has_tls)
    }

    /// Whether it serves the page `/remote`.
    pub fn serves_remote(&self) -> bool {
        self.inner.options.remote && self.address().is_some()
    }

    /// Reads the keys again, after one was added, changed or removed. Streams of keys that changed end.
    pub async fn reload(&self) -> Result<(), StoreError> {
        self.inner.keyring.reload().await?;
        self.inner.diary.keep(|name| self.inner.keyring.key(name).is_some());
        Ok(())
    }

    /// Whether there is no key.
    pub fn has_no_key(&self) -> bool {
        self.inner.keyring.is_empty()
    }

    /// Whether there is a Jeedom.
    pub fn has_jeedom(&self) -> bool {
        self.inner.options.jeedom.is_some()
    }

    /// What a phone knows this house by, in version 2 of the wire.
    pub fn pin(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.inner.gateway_key.pin())
    }

    /// How a key stands.
    pub fn key_use(&self, name: &str) -> Option<KeyUse> {
        let key = self.inner.keyring.key(name)?;
        Some(KeyUse { used: key.ledger.used(), seals: key.ledger.seals(), recent: self.inner.diary.of(name) })
    }

    /// Ends streams and connections.
    pub async fn stop(&self) {
        self.inner.stopping.send_replace(true);
        let listening = lock(&self.inner.listening).take();
        if let Some(listening) = listening {
            listening.stop().await;
        }
    }

    /// Where several copies share a store, keys change without a word.
    async fn look(self) {
        let (mut stopping, clock) = (self.stopping(), Arc::clone(self.house().clock()));
        loop {
            tokio::select! {
                () = clock.sleep_until(clock.now().mono.plus(LOOK)) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
            if let Err(error) = self.reload().await {
                tracing::debug!(%error, "the tunnel's keys cannot be read now");
            }
            if let Err(error) = self.house().store().purge_tunnel_nonces(clock.now().utc).await {
                tracing::debug!(%error, "old messages cannot be forgotten now");
            }
        }
    }

    fn house(&self) -> &Handle {
        &self.inner.house
    }

    fn options(&self) -> &Options {
        &self.inner.options
    }

    fn mqtt(&self) -> Option<&Mqtt> {
        self.inner.mqtt.as_deref()
    }

    fn elsewhere(&self) -> &Elsewhere {
        &self.inner.elsewhere
    }

    fn outbound(&self) -> &Outbound {
        &self.inner.options.outbound
    }

    fn keyring(&self) -> &Keyring {
        &self.inner.keyring
    }

    fn gateway_key(&self) -> &GatewayKey {
        &self.inner.gateway_key
    }

    fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    fn replay(&self) -> MutexGuard<'_, Replay> {
        lock(&self.inner.replay)
    }

    fn streams(&self) -> &Arc<Semaphore> {
        &self.inner.streams
    }

    fn stopping(&self) -> watch::Receiver<bool> {
        self.inner.stopping.subscribe()
    }

    /// Somebody without a key was refused.
    fn stranger(&self, reason: Reason, source: Option<IpAddr>) {
        metrics::counter!("doorward_tunnel_refused_total", "reason" => reason.as_str()).increment(1);
        self.house().refused(reason, source);
    }

    /// A key was refused something.
    fn note_refusal(&self, key: &Key, reason: Reason, what: &str, source: Option<IpAddr>) {
        metrics::counter!("doorward_tunnel_refused_total", "reason" => reason.as_str()).increment(1);
        self.inner.diary.refused(self.house(), &key.name, reason, what, source);
    }

    /// A key asked for something.
    fn note_request(&self, key: &Key, entry: Entry) {
        self.inner.diary.note(&key.name, entry);
    }
}

/// The key to which requests of version 2 are sealed: always the same one of a house.
async fn gateway_key(house: &Handle) -> Result<GatewayKey, StoreError> {
    let fresh = keys::hex(&house.store().new_tunnel_secret());
    let seed = house.store().set_secret_note_once(SEED, &fresh).await?;
    let seed = keys::from_hex(seed.reveal()).ok_or_else(|| StoreError::Bug("the seed of the tunnel is no seed".into()))?;
    GatewayKey::derive(GATEWAY, seed.reveal()).map_err(|error| StoreError::Bug(format!("the key of the tunnel: {error}")))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
