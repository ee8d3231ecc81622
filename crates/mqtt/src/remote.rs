//! A broker elsewhere: Mosquitto, RabbitMQ, EMQX, anything that speaks MQTT 5 or 3.1.1.
//!
//! One connection after the other, each with a clean start, so that nothing old is sent or comes in. What doors are is
//! published anew by [`crate::doors`], what happened by [`crate::events`]; commands that came while doorward was away are
//! gone. MQTT 5 is tried first, 3.1.1 where the broker knows no other; with 3.1.1 commands are stricter ([`Demand`]).
//!
//! This file keeps the connection up and sends. `dial` says how the broker is reached, `subscriptions` what is heard there;
//! [`Alone`] is a connection of a program that has no house.

mod alone;
mod dial;
mod subscriptions;

pub use alone::Alone;
pub(crate) use dial::{connect_once, next_version, person};

use crate::{
    discovery,
    elsewhere::Place,
    inbox::{Arrival, Demand, Inbox, Told},
};
use dial::{connect, is_about_credentials};
use doorward_core::{
    Secret,
    driver::{Fault, Message},
};
use doorward_engine::Handle;
use doorward_wire::{
    Time,
    attempt::ActorKind,
    topic::{DoorTopic, Topic},
};
use mqtt5::{MqttClient, MqttError, ProtocolVersion, PublishOptions, PublishResult, QoS, WillMessage};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use subscriptions::{Incoming, Subscription, Subscriptions};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// How long the broker may take to acknowledge something.
const ANSWER: Duration = Duration::from_secs(10);
/// The first pause after a connection was lost or refused; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A connection that held for this long is a good one: the next pause is the first again.
const HELD: Duration = Duration::from_mins(1);
/// How often the broker is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Bytes of a packet that the broker may send.
const PACKET: u32 = 256 * 1024;
/// Messages that came in and wait to be looked at.
const WAITING: usize = 4096;
/// Over MQTT 3.1.1, how long after subscribing a message that the broker kept may take to come.
const KEPT_GRACE: Duration = Duration::from_millis(300);
/// Commands at any door, and at any device.
const COMMANDS: &str = "doorward/door/+/set";
const DEVICES: &str = "doorward/device/+/set";

/// Where the broker is and how to get in.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How TLS is done; plain text when absent.
    pub tls: Option<TlsFiles>,
    /// The user.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret<String>>,
    /// The client identifier.
    pub client_id: String,
    /// Whether commands are taken from there.
    pub commands: bool,
}

/// Certificates in PEM files.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// Whom to trust, instead of the public authorities.
    pub ca: Option<PathBuf>,
    /// doorward's own certificate and key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// How the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It was not tried yet.
    Starting,
    /// It holds.
    Up {
        /// `5` or `3.1.1`.
        version: &'static str,
        /// Since when.
        since: Time,
    },
    /// It does not.
    Away {
        /// What is wrong, for a person.
        why: String,
        /// Since when.
        since: Time,
    },
}

/// The connection to a broker elsewhere, kept up until it is stopped.
pub struct Remote {
    options: RemoteOptions,
    house: Handle,
    inbox: Inbox,
    client: Mutex<Option<MqttClient>>,
    up: watch::Sender<bool>,
    standing: Mutex<Standing>,
    stop: watch::Sender<bool>,
    running: Mutex<Option<JoinHandle<()>>>,
}

/// How a connection ended.
enum End {
    Stopped,
    Lost(String),
}

impl Remote {
    pub(crate) fn start(options: RemoteOptions, house: Handle, told: Told) -> Arc<Self> {
        let remote = Arc::new(Self {
            options,
            inbox: Inbox::new(house.clone(), told),
            house,
            client: Mutex::default(),
            up: watch::Sender::new(false),
            standing: Mutex::new(Standing::Starting),
            stop: watch::Sender::new(false),
            running: Mutex::default(),
        });
        let running = tokio::spawn(Arc::clone(&remote).run());
        *lock(&remote.running) = Some(running);
        remote
    }

    pub(crate) const fn options(&self) -> &RemoteOptions {
        &self.options
    }

    /// How the connection stands.
    pub fn standing(&self) -> Standing {
        lock(&self.standing).clone()
    }

    /// Where the broker is, without what is secret.
    pub fn place(&self) -> String {
        let scheme = if self.options.tls.is_some() { "mqtts" } else { "mqtt" };
        format!("{scheme}://{}:{}", self.options.host, self.options.port)
    }

    /// The same broker as the same user, for a connection of its own.
    pub(crate) fn as_place(&self) -> Place {
        let RemoteOptions { host, port, tls, user, password, .. } = self.options.clone();
        let login = user.map(|user| (user, password.unwrap_or_else(|| Secret::new(String::new()))));
        Place { host, port, tls, login }
    }

    /// Whether commands are taken from there.
    pub fn takes_commands(&self) -> bool {
        self.options.commands
    }

    pub(crate) fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    pub(crate) fn up(&self) -> watch::Receiver<bool> {
        self.up.subscribe()
    }

    /// Publishes, and ends when the broker has it.
    pub(crate) async fn publish(&self, message: Message) -> Result<(), Fault> {
        let client = lock(&self.client).clone().filter(|_| self.is_up());
        publish(client, message).await
    }

    /// Says good-bye and ends.
    pub(crate) async fn stop(&self) {
        let _ = self.stop.send(true);
        let running = lock(&self.running).take();
        if let Some(running) = running {
            let _ = running.await;
        }
    }

    async fn run(self: Arc<Self>) {
        let mut stopped = self.stop.subscribe();
        let mut version = ProtocolVersion::V5;
        let mut pause = PAUSE;
        loop {
            let begun = self.house.now().mono;
            let end = tokio::select! {
                end = self.connection(version) => end,
                _ = stopped.wait_for(|stop| *stop) => Ok(End::Stopped),
            };
            self.went_down().await;
            let why = match end {
                Ok(End::Stopped) => return,
                Ok(End::Lost(why)) => why,
                Err(error) => {
                    version = next_version(version, &error);
                    let hint = if is_about_credentials(&error) { ": look at mqtt.broker and mqtt.password" } else { "" };
                    person(&error) + hint
                }
            };
            if self.house.now().mono.since(begun) >= HELD {
                pause = PAUSE;
            }
            self.away(&why);
            let mut dice = [0];
            self.house.clock().fill(&mut dice);
            // Jitter, so that not everybody comes at once when a broker starts.
            let wait = pause.mul_f64(0.5 + f64::from(dice[0]) / 512.0);
            pause = (pause * 2).min(LONGEST_PAUSE);
            tokio::select! {
                () = self.house.clock().sleep_until(self.house.now().mono.plus(wait)) => {}
                _ = stopped.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn away(&self, why: &str) {
        let mut standing = lock(&self.standing);
        let since = match &*standing {
            Standing::Away { since, .. } => *since,
            Standing::Starting | Standing::Up { .. } => self.house.now().utc,
        };
        if !matches!(&*standing, Standing::Away { why: before, .. } if before == why) {
            tracing::warn!(broker = self.place(), why, "the MQTT broker cannot be reached");
        }
        *standing = Standing::Away { why: why.into(), since };
    }

    async fn went_down(&self) {
        let client = lock(&self.client).take();
        self.up.send_if_modified(|up| std::mem::replace(up, false));
        metrics::gauge!("doorward_mqtt_connected").set(0.0);
        self.house.exchange().connected(false);
        if let Some(client) = client {
            // A connection that is gone cannot be told so.
            let _ = tokio::time::timeout(Duration::from_secs(1), client.disconnect()).await;
        }
    }

    /// One connection from its beginning to its end.
    async fn connection(&self, version: ProtocolVersion) -> Result<End, MqttError> {
        let (lost, mut told) = mpsc::channel(1);
        let will = WillMessage::new(Topic::Status.to_string(), "offline").with_qos(QoS::AtLeastOnce).with_retain(true);
        let client = connect(&self.options, version, Some(will), lost).await?;
        let (incoming, mut arrivals) = mpsc::channel(WAITING);
        *lock(&self.client) = Some(client.clone());
        let mut subscriptions = Subscriptions::new(client, version, incoming);
        subscriptions.add(discovery::BIRTH, Subscription::Birth).await?;
        let mut filters = self.house.exchange().filters();
        let mut notices = self.house.subscribe();
        // What drivers and contacts are told first is that they can be heard.
        self.house.exchange().connected(true);
        self.came_up(version);
        let wanted = filters.borrow_and_update().clone();
        subscriptions.listen(&wanted).await?;
        if self.options.commands {
            self.take_commands(&mut subscriptions).await?;
        }
        loop {
            tokio::select! {
                Some(incoming) = arrivals.recv() => self.arrived(&mut subscriptions, incoming).await?,
                why = told.recv() => return Ok(End::Lost(why.unwrap_or_default())),
                changed = filters.changed() => {
                    if changed.is_ok() {
                        let wanted = filters.borrow_and_update().clone();
                        subscriptions.listen(&wanted).await?;
                    }
                }
                // A door that came to be known has a topic of its own over MQTT 3.1.1.
                notice = notices.recv(), if self.options.commands && version == ProtocolVersion::V311 => {
                    let door = notice.is_ok_and(|notice| matches!(*notice, doorward_core::keeper::Notice::Door(_)));
                    if door {
                        self.take_commands(&mut subscriptions).await?;
                    }
                }
            }
        }
    }

    fn came_up(&self, version: ProtocolVersion) {
        let version = if version == ProtocolVersion::V5 { "5" } else { "3.1.1" };
        tracing::info!(broker = self.place(), version, "connected to the MQTT broker");
        *lock(&self.standing) = Standing::Up { version, since: self.house.now().utc };
        metrics::gauge!("doorward_mqtt_connected").set(1.0);
        self.up.send_replace(true);
    }

    /// Over MQTT 5 one subscription for all doors. Over 3.1.1 one for each: RabbitMQ gives wildcards nothing that it kept.
    async fn take_commands(&self, subscriptions: &mut Subscriptions) -> Result<(), MqttError> {
        subscriptions.add(DEVICES, Subscription::Commands).await?;
        if subscriptions.version == ProtocolVersion::V5 {
            return subscriptions.add(COMMANDS, Subscription::Commands).await;
        }
        for door in self.house.board().doors() {
            subscriptions.add(&Topic::door(&door.id, DoorTopic::Set).to_string(), Subscription::Commands).await?;
        }
        Ok(())
    }

    async fn arrived(&self, subscriptions: &mut Subscriptions, incoming: Incoming) -> Result<(), MqttError> {
        let Incoming { kind, topic, payload, retain } = incoming;
        if kind == Subscription::House {
            self.house.exchange().arrived(&topic, &payload, retain);
            return Ok(());
        }
        let old = subscriptions.version == ProtocolVersion::V311;
        let command = kind == Subscription::Commands && !payload.is_empty();
        // What is kept for a device is found at the next connection, and is taken away then.
        let probe = command && old && matches!(Topic::read(&topic), Some(Topic::Door(..)));
        let retain = command && (retain || (probe && self.was_kept(subscriptions, &topic).await?));
        if retain {
            self.clear(topic.clone());
        }
        let demand = if old { Demand::Json } else { Demand::Words };
        self.inbox
            .take(Arrival { kind: ActorKind::Mqtt, user: self.options.host.clone(), topic: &topic, payload: &payload, retain, demand })
            .await;
        Ok(())
    }

    /// Over MQTT 3.1.1 a message does not say that the broker keeps it. The broker does, to whoever subscribes again.
    async fn was_kept(&self, subscriptions: &Subscriptions, topic: &str) -> Result<bool, MqttError> {
        let found = subscriptions.probe(topic).await?;
        let grace = self.house.clock().sleep_until(self.house.now().mono.plus(KEPT_GRACE));
        let kept = tokio::select! {
            found = found => found.is_ok(),
            () = grace => false,
        };
        lock(&subscriptions.probes).remove(topic);
        Ok(kept)
    }

    /// What was kept at a door's topic is taken away: it could only do harm.
    fn clear(&self, topic: String) {
        let Some(client) = lock(&self.client).clone() else { return };
        tokio::spawn(async move {
            let options = PublishOptions { qos: QoS::AtLeastOnce, retain: true, ..PublishOptions::default() };
            let cleared = tokio::time::timeout(ANSWER, client.publish_with_options(topic.clone(), Vec::new(), options)).await;
            if !matches!(cleared, Ok(Ok(_))) {
                tracing::warn!(topic, "a command that the broker keeps could not be taken away there");
            }
        });
    }
}

/// Publishes on a connection, and ends when the broker has it.
async fn publish(client: Option<MqttClient>, message: Message) -> Result<(), Fault> {
    let topic = message.topic.clone();
    let Some(client) = client else {
        return Err(Fault::offline("The MQTT broker cannot be reached.", format!("{topic}: not connected")));
    };
    let mut options = PublishOptions { qos: QoS::AtLeastOnce, retain: message.retain, ..PublishOptions::default() };
    if let Some(fresh) = message.fresh_for {
        // At most once: what is repeated or comes late could open a door.
        options.qos = QoS::AtMostOnce;
        options.properties.message_expiry_interval = Some(u32::try_from(fresh.as_secs().max(1)).unwrap_or(u32::MAX));
    }
    let sent = tokio::time::timeout(ANSWER, client.publish_with_options(message.topic, message.payload, options)).await;
    match sent {
        Ok(Ok(PublishResult::Sent(_))) => Ok(()),
        Ok(Err(error @ MqttError::NotConnected)) => Err(Fault::offline("The MQTT broker cannot be reached.", format!("{topic}: {error}"))),
        Ok(Err(error @ (MqttError::PublishFailed(_) | MqttError::NotAuthorized))) => {
            Err(Fault::refused("The MQTT broker refused the message. Look at doorward's rights there.", format!("{topic}: {error}")))
        }
        Ok(Ok(PublishResult::Queued(_)) | Err(_)) | Err(_) => {
            Err(Fault::timeout("The MQTT broker did not answer. Look at the door.", format!("{topic}: no acknowledgement")))
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
