//! Ways in which servers of this kind differ without being wrong.

use serde::{Deserialize, Serialize};

/// How `CACerts` writes the chain. What the vendor really sends is not known for sure, so a client takes all.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CaShape {
    /// `{"chain":["<base64 DER>"]}`.
    #[default]
    ChainOfDer,
    /// `{"chain":"-----BEGIN CERTIFICATE-----…"}`.
    ChainOfPem,
    /// `{"cert":"<base64 DER>"}`, as the answer about the client's certificate.
    OneDer,
}

/// Where the challenge stands.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Challenge {
    /// 407 with `Proxy-Authenticate`.
    #[default]
    Proxy,
    /// 401 with `WWW-Authenticate`.
    Www,
}

/// What the challenge says about `qop`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Qop {
    /// `qop="auth"`.
    #[default]
    Auth,
    /// `qop="auth,auth-int"`.
    List,
    /// Nothing: the digest of RFC 2069.
    Absent,
}

/// Whether the gateway answers a command by a MESSAGE of its own.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonRpc {
    /// It does not.
    #[default]
    Never,
    /// With `"result":true`.
    Ok,
    /// With an `error`, and nothing moves.
    Error,
}

/// How what the registrar sends is cut into writes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Writing {
    /// One message, one write.
    #[default]
    Whole,
    /// Each message in two writes, a moment apart.
    Halves,
    /// Each byte in a write of its own.
    Bytes,
    /// Each message in one write with a keep-alive before it and an OPTIONS after it.
    Merged,
}

/// How the registrar writes the names of header fields.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderForm {
    /// As RFC 3261 prints them.
    #[default]
    Usual,
    /// Compact names where there are any.
    Compact,
    /// In small letters, with spaces around the colon.
    Small,
    /// Values on a line of their own.
    Folded,
}
