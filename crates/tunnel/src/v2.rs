//! Version 2 of the tunnel's wire: a JSON request inside of Oblivious HTTP.
//!
//! A request is binary HTTP (RFC 9292) that is sealed for the gateway's public key (RFC 9458), and whoever opens it knows
//! from inside who sent it: a MAC with the client's key over what is asked for and over `enc`, the public key that was made
//! for this one request. So nobody without a client key is answered, and an answer opens for the one request that it is to.
//!
//! * [`GatewayKey`] is what the house has, from a seed: it opens requests whole or in chunks.
//! * [`Request`] is what was inside; [`Request::is_by`] says whether the client's key made it.
//! * [`Sealer`] answers at once, [`StreamSealer`] little by little.
//! * [`PinnedConfig`] and [`Client`] are the other end; [`Opener`] and [`StreamOpener`] read what comes back.
//!
//! Nothing here waits or talks to a network: bytes go in and come out. The bytes are written down in `docs/wire/tunnel-v2.md`.
//!
//! ```
//! use doorward_tunnel::v2::{Client, GatewayKey, PinnedConfig};
//!
//! let gateway = GatewayKey::derive(1, &[7; 32]).unwrap();
//! let config = PinnedConfig::read(gateway.config(), gateway.pin()).unwrap();
//! let client = Client::new(config, "anna", [9; 32]);
//!
//! let (sealed, opener) = client.seal("POST", "/gateway", br#"{"service":"doors","timestamp":1764197216}"#).unwrap();
//! let (request, sealer) = gateway.open(&sealed).unwrap();
//! assert!(request.key_id() == Some("anna") && request.is_by(&[9; 32]));
//! let answer = sealer.seal(200, "application/json", br#"{"status":200}"#).unwrap();
//! assert_eq!(opener.open(&answer).unwrap().body, br#"{"status":200}"#);
//! ```

mod client;
mod credential;
mod keys;
mod memory;
mod message;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Client, Opener, StreamOpener};
pub use credential::mac_input;
pub use keys::{GatewayKey, PinnedConfig};
pub use message::{Request, Response};
pub use server::{Sealer, StreamBody, StreamSealer};

/// Bytes of a body inside of a request, at most.
pub const MOST_BODY: usize = 256 << 10;
/// Bytes of a sealed request, at most: a body, and room for what is around it.
pub const MOST_SEALED: usize = MOST_BODY + (16 << 10);
/// The media type of the gateway's public key.
pub const KEYS: &str = "application/ohttp-keys";
/// The media type of a request that is sealed whole.
pub const REQUEST: &str = "message/ohttp-req";
/// The media type of an answer to it.
pub const RESPONSE: &str = "message/ohttp-res";
/// The media type of a request that is sealed in chunks.
pub const CHUNKED_REQUEST: &str = "message/ohttp-chunked-req";
/// The media type of an answer to it.
pub const CHUNKED_RESPONSE: &str = "message/ohttp-chunked-res";

/// Bytes of a public key of X25519, and of `enc`, which is one.
const PUBLIC: usize = 32;
/// Bytes before `enc`: key id, KEM, KDF, AEAD (RFC 9458, section 4.3).
const HEADER: usize = 7;
/// Bytes of a tag.
const TAG: usize = 16;
/// Bytes of a sealed chunk, at most (draft-ietf-ohai-chunked-ohttp, section 3).
const CHUNK: usize = (16 << 10) + TAG;

/// Why a message does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Longer than it may be.
    #[error("the message is too long")]
    TooLong,
    /// Sealed for another key, changed on the way, or not whole.
    #[error("the message does not open with this key")]
    Sealed,
    /// It opens, and what is inside is no message.
    #[error("what was sealed is no message")]
    Malformed,
}

/// A message cannot be sealed: part of it is too long or no text of HTTP, or the key configuration is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message cannot be sealed")]
pub struct SealError;
