//! MQTT as it stands.

use super::{
    json::Json,
    routes::{Routes, routes},
};
use crate::{ApiResult, Web, caller::Caller};
use axum::extract::State;
use doorward_core::scope::Scope;
use doorward_mqtt::remote::Standing;
use doorward_wire::Time;
use serde::Serialize;
use utoipa::ToSchema;

pub(super) fn router() -> Routes {
    Routes::new().routes(routes!(show))
}

/// The broker, and how doorward reaches it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct MqttView {
    /// Which broker it is.
    pub(crate) broker: BrokerKind,
    /// Its addresses, such as `mqtts://192.168.1.7:8883`.
    pub(crate) addresses: Vec<String>,
    /// Whether it can be reached.
    pub(crate) connected: bool,
    /// Since when that is so, for a broker elsewhere.
    pub(crate) since: Option<Time>,
    /// The MQTT version that is spoken with a broker elsewhere: `5` or `3.1.1`.
    pub(crate) version: Option<String>,
    /// What is wrong, in words for a person.
    pub(crate) detail: Option<String>,
    /// Whether commands are taken from there.
    pub(crate) commands: bool,
    /// The certificate of doorward's own authority as PEM, which clients must trust where no other one is configured.
    pub(crate) authority: Option<String>,
    /// What could not be taken away again at a broker elsewhere.
    pub(crate) orphans: Vec<String>,
}

/// Which broker it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BrokerKind {
    /// doorward's own.
    Embedded,
    /// Another one in its place.
    External,
    /// None: it is switched off, or could not start.
    Off,
}

/// Says how MQTT stands.
#[utoipa::path(get, path = "/mqtt", tag = "mqtt", responses((status = 200, body = MqttView)))]
async fn show(caller: Caller, State(web): State<Web>) -> ApiResult<Json<MqttView>> {
    caller.need(&Scope::Admin)?;
    view(&web).await.map(Json)
}

/// How MQTT stands.
pub(crate) async fn view(web: &Web) -> ApiResult<MqttView> {
    let off = MqttView {
        broker: BrokerKind::Off,
        addresses: Vec::new(),
        connected: false,
        since: None,
        version: None,
        detail: None,
        commands: false,
        authority: None,
        orphans: Vec::new(),
    };
    let Some(mqtt) = web.mqtt() else { return Ok(off) };
    let Some(remote) = mqtt.remote() else {
        let addresses = mqtt.listeners().iter().map(|listener| format!("{}://{}", listener.scheme, listener.address)).collect();
        let authority = web.config().authority.clone();
        return Ok(MqttView { broker: BrokerKind::Embedded, addresses, connected: true, commands: true, authority, ..off });
    };
    let orphans = mqtt.orphans().await?.into_values().flatten().map(|orphan| orphan.what).collect();
    let addresses = vec![remote.place()];
    let there = MqttView { broker: BrokerKind::External, addresses, commands: remote.takes_commands(), orphans, ..off };
    Ok(match remote.standing() {
        Standing::Starting => there,
        Standing::Up { version, since } => MqttView { connected: true, since: Some(since), version: Some(version.into()), ..there },
        Standing::Away { why, since } => MqttView { since: Some(since), detail: Some(why), ..there },
    })
}
