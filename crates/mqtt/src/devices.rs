//! Users of devices at another broker, each with the rights of its role.
//!
//! A device's user is made anew whatever is there, so that a step that was cut off is no harm, and then tried: with its own
//! credentials it must be let in, and must reach nothing of a neighbour's. What cannot be done is tried again by whoever
//! keeps devices.

use crate::{
    Mqtt,
    admin::{self, NewUser, SagaError, probe},
    line::Line,
    remote::Remote,
    users::UserError,
};
use doorward_core::Secret;
use doorward_store::MqttUser;
use doorward_wire::{Time, device::DeviceId};

/// Connections of one device: its own, and the one that it just lost.
const CONNECTIONS: u32 = 2;

/// Whether the broker holds a device to its rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It lets it in, and keeps it in its place.
    Right,
    /// It does not let it in, or cannot be asked.
    Out(String),
    /// It lets it do what it has no right to.
    Loose(&'static str),
}

impl Mqtt {
    /// Whether doorward keeps users at another broker.
    pub fn keeps_users_elsewhere(&self) -> bool {
        self.admin.is_some() && self.remote().is_some()
    }

    /// Makes a device's user at another broker as it should be, whatever is there, and tries it.
    pub async fn settle_device(&self, id: &DeviceId, user: &str, secret: &Secret<String>) -> Result<(), UserError> {
        let Line::External(remote) = &self.line else { return Ok(()) };
        let broker = self.administration(remote)?;
        let new = new_user(id, user, secret.clone());
        admin::remove(broker.as_ref(), &new).await.map_err(UserError::Broker)?;
        admin::add(broker.as_ref(), &new).await.map_err(UserError::Broker)?;
        let standing = self.try_device(remote, &new).await;
        let error = match standing {
            Standing::Right => return Ok(()),
            Standing::Loose(what) => UserError::Unproven(what),
            Standing::Out(why) => UserError::Broker(SagaError { error: admin::AdminError::told(why), orphans: Vec::new() }),
        };
        admin::remove(broker.as_ref(), &new).await.map_err(UserError::Broker)?;
        Err(error)
    }

    /// Removes a device's user at another broker, with all that belongs to it.
    pub async fn remove_device(&self, id: &DeviceId, user: &str) -> Result<(), UserError> {
        let Line::External(remote) = &self.line else { return Ok(()) };
        let broker = self.administration(remote)?;
        admin::remove(broker.as_ref(), &new_user(id, user, Secret::new(String::new()))).await.map_err(UserError::Broker)
    }

    /// Tries a device's user at another broker. The device loses its connection for a moment.
    pub async fn prove_device(&self, id: &DeviceId, user: &str, secret: &Secret<String>) -> Standing {
        let Line::External(remote) = &self.line else { return Standing::Right };
        self.try_device(remote, &new_user(id, user, secret.clone())).await
    }

    /// The names of all users at another broker whose users doorward keeps.
    pub async fn users_elsewhere(&self) -> Result<Vec<String>, UserError> {
        let Line::External(remote) = &self.line else { return Ok(Vec::new()) };
        let listed = self.administration(remote)?.users().await;
        listed.map_err(|error| UserError::Broker(SagaError { error, orphans: Vec::new() }))
    }

    async fn try_device(&self, remote: &Remote, user: &NewUser) -> Standing {
        // A neighbour that does not exist: what is tried must reach no device.
        let neighbour = self.house.clock().uuid().simple().to_string();
        let foreign = format!("gateway/{}/command", neighbour.get(..12).unwrap_or_default().to_ascii_uppercase());
        match probe::probe(remote.options(), user, &foreign).await {
            Ok(proof) if proof.holds() => Standing::Right,
            Ok(proof) => Standing::Loose(if proof.reads { "read" } else { "write" }),
            Err(error) => Standing::Out(error.person),
        }
    }
}

fn new_user(id: &DeviceId, user: &str, secret: Secret<String>) -> NewUser {
    let MqttUser { name, publish, subscribe, client_id, .. } = MqttUser::of(id.clone(), user, Time::default());
    NewUser {
        name,
        secret,
        client_id: client_id.unwrap_or_default(),
        publish: publish.filters().to_vec(),
        subscribe: subscribe.filters().to_vec(),
        connections: CONNECTIONS,
    }
}
