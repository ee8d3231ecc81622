//! Who signs: RSA of version 1, or Ed25519 of version 2. What is signed with the one is never taken for the other.

use super::LockId;
use crate::words::words;
use alloc::{string::String, vec::Vec};
use base64::{Engine as _, engine::general_purpose::STANDARD};

words! {
    /// How something is signed. The word is signed along.
    pub enum Algorithm {
        /// Ed25519 (RFC 8032).
        Ed25519 = "Ed25519",
        /// RSA-PSS with SHA-256 and the longest salt, as in version 1.
        RsaPssSha256 = "RSA-PSS-SHA256",
    }
}

/// Nothing was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature could not be made")]
pub struct SignError;

/// An issuer's private key.
pub trait Sign {
    /// How it signs.
    fn algorithm(&self) -> Algorithm;
    /// Signs these bytes as they are.
    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// An issuer's public key.
pub trait Verify {
    /// How it is signed with.
    fn algorithm(&self) -> Algorithm;
    /// Whether the signature is over these bytes, and by this key.
    fn verify(&self, bytes: &[u8], signature: &[u8]) -> bool;
}

/// What is signed of an order: its kind, how, for which lock, and its fields.
pub(crate) fn signed_bytes(kind: &str, algorithm: Algorithm, lock: &LockId, fields: &str) -> Vec<u8> {
    let parts = ["doorward/2 ", kind, "\0", algorithm.as_str(), "\0", lock.as_str(), "\0", fields];
    parts.concat().into_bytes()
}

/// A signature as an order carries it.
pub(crate) fn signature(key: &impl Sign, bytes: &[u8]) -> Result<String, SignError> {
    Ok(STANDARD.encode(key.sign(bytes)?))
}
