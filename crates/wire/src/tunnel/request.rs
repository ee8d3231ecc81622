//! What was inside of a request, and what it asks for.

use super::Service;
use alloc::{
    borrow::ToOwned,
    collections::BTreeMap,
    format,
    string::{String, ToString},
};
use serde_json::{Map, Value};

/// Levels of a plaintext, so that what is built from it stays small. The parser itself takes 128.
const DEEPEST: usize = 32;
/// Where Jeedom answers.
const JEEDOM: &str = "/core/api/jeeApi.php";
/// How long a relayed request may take when nothing is said, in seconds.
const TIMEOUT: f64 = 30.0;

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
    use super::*;
    use serde_json::json;

    fn plain(value: &Value) -> Plain {
        Plain::read(value.to_string().as_bytes()).unwrap()
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
}
