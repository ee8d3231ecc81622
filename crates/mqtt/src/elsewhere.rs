//! Connections to brokers on behalf of others: one for each broker and user, made when it is first needed.
//!
//! What a person's phone publishes through the tunnel goes out with the credentials that it names, and never with more
//! rights than those. Nothing is repeated and nothing waits here: a broker that cannot be reached is an error, and when a
//! connection is lost all that listen on it are told.

use crate::{
    broker::Letter,
    remote::{RemoteOptions, TlsFiles, connect_once, next_version, person},
    tap::{Heard, Hub, KEPT, Live, Source, Tap},
};
use doorward_core::{Secret, driver::BoxFuture};
use doorward_engine::{Clock, Handle};
use doorward_wire::topic::Filter;
use mqtt5::{ConnectionEvent, MqttClient, MqttError, ProtocolVersion, PublishOptions, PublishResult, QoS, SubscribeOptions};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Connections at once.
const MOST: usize = 32;
/// How long the broker may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// A connection that nobody used for this long is closed.
const IDLE: Duration = Duration::from_mins(1);

/// A broker, and as whom.
#[derive(Debug, Clone)]
pub struct Place {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How TLS is done; plain text when absent.
    pub tls: Option<TlsFiles>,
    /// User name and password.
    pub login: Option<(String, Secret<String>)>,
}

impl Place {
    /// What makes connections the same one.
    fn key(&self) -> Key {
        let login = self.login.as_ref().map(|(user, password)| (user.clone(), password.reveal().clone()));
        (self.host.clone(), self.port, login.map(Secret::new))
    }
}

type Key = (String, u16, Option<Secret<(String, String)>>);

/// Why a broker did not do what it was asked. `Display` is for whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ElsewhereError(String);

/// Connections to brokers elsewhere. Cheap to clone.
#[derive(Clone)]
pub struct Elsewhere {
    house: Handle,
    slots: Arc<Mutex<Slots>>,
}

type Slots = Vec<(Key, Arc<Slot>)>;

/// Where one connection is, or is being made.
#[derive(Default)]
struct Slot {
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
}

impl Elsewhere {
    /// No connection yet.
    pub fn new(house: Handle) -> Self {
        Self { house, slots: Arc::default() }
    }

    /// Publishes, and ends when the broker has it.
    pub async fn publish(&self, place: &Place, letter: Letter) -> Result<(), ElsewhereError> {
        self.connection(place).await?.publish(letter).await
    }

    /// Listens to a filter.
    pub async fn tap(&self, place: &Place, filter: &Filter) -> Result<Tap, ElsewhereError> {
        let connection = self.connection(place).await?;
        connection.hub.tap(&connection, filter).await
    }

    async fn connection(&self, place: &Place) -> Result<Arc<Connection>, ElsewhereError> {
        let slot = self.slot(place)?;
        let mut there = slot.connection.lock().await;
        if let Some(connection) = &*there
            && connection.holds.load(Ordering::SeqCst)
        {
            connection.uses.fetch_add(1, Ordering::Relaxed);
            return Ok(Arc::clone(connection));
        }
        // Boxed and nameless: it is large, seldom, and within what every request waits for.
        let opening: BoxFuture<'_, _> = Box::pin(Connection::open(&self.house, place));
        let connection = opening.await?;
        *there = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// The slot of a place. Where there are too many, those go that nobody uses.
    fn slot(&self, place: &Place) -> Result<Arc<Slot>, ElsewhereError> {
        let key = place.key();
        let mut slots = lock(&self.slots);
        if let Some((_, slot)) = slots.iter().find(|(known, _)| *known == key) {
            return Ok(Arc::clone(slot));
        }
        // A slot that somebody else holds is in use: a connection is being made there.
        slots.retain(|(_, slot)| Arc::strong_count(slot) > 1 || slot.connection.try_lock().is_ok_and(|there| holds(there.as_ref())));
        if slots.len() >= MOST {
            return Err(ElsewhereError(format!("{MOST} connections to brokers are in use already")));
        }
        let slot = Arc::new(Slot::default());
        slots.push((key, Arc::clone(&slot)));
        Ok(slot)
    }
}

fn holds(there: Option<&Arc<Connection>>) -> bool {
    there.is_some_and(|connection| connection.holds.load(Ordering::SeqCst))
}

/// One connection, until it is lost or nobody uses it.
struct Connection {
    client: MqttClient,
    holds: AtomicBool,
    /// How often it was asked for.
    uses: AtomicU64,
    hub: Hub,
    /// What listens here, and what the broker keeps there as far as it was told.
    ears: Mutex<HashMap<Filter, Weak<Ear>>>,
}

/// A filter that is listened to.
struct Ear {
    live: Arc<Live>,
    kept: Mutex<BTreeMap<String, Arc<Heard>>>,
}

impl Connection {
    async fn open(house: &Handle, place: &Place) -> Result<Arc<Self>, ElsewhereError> {
        let options = RemoteOptions {
            host: place.host.clone(),
            port: place.port,
            tls: place.tls.clone(),
            user: place.login.as_ref().map(|(user, _)| user.clone()),
            password: place.login.as_ref().map(|(_, password)| password.clone()),
            client_id: format!("doorward-{}", house.clock().uuid().simple()),
            commands: false,
        };
        let client = tokio::time::timeout(ANSWER, connect(&options)).await.map_err(|_| ElsewhereError("it does not answer".into()))??;
        let (lost, told) = mpsc::channel(1);
        let connection =
            Arc::new(Self { client, holds: AtomicBool::new(true), uses: AtomicU64::new(0), hub: Hub::default(), ears: Mutex::default() });
        let watched = connection.client.on_connection_event(move |event| {
            if let ConnectionEvent::Disconnected { .. } = event {
                let _ = lost.try_send(());
            }
        });
        watched.await.map_err(|error| ElsewhereError(person(&error)))?;
        tokio::spawn(Arc::clone(&connection).watch(told, Arc::clone(house.clock())));
        Ok(connection)
    }

    /// Ends everything here once the connection is lost, or was not used for a while.
    async fn watch(self: Arc<Self>, mut lost: mpsc::Receiver<()>, clock: Arc<dyn Clock>) {
        let mut uses = 0;
        loop {
            tokio::select! {
                _ = lost.recv() => break,
                () = clock.sleep_until(clock.now().mono.plus(IDLE)) => {}
            }
            let now = self.uses.load(Ordering::Relaxed);
            let listens = lock(&self.ears).values().any(|ear| ear.strong_count() > 0);
            if now == uses && !listens {
                break;
            }
            uses = now;
        }
        self.holds.store(false, Ordering::SeqCst);
        let ears: Vec<Arc<Ear>> = lock(&self.ears).values().filter_map(Weak::upgrade).collect();
        for ear in ears {
            ear.live.close();
        }
        // A connection that is gone cannot be told so.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.client.disconnect()).await;
    }

    async fn publish(&self, letter: Letter) -> Result<(), ElsewhereError> {
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].into_iter().nth(letter.qos.into()).unwrap_or(QoS::AtMostOnce);
        let options = PublishOptions { qos, retain: letter.retain, ..PublishOptions::default() };
        match tokio::time::timeout(ANSWER, self.client.publish_with_options(letter.topic, letter.payload, options)).await {
            Ok(Ok(PublishResult::Sent(_))) => Ok(()),
            Ok(Err(error @ (MqttError::PublishFailed(_) | MqttError::NotAuthorized))) => {
                Err(ElsewhereError(format!("the broker refused the message ({error})")))
            }
            Ok(Err(error)) => Err(ElsewhereError(person(&error))),
            Ok(Ok(PublishResult::Queued(_))) | Err(_) => Err(ElsewhereError("it does not answer".into())),
        }
    }
}

async fn connect(options: &RemoteOptions) -> Result<MqttClient, ElsewhereError> {
    let mut version = ProtocolVersion::V5;
    loop {
        match connect_once(options, version).await {
            Ok(client) => return Ok(client),
            Err(error) => match next_version(version, &error) {
                ProtocolVersion::V311 => version = ProtocolVersion::V311,
                ProtocolVersion::V5 => return Err(ElsewhereError(person(&error))),
            },
        }
    }
}

impl Source for Arc<Connection> {
    type Error = ElsewhereError;
    const TELLS_KEPT: bool = true;

    async fn subscribe(&self, filter: &Filter, live: Arc<Live>, held: oneshot::Receiver<()>) -> Result<(), ElsewhereError> {
        let ear = Arc::new(Ear { live, kept: Mutex::default() });
        lock(&self.ears).insert(filter.clone(), Arc::downgrade(&ear));
        let options = SubscribeOptions { qos: QoS::ExactlyOnce, retain_as_published: true, ..SubscribeOptions::default() };
        let hears = Arc::clone(&ear);
        let subscribed = self.client.subscribe_with_options(filter.as_str(), options, move |message| hears.hear(message));
        match tokio::time::timeout(ANSWER, subscribed).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(ElsewhereError(person(&error))),
            Err(_) => return Err(ElsewhereError("it does not answer".into())),
        }
        let (connection, filter) = (Arc::clone(self), filter.clone());
        tokio::spawn(async move {
            let _ = held.await;
            let mine = lock(&connection.ears).get(&filter).and_then(Weak::upgrade).is_some_and(|there| Arc::ptr_eq(&there, &ear));
            if mine && connection.holds.load(Ordering::SeqCst) {
                lock(&connection.ears).remove(&filter);
                let _ = tokio::time::timeout(ANSWER, connection.client.unsubscribe(filter.as_str())).await;
            }
        });
        Ok(())
    }

    async fn kept(&self, filter: &Filter) -> VecDeque<Arc<Heard>> {
        let ear = lock(&self.ears).get(filter).and_then(Weak::upgrade);
        ear.map(|ear| lock(&ear.kept).values().cloned().collect()).unwrap_or_default()
    }
}

impl Ear {
    fn hear(&self, message: mqtt5::Message) {
        let (topic, payload, qos, retain) = (message.topic, message.payload, message.qos as u8, message.retain);
        let heard = Arc::new(Heard { topic, payload, qos, retain, written: OnceLock::new() });
        if heard.retain {
            let mut kept = lock(&self.kept);
            if heard.payload.is_empty() {
                kept.remove(&heard.topic);
            } else if kept.len() < KEPT || kept.contains_key(&heard.topic) {
                kept.insert(heard.topic.clone(), Arc::clone(&heard));
            }
        }
        self.live.tell(heard);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
