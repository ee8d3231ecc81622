//! Who may connect, publish and subscribe.
//!
//! Rights are looked up for every message, so that a change counts at once. The broker library writes the identifier of
//! whoever published into messages for MQTT 5 clients; it is therefore given an alias that says nothing.

use doorward_store::{MqttUser, Store, StoreError};
use doorward_wire::topic::Filter;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// Client identifiers that are remembered, each with the user that it belongs to.
const CLIENTS: usize = 20_000;
/// Connections of one user.
const CONNECTIONS: usize = 100;

/// Users, their rights, and who is connected.
pub struct Roster {
    store: Store,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By alias.
    users: BTreeMap<String, MqttUser>,
    /// Whose a client identifier is: nobody else may take over its session.
    owners: BTreeMap<String, String>,
    connected: BTreeMap<String, BTreeSet<String>>,
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
    /// The store cannot be asked.
    #[error("the store cannot be read")]
    Store,
}

impl Roster {
    /// Reads the users.
    pub async fn load(store: Store) -> Result<Self, StoreError> {
        let roster = Self { store, inner: RwLock::default() };
        roster.reload().await?;
        Ok(roster)
    }

    /// Reads the users again, after a change.
    pub async fn reload(&self) -> Result<(), StoreError> {
        let users = self.store.mqtt_users().await?;
        self.write().users = users.into_iter().map(|user| (self.alias(&user.name), user)).collect();
        Ok(())
    }

    /// Lets somebody in, and gives the alias under which the broker knows them.
    pub(crate) async fn admit(&self, name: &str, secret: &[u8], client: &str) -> Result<String, Refusal> {
        let user = self.store.find_mqtt_user(name, secret).await.map_err(|error| {
            tracing::error!(%error, "an MQTT user could not be looked up");
            Refusal::Store
        })?;
        let user = user.ok_or(Refusal::Credentials)?;
        let alias = self.alias(&user.name);
        let mut inner = self.write();
        if user.client_id.as_ref().is_some_and(|own| own != client) {
            return Err(Refusal::ClientId);
        }
        if inner.owners.get(client).is_some_and(|owner| *owner != user.name) {
            return Err(Refusal::ClientId);
        }
        if inner.connected.get(&user.name).is_some_and(|clients| clients.len() >= CONNECTIONS && !clients.contains(client)) {
            return Err(Refusal::TooMany);
        }
        if !client.is_empty() {
            if inner.owners.len() >= CLIENTS && !inner.owners.contains_key(client) {
                return Err(Refusal::TooMany);
            }
            inner.owners.insert(client.to_owned(), user.name.clone());
        }
        inner.users.insert(alias.clone(), user);
        Ok(alias)
    }

    /// The user behind an alias.
    pub(crate) fn name(&self, alias: &str) -> Option<String> {
        self.read().users.get(alias).map(|user| user.name.clone())
    }

    pub(crate) fn may_publish(&self, alias: &str, topic: &str) -> bool {
        self.read().users.get(alias).is_some_and(|user| user.publish.allow_topic(topic))
    }

    pub(crate) fn may_subscribe(&self, alias: &str, filter: &str) -> bool {
        let Ok(filter) = filter.parse::<Filter>() else { return false };
        self.read().users.get(alias).is_some_and(|user| user.subscribe.allow_filter(&filter))
    }

    pub(crate) fn connected(&self, alias: &str, client: &str) {
        let mut inner = self.write();
        let Some(name) = inner.users.get(alias).map(|user| user.name.clone()) else { return };
        inner.connected.entry(name).or_default().insert(client.to_owned());
    }

    pub(crate) fn disconnected(&self, client: &str) {
        self.write().connected.retain(|_, clients| {
            clients.remove(client);
            !clients.is_empty()
        });
    }

    /// Every client that is connected now.
    pub(crate) fn connected_clients(&self) -> Vec<String> {
        self.read().connected.values().flatten().cloned().collect()
    }

    /// The clients of a user that are connected now.
    pub fn clients_of(&self, user: &str) -> Vec<String> {
        self.read().connected.get(user).map(|clients| clients.iter().cloned().collect()).unwrap_or_default()
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
