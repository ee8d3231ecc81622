//! Adding, changing and removing users of the broker, wherever it is.
//!
//! At the embedded broker the store is what counts. At another one whose users doorward keeps ([`crate::admin`]) they are
//! made there first, then tried, then written down; what is left behind there by a step that failed is noted until it is
//! gone.

use crate::{
    Mqtt,
    admin::{self, AdminError, Administration, NewUser, Orphan, SagaError, probe},
    line::Line,
    remote::Remote,
};
use doorward_core::Secret;
use doorward_store::{MqttPassword, MqttUser, StoreError};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Under which name it is noted what was left behind at another broker.
const ORPHANS: &str = "mqtt orphans";
/// Connections of one user at another broker that can bound them.
const CONNECTIONS: u32 = 10;

/// Why a user was not added, changed or removed. `Display` says what a person can do.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Somebody has this name.
    #[error("there is an MQTT user of this name already")]
    Taken,
    /// There is none.
    #[error("there is no MQTT user of this name")]
    Unknown,
    /// The broker is another one, and doorward does not keep its users.
    #[error("the users of {0} are kept there; set mqtt.admin, so that doorward keeps them")]
    Elsewhere(String),
    /// A password can only be chosen for the embedded broker.
    #[error("doorward makes the passwords of users at another broker")]
    NoChoice,
    /// The broker said no. What is left behind there is noted.
    #[error("{}{}", .0.error.person, left(&.0.orphans))]
    Broker(SagaError),
    /// The broker lets the user do what it has no right to; it was removed again.
    #[error("the broker lets a user {0} what it has no right to, so the user was removed again: look at its rights for everybody")]
    Unproven(&'static str),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn left(orphans: &[Orphan]) -> String {
    let left: Vec<&str> = orphans.iter().map(|orphan| orphan.what.as_str()).collect();
    if left.is_empty() { String::new() } else { format!(" Left behind there: {}.", left.join(", ")) }
}

impl Mqtt {
    /// Adds a user. Its secret is given back once; `None` when a password was chosen.
    pub async fn add_user(&self, user: &MqttUser, chosen: Option<&Secret<String>>) -> Result<Option<Secret<String>>, UserError> {
        let store = self.house.store();
        let Line::External(remote) = &self.line else {
            let made = store.new_mqtt_secret();
            let password = chosen.map_or(MqttPassword::Made(&made), MqttPassword::Chosen);
            if !store.add_mqtt_user(user, password).await? {
                return Err(UserError::Taken);
            }
            self.roster.reload().await?;
            return Ok(chosen.is_none().then_some(made));
        };
        let broker = self.administration(remote)?;
        if chosen.is_some() {
            return Err(UserError::NoChoice);
        }
        if store.mqtt_users().await?.iter().any(|known| known.name == user.name) {
            return Err(UserError::Taken);
        }
        let made = store.new_mqtt_secret();
        let new = new_user(user, made.clone());
        self.noted(&user.name, admin::add(broker.as_ref(), &new).await).await?;
        if let Err(error) = self.proven(remote, &new).await {
            self.noted(&user.name, admin::remove(broker.as_ref(), &new).await).await?;
            return Err(error);
        }
        match store.add_mqtt_user(user, MqttPassword::Made(&made)).await {
            Ok(true) => Ok(Some(made)),
            failed => {
                self.noted(&user.name, admin::remove(broker.as_ref(), &new).await).await?;
                failed?;
                Err(UserError::Taken)
            }
        }
    }

    /// Changes what a user may do; its connections end, and come back with the new rights.
    pub async fn change_user(&self, user: &MqttUser) -> Result<(), UserError> {
        if let Line::External(remote) = &self.line {
            let broker = self.administration(remote)?;
            let changed = admin::change(broker.as_ref(), &new_user(user, Secret::new(String::new()))).await;
            changed.map_err(|error| UserError::Broker(SagaError { error, orphans: Vec::new() }))?;
        }
        if !self.house.store().update_mqtt_user(user).await? {
            return Err(UserError::Unknown);
        }
        self.roster.reload().await?;
        self.kick(&user.name).await;
        Ok(())
    }

    /// Removes a user, its connections, and what waits for it. Called again for one of whom something was left behind
    /// at another broker, it tries that again.
    pub async fn remove_user(&self, name: &str) -> Result<(), UserError> {
        let store = self.house.store();
        let user = store.mqtt_users().await?.into_iter().find(|user| user.name == name);
        if let Line::External(remote) = &self.line {
            let broker = self.administration(remote)?;
            if user.is_none() && !self.orphans().await?.contains_key(name) {
                return Err(UserError::Unknown);
            }
            let gone = user.clone().unwrap_or_else(|| MqttUser {
                name: name.into(),
                publish: doorward_wire::topic::Rights::default(),
                subscribe: doorward_wire::topic::Rights::default(),
                client_id: None,
                created: self.house.now().utc,
                device: None,
            });
            self.noted(name, admin::remove(broker.as_ref(), &new_user(&gone, Secret::new(String::new()))).await).await?;
        } else if user.is_none() {
            return Err(UserError::Unknown);
        }
        let clients = self.roster.clients_ever(name);
        store.remove_mqtt_user(name).await?;
        self.roster.reload().await?;
        self.kick(name).await;
        if let Line::Embedded(broker) = &self.line {
            for client in clients {
                broker.forget(&client).await;
            }
        }
        Ok(())
    }

    /// What was left behind at another broker, by user.
    pub async fn orphans(&self) -> Result<BTreeMap<String, Vec<Orphan>>, StoreError> {
        let noted = self.house.store().note(ORPHANS).await?.unwrap_or_default();
        let noted: BTreeMap<String, Vec<(String, String)>> = serde_json::from_str(&noted).unwrap_or_default();
        let orphans = |list: Vec<(String, String)>| list.into_iter().map(|(what, why)| Orphan { what, why }).collect();
        Ok(noted.into_iter().map(|(user, list)| (user, orphans(list))).collect())
    }

    /// Notes what was left behind, or that nothing is any more.
    async fn noted(&self, user: &str, result: Result<(), SagaError>) -> Result<(), UserError> {
        let mut all = self.orphans().await?;
        let left = result.as_ref().err().map(|error| error.orphans.clone()).unwrap_or_default();
        let before = if left.is_empty() { all.remove(user) } else { all.insert(user.to_owned(), left.clone()) };
        if before.unwrap_or_default() != left {
            let list = |orphans: &Vec<Orphan>| orphans.iter().map(|orphan| json!([orphan.what, orphan.why])).collect::<Vec<Value>>();
            let noted: BTreeMap<&String, Vec<Value>> = all.iter().map(|(user, orphans)| (user, list(orphans))).collect();
            self.house.store().set_note(ORPHANS, &json!(noted).to_string()).await?;
        }
        result.map_err(UserError::Broker)
    }

    /// Tries with the user's own credentials that the broker keeps it in its place.
    async fn proven(&self, remote: &Remote, user: &NewUser) -> Result<(), UserError> {
        let foreign = format!("doorward/probe/{}", self.house.clock().uuid().simple());
        match probe::probe(remote.options(), user, &foreign).await {
            Ok(proof) if proof.holds() => Ok(()),
            Ok(proof) => Err(UserError::Unproven(if proof.reads { "read" } else { "write" })),
            Err(error) => Err(UserError::Broker(SagaError { error, orphans: Vec::new() })),
        }
    }

    pub(crate) fn administration(&self, remote: &Remote) -> Result<Arc<dyn Administration>, UserError> {
        let options = self.admin.as_ref().ok_or_else(|| UserError::Elsewhere(remote.place()))?;
        let broker = admin::administration(options, remote.options());
        broker.map_err(|error: AdminError| UserError::Broker(SagaError { error, orphans: Vec::new() }))
    }
}

/// At another broker a user's client identifier is its name, unless it has one of its own.
fn new_user(user: &MqttUser, secret: Secret<String>) -> NewUser {
    NewUser {
        name: user.name.clone(),
        secret,
        client_id: user.client_id.clone().unwrap_or_else(|| user.name.clone()),
        publish: user.publish.filters().to_vec(),
        subscribe: user.subscribe.filters().to_vec(),
        connections: CONNECTIONS,
    }
}
