//! MQTT: an embedded broker that nobody has to install, and every door on it.
//!
//! * [`broker`] is the one file that knows the library behind it.
//! * [`roster`] says who may connect, publish and subscribe: users of the store, nothing unless it is named.
//! * [`house`] publishes what doors and events are, and turns what is published at `doorward/door/<id>/set` into commands.
//! * `discovery` is what Home Assistant is told about a door.
//!
//! It must never decide whether a door opens (that is `doorward-core`): a right to publish there is the grant, and the
//! keeper decides with it.
//!
//! # What happens to a command
//! The broker hands it over before anybody gets it. It is never kept, never delivered to other clients (it may hold a
//! code), and one that was sent to be retained opens nothing ([`house`]).

pub mod broker;
mod discovery;
pub mod house;
pub mod roster;

use broker::{Broker, BrokerError};
use doorward_engine::Handle;
use doorward_store::StoreError;
use roster::Roster;
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Notify;

/// Where the broker is.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where sessions and retained messages are kept.
    pub folder: PathBuf,
}

/// MQTT, running.
pub struct Mqtt {
    broker: Arc<Broker>,
    roster: Arc<Roster>,
    link: Mutex<Option<house::Link>>,
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
    /// Starts the broker, and puts the doors of a house on it.
    pub async fn start(options: &Options, house: &Handle) -> Result<Self, StartError> {
        let roster = Arc::new(Roster::load(house.store().clone()).await?);
        let born = Arc::new(Notify::new());
        let broker = Arc::new(Broker::start(options, Arc::clone(&roster), house.clone(), Arc::clone(&born)).await?);
        let link = house::Link::start(house.clone(), Arc::clone(&broker), born);
        Ok(Self { broker, roster, link: Mutex::new(Some(link)) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.broker.address()
    }

    /// Who may do what.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// Ends the connections of a user whose rights have changed; they come back with the new ones.
    pub async fn kick(&self, user: &str) {
        for client in self.roster.clients_of(user) {
            self.broker.disconnect(&client).await;
        }
    }

    /// Says that doorward goes, and stops the broker.
    pub async fn stop(&self) {
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(link) = link {
            link.stop().await;
        }
        self.broker.stop().await;
    }
}
