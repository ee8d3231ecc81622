//! The embedded broker. This file and those under it are the ones that know `mqtt5`'s broker; another library would be put
//! in its place here.
//!
//! What the library does by itself and cannot be told otherwise: messages for MQTT 5 clients carry the user properties
//! `x-mqtt-sender` (an alias, see [`crate::roster`]) and `x-mqtt-client-id`. Messages that were acknowledged in the last
//! moments can be lost by `kill -9`; nothing of doorward's relies on them.

mod audience;
mod ears;
mod entrance;
mod gate;
mod slow;

use crate::{
    inbox::{Arrival, Demand, Inbox, Told},
    line::Message,
    roster::{Anonymous, Roster},
    tap::{Hub, Tap},
};
use audience::Audience;
use doorward_core::driver;
use doorward_engine::{Exchange, Handle};
use doorward_wire::{attempt::ActorKind, topic::Filter};
use ears::Ears;
use entrance::{Entrance, Waiting, Way};
use gate::Gate;
use mqtt5::{
    QoS,
    broker::{
        BrokerConfig, BrokerEventHandler, MqttBroker, StorageBackend, StorageConfig,
        config::AuthConfig,
        resource_monitor::{ResourceLimits, ResourceMonitor},
        router::{DeliveryLanes, MessageRouter, SubscriptionRequest},
        storage::DynamicStorage,
    },
    packet::publish::PublishPacket,
};
use rustls::ServerConfig;
use std::{
    collections::BTreeSet,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};
use tokio::{
    sync::{broadcast, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_rustls::TlsAcceptor;

/// Bytes of a packet.
const PACKET: usize = 256 * 1024;
/// Messages on their way to a client that is here, before its queue begins.
const CHANNEL: usize = 256;
/// Messages that wait for a client that is away.
const QUEUE: usize = 500;
/// Bytes that wait for it.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// Connections at once, also from one address: a whole fleet may be behind one.
const CLIENTS: usize = 20_000;
/// Connections that come in within a second.
const ARRIVALS: u32 = 10_000;
/// Messages that are kept for later subscribers.
const RETAINED: usize = 50_000;
/// How long the session of a client that is away lives.
const SESSION: Duration = Duration::from_hours(24 * 7);
/// Messages that wait for the house.
const EARS: usize = 10_000;
/// What doorward's own clients begin with. The library takes no such identifier from a connection.
const OWN: &str = "in/";
/// The house among the clients.
const HOUSE: &str = "in/house";
/// How long clients get to hear what was published last. The library tells nobody when it has been written.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How often what is too old is removed.
const TIDY: Duration = Duration::from_mins(10);
/// How long the broker gets to stop.
const FAREWELL: Duration = Duration::from_secs(3);

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why the broker cannot start.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BrokerError(String);

impl From<mqtt5::MqttError> for BrokerError {
    fn from(error: mqtt5::MqttError) -> Self {
        Self(error.to_string())
    }
}

/// Where the broker is.
#[derive(Clone)]
pub struct Options {
    /// Where it listens.
    pub plain: Option<SocketAddr>,
    /// Where it listens with TLS.
    pub secure: Option<SocketAddr>,
    /// Where it listens for WebSockets.
    pub websocket: Option<SocketAddr>,
    /// Where it listens for WebSockets with TLS.
    pub secure_websocket: Option<SocketAddr>,
    /// Its certificate.
    pub tls: Option<Arc<ServerConfig>>,
    /// Where sessions and retained messages are kept.
    pub folder: PathBuf,
    /// Who may come in without a user, for sessions of locks of the original lock system alone.
    pub anonymous_locks: Anonymous,
}

/// Where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// `mqtt`, `mqtts`, `ws` or `wss`.
    pub scheme: &'static str,
    /// The address.
    pub address: SocketAddr,
}

/// A message of somebody else's.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether the broker keeps it.
    pub retain: bool,
}

/// A running broker.
pub struct Broker {
    router: Arc<MessageRouter>,
    storage: Option<Arc<DynamicStorage>>,
    listeners: Vec<Listener>,
    stop: broadcast::Sender<()>,
    up: watch::Sender<bool>,
    running: Mutex<Vec<JoinHandle<()>>>,
    gate: Arc<Gate>,
    ears: Ears,
    hub: Hub,
}

impl Broker {
    /// Binds the addresses and serves.
    pub(crate) async fn start(options: &Options, roster: Arc<Roster>, house: Handle, told: Told) -> Result<Self, BrokerError> {
        let (waiting, audience) = (Arc::new(Waiting::default()), Arc::new(Audience::default()));
        let gate = Arc::new(Gate {
            roster: Arc::clone(&roster),
            inbox: Inbox::new(house.clone(), told),
            waiting: Arc::clone(&waiting),
            audience: Arc::clone(&audience),
        });
        let config = config(options, Arc::clone(&gate) as _);
        let broker = MqttBroker::with_config(config.clone()).await?;
        let storage = broker.storage();
        let messages = broker.router();
        messages.recover_sessions(u32::try_from(SESSION.as_secs()).unwrap_or(u32::MAX)).await?;
        if let Some(storage) = &storage {
            storage.cleanup_expired().await?;
        }
        messages.initialize().await?;
        if let Some(storage) = &storage {
            remember(&audience, storage, &roster).await?;
        }
        let stop = broadcast::channel(1).0;
        let entrance = Arc::new(Entrance {
            config: Arc::new(config),
            router: Arc::clone(&messages),
            gate: Arc::clone(&gate),
            storage: storage.clone(),
            stats: broker.stats(),
            resources: broker.resource_monitor(),
            waiting,
            stop: stop.clone(),
        });
        let resources = broker.resource_monitor();
        resources.update_limits(limits(&entrance.config));
        drop(broker);
        let (listeners, mut running) = listeners(options, &entrance).await?;
        running.push(tokio::spawn(tidy(
            Arc::clone(&messages),
            storage.clone(),
            resources,
            (Arc::clone(&roster), Arc::clone(&audience)),
            stop.subscribe(),
        )));
        running.push(tokio::spawn(slow::watch(Arc::clone(&messages), roster, stop.subscribe())));
        let up = watch::Sender::new(true);
        running.push(tokio::spawn(serve(Arc::clone(&messages), house, Arc::clone(&audience), up.subscribe())));
        let ears = Ears { router: Arc::clone(&messages), audience, up: up.subscribe(), count: AtomicU64::new(0) };
        let (running, hub) = (Mutex::new(running), Hub::default());
        Ok(Self { router: messages, storage, listeners, stop, up, running, gate, ears, hub })
    }

    /// Where it listens.
    pub(crate) fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Changes never: it is there as long as doorward is.
    pub(crate) fn up(&self) -> watch::Receiver<bool> {
        self.up.subscribe()
    }

    /// Publishes past all rights.
    pub(crate) async fn publish(&self, message: Message) {
        let packet = PublishPacket::new(message.topic, message.payload, QoS::AtLeastOnce).with_retain(message.retain);
        self.route(&packet).await;
    }

    /// Publishes for a driver.
    pub(crate) async fn publish_within(&self, message: driver::Message) {
        let qos = if message.fresh_for.is_some() { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        let packet = PublishPacket::new(message.topic, message.payload, qos).with_retain(message.retain);
        self.route(&packet).await;
    }

    /// Publishes for somebody whose right to do so was looked at. What is meant for doorward it takes itself.
    pub(crate) async fn publish_for(&self, kind: ActorKind, user: &str, message: Letter) -> Result<(), &'static str> {
        let Letter { topic, payload, qos, retain } = message;
        if payload.len() > PACKET {
            return Err("the message is too long");
        }
        let arrival = Arrival { kind, user: user.into(), topic: &topic, payload: &payload, retain, demand: Demand::Words };
        if self.gate.inbox.take(arrival).await {
            return Ok(());
        }
        if retain && !self.gate.has_room(user, &topic, payload.is_empty()) {
            return Err("the disk is nearly full, and nothing more is kept");
        }
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].into_iter().nth(qos.into()).unwrap_or(QoS::AtMostOnce);
        self.route(&PublishPacket::new(topic, payload, qos).with_retain(retain)).await;
        Ok(())
    }

    /// Listens to a filter.
    pub(crate) async fn tap(&self, filter: &Filter) -> Result<Tap, mqtt5::MqttError> {
        self.hub.tap(&self.ears, filter).await
    }

    /// Without waiting for anybody: what a slow subscriber cannot take now is queued for it.
    async fn route(&self, packet: &PublishPacket) {
        if !packet.retain && !self.gate.audience.hears(&packet.topic_name) {
            return;
        }
        self.router.route_message_with_deadline(packet, None, Instant::now()).await;
    }

    pub(crate) async fn disconnect(&self, client: &str) {
        self.router.disconnect_client(client).await;
    }

    /// Ends a client's connection and session, with all that waits for it.
    pub(crate) async fn forget(&self, client: &str) {
        self.router.unregister_client(client).await;
        self.gate.audience.forget(client);
        self.router.queue_handle(client).clear(None);
        if let Some(storage) = &self.storage
            && let Err(error) = storage.remove_session(client).await
        {
            tracing::warn!(client, %error, "the session of a client could not be removed");
        }
    }

    pub(crate) async fn stop(&self) {
        tokio::time::sleep(LAST_WORDS).await;
        self.up.send_replace(false);
        // Everybody may be gone already.
        let _ = self.stop.send(());
        let running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let end = async {
            for task in running {
                let _ = task.await;
            }
        };
        if tokio::time::timeout(FAREWELL, end).await.is_err() {
            tracing::warn!("the MQTT broker did not stop in time");
        }
        if let Some(storage) = &self.storage
            && let Err(error) = storage.shutdown().await
        {
            tracing::warn!(%error, "what the MQTT broker keeps could not be written whole");
        }
    }
}

fn config(options: &Options, gate: Arc<dyn BrokerEventHandler>) -> BrokerConfig {
    let storage = StorageConfig::new()
        .with_base_dir(options.folder.clone())
        .with_max_queued_messages_per_client(QUEUE)
        .with_max_queued_bytes_per_client(QUEUE_BYTES);
    BrokerConfig {
        // The library wants one. It accepts nothing there, and is closed again before clients come in by `entrance`.
        bind_addresses: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
        max_clients: CLIENTS,
        session_expiry_interval: SESSION,
        max_packet_size: PACKET,
        client_channel_capacity: CHANNEL,
        // Counted by `audience`: the library goes through those of all clients for each one that is added.
        max_subscriptions_per_client: 0,
        max_retained_messages: RETAINED,
        sys_topics_enabled: false,
        auth_config: AuthConfig::default(),
        storage_config: storage,
        event_handler: Some(gate),
        ..BrokerConfig::default()
    }
}

/// The library has its own idea of how many may come from one address.
fn limits(config: &BrokerConfig) -> ResourceLimits {
    ResourceLimits {
        max_connections: CLIENTS,
        max_connections_per_ip: CLIENTS,
        max_message_rate_per_client: config.max_message_rate_per_client,
        max_bandwidth_per_client: config.max_bandwidth_per_client,
        max_connection_rate: ARRIVALS,
        rate_limit_window: Duration::from_secs(1),
    }
}

async fn listeners(options: &Options, entrance: &Arc<Entrance>) -> Result<(Vec<Listener>, Vec<JoinHandle<()>>), BrokerError> {
    let tls = options.tls.clone().map(TlsAcceptor::from);
    let ways = [
        ("mqtt", options.plain, false, false),
        ("mqtts", options.secure, true, false),
        ("ws", options.websocket, false, true),
        ("wss", options.secure_websocket, true, true),
    ];
    let (mut listeners, mut running) = (Vec::new(), Vec::new());
    for (scheme, address, secure, websocket) in ways {
        let Some(address) = address else { continue };
        let tls = tls.clone().filter(|_| secure);
        if secure && tls.is_none() {
            return Err(BrokerError(format!("{address}: there is no certificate for TLS")));
        }
        let (address, task) = entrance.open(address, Way { tls, websocket }).await?;
        listeners.push(Listener { scheme, address });
        running.push(task);
    }
    Ok((listeners, running))
}

/// Who listens to what since the last run.
async fn remember(audience: &Audience, storage: &DynamicStorage, roster: &Roster) -> Result<(), BrokerError> {
    for client in storage.session_client_ids().await? {
        let Some(session) = storage.get_session(&client).await? else { continue };
        let is_device = roster.is_a_devices(&client).await.map_err(|error| BrokerError(error.to_string()))?;
        session.subscriptions.keys().for_each(|filter| _ = audience.add(&client, is_device, filter));
    }
    Ok(())
}

/// Those whose session is gone listen to nothing any more.
async fn forget_gone(audience: &Audience, storage: &DynamicStorage, roster: &Roster) {
    let connected: BTreeSet<String> = roster.connected_clients().into_iter().collect();
    for client in audience.clients() {
        let is_own = client.starts_with(OWN);
        if !is_own && !connected.contains(&client) && matches!(storage.get_session(&client).await, Ok(None)) {
            audience.forget(&client);
        }
    }
}

/// What is too old goes, now and then.
async fn tidy(
    messages: Arc<MessageRouter>,
    storage: Option<Arc<DynamicStorage>>,
    resources: Arc<ResourceMonitor>,
    (roster, audience): (Arc<Roster>, Arc<Audience>),
    mut stop: broadcast::Receiver<()>,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TIDY) => {}
            _ = stop.recv() => return,
        }
        if let Some(storage) = &storage
            && let Err(error) = storage.cleanup_expired().await
        {
            tracing::warn!(%error, "old messages could not be removed");
        }
        messages.sweep_sessions().await;
        if let Some(storage) = &storage {
            forget_gone(&audience, storage, &roster).await;
        }
        resources.cleanup_expired_windows().await;
    }
}

/// Hands what is published to the house, as far as it wants to hear it.
async fn serve(router: Arc<MessageRouter>, house: Handle, audience: Arc<Audience>, mut up: watch::Receiver<bool>) {
    let (lanes, mut lane) = DeliveryLanes::channel(EARS);
    let (kick, _kicked) = tokio::sync::oneshot::channel();
    router.register_session(HOUSE.into(), lanes, router.queue_handle(HOUSE), kick, true).await;
    let exchange = Arc::clone(house.exchange());
    let mut filters = exchange.filters();
    let mut there: BTreeSet<Filter> = BTreeSet::new();
    exchange.connected(true);
    filters.mark_changed();
    loop {
        tokio::select! {
            Some(message) = lane.recv() => {
                let PublishPacket { topic_name, payload, .. } = message.publish;
                exchange.arrived(&topic_name, &payload, false);
            }
            changed = filters.changed() => {
                if changed.is_err() { return; }
                let wanted = filters.borrow_and_update().clone();
                for gone in there.difference(&wanted) {
                    let _ = router.unsubscribe(HOUSE, gone.as_str(), None).await;
                    audience.remove(HOUSE, gone.as_str());
                }
                for new in wanted.difference(&there) {
                    audience.listen(HOUSE, new);
                    listen(&router, &exchange, new).await;
                }
                there = wanted;
            }
            () = gone(&mut up) => return exchange.connected(false),
        }
    }
}

async fn gone(up: &mut watch::Receiver<bool>) {
    let _ = up.wait_for(|up| !*up).await;
}

/// Subscribes the house, and hands over what the broker has kept.
async fn listen(router: &MessageRouter, exchange: &Exchange, filter: &Filter) {
    // QoS 0: what the house cannot take in time is dropped rather than let wait for it whoever published.
    if let Err(error) = router.subscribe(SubscriptionRequest::new(HOUSE, filter.as_str(), QoS::AtMostOnce)).await {
        tracing::error!(%filter, %error, "the house cannot listen at its own broker");
        return;
    }
    for kept in router.get_retained_messages(filter.as_str()).await {
        exchange.arrived(&kept.topic_name, &kept.payload, true);
    }
}
