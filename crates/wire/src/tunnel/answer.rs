//! What comes back: answers, and events of a stream.

use super::BASE64;
use alloc::{borrow::ToOwned, format, string::String};
use base64::Engine;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::Plain;
    use alloc::string::ToString as _;
    use serde_json::json;

    fn plain(value: &Value) -> Plain {
        Plain::read(value.to_string().as_bytes()).unwrap()
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
}
