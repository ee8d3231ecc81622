//! A user is tried with its own credentials: whether the broker lets it in, and whether it keeps it in its place.

use super::{AdminError, NewUser};
use crate::remote::{RemoteOptions, connect_once};
use mqtt5::{MqttClient, MqttError, ProtocolVersion, QoS};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// How long a message may take from one client to another.
const ARRIVAL: Duration = Duration::from_secs(5);
/// A message that was seen by one is late by no more than this at the other.
const LATE: Duration = Duration::from_millis(500);

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// It reads what it has no right to.
    pub reads: bool,
    /// It writes what it has no right to.
    pub writes: bool,
}

impl Proof {
    /// The broker keeps the user in its place.
    pub const fn holds(self) -> bool {
        !self.reads && !self.writes
    }
}

/// Tries whether a user can read or write at a topic that is none of its own, such as a neighbour's. doorward's own user
/// must be able to do both there.
pub async fn probe(remote: &RemoteOptions, user: &NewUser, foreign: &str) -> Result<Proof, AdminError> {
    let version = version(remote, user).await?;
    // Several may be tried at the same time, and nobody takes over another's connection.
    let own = RemoteOptions { client_id: format!("{}-probe-{}", remote.client_id, user.client_id), ..remote.clone() };
    let theirs = RemoteOptions {
        client_id: user.client_id.clone(),
        user: Some(user.name.clone()),
        password: Some(user.secret.clone()),
        ..remote.clone()
    };
    let out = |what: &str, why: String| AdminError::new(format!("The broker could not be tried: {what}."), why);
    let own = connect_once(&own, version).await.map_err(|why| out("doorward itself is not let in", why.to_string()))?;
    let found = async {
        Ok(Proof { reads: reads(&own, &theirs, version, foreign).await?, writes: writes(&own, &theirs, version, foreign).await? })
    };
    let found = found.await;
    let _ = own.disconnect().await;
    found
}

async fn version(remote: &RemoteOptions, user: &NewUser) -> Result<ProtocolVersion, AdminError> {
    let test = RemoteOptions { client_id: format!("{}-version-{}", remote.client_id, user.client_id), ..remote.clone() };
    let mut why = String::new();
    for version in [ProtocolVersion::V5, ProtocolVersion::V311] {
        match connect_once(&test, version).await {
            Ok(client) => {
                let _ = client.disconnect().await;
                return Ok(version);
            }
            Err(error) => why = error.to_string(),
        }
    }
    Err(AdminError::new("The broker could not be tried: doorward itself is not let in.", why))
}

/// Whether what doorward publishes there reaches the user.
async fn reads(own: &MqttClient, theirs: &RemoteOptions, version: ProtocolVersion, topic: &str) -> Result<bool, AdminError> {
    let client = let_in(theirs, version).await?;
    let (heard_by_them, _) = listen(&client, topic).await;
    let (heard_by_us, subscribed) = listen(own, topic).await;
    subscribed.map_err(|error| cannot(&error))?;
    own.publish_qos(topic, "probe", QoS::AtLeastOnce).await.map_err(|error| cannot(&error))?;
    arrived(&heard_by_us, ARRIVAL).await.then_some(()).ok_or_else(|| cannot(&MqttError::Timeout))?;
    let reads = arrived(&heard_by_them, LATE).await;
    let _ = own.unsubscribe(topic).await;
    let _ = client.disconnect().await;
    Ok(reads)
}

/// Whether what the user publishes there reaches doorward.
async fn writes(own: &MqttClient, theirs: &RemoteOptions, version: ProtocolVersion, topic: &str) -> Result<bool, AdminError> {
    let (heard, subscribed) = listen(own, topic).await;
    subscribed.map_err(|error| cannot(&error))?;
    let client = let_in(theirs, version).await?;
    // Some brokers hang up, some say no, some say yes and drop it: only what arrives counts.
    let _ = tokio::time::timeout(ARRIVAL, client.publish_qos(topic, "probe", QoS::AtLeastOnce)).await;
    let writes = arrived(&heard, LATE).await;
    let _ = own.unsubscribe(topic).await;
    let _ = client.disconnect().await;
    Ok(writes)
}

async fn let_in(theirs: &RemoteOptions, version: ProtocolVersion) -> Result<MqttClient, AdminError> {
    connect_once(theirs, version).await.map_err(|why| AdminError::new("The broker does not let the new user in.", why.to_string()))
}

async fn listen(client: &MqttClient, topic: &str) -> (Arc<Notify>, Result<(), MqttError>) {
    let heard = Arc::new(Notify::new());
    let told = Arc::clone(&heard);
    let subscribed = tokio::time::timeout(ARRIVAL, client.subscribe(topic, move |_| told.notify_one())).await;
    (heard, subscribed.unwrap_or(Err(MqttError::Timeout)).map(drop))
}

async fn arrived(heard: &Notify, within: Duration) -> bool {
    tokio::time::timeout(within, heard.notified()).await.is_ok()
}

fn cannot(error: &MqttError) -> AdminError {
    AdminError::new("The broker could not be tried: doorward's own user may not publish and subscribe there.", error.to_string())
}
