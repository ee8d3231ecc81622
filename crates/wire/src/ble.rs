//! Locks that a phone opens over Bluetooth: what an issuer, a guest's phone and a lock say to each other.
//!
//! A guest asks the issuer for a session ([`request`], in pieces of [`framing`]). The issuer gives the same [`session`] to
//! the guest and, through the broker, to the lock. From then on the phone shows a [`token`](mod@token) that changes every few
//! seconds, and the lock knows which one comes. This is version 1, of a system that is in the field; its RSA is in `compat`,
//! behind the feature of that name.
//!
//! [`v2`] is doorward's own: small enough for one write, and nothing that was heard once opens again. [`order`] has what only
//! doorward's own locks understand, [`topic`] where all of it travels.
//!
//! Nothing here reads a clock or throws dice: both are arguments. RSA alone takes its own randomness, since its library does.

#[cfg(feature = "compat")]
pub mod compat;
pub mod framing;
mod json;
pub mod order;
pub mod request;
pub mod session;
pub mod sign;
pub mod token;
pub mod topic;
pub mod v2;

use alloc::{borrow::ToOwned as _, string::String};
use core::{fmt, str::FromStr};

/// What an issuer calls itself.
pub const ISSUER_NAME: &str = "IssuerBeacon";
/// What a phone calls itself that shows tokens. Android sends no name.
pub const GUEST_NAME: &str = "Unlocker";
/// The service that both advertise, of 16 bits: one of 128 does not fit beside a token.
pub const ADVERTISED_SERVICE: u16 = 0x180D;
/// The company whose manufacturer data tokens are, by which phones and locks find each other.
pub const COMPANY: u16 = 0xFFFF;
/// An issuer's manufacturer data.
pub const ISSUER_DATA: [u8; 2] = [1, 0];
/// How an issuer says that it looks.
pub const ISSUER_APPEARANCE: u16 = 0x0340;
/// The service of an issuer.
pub const ISSUER_SERVICE: &str = "c0de0001-0000-1000-8000-00805f9b34fb";
/// Where a guest asks an issuer for a session: read, write, notify.
pub const REQUEST_CHARACTERISTIC: &str = "c0de0002-0000-1000-8000-00805f9b34fb";
/// Seconds for which a session is good, unless it is set otherwise.
pub const SESSION_LIFE: u64 = 300;

/// The last second that a calendar holds, 9999-12-31T23:59:59Z.
pub(crate) const LAST_SECOND: u64 = 253_402_300_799;

/// Why a text names no lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a lock's id has 1 to 64 letters, digits, dots, dashes and underscores")]
pub struct LockIdError;

/// What a lock is called: it stands in topics and in names of files, and so has nothing that means something there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct LockId(String);

impl LockId {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LockId {
    type Err = LockIdError;

    /// ```
    /// use doorward_wire::ble::LockId;
    ///
    /// assert!("lock_01".parse::<LockId>().is_ok());
    /// assert!("lock/+".parse::<LockId>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, LockIdError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let is_one = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
        if is_one { Ok(Self(text.to_owned())) } else { Err(LockIdError) }
    }
}

impl fmt::Display for LockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Reads a text of JSON as `FromStr` does.
macro_rules! text_from_json {
    ($name:ident) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <alloc::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_from_json;

text_from_json!(LockId);

#[cfg(test)]
pub(crate) mod testing;
