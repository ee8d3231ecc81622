//! The tunnel, version 1: what a phone and the house say to each other through a network that neither trusts.
//!
//! A body is base64 of `nonce ‖ AES-256-GCM ciphertext ‖ tag`, without associated data; the plaintext is a JSON object.
//! [`unwrap()`] and [`wrap`] know the outside, [`Plain`] the inside of a request, [`Answer`] and [`StreamEvent`] that of
//! what comes back. Who seals is not known here: a phone, firmware and the server each bring their own AES.
//!
//! What is asked for is in the fields, not in the route alone; [`Plain::wish`] says what it is and what is missing.

use alloc::{
    borrow::ToOwned,
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Bytes of a nonce.
pub const NONCE: usize = 12;
/// Bytes of a tag.
pub const TAG: usize = 16;
/// Levels of a plaintext, so that what is built from it stays small. The parser itself takes 128.
const DEEPEST: usize = 32;
/// Where Jeedom answers.
const JEEDOM: &str = "/core/api/jeeApi.php";
/// How long a relayed request may take when nothing is said, in seconds.
const TIMEOUT: f64 = 30.0;

/// Padding is written, and not demanded.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

crate::words::words! {
    /// What a request is for.
    pub enum Service {
        /// Jeedom's JSON-RPC API.
        Jeedom = "jeedom",
        /// A request to another server.
        Http = "http",
        /// A message to a broker.
        Mqtt = "mqtt",
        /// Doors of this house.
        Doors = "doors",
    }
}

/// The bytes of a body: `nonce ‖ ciphertext ‖ tag`. White space is skipped. `None` when it cannot be one.
///
/// ```
/// assert_eq!(doorward_wire::tunnel::unwrap(b"AAAA"), None, "shorter than nonce and tag");
/// ```
pub fn unwrap(body: &[u8]) -> Option<Vec<u8>> {
    let sealed = if body.iter().any(u8::is_ascii_whitespace) {
        let body: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        BASE64.decode(body)
    } else {
        BASE64.decode(body)
    };
    sealed.ok().filter(|sealed| sealed.len() >= NONCE + TAG)
}

/// A body of these bytes.
pub fn wrap(sealed: &[u8]) -> String {
    BASE64.encode(sealed)
}

/// What was inside of a request: a JSON object.
#[derive(Clone, PartialEq)]
pub struct Plain(Map<String, Value>);

/// Why something is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Not JSON, not an object, or nested too deeply.
    #[error("The request is not a JSON object")]
    NotAnObject,
    /// Neither a service nor what says which one it is.
    #[error("Unknown service")]
    Service,
    /// A field is not there.
    #[error("Missing required field: '{0}'")]
    Missing(&'static str),
    /// A field is something else than it must be.
    #[error("Field '{0}' must be {1}")]
    Field(&'static str, &'static str),
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// A call of Jeedom's API.
    Jeedom(Jeedom),
    /// A request to another server.
    Http(Relay),
    /// A message to a broker.
    Mqtt(Publish),
    /// Something at a door.
    Doors(AtDoor),
}

/// A call of Jeedom's API.
#[derive(Clone, PartialEq)]
pub struct Jeedom {
    /// The key there; the house has one for clients that name none.
    pub apikey: Option<String>,
    /// The method.
    pub method: String,
    /// Its parameters.
    pub params: Map<String, Value>,
    /// The path.
    pub endpoint: String,
}

/// A request to another server.
#[derive(Clone, PartialEq)]
pub struct Relay {
    /// Its address.
    pub url: String,
    /// Its method, in capitals.
    pub method: String,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Option<String>,
    /// Seconds that it may take.
    pub timeout: f64,
}

/// A broker that is named in a request.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Broker {
    /// Host name or address; the house's own broker when absent.
    pub host: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// User name and password.
    pub login: Option<(String, String)>,
}

/// A message to a broker.
#[derive(Clone, PartialEq, Eq)]
pub struct Publish {
    /// Where.
    pub topic: String,
    /// What.
    pub message: String,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether the broker keeps it.
    pub retain: bool,
    /// Which broker.
    pub broker: Broker,
}

/// What is to be heard of a broker.
#[derive(Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// The topic filter.
    pub topic: String,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Which broker.
    pub broker: Broker,
}

/// Something at a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtDoor {
    /// `list`, `status`, `open`, `lock` or `unlock`.
    pub action: String,
    /// The door; none for `list`.
    pub door: Option<String>,
    /// An identifier that makes a repeated command the same one.
    pub id: Option<String>,
}

impl Plain {
    /// Reads a plaintext.
    pub fn read(bytes: &[u8]) -> Result<Self, Wrong> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) if fields.values().all(|value| is_flat(value, DEEPEST)) => Ok(Self(fields)),
            _ => Err(Wrong::NotAnObject),
        }
    }

    /// When the client says that it was made, in seconds since 1970.
    pub fn timestamp(&self) -> Option<f64> {
        self.0.get("timestamp").and_then(Value::as_f64)
    }

    /// Whether this is something that the house itself seals. Such a message that comes in was sent back by somebody who
    /// has no key.
    pub fn is_answer(&self) -> bool {
        self.0.contains_key("type") || (self.0.contains_key("status") && self.0.contains_key("body"))
    }

    /// Which service it is for: an address always means HTTP, whatever `service` says.
    pub fn service(&self) -> Result<Service, Wrong> {
        if self.given("url").is_some() || self.given("host").is_some() {
            return Ok(Service::Http);
        }
        match self.given("service") {
            Some(service) => service.as_str().and_then(|word| word.parse().ok()).ok_or(Wrong::Service),
            None if self.given("jsonrpc").is_some() => Ok(Service::Jeedom),
            None => Err(Wrong::Service),
        }
    }

    /// What is asked for at the route for everything.
    pub fn wish(&self) -> Result<Wish, Wrong> {
        Ok(match self.service()? {
            Service::Jeedom => Wish::Jeedom(self.jeedom()?),
            Service::Http => Wish::Http(self.relay()?),
            Service::Mqtt => Wish::Mqtt(self.publish()?),
            Service::Doors => Wish::Doors(self.at_door()?),
        })
    }

    /// A message to a broker.
    pub fn publish(&self) -> Result<Publish, Wrong> {
        let message = match self.needed("message")? {
            Value::String(text) => text.clone(),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => other.to_string(),
        };
        Ok(Publish {
            topic: self.text("topic")?.ok_or(Wrong::Missing("topic"))?,
            message,
            qos: self.qos()?,
            retain: self.switch("retain")?,
            broker: self.broker()?,
        })
    }

    /// What is to be heard of a broker.
    pub fn subscribe(&self) -> Result<Subscribe, Wrong> {
        Ok(Subscribe { topic: self.text("topic")?.ok_or(Wrong::Missing("topic"))?, qos: self.qos()?, broker: self.broker()? })
    }

    fn jeedom(&self) -> Result<Jeedom, Wrong> {
        let params = match self.given("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params.clone(),
            Some(_) => return Err(Wrong::Field("params", "an object")),
        };
        Ok(Jeedom {
            apikey: self.text("apikey")?,
            method: self.text("jsonrpc")?.ok_or(Wrong::Missing("jsonrpc"))?,
            params,
            endpoint: self.text("endpoint")?.unwrap_or_else(|| JEEDOM.to_owned()),
        })
    }

    fn relay(&self) -> Result<Relay, Wrong> {
        let url = match (self.text("url")?, self.text("host")?) {
            (Some(url), _) => url,
            (None, Some(host)) => {
                let endpoint = self.text("endpoint")?.unwrap_or_default();
                format!("{}/{}", host.trim_end_matches('/'), endpoint.trim_start_matches('/'))
            }
            (None, None) => return Err(Wrong::Missing("url")),
        };
        let headers = match self.given("headers") {
            None => BTreeMap::from([("Content-Type".to_owned(), "application/json".to_owned())]),
            Some(Value::Object(headers)) => headers.iter().map(|(name, value)| (name.clone(), plain_text(value))).collect(),
            Some(_) => return Err(Wrong::Field("headers", "an object")),
        };
        let timeout = match self.given("timeout") {
            None => TIMEOUT,
            Some(value) => value.as_f64().filter(|seconds| *seconds > 0.0).ok_or(Wrong::Field("timeout", "a number of seconds"))?,
        };
        let method = self.text("method")?.unwrap_or_else(|| "POST".to_owned()).to_ascii_uppercase();
        Ok(Relay { url, method, headers, body: self.given("body").map(plain_text), timeout })
    }

    fn at_door(&self) -> Result<AtDoor, Wrong> {
        let action = self.text("action")?.ok_or(Wrong::Missing("action"))?;
        Ok(AtDoor { action, door: self.text("door")?, id: self.text("id")? })
    }

    fn broker(&self) -> Result<Broker, Wrong> {
        let port = match self.given("broker_port") {
            None => None,
            Some(port) => Some(port.as_u64().and_then(|port| port.try_into().ok()).ok_or(Wrong::Field("broker_port", "a port"))?),
        };
        let login = match (self.text("username")?, self.text("password")?) {
            (Some(name), Some(password)) => Some((name, password)),
            (None, None) => None,
            (None, Some(_)) => return Err(Wrong::Missing("username")),
            (Some(_), None) => return Err(Wrong::Missing("password")),
        };
        Ok(Broker { host: self.text("broker_host")?, port, login })
    }

    fn qos(&self) -> Result<u8, Wrong> {
        match self.given("qos") {
            None => Ok(0),
            Some(qos) => qos.as_u64().and_then(|qos| qos.try_into().ok()).filter(|qos| *qos <= 2).ok_or(Wrong::Field("qos", "0, 1 or 2")),
        }
    }

    fn switch(&self, name: &'static str) -> Result<bool, Wrong> {
        match self.given(name) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or(Wrong::Field(name, "true or false")),
        }
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, Wrong> {
        match self.given(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Wrong::Field(name, "a text")),
        }
    }

    fn needed(&self, name: &'static str) -> Result<&Value, Wrong> {
        self.given(name).ok_or(Wrong::Missing(name))
    }

    /// A field, unless it is `null`: clients write that for what they do not say.
    fn given(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }
}

/// An object as JSON, a text as it is, everything else as its text.
fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => other.to_string(),
    }
}

fn is_flat(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(values) => levels > 0 && values.iter().all(|value| is_flat(value, levels - 1)),
        Value::Object(fields) => levels > 0 && fields.values().all(|value| is_flat(value, levels - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// An HTTP status.
    pub status: u16,
    /// What the other end said: JSON, or text.
    pub body: Value,
    /// When, in seconds since 1970.
    pub timestamp: i64,
}

impl Answer {
    /// An answer with JSON or text.
    pub const fn new(status: u16, body: Value, timestamp: i64) -> Self {
        Self { status, body, timestamp }
    }

    /// An error as the original tells it: JSON inside of a text.
    pub fn error(status: u16, error: &str, timestamp: i64) -> Self {
        Self::new(status, Value::String(format!("{{\"error\": {}}}", json!(error))), timestamp)
    }
}

/// What comes on a stream. The stream ends after an error and after `disconnected`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum StreamEvent {
    /// It stands.
    Connected {
        /// The filter.
        topic: String,
        /// The same for people.
        message: String,
    },
    /// Somebody published.
    Message {
        /// Where.
        topic: String,
        /// JSON if it is, else text, or base64 where `encoding` says so.
        payload: Value,
        /// 0, 1 or 2.
        qos: u8,
        /// Whether the broker had kept it.
        retain: bool,
        /// When it came, in seconds since 1970.
        timestamp: i64,
        /// `base64` for bytes that are no text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        encoding: Option<String>,
    },
    /// It did not work, or works no more.
    Error {
        /// Why.
        message: String,
        /// When, in seconds since 1970.
        timestamp: i64,
    },
    /// The broker is gone; the client may come back.
    Disconnected {
        /// Why.
        message: String,
        /// When, in seconds since 1970.
        timestamp: i64,
    },
}

impl StreamEvent {
    /// It stands.
    pub fn connected(topic: &str) -> Self {
        Self::Connected { topic: topic.to_owned(), message: format!("Successfully connected and subscribed to {topic}") }
    }

    /// Somebody published.
    pub fn message(topic: &str, payload: &[u8], qos: u8, retain: bool, timestamp: i64) -> Self {
        let (payload, encoding) = match core::str::from_utf8(payload) {
            Ok(text) => (serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())), None),
            Err(_) => (Value::String(BASE64.encode(payload)), Some("base64".to_owned())),
        };
        Self::Message { topic: topic.to_owned(), payload, qos, retain, timestamp, encoding }
    }

    /// The event as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether nothing comes after it.
    pub const fn is_last(&self) -> bool {
        matches!(self, Self::Error { .. } | Self::Disconnected { .. })
    }
}

/// What a key may be used for. Nothing, unless it is named.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Scopes {
    /// Services.
    pub services: Vec<Service>,
    /// Where requests may go: `https://host/prefix`, with methods before it (`GET,POST http://192.168.1.20:8123/api`), any
    /// method where none is named.
    pub http: Vec<String>,
    /// Topic filters at which it may publish.
    pub mqtt_publish: Vec<String>,
    /// Topic filters to which it may subscribe.
    pub mqtt_subscribe: Vec<String>,
    /// Brokers beside the house's own that a request may name, as `host:port`.
    pub brokers: Vec<String>,
    /// Doors, or `*` for every one.
    pub doors: Vec<String>,
}

/// Fields of requests may be secret, so only what they are is shown.
macro_rules! shown_by_name {
    ($($name:ident)*) => {$(
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}
shown_by_name! { Plain Jeedom Relay Broker Publish Subscribe }

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn plain(value: &Value) -> Plain {
        Plain::read(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_body_is_base64_with_or_without_white_space_and_padding() {
        let bytes: Vec<u8> = (0..40).collect();
        let body = wrap(&bytes);
        assert_eq!(unwrap(body.as_bytes()), Some(bytes.clone()));
        assert_eq!(unwrap(body.trim_end_matches('=').as_bytes()), Some(bytes.clone()));
        assert_eq!(unwrap(format!(" {}\r\n{}\n", &body[..10], &body[10..]).as_bytes()), Some(bytes));
        for wrong in ["", "@@@@", "AAAAAAAAAAA=", "AAAA AAA*"] {
            assert_eq!(unwrap(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(unwrap(&[0xff; 64]), None);
    }

    #[test]
    fn an_address_means_http_and_a_method_of_jeedom_means_jeedom() {
        let service = |value: Value| plain(&value).service();
        assert_eq!(service(json!({ "service": "mqtt", "url": "http://a" })), Ok(Service::Http));
        assert_eq!(service(json!({ "service": "jeedom", "host": "http://a" })), Ok(Service::Http));
        assert_eq!(service(json!({ "service": "mqtt", "jsonrpc": "ping" })), Ok(Service::Mqtt));
        assert_eq!(service(json!({ "jsonrpc": "ping", "url": null })), Ok(Service::Jeedom));
        for wrong in [json!({}), json!({ "service": "ssh" }), json!({ "service": 1 }), json!({ "service": ["mqtt"] })] {
            assert_eq!(service(wrong), Err(Wrong::Service));
        }
    }

    #[test]
    fn a_relay_has_the_originals_defaults() {
        let relay = |value: Value| match plain(&value).wish() {
            Ok(Wish::Http(relay)) => relay,
            other => panic!("{other:?}"),
        };
        let usual = relay(json!({ "host": "http://a//", "endpoint": "//b/c" }));
        assert_eq!((usual.url.as_str(), usual.method.as_str(), usual.timeout, usual.body), ("http://a/b/c", "POST", 30.0, None));
        assert_eq!(usual.headers.get("Content-Type").map(String::as_str), Some("application/json"));
        assert_eq!(relay(json!({ "host": "http://a" })).url, "http://a/");
        assert_eq!(relay(json!({ "url": "http://u", "host": "http://h" })).url, "http://u");
        let body = |value: Value| relay(json!({ "url": "http://a", "body": value })).body.unwrap();
        assert_eq!(body(json!({ "a": 1 })), "{\"a\":1}");
        assert_eq!((body(json!("raw")), body(json!(12)), body(json!(true))), ("raw".into(), "12".into(), "true".into()));
        assert_eq!(relay(json!({ "url": "http://a", "method": "get", "headers": {} })).method, "GET");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let wish = |value: Value| plain(&value).wish().unwrap_err().to_string();
        assert_eq!(wish(json!({ "service": "mqtt", "message": "x" })), "Missing required field: 'topic'");
        assert_eq!(wish(json!({ "service": "mqtt", "topic": "x" })), "Missing required field: 'message'");
        assert_eq!(wish(json!({ "service": "mqtt", "topic": 7, "message": "x" })), "Field 'topic' must be a text");
        assert_eq!(wish(json!({ "service": "mqtt", "topic": "a", "message": "x", "qos": 3 })), "Field 'qos' must be 0, 1 or 2");
        let half = json!({ "service": "mqtt", "topic": "a", "message": "x", "username": "u" });
        assert_eq!(wish(half), "Missing required field: 'password'");
        assert_eq!(wish(json!({ "service": "http" })), "Missing required field: 'url'");
        assert_eq!(wish(json!({ "url": "http://a", "timeout": -1 })), "Field 'timeout' must be a number of seconds");
    }

    #[test]
    fn deep_nesting_is_no_request() {
        let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(Plain::read(deep(32).as_bytes()).is_ok());
        for levels in [34, 127, 100_000] {
            assert_eq!(Plain::read(deep(levels).as_bytes()), Err(Wrong::NotAnObject));
        }
        for wrong in [&b"[1,2,3]"[..], b"not json", b"\"{}\"", b"", b"{}{}", b"\xff"] {
            assert_eq!(Plain::read(wrong), Err(Wrong::NotAnObject));
        }
    }

    #[test]
    fn our_own_messages_are_known() {
        for ours in [Answer::error(403, "x", 1), Answer::new(200, json!({}), 1)] {
            assert!(plain(&json!(ours)).is_answer());
        }
        for ours in [StreamEvent::connected("a"), StreamEvent::message("a", b"\xff", 1, false, 1)] {
            assert!(Plain::read(ours.to_json().as_bytes()).unwrap().is_answer());
        }
        assert!(!plain(&json!({ "service": "doors", "action": "status" })).is_answer());
    }

    #[test]
    fn messages_are_as_the_clients_of_the_original_read_them() {
        let json = |payload: &[u8]| serde_json::to_value(StreamEvent::message("t", payload, 1, true, 7)).unwrap();
        let expected = json!({ "type": "message", "topic": "t", "payload": { "a": 1 }, "qos": 1, "retain": true, "timestamp": 7 });
        assert_eq!(json(b"{\"a\":1}"), expected);
        assert_eq!(json(b"22.5")["payload"], json!(22.5));
        assert_eq!(json("ouverte \u{2713}".as_bytes())["payload"], "ouverte \u{2713}");
        assert_eq!((json(b"\xff\x00")["payload"].as_str(), json(b"\xff\x00")["encoding"].as_str()), (Some("/wA="), Some("base64")));
        assert_eq!(Answer::error(403, "Request \"x\"", 1).body, "{\"error\": \"Request \\\"x\\\"\"}");
    }

    #[test]
    fn the_originals_requests_are_read() {
        let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/tunnel.json");
        let vectors: Value = serde_json::from_slice(&std::fs::read(vectors).unwrap()).unwrap();
        for message in vectors["messages"].as_array().unwrap() {
            let plain = Plain::read(message["plaintext"].as_str().unwrap().as_bytes()).unwrap();
            let name = message["name"].as_str().unwrap();
            match name {
                "empty" => assert_eq!((plain.timestamp(), plain.wish().unwrap_err()), (None, Wrong::Service)),
                "mqtt subscribe" => assert_eq!(plain.subscribe().unwrap().topic, "home/sensors/#"),
                _ => _ = plain.wish().unwrap_or_else(|error| panic!("{name}: {error}")),
            }
            let sealed = unwrap(message["body_base64"].as_str().unwrap().as_bytes()).unwrap();
            assert_eq!(wrap(&sealed), message["body_base64"], "{name}");
        }
    }
}
