//! Users of brokers, whoever keeps them: the embedded broker's store, Mosquitto's dynamic security, RabbitMQ's management
//! API, EMQX's REST API.
//!
//! Adding a user takes several steps at most brokers. When one fails, what was done is undone; what cannot be undone is
//! told as an orphan. And because a step that succeeded proves nothing, [`probe`] tries with the user's own credentials
//! whether the broker keeps it in its place.
//!
//! # To add a broker
//! 1. Write its [`Administration`]: steps with what undoes them, and how one call is made.
//! 2. Give it a word in [`Kind`].
//! 3. Run the story of `peers/administration` against the real one.

mod emqx;
mod mosquitto;
pub mod probe;
mod rabbitmq;

use crate::remote::RemoteOptions;
use doorward_core::{Secret, driver::BoxFuture};
use doorward_http::Trust;
use doorward_wire::topic::Filter;
use reqwest::{Method, Url};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const MOST: usize = 16 << 20;

/// Which brokers can be administered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Mosquitto with its dynamic security plugin.
    Mosquitto,
    /// RabbitMQ with its management plugin.
    RabbitMq,
    /// EMQX 5.
    Emqx,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Mosquitto, Self::RabbitMq, Self::Emqx];

    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mosquitto => "mosquitto",
            Self::RabbitMq => "rabbitmq",
            Self::Emqx => "emqx",
        }
    }
}

/// How a broker is administered.
#[derive(Debug, Clone)]
pub struct AdminOptions {
    /// Which broker it is.
    pub kind: Kind,
    /// Its API; unused by Mosquitto, which is administered over MQTT.
    pub url: Option<Url>,
    /// An administrator there.
    pub user: String,
    /// Their password.
    pub password: Secret<String>,
    /// Another authority to trust, as a PEM file.
    pub trust: Trust,
}

/// A user as it is to be.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The name with which it connects.
    pub name: String,
    /// Its password.
    pub secret: Secret<String>,
    /// The client identifier with which it connects.
    pub client_id: String,
    /// What it may publish.
    pub publish: Vec<Filter>,
    /// What it may subscribe to.
    pub subscribe: Vec<Filter>,
    /// Connections at once.
    pub connections: u32,
}

/// What goes wrong at a broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{log}")]
pub struct AdminError {
    /// What a person can do.
    pub person: String,
    /// What the log needs.
    pub log: String,
}

impl AdminError {
    fn new(person: impl Into<String>, log: impl Into<String>) -> Self {
        Self { person: person.into(), log: log.into() }
    }

    /// One that says the same to both.
    pub(crate) fn told(text: String) -> Self {
        Self { log: text.clone(), person: text }
    }
}

/// One call to a broker.
#[derive(Clone, PartialEq)]
pub enum Call {
    /// A request to an HTTP API; the path begins with `/`.
    Http(Method, String, Option<Value>),
    /// A command over MQTT.
    Control(Value),
}

/// What a call says may be secret, so only its place is shown.
impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Http(method, path, _) => write!(f, "{method} {path}"),
            Self::Control(command) => write!(f, "{}", command["command"]),
        }
    }
}

/// One step of adding a user.
#[derive(Debug, Clone)]
pub struct Step {
    /// What it makes, for a person: “the user”, “its topic rights”.
    pub makes: &'static str,
    /// How.
    pub call: Call,
    /// What takes it away again; it succeeds when there is nothing.
    pub undo: Call,
}

/// A broker whose users doorward keeps.
pub trait Administration: Send + Sync {
    /// Whether the broker denies what is not allowed. Where it does not, rights protect nobody.
    fn denies_by_default(&self) -> BoxFuture<'_, Result<(), AdminError>>;

    /// The steps of adding a user, in their order.
    fn steps(&self, user: &NewUser) -> Vec<Step>;

    /// What gives a user other rights, and ends its connections where that can be done.
    fn rights(&self, user: &NewUser) -> Vec<Call>;

    /// The names of all users there.
    fn users(&self) -> BoxFuture<'_, Result<Vec<String>, AdminError>>;

    /// Makes a call.
    fn call<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<(), AdminError>>;
}

/// Something that could not be taken away again: a person must look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// What it is: “the user lamp”.
    pub what: String,
    /// Why it is still there.
    pub why: String,
}

/// Why a user was not added, or not wholly removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct SagaError {
    /// What went wrong.
    pub error: AdminError,
    /// What is left behind at the broker.
    pub orphans: Vec<Orphan>,
}

/// How a broker is reached whose users doorward keeps.
pub fn administration(options: &AdminOptions, remote: &RemoteOptions) -> Result<Arc<dyn Administration>, AdminError> {
    Ok(match options.kind {
        Kind::Mosquitto => Arc::new(mosquitto::Mosquitto::new(remote, options)),
        Kind::RabbitMq => Arc::new(rabbitmq::RabbitMq { api: Api::new(options)? }),
        Kind::Emqx => Arc::new(emqx::Emqx { api: Api::new(options)? }),
    })
}

/// Adds a user: all of its steps or none.
pub async fn add(broker: &dyn Administration, user: &NewUser) -> Result<(), SagaError> {
    let nothing_left = |error| SagaError { error, orphans: Vec::new() };
    broker.denies_by_default().await.map_err(nothing_left)?;
    let steps = broker.steps(user);
    for (at, step) in steps.iter().enumerate() {
        if let Err(error) = broker.call(&step.call).await {
            tracing::warn!(user = user.name, step = step.makes, %error, "a step of adding an MQTT user failed; it is undone");
            // The one that failed too: it may have come through and only its answer not.
            let orphans = undo(broker, user, &steps[..=at]).await;
            return Err(SagaError { error, orphans });
        }
    }
    Ok(())
}

/// Gives a user the rights that are named, and no others.
pub async fn change(broker: &dyn Administration, user: &NewUser) -> Result<(), AdminError> {
    for call in broker.rights(user) {
        broker.call(&call).await?;
    }
    Ok(())
}

/// Removes a user and all that belongs to it.
pub async fn remove(broker: &dyn Administration, user: &NewUser) -> Result<(), SagaError> {
    let orphans = undo(broker, user, &broker.steps(user)).await;
    match orphans.first() {
        None => Ok(()),
        Some(orphan) => Err(SagaError { error: AdminError::new("The broker does not let go of the user.", orphan.why.clone()), orphans }),
    }
}

async fn undo(broker: &dyn Administration, user: &NewUser, steps: &[Step]) -> Vec<Orphan> {
    let mut orphans = Vec::new();
    for step in steps.iter().rev() {
        if let Err(error) = broker.call(&step.undo).await {
            tracing::error!(user = user.name, step = step.makes, %error, "what was made at the broker could not be taken away again");
            orphans.push(Orphan { what: format!("{} {}", step.makes, user.name), why: error.log });
        }
    }
    orphans
}

/// An HTTP API with a user and a password.
struct Api {
    client: reqwest::Client,
    base: String,
    user: String,
    password: Secret<String>,
}

impl Api {
    fn new(options: &AdminOptions) -> Result<Self, AdminError> {
        let Some(url) = &options.url else {
            return Err(AdminError::new("Set mqtt.admin_url to the address of the broker's API.", "mqtt.admin_url is not set"));
        };
        let client = doorward_http::client(url, &options.trust)
            .map_err(|mistake| AdminError::new(format!("mqtt.admin_url {}", mistake.hint), mistake.to_string()))?;
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { client, base, user: options.user.clone(), password: options.password.clone() })
    }

    /// Makes a request, and gives its status and JSON.
    async fn ask(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<(u16, Value), AdminError> {
        let place = format!("{method} {path}");
        let away = |why: &dyn std::fmt::Display| {
            AdminError::new("The broker's API does not answer. Look at mqtt.admin_url.", format!("{place}: {why}"))
        };
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
        request = request.basic_auth(&self.user, Some(self.password.reveal())).timeout(PATIENCE);
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(|error| away(&error.without_url()))?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| away(&error.without_url()))? {
            if bytes.len() + chunk.len() > MOST {
                return Err(away(&"the answer is too long"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    /// Makes a call that must succeed; what is to be deleted may be gone.
    async fn call(&self, call: &Call) -> Result<(), AdminError> {
        let Call::Http(method, path, body) = call else {
            return Err(AdminError::new("doorward made a mistake.", "a command over MQTT for an HTTP API"));
        };
        let (status, answer) = self.ask(method, path, body.as_ref()).await?;
        match status {
            200..300 => Ok(()),
            404 if *method == Method::DELETE => Ok(()),
            status => Err(refused(status, &format!("{method} {path}"), &answer)),
        }
    }
}

/// One text of each object of a list.
fn names(list: &Value, key: &str) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item[key].as_str().map(str::to_owned)).collect()
}

fn refused(status: u16, place: &str, answer: &Value) -> AdminError {
    let person = match status {
        401 | 403 => "The broker's API refuses the administrator. Look at mqtt.admin_user and mqtt.admin_password.",
        _ => "The broker's API refused.",
    };
    let why = ["reason", "message", "error"].into_iter().find_map(|key| answer[key].as_str()).unwrap_or_default();
    AdminError::new(person, format!("{place} answered {status} {why}"))
}
