//! The embedded broker. This is the one file that knows `mqtt5`; another library would be put in its place here.
//!
//! What the library does by itself and cannot be told otherwise: messages for MQTT 5 clients carry the user properties
//! `x-mqtt-sender` (an alias, see [`crate::roster`]) and `x-mqtt-client-id`. Messages that were acknowledged in the last
//! moments can be lost by `kill -9`; nothing of doorward's relies on them.

use crate::{
    inbox::{Arrival, Demand, Inbox},
    line::Message,
    roster::{Refusal, Roster},
};
use doorward_core::driver;
use doorward_engine::{Exchange, Handle};
use doorward_wire::{
    attempt::Reason,
    topic::{Filter, Topic},
};
use mqtt5::{
    QoS,
    broker::{
        AuthProvider, AuthResult, BrokerConfig, BrokerEventHandler, BrokerShutdownHandle, ClientConnectEvent, ClientDisconnectEvent,
        ClientPublishEvent, MqttBroker, PublishAction, StorageConfig,
        config::AuthConfig,
        router::{DeliveryLanes, MessageRouter, SubscriptionRequest},
    },
    packet::{connect::ConnectPacket, publish::PublishPacket},
    types::ReasonCode,
};
use std::{
    collections::BTreeSet,
    future::Future,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::Instant,
};

/// Bytes of a packet.
const PACKET: usize = 256 * 1024;
/// Messages that wait for a client that is away.
const QUEUE: usize = 500;
/// Bytes that wait for it.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// Connections at once.
const CLIENTS: usize = 10_000;
/// Subscriptions of a client.
const SUBSCRIPTIONS: usize = 1_000;
/// Messages that are kept for later subscribers.
const RETAINED: usize = 50_000;
/// How long the session of a client that is away lives.
const SESSION: Duration = Duration::from_hours(24 * 7);
/// Messages that wait for the house.
const EARS: usize = 10_000;
/// The house among the clients. The library takes no such identifier from a connection.
const HOUSE: &str = "in/house";
/// How long clients get to hear what was published last. The library tells nobody when it has been written.
const LAST_WORDS: Duration = Duration::from_millis(500);
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
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where sessions and retained messages are kept.
    pub folder: PathBuf,
}

/// A running broker.
pub struct Broker {
    router: Arc<MessageRouter>,
    address: SocketAddr,
    stop: BrokerShutdownHandle,
    up: watch::Sender<bool>,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Broker {
    /// Binds the address and serves.
    pub(crate) async fn start(options: &Options, roster: Arc<Roster>, house: Handle, born: Arc<Notify>) -> Result<Self, BrokerError> {
        let gate = Arc::new(Gate { roster, inbox: Inbox::new(house.clone(), born) });
        let storage = StorageConfig::new()
            .with_base_dir(options.folder.clone())
            .with_max_queued_messages_per_client(QUEUE)
            .with_max_queued_bytes_per_client(QUEUE_BYTES);
        let config = BrokerConfig {
            bind_addresses: vec![options.listen],
            max_clients: CLIENTS,
            session_expiry_interval: SESSION,
            max_packet_size: PACKET,
            max_subscriptions_per_client: SUBSCRIPTIONS,
            max_retained_messages: RETAINED,
            sys_topics_enabled: false,
            auth_config: AuthConfig::default(),
            storage_config: storage,
            event_handler: Some(Arc::clone(&gate) as Arc<dyn BrokerEventHandler>),
            ..BrokerConfig::default()
        };
        let mut broker = MqttBroker::with_config(config).await?.with_auth_provider(gate);
        let address = broker.local_addr().ok_or_else(|| BrokerError("the broker has no address".into()))?;
        let (messages, stop, mut ready) = (broker.router(), broker.shutdown_handle(), broker.ready_receiver());
        let running = tokio::spawn(async move {
            if let Err(error) = broker.run().await {
                tracing::error!(%error, "the MQTT broker ended");
            }
        });
        if ready.wait_for(|ready| *ready).await.is_err() {
            return Err(BrokerError("the broker could not read what it had kept".into()));
        }
        let up = watch::Sender::new(true);
        tokio::spawn(Self::serve(Arc::clone(&messages), house, up.subscribe()));
        Ok(Self { router: messages, address, stop, up, running: Mutex::new(Some(running)) })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
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

    /// Without waiting for anybody: what a slow subscriber cannot take now is queued for it.
    async fn route(&self, packet: &PublishPacket) {
        self.router.route_message_with_deadline(packet, None, Instant::now()).await;
    }

    /// Hands what is published to the house, as far as it wants to hear it.
    async fn serve(router: Arc<MessageRouter>, house: Handle, mut up: watch::Receiver<bool>) {
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
                    }
                    for new in wanted.difference(&there) {
                        listen(&router, &exchange, new).await;
                    }
                    there = wanted;
                }
                () = gone(&mut up) => return exchange.connected(false),
            }
        }
    }

    pub(crate) async fn disconnect(&self, client: &str) {
        self.router.disconnect_client(client).await;
    }

    pub(crate) async fn stop(&self) {
        tokio::time::sleep(LAST_WORDS).await;
        self.up.send_replace(false);
        self.stop.shutdown();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running
            && tokio::time::timeout(FAREWELL, running).await.is_err()
        {
            tracing::warn!("the MQTT broker did not stop in time");
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

/// What the broker asks before it does anything.
struct Gate {
    roster: Arc<Roster>,
    inbox: Inbox,
}

impl AuthProvider for Gate {
    fn authenticate<'a>(&'a self, connect: &'a ConnectPacket, address: SocketAddr) -> BoxFuture<'a, mqtt5::Result<AuthResult>> {
        Box::pin(async move {
            // A will is published past what is asked for other messages, so none may speak for doorward or to a door.
            if connect.will.as_ref().is_some_and(|will| Topic::read(&will.topic).is_some()) {
                refused("will", &connect.client_id, "of doorward");
                return Ok(AuthResult::fail(ReasonCode::NotAuthorized));
            }
            let name = connect.username.as_deref().unwrap_or_default();
            let secret = connect.password.as_deref().unwrap_or_default();
            Ok(match self.roster.admit(name, secret, &connect.client_id).await {
                Ok(alias) => AuthResult::success_with_user(alias),
                Err(refusal) => {
                    tracing::info!(%address, client = connect.client_id, %refusal, "an MQTT client was refused");
                    self.inbox.house.refused(Reason::NotAuthenticated, Some(address.ip()));
                    AuthResult::fail(match refusal {
                        Refusal::Credentials => ReasonCode::BadUsernameOrPassword,
                        Refusal::ClientId => ReasonCode::ClientIdentifierNotValid,
                        Refusal::TooMany => ReasonCode::QuotaExceeded,
                        Refusal::Store => ReasonCode::ServerUnavailable,
                    })
                }
            })
        })
    }

    fn authorize_publish<'a>(&'a self, client: &str, user: Option<&'a str>, topic: &'a str) -> BoxFuture<'a, bool> {
        let allowed = user.is_some_and(|user| self.roster.may_publish(user, topic));
        if !allowed {
            refused("publish", client, topic);
        }
        Box::pin(async move { allowed })
    }

    fn authorize_subscribe<'a>(&'a self, client: &str, user: Option<&'a str>, filter: &'a str) -> BoxFuture<'a, bool> {
        let allowed = user.is_some_and(|user| self.roster.may_subscribe(user, filter));
        if !allowed {
            refused("subscribe", client, filter);
        }
        Box::pin(async move { allowed })
    }
}

fn refused(what: &'static str, client: &str, topic: &str) {
    metrics::counter!("doorward_mqtt_refused_total", "what" => what).increment(1);
    tracing::info!(client, topic, "an MQTT client may not {what} here");
}

impl BrokerEventHandler for Gate {
    fn on_client_connect(&self, event: ClientConnectEvent) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            metrics::gauge!("doorward_mqtt_clients").increment(1.0);
            if let Some(user) = &event.user_id {
                self.roster.connected(user, &event.client_id);
            }
        })
    }

    fn on_client_disconnect(&self, event: ClientDisconnectEvent) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            metrics::gauge!("doorward_mqtt_clients").decrement(1.0);
            self.roster.disconnected(&event.client_id);
        })
    }

    fn on_client_publish(&self, event: ClientPublishEvent) -> BoxFuture<'_, PublishAction> {
        Box::pin(async move {
            let Some(user) = event.user_id.as_deref().and_then(|alias| self.roster.name(alias)) else { return PublishAction::Handled };
            let arrival = Arrival { user, topic: &event.topic, payload: &event.payload, retain: event.retain, demand: Demand::Words };
            if self.inbox.take(arrival).await { PublishAction::Handled } else { PublishAction::Continue }
        })
    }
}
