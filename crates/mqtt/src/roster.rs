//! Who may connect, publish and subscribe.
//!
//! Rights are looked up for every message, so that a change counts at once. The broker library writes the identifier of
//! whoever published into messages for MQTT 5 clients; it is therefore given an alias that says nothing.

mod presence;

use argon2::{
    Argon2,
    password_hash::{PasswordVerifier, phc::PasswordHash},
};
use doorward_core::{Mono, Now, Secret};
use doorward_store::{MqttLogin, MqttUser, Store, StoreError};
use doorward_wire::{
    Time,
    device::DeviceId,
    topic::{Filter, Rights},
};
use presence::Presence;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

/// Client identifiers that are remembered, each with the user that it belongs to.
const CLIENTS: usize = 20_000;
/// Connections of one user.
const CONNECTIONS: usize = 100;
/// Client identifiers are forgotten when they were not seen for this long: longer than the broker keeps a session.
const FORGET: Duration = Duration::from_hours(24 * 8);
/// Wrong passwords for one name; more are not looked at until some time has passed.
const GUESSES: u32 = 10;
/// That time.
const PAUSE: Duration = Duration::from_mins(1);
/// Denials that are remembered.
const DENIED: usize = 50;
/// Characters of a topic that is remembered.
const TOPIC: usize = 200;
/// Names with wrong passwords that are remembered.
const NAMES: usize = 1_000;

/// What those are called who connect without a user. No user can have this name.
pub(crate) const ANONYMOUS: &str = "(anonymous)";
/// What they may publish and subscribe to, where they may come in at all: what locks and issuers of the original lock system need.
/// Whoever reaches the broker sees who gets a session when, and can send locks messages, which they check.
const SESSIONS: &str = "locks/+/session";

/// Who may connect without a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Anonymous {
    /// Nobody.
    #[default]
    Nobody,
    /// Locks of the original lock system, which hear sessions.
    Locks,
    /// Also its issuers, which say sessions.
    LocksAndIssuers,
}

/// Users, their rights, and who is connected.
pub struct Roster {
    store: Store,
    /// What those may who have no user, for [`SESSIONS`] alone.
    anonymous: Anonymous,
    inner: RwLock<Inner>,
    watcher: OnceLock<Arc<dyn Watcher>>,
}

/// Who looks at what devices publish, before anybody gets it.
pub trait Watcher: Send + Sync {
    /// A device published something; `false` when it may not go on, for it speaks for another.
    fn published(&self, device: &DeviceId, topic: &str, payload: &[u8]) -> bool;

    /// A device came or went.
    fn seen(&self, device: &DeviceId);

    /// A device listens for what it is offered.
    fn ready(&self, device: &DeviceId);
}

#[derive(Default)]
struct Inner {
    /// By alias.
    users: BTreeMap<String, MqttUser>,
    /// Whose a client identifier is: nobody else may take over its session.
    owners: BTreeMap<String, String>,
    /// Of these that could not be written down yet.
    unwritten: BTreeSet<String>,
    presence: Presence,
    /// Counts changes of users' rights.
    changes: u64,
    /// Passwords that were right lately, as a keyed hash: clients come back often, and Argon2id is meant to be slow.
    proven: BTreeMap<String, String>,
    /// Wrong passwords by name, and since when.
    wrong: BTreeMap<String, (u32, Mono)>,
    /// What was denied last, oldest first.
    denied: VecDeque<Denied>,
}

/// Something that a user has no right to, and tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The user.
    pub user: String,
    /// `publish`, `subscribe` or `will`.
    pub what: &'static str,
    /// The topic or filter.
    pub topic: String,
    /// How often, since it was first tried.
    pub count: u64,
    /// When it was last tried.
    pub at: Time,
}

/// Why somebody may not connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such user, or a wrong secret.
    #[error("unknown user or wrong secret")]
    Credentials,
    /// The client identifier belongs to another user, or is not the user's own.
    #[error("this client identifier belongs to somebody else")]
    ClientId,
    /// Too many connections.
    #[error("too many connections")]
    TooMany,
    /// Too many wrong passwords a moment ago.
    #[error("too many wrong passwords")]
    Guessing,
    /// The store cannot be asked.
    #[error("the store cannot be read")]
    Store,
}

impl Roster {
    /// Reads the users.
    pub async fn load(store: Store, now: Now, anonymous: Anonymous) -> Result<Self, StoreError> {
        store.forget_mqtt_clients(now.utc.minus(FORGET)).await?;
        let owners = store.mqtt_clients().await?.into_iter().collect();
        let roster = Self { store, anonymous, inner: RwLock::new(Inner { owners, ..Inner::default() }), watcher: OnceLock::new() };
        roster.reload().await?;
        Ok(roster)
    }

    /// Reads the users again, after a change.
    pub async fn reload(&self) -> Result<(), StoreError> {
        let users = self.store.mqtt_users().await?;
        let mut inner = self.write();
        inner.owners.retain(|_, owner| users.iter().any(|user| user.name == *owner));
        let Inner { owners, unwritten, .. } = &mut *inner;
        unwritten.retain(|client| owners.contains_key(client));
        // Devices are not among these: each is known from when it connects.
        inner.users.retain(|_, user| user.device.is_some());
        inner.users.extend(users.into_iter().chain(self.anonymous()).map(|user| (self.alias(&user.name), user)));
        inner.proven.clear();
        inner.changes += 1;
        Ok(())
    }

    /// A user's rights ended or its secret changed: it may do nothing any more until it has come in again.
    pub(crate) fn drop_user(&self, name: &str) {
        let alias = self.alias(name);
        let mut inner = self.write();
        inner.users.remove(&alias);
        inner.changes += 1;
    }

    /// Lets somebody in, and gives the alias under which the broker knows them. Their place is taken at once and until
    /// [`Self::left`]: the broker tells of a connection only after it has answered it.
    pub(crate) async fn admit(&self, name: &str, secret: &[u8], client: &str, peer: SocketAddr, now: Now) -> Result<String, Refusal> {
        loop {
            let changes = self.read().changes;
            let user = self.known(name, secret, now).await?;
            if let Some(alias) = self.place(user, client, peer, now, changes).await? {
                return Ok(alias);
            }
        }
    }

    /// Gives a user a place. `None` when somebody's rights changed since they were looked up: they are looked up again, so
    /// that nobody comes in with what was just taken.
    async fn place(&self, user: MqttUser, client: &str, peer: SocketAddr, now: Now, changes: u64) -> Result<Option<String>, Refusal> {
        let alias = self.alias(&user.name);
        if user.client_id.as_ref().is_some_and(|own| own != client) {
            return Err(Refusal::ClientId);
        }
        self.room_for(&user.name, client)?;
        // A client identifier of a device is nobody else's, whoever connects first.
        if user.device.is_none() && self.is_a_devices(client).await? {
            return Err(Refusal::ClientId);
        }
        if !client.is_empty() && user.device.is_none() && user.name != ANONYMOUS {
            self.own(client, &user.name, now).await?;
        }
        let mut inner = self.write();
        if inner.changes != changes {
            return Ok(None);
        }
        if !inner.presence.has_room(&user.name, client, CONNECTIONS) {
            return Err(Refusal::TooMany);
        }
        inner.presence.came(peer, &user.name, client, user.device.as_ref());
        let device = user.device.clone();
        inner.users.insert(alias.clone(), user);
        drop(inner);
        self.seen(device);
        Ok(Some(alias))
    }

    /// Whoever connects without a user, where they may.
    fn anonymous(&self) -> Option<MqttUser> {
        let rights = || Rights::new(SESSIONS.parse().into_iter().collect());
        let publish = match self.anonymous {
            Anonymous::Nobody => return None,
            Anonymous::Locks => Rights::default(),
            Anonymous::LocksAndIssuers => rights(),
        };
        let name = ANONYMOUS.to_owned();
        Some(MqttUser { name, publish, subscribe: rights(), client_id: None, created: Time::default(), device: None })
    }

    /// Whether a client identifier is a device's.
    pub(crate) async fn is_a_devices(&self, client: &str) -> Result<bool, Refusal> {
        let Some(device) = DeviceId::of_client(client) else { return Ok(false) };
        Ok(self.store.device(&device).await.map_err(|error| unreadable(&error))?.is_some())
    }

    /// Makes a client identifier a user's, from now on and over restarts. On a full disk it is theirs all the same, and is
    /// written down when they come again.
    async fn own(&self, client: &str, user: &str, now: Now) -> Result<(), Refusal> {
        let is_written = |inner: &Inner| inner.owners.get(client).is_some_and(|owner| owner == user) && !inner.unwritten.contains(client);
        if is_written(&self.read()) {
            return Ok(());
        }
        let own = self.store.own_mqtt_client(client, user, now.utc).await;
        let mut inner = self.write();
        match own {
            Ok(false) => return Err(Refusal::ClientId),
            Ok(true) => _ = inner.unwritten.remove(client),
            Err(_) if inner.owners.get(client).is_some_and(|owner| owner != user) => return Err(Refusal::ClientId),
            Err(error) => {
                tracing::warn!(%error, client, user, "whose this client identifier is could not be written down");
                inner.unwritten.insert(client.to_owned());
            }
        }
        inner.owners.insert(client.to_owned(), user.to_owned());
        Ok(())
    }

    fn room_for(&self, user: &str, client: &str) -> Result<(), Refusal> {
        let inner = self.read();
        let known = inner.owners.get(client);
        if known.is_some_and(|owner| owner != user) {
            return Err(Refusal::ClientId);
        }
        if !inner.presence.has_room(user, client, CONNECTIONS) || (known.is_none() && inner.owners.len() >= CLIENTS) {
            return Err(Refusal::TooMany);
        }
        Ok(())
    }

    /// The user of this name, if the password is theirs.
    async fn known(&self, name: &str, secret: &[u8], now: Now) -> Result<MqttUser, Refusal> {
        if name.is_empty() && secret.is_empty() {
            return self.anonymous().ok_or(Refusal::Credentials);
        }
        match self.store.mqtt_login(name, secret).await.map_err(|error| unreadable(&error))? {
            MqttLogin::Right(user) => Ok(user),
            MqttLogin::Wrong => Err(Refusal::Credentials),
            MqttLogin::Compare(user, hash) => {
                let proof = self.store.alias("mqtt password", &String::from_utf8_lossy(secret));
                if self.read().proven.get(name) == Some(&proof) {
                    return Ok(user);
                }
                self.may_guess(name, now.mono)?;
                if !self.compare(secret, hash).await? {
                    self.guessed_wrong(name, now.mono);
                    return Err(Refusal::Credentials);
                }
                let mut inner = self.write();
                inner.wrong.remove(name);
                inner.proven.insert(name.to_owned(), proof);
                Ok(user)
            }
        }
    }

    fn may_guess(&self, name: &str, now: Mono) -> Result<(), Refusal> {
        let blocked = self.read().wrong.get(name).is_some_and(|(count, since)| *count >= GUESSES && now.since(*since) < PAUSE);
        if blocked { Err(Refusal::Guessing) } else { Ok(()) }
    }

    fn guessed_wrong(&self, name: &str, now: Mono) {
        let wrong = &mut self.write().wrong;
        wrong.retain(|_, (_, since)| now.since(*since) < PAUSE);
        if wrong.len() < NAMES || wrong.contains_key(name) {
            wrong.entry(name.to_owned()).or_insert((0, now)).0 += 1;
        }
    }

    /// Slow by intent, and so on a thread of its own, when it is its turn.
    async fn compare(&self, secret: &[u8], hash: Secret<String>) -> Result<bool, Refusal> {
        let turn = Arc::clone(self.store.hashing()).acquire_owned().await.map_err(|_| Refusal::Store)?;
        let secret = Secret::new(secret.to_vec());
        let compared = tokio::task::spawn_blocking(move || {
            let right =
                PasswordHash::new(hash.reveal()).is_ok_and(|hash| Argon2::default().verify_password(secret.reveal(), &hash).is_ok());
            drop(turn);
            right
        });
        compared.await.map_err(|_| Refusal::Store)
    }

    /// Notes something that was denied.
    pub(crate) fn deny(&self, alias: Option<&str>, what: &'static str, topic: &str, at: Time) {
        let mut inner = self.write();
        let user = alias.and_then(|alias| inner.users.get(alias)).map(|user| user.name.clone()).unwrap_or_default();
        let topic: String = topic.chars().take(TOPIC).collect();
        let known = inner.denied.iter().position(|denied| denied.user == user && denied.what == what && denied.topic == topic);
        let count = known.and_then(|known| inner.denied.remove(known)).map_or(0, |denied| denied.count) + 1;
        if inner.denied.len() >= DENIED {
            inner.denied.pop_front();
        }
        inner.denied.push_back(Denied { user, what, topic, count, at });
    }

    /// What was denied last, newest first.
    pub fn denied(&self) -> Vec<Denied> {
        self.read().denied.iter().rev().cloned().collect()
    }

    /// The client identifiers of a user.
    pub(crate) fn clients_ever(&self, user: &str) -> Vec<String> {
        self.read().owners.iter().filter(|(_, owner)| *owner == user).map(|(client, _)| client.clone()).collect()
    }

    /// The user behind an alias, and the device whose own user it is.
    pub(crate) fn who(&self, alias: &str) -> Option<(String, Option<DeviceId>)> {
        self.read().users.get(alias).map(|user| (user.name.clone(), user.device.clone()))
    }

    /// From now on somebody looks at what devices publish. There is one.
    pub fn watch(&self, watcher: Arc<dyn Watcher>) {
        let _ = self.watcher.set(watcher);
    }

    /// Whether what a device published may go on.
    pub(crate) fn may_go_on(&self, device: &DeviceId, topic: &str, payload: &[u8]) -> bool {
        self.watcher.get().is_none_or(|watcher| watcher.published(device, topic, payload))
    }

    /// The devices that are connected now, and the number of each one's newest connection.
    pub fn devices(&self) -> BTreeMap<DeviceId, u64> {
        self.read().presence.devices().map(|(device, number)| (device.clone(), number)).collect()
    }

    /// The number of a device's newest connection, while there is one.
    pub fn connection_of(&self, device: &DeviceId) -> Option<u64> {
        self.read().presence.devices().find(|(known, _)| *known == device).map(|(_, number)| number)
    }

    pub(crate) fn may_publish(&self, alias: &str, topic: &str) -> bool {
        self.read().users.get(alias).is_some_and(|user| user.publish.allow_topic(topic))
    }

    pub(crate) fn may_subscribe(&self, alias: &str, filter: &str) -> bool {
        let Ok(filter) = filter.parse::<Filter>() else { return false };
        self.read().users.get(alias).is_some_and(|user| user.subscribe.allow_filter(&filter))
    }

    /// A connection is gone, whether it was let in or not.
    pub(crate) fn left(&self, peer: SocketAddr) {
        let device = self.write().presence.left(peer);
        self.seen(device);
    }

    /// A client subscribed to something.
    pub(crate) fn subscribed(&self, client: &str, filter: &str) {
        let device = DeviceId::of_client(client).filter(|device| filter == format!("gateway/{device}/ota"));
        if let (Some(device), Some(watcher)) = (device, self.watcher.get()) {
            watcher.ready(&device);
        }
    }

    fn seen(&self, device: Option<DeviceId>) {
        if let (Some(device), Some(watcher)) = (device, self.watcher.get()) {
            watcher.seen(&device);
        }
    }

    /// Every client that is connected now.
    pub(crate) fn connected_clients(&self) -> Vec<String> {
        self.read().presence.all().into_iter().map(str::to_owned).collect()
    }

    /// The clients of a user that are connected now.
    pub fn clients_of(&self, user: &str) -> Vec<String> {
        self.read().presence.of(user).map(str::to_owned).collect()
    }

    fn alias(&self, name: &str) -> String {
        self.store.alias("mqtt", name)
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unreadable(error: &StoreError) -> Refusal {
    tracing::error!(%error, "an MQTT user could not be looked up");
    Refusal::Store
}
