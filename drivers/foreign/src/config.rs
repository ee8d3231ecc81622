//! What a foreign door has: a target for each thing that it can do, and a place where its state is told.

use doorward_core::{
    driver::{Mistake, Settings},
    setup::payload_value,
};
use doorward_http::{Trust, is_private};
use doorward_wire::{
    door::{Capability, DoorId, DoorState},
    topic::{Filter, is_topic},
};
use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// How often a state behind HTTP is asked for when nothing is said.
const EVERY: u64 = 30;

/// A door as it is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoorSpec {
    /// Its identifier.
    pub id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What opens it for a moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<TargetSpec>,
    /// What locks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<TargetSpec>,
    /// What unlocks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlock: Option<TargetSpec>,
    /// Where its state is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateSpec>,
    /// What its bell says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<RingSpec>,
}

/// What a bell says over MQTT.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RingSpec {
    /// The topic.
    pub mqtt: String,
    /// Which value of a JSON message: `action`, `/a/0/b`. The whole message when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// The value that stands for a ring; any message rings when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl DoorSpec {
    /// What the door can do.
    pub fn capabilities(&self) -> Vec<Capability> {
        let asked = self.state.as_ref().is_some_and(|state| state.http.is_some());
        let can = [
            (self.lock.is_some(), Capability::Lock),
            (self.unlock.is_some(), Capability::Unlock),
            (self.open.is_some(), Capability::Open),
            (asked, Capability::Refresh),
            (self.ring.is_some(), Capability::Ring),
        ];
        can.into_iter().filter(|(can, _)| *can).map(|(_, capability)| capability).collect()
    }
}

/// A message or a request, as it is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSpec {
    /// The topic of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<String>,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// The address of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// Its method; `POST` when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Its headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The `Authorization` header, which is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
    /// Another authority to trust, as a PEM file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// Where a state is told, and what its words are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateSpec {
    /// The topic on which it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<String>,
    /// The address at which it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// Headers of the request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The `Authorization` header, which is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
    /// Another authority to trust, as a PEM file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// How many seconds lie between two requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Which value of a JSON answer: `state`, `/a/0/b`. The whole of it when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// The value that stands for locked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<String>,
    /// The value that stands for unlocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlocked: Option<String>,
    /// The value that stands for open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<String>,
    /// The value that stands for a stuck bolt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jammed: Option<String>,
}

/// A door that can be used.
#[derive(Debug, Clone)]
pub(crate) struct ForeignDoor {
    pub(crate) id: DoorId,
    pub(crate) name: String,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) open: Option<Target>,
    pub(crate) lock: Option<Target>,
    pub(crate) unlock: Option<Target>,
    pub(crate) state: Option<State>,
    pub(crate) bell: Option<Bell>,
}

/// A bell over MQTT.
#[derive(Debug, Clone)]
pub(crate) struct Bell {
    pub(crate) filter: Filter,
    json: Option<String>,
    value: Option<String>,
}

impl Bell {
    /// Whether a message rings.
    pub(crate) fn rings(&self, payload: &[u8]) -> bool {
        match &self.value {
            None => !payload.is_empty(),
            Some(value) => payload_value(payload, self.json.as_deref()).as_ref() == Some(value),
        }
    }
}

/// Where a command goes.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Mqtt { topic: String, payload: Vec<u8> },
    Http(Box<Request>),
}

/// A request that can be made.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) client: reqwest::Client,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// Where a state is told.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) place: Place,
    json: Option<String>,
    words: Vec<(String, DoorState)>,
}

#[derive(Debug, Clone)]
pub(crate) enum Place {
    Mqtt(Filter),
    Http(Box<Request>, Duration),
}

impl State {
    /// The state that a payload or an answer tells; `None` when it tells none.
    pub(crate) fn read(&self, payload: &[u8]) -> Option<DoorState> {
        let value = payload_value(payload, self.json.as_deref())?;
        self.words.iter().find(|(word, _)| *word == value).map(|(_, state)| *state)
    }
}

impl ForeignDoor {
    /// Whether any of it goes over MQTT.
    pub(crate) fn needs_mqtt(&self) -> bool {
        let targets = [&self.open, &self.lock, &self.unlock];
        targets.into_iter().any(|target| matches!(target, Some(Target::Mqtt { .. })))
            || matches!(&self.state, Some(State { place: Place::Mqtt(_), .. }))
            || self.bell.is_some()
    }
}

/// Reads the doors, or says everything that is wrong with them; a mistake is named `<door>.<target>.<key>`.
pub(crate) fn parse(settings: &Settings) -> Result<Vec<ForeignDoor>, Vec<Mistake>> {
    let Some(text) = settings.secrets.get("doors") else {
        return Err(vec![Mistake { key: "doors".into(), hint: "must be set".into() }]);
    };
    let specs: Vec<DoorSpec> = serde_json::from_str(text.reveal())
        .map_err(|error| vec![Mistake { key: "doors".into(), hint: format!("is no list of doors: {error}") }])?;
    let mut mistakes = Vec::new();
    let doors: Vec<ForeignDoor> = specs.iter().filter_map(|spec| Reader { door: &spec.id, mistakes: &mut mistakes }.door(spec)).collect();
    if mistakes.is_empty() { Ok(doors) } else { Err(mistakes) }
}

fn headers(spec: &TargetSpec) -> BTreeMap<String, String> {
    with_authorization(&spec.headers, spec.authorization.as_ref())
}

fn with_authorization(headers: &BTreeMap<String, String>, authorization: Option<&String>) -> BTreeMap<String, String> {
    let mut headers = headers.clone();
    headers.extend(authorization.map(|value| ("authorization".to_owned(), value.clone())));
    headers
}

struct Reader<'a> {
    door: &'a str,
    mistakes: &'a mut Vec<Mistake>,
}

impl Reader<'_> {
    fn wrong<T>(&mut self, key: &str, hint: impl Into<String>) -> Option<T> {
        let key = if key.is_empty() { self.door.to_owned() } else { format!("{}.{key}", self.door) };
        self.mistakes.push(Mistake { key, hint: hint.into() });
        None
    }

    fn door(&mut self, spec: &DoorSpec) -> Option<ForeignDoor> {
        let Ok(id) = spec.id.parse::<DoorId>() else {
            return self.wrong("", "must have an id of 1 to 40 lower-case letters, digits and underscores");
        };
        if spec.open.is_none() && spec.lock.is_none() && spec.unlock.is_none() && spec.ring.is_none() {
            return self.wrong("", "must say what to do for “open”, “lock” or “unlock”, or what its bell says");
        }
        Some(ForeignDoor {
            name: spec.name.clone().unwrap_or_else(|| id.to_string()),
            capabilities: spec.capabilities(),
            id,
            open: spec.open.as_ref().and_then(|target| self.target("open", target)),
            lock: spec.lock.as_ref().and_then(|target| self.target("lock", target)),
            unlock: spec.unlock.as_ref().and_then(|target| self.target("unlock", target)),
            state: spec.state.as_ref().and_then(|state| self.state(state)),
            bell: spec.ring.as_ref().and_then(|ring| self.bell(ring)),
        })
    }

    fn bell(&mut self, spec: &RingSpec) -> Option<Bell> {
        match spec.mqtt.parse() {
            Ok(filter) if is_topic(&spec.mqtt) => Some(Bell { filter, json: spec.json.clone(), value: spec.value.clone() }),
            _ => self.wrong("ring.mqtt", "must be a topic, without wildcards"),
        }
    }

    fn target(&mut self, name: &str, spec: &TargetSpec) -> Option<Target> {
        match (&spec.mqtt, &spec.http) {
            (Some(topic), None) => {
                if spec.method.is_some() || spec.body.is_some() || spec.ca_file.is_some() || !headers(spec).is_empty() {
                    return self.wrong(name, "a message has a topic and a payload; the other keys are for http");
                }
                let Some(payload) = &spec.payload else { return self.wrong(&format!("{name}.payload"), "must be set") };
                if !is_topic(topic) {
                    return self.wrong(&format!("{name}.mqtt"), "must be a topic, without wildcards");
                }
                if doorward_wire::topic::Topic::read(topic).is_some() {
                    return self.wrong(&format!("{name}.mqtt"), "is doorward's own topic: use the door behind it");
                }
                Some(Target::Mqtt { topic: topic.clone(), payload: payload.clone().into_bytes() })
            }
            (None, Some(url)) => {
                if spec.payload.is_some() {
                    return self.wrong(&format!("{name}.payload"), "is for mqtt; a request has a body");
                }
                let method = spec.method.as_deref().unwrap_or("POST").to_ascii_uppercase();
                if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()) {
                    return self.wrong(&format!("{name}.method"), "must be GET, POST, PUT, PATCH or DELETE");
                }
                let method = Method::from_bytes(method.as_bytes()).ok()?;
                let body = spec.body.clone().unwrap_or_default();
                self.request(name, url, method, &headers(spec), spec.ca_file.as_ref(), body).map(|request| Target::Http(Box::new(request)))
            }
            _ => self.wrong(name, "must be { mqtt = topic, payload = text } or { http = address }"),
        }
    }

    fn state(&mut self, spec: &StateSpec) -> Option<State> {
        let words: Vec<(String, DoorState)> = [
            (&spec.locked, DoorState::Locked),
            (&spec.unlocked, DoorState::Unlocked),
            (&spec.open, DoorState::Open),
            (&spec.jammed, DoorState::Jammed),
        ]
        .into_iter()
        .filter_map(|(word, state)| Some((word.clone()?, state)))
        .collect();
        if words.is_empty() {
            return self.wrong("state", "must say which values stand for locked, unlocked, open or jammed");
        }
        let place = match (&spec.mqtt, &spec.http) {
            (Some(topic), None) => match topic.parse() {
                Ok(filter) if is_topic(topic) => Place::Mqtt(filter),
                _ => return self.wrong("state.mqtt", "must be a topic, without wildcards"),
            },
            (None, Some(url)) => {
                let every = spec.every.unwrap_or(EVERY);
                if !(1..=86_400).contains(&every) {
                    return self.wrong("state.every", "must be 1 to 86400 seconds");
                }
                let headers = with_authorization(&spec.headers, spec.authorization.as_ref());
                let request = self.request("state", url, Method::GET, &headers, spec.ca_file.as_ref(), String::new())?;
                Place::Http(Box::new(request), Duration::from_secs(every))
            }
            _ => return self.wrong("state", "must be told at { mqtt = topic } or { http = address }"),
        };
        Some(State { place, json: spec.json.clone(), words })
    }

    fn request(
        &mut self,
        name: &str,
        url: &str,
        method: Method,
        headers: &BTreeMap<String, String>,
        ca_file: Option<&PathBuf>,
        body: String,
    ) -> Option<Request> {
        let Ok(url) = Url::parse(url) else { return self.wrong(&format!("{name}.http"), "is no address") };
        match url.scheme() {
            "https" => {}
            "http" if is_private(&url) => {}
            "http" => {
                return self
                    .wrong(&format!("{name}.http"), "must begin with https:// (http:// is for this machine and the house's own network)");
            }
            _ => return self.wrong(&format!("{name}.http"), "must begin with https://, or http:// in the house's own network"),
        }
        let mut map = HeaderMap::new();
        for (key, value) in headers {
            let (Ok(key_name), Ok(mut value)) = (key.parse::<HeaderName>(), value.parse::<HeaderValue>()) else {
                return self.wrong(&format!("{name}.headers.{key}"), "is no header");
            };
            value.set_sensitive(true);
            map.insert(key_name, value);
        }
        let trust = Trust { ca_file: ca_file.cloned(), pin_sha256: None };
        match doorward_http::client(&url, &trust) {
            Ok(client) => Some(Request { client, method, url, headers: map, body }),
            Err(mistake) => self.wrong(&format!("{name}.{}", mistake.key), mistake.hint),
        }
    }
}
