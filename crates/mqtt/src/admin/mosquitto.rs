//! Mosquitto: roles and clients by its dynamic security plugin, over MQTT.
//!
//! Version 2.0 knows no `%u` in roles, so each user has a role of its own with literal topics.

use super::{AdminError, AdminOptions, Administration, Call, NewUser, PATIENCE, Step};
use crate::remote::{RemoteOptions, connect_once};
use doorward_core::driver::BoxFuture;
use doorward_wire::topic::Filter;
use mqtt5::{MqttClient, ProtocolVersion, QoS};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

const COMMANDS: &str = "$CONTROL/dynamic-security/v1";
const ANSWERS: &str = "$CONTROL/dynamic-security/v1/response";
/// How many administrators there were.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// What the plugin says of what is not there (any more).
const GONE: [&str; 2] = ["not found", "does not exist"];

pub(super) struct Mosquitto {
    remote: RemoteOptions,
}

impl Mosquitto {
    /// The administrator's own connection to the same broker.
    pub(super) fn new(remote: &RemoteOptions, options: &AdminOptions) -> Self {
        // Each has a connection of its own: two at once would take over each other's.
        let client_id = format!("{}-admin-{}", remote.client_id, COUNT.fetch_add(1, Ordering::Relaxed));
        let (user, password) = (Some(options.user.clone()), Some(options.password.clone()));
        Self { remote: RemoteOptions { user, password, client_id, ..remote.clone() } }
    }

    /// Gives a command, and reads its answer.
    async fn command(&self, command: &Value) -> Result<Value, AdminError> {
        let client = connect_once(&self.remote, ProtocolVersion::V5).await.map_err(|why| {
            AdminError::new(
                "The broker does not let the administrator in. Look at mqtt.admin_user and mqtt.admin_password.",
                why.to_string(),
            )
        })?;
        let answer = tokio::time::timeout(PATIENCE, exchange(&client, command)).await;
        let _ = client.disconnect().await;
        let answer = answer.unwrap_or_else(|_| Err("no answer in time".into()));
        answer.map_err(|why| AdminError::new("The broker's dynamic security plugin does not answer. Is it loaded?", why))
    }
}

async fn exchange(client: &MqttClient, command: &Value) -> Result<Value, String> {
    let (told, mut answers) = mpsc::channel(8);
    let take = move |message: mqtt5::Message| {
        let _ = told.try_send(message.payload);
    };
    client.subscribe(ANSWERS, take).await.map_err(|error| format!("{ANSWERS}: {error}"))?;
    let commands = json!({ "commands": [command] }).to_string();
    client.publish_qos(COMMANDS, commands, QoS::AtLeastOnce).await.map_err(|error| format!("{COMMANDS}: {error}"))?;
    while let Some(payload) = answers.recv().await {
        let mut answer: Value = serde_json::from_slice(&payload).map_err(|error| format!("{ANSWERS}: {error}"))?;
        // Administrators see each other's answers.
        if answer["responses"][0]["command"] == command["command"] {
            return Ok(answer["responses"][0].take());
        }
    }
    Err("the connection was lost".into())
}

impl Administration for Mosquitto {
    fn denies_by_default(&self) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(async {
            let answer = self.command(&json!({ "command": "getDefaultACLAccess" })).await?;
            let acls = answer["data"]["acls"].as_array().cloned().unwrap_or_default();
            let allows = |kind: &str| acls.iter().any(|acl| acl["acltype"] == kind && acl["allow"] == true);
            if acls.is_empty() || allows("publishClientSend") || allows("subscribe") {
                return Err(AdminError::new(
                    "The broker allows what no role denies. Set the default access of its dynamic security to deny publish and subscribe.",
                    format!("getDefaultACLAccess: {answer}"),
                ));
            }
            Ok(())
        })
    }

    fn steps(&self, user: &NewUser) -> Vec<Step> {
        let role = role(user);
        vec![
            Step {
                makes: "the role of",
                call: Call::Control(json!({ "command": "createRole", "rolename": role, "acls": acls(user) })),
                undo: Call::Control(json!({ "command": "deleteRole", "rolename": role })),
            },
            Step {
                makes: "the client",
                call: Call::Control(json!({
                    "command": "createClient",
                    "username": user.name,
                    "password": user.secret.reveal(),
                    "clientid": user.client_id,
                    "roles": [{ "rolename": role, "priority": 0 }],
                })),
                undo: Call::Control(json!({ "command": "deleteClient", "username": user.name })),
            },
        ]
    }

    fn rights(&self, user: &NewUser) -> Vec<Call> {
        let control = |command: &str| Call::Control(json!({ "command": command, "username": user.name }));
        let role = Call::Control(json!({ "command": "modifyRole", "rolename": role(user), "acls": acls(user) }));
        // Disabling ends its connections.
        vec![role, control("disableClient"), control("enableClient")]
    }

    fn users(&self) -> BoxFuture<'_, Result<Vec<String>, AdminError>> {
        Box::pin(async {
            let answer = self.command(&json!({ "command": "listClients", "verbose": false, "count": -1, "offset": 0 })).await?;
            let clients = answer["data"]["clients"].as_array().cloned().unwrap_or_default();
            Ok(clients.iter().filter_map(|client| client.as_str().map(str::to_owned)).collect())
        })
    }

    fn call<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async move {
            let Call::Control(command) = call else {
                return Err(AdminError::new("doorward made a mistake.", "a request for a broker that is administered over MQTT"));
            };
            let answer = self.command(command).await?;
            match answer["error"].as_str() {
                None => Ok(()),
                Some(error) if deletes(command) && GONE.iter().any(|gone| error.contains(gone)) => Ok(()),
                Some(error) => Err(AdminError::new(format!("The broker refused: {error}."), format!("{}: {error}", command["command"]))),
            }
        })
    }
}

fn deletes(command: &Value) -> bool {
    command["command"].as_str().is_some_and(|word| word.starts_with("delete"))
}

fn role(user: &NewUser) -> String {
    format!("doorward-{}", user.name)
}

fn acls(user: &NewUser) -> Vec<Value> {
    let acl = |kind: &str, filter: &Filter| json!({ "acltype": kind, "topic": filter.as_str(), "priority": 0, "allow": true });
    let publish = user.publish.iter().map(|filter| acl("publishClientSend", filter));
    publish.chain(user.subscribe.iter().map(|filter| acl("subscribePattern", filter))).collect()
}
