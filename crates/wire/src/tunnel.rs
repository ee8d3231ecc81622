//! The tunnel, version 1: what a phone and the house say to each other through a network that neither trusts.
//!
//! A body is base64 of `nonce ‖ AES-256-GCM ciphertext ‖ tag`, without associated data; the plaintext is a JSON object.
//! [`unwrap()`] and [`wrap`] know the outside, [`Plain`] the inside of a request, [`Answer`] and [`StreamEvent`] that of
//! what comes back. Who seals is not known here: a phone, firmware and the server each bring their own AES.
//!
//! What is asked for is in the fields, not in the route alone; [`Plain::wish`] says what it is and what is missing.

mod answer;
mod request;

pub use answer::{Answer, StreamEvent};
pub use request::{AtDoor, Broker, Jeedom, Plain, Publish, Relay, Subscribe, Wish, Wrong};

use alloc::{string::String, vec::Vec};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{Deserialize, Serialize};

/// Bytes of a nonce.
pub const NONCE: usize = 12;
/// Bytes of a tag.
pub const TAG: usize = 16;

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

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use alloc::format;
    use serde_json::Value;

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
