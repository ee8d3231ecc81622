//! Version 2, doorward's own: X25519, Ed25519 and HPKE in frames of at most one write, and a lock that asks a question of its own.
//!
//! `docs/wire/ble-v2.md` has every byte and the reasons. A guest reads the issuer's [`Hello`] and [asks](Ask) for a session; the
//! issuer [`open_request`]s, answers with the [`Opened`] request, and [`seal_session`]s it for the lock. At the door the guest
//! [`respond`]s to a [challenge](challenge::Challenges), or shows its [`Pass`](pass::Pass) and proves that it is its own.

mod advertisement;
pub mod challenge;
mod frame;
mod key;
pub mod pass;
mod provision;
mod session;

pub use advertisement::{Advertised, Hints};
pub use challenge::{Challenge, respond};
pub use frame::FrameError;
pub use key::{Guest, GuestKey, Identity, Issuer, KEY_ID, Lock, LockKey};
pub use provision::{Answer, Ask, Asked, Given, Hello, Opened, Why, open_request};
pub use session::{LockSession, open_session, seal_session};

use super::LockId;
use crate::attempt::ActionWord;

/// Bytes of one write with the MTU that phones agree to.
pub const WRITE: usize = 244;
/// Bytes of a lock's id in this version.
pub const MOST_LOCK_ID: usize = 40;
/// Where a guest reads an issuer's hello and writes its request: read, write, notify. An issuer without it has no version 2.
pub const PROVISION_CHARACTERISTIC: &str = "c0de0003-0000-1000-8000-00805f9b34fb";
/// The service of a lock. A lock without it has no version 2.
pub const LOCK_SERVICE: &str = "c0de0010-0000-1000-8000-00805f9b34fb";
/// Where a lock asks: read, notify.
pub const CHALLENGE_CHARACTERISTIC: &str = "c0de0011-0000-1000-8000-00805f9b34fb";
/// Where a guest answers, and is told what came of it: write, notify.
pub const RESPONSE_CHARACTERISTIC: &str = "c0de0012-0000-1000-8000-00805f9b34fb";

/// How a lock can be opened with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ways(u8);

impl Ways {
    /// The token of 16 bytes, as in version 1.
    pub const TOKEN: Self = Self(1);
    /// The advertisement of 24 bytes.
    pub const HINTED: Self = Self(2);
    /// The challenge. A door that is marked secure has this alone.
    pub const CHALLENGE: Self = Self(4);

    /// These ways and others.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether all of these are among them.
    pub const fn has(self, ways: Self) -> bool {
        self.0 & ways.0 == ways.0
    }

    fn read(byte: u8) -> Result<Self, FrameError> {
        if matches!(byte, 1..=7) { Ok(Self(byte)) } else { Err(FrameError::Malformed) }
    }
}

/// A lock's id, if this version can carry it.
fn short(lock: &LockId) -> Result<&[u8], FrameError> {
    let id = lock.as_str().as_bytes();
    if id.len() <= MOST_LOCK_ID { Ok(id) } else { Err(FrameError::TooLong) }
}

/// An action that a guest can ask for.
fn action(word: &[u8]) -> Result<ActionWord, FrameError> {
    let word = core::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
    word.filter(|action| *action != ActionWord::Refresh).ok_or(FrameError::Malformed)
}

#[cfg(test)]
mod tests;
