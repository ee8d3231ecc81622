//! How a lock is set up.

use super::MOST_SESSIONS;
use doorward_wire::ble::{
    LockId,
    compat::{PrivateKey, PublicKey},
    token::SlotLength,
    v2,
};
use std::{collections::HashMap, time::Duration};

/// How a lock is set up.
#[derive(Debug)]
pub struct Config {
    /// What it is called.
    pub id: LockId,
    /// Its keys, and those of its issuer.
    pub keys: Keys,
    /// How long a token is shown, for sessions of version 1; those of version 2 say it themselves.
    pub slot: SlotLength,
    /// From how near it opens.
    pub rssi: Rssi,
    /// A token counts only from the address that its session has. Phones change theirs: off, unless the guests are known not to.
    /// A session without an address is not held to one.
    pub bind_mac: bool,
    /// Tokens open nothing here, whatever the session says: only who answers a challenge is let in.
    pub secure: bool,
    /// It admits passes of its issuer; needs the keys of version 2.
    pub passes: bool,
    /// For how long a session must be unseen before it opens again.
    pub approach: Duration,
    /// How many sessions there is room for.
    pub most_sessions: usize,
}

impl Config {
    /// The lock of the wire's defaults: 3 s, −70 dBm, half a minute.
    pub fn new(id: LockId, keys: Keys) -> Self {
        Self {
            id,
            keys,
            slot: SlotLength::default(),
            rssi: Rssi::default(),
            bind_mac: false,
            secure: false,
            passes: true,
            approach: Duration::from_secs(30),
            most_sessions: MOST_SESSIONS,
        }
    }
}

/// The lock's own keys, each with the public one of its issuer. What is under a kind that it does not have is refused.
#[derive(Debug, Default)]
pub struct Keys {
    /// RSA, of version 1.
    pub v1: Option<(PrivateKey, PublicKey)>,
    /// X25519 and Ed25519, of version 2.
    pub v2: Option<(v2::Lock, v2::Identity)>,
}

/// From how near a lock opens. Signal strength is no proof of distance: whoever wants to seem near sends louder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rssi {
    /// A token opens only above this, in dBm. `None` opens from everywhere.
    pub threshold: Option<i8>,
    /// The same for some phones: by address where tokens are bound to it (as `E8:06:90:9E:9A:B4`), else by what the guest's key
    /// is called, else by the nonce of the session.
    pub phones: HashMap<String, i8>,
    /// What is done when the adapter does not know.
    pub unknown: RssiUnknown,
}

impl Default for Rssi {
    fn default() -> Self {
        Self { threshold: Some(-70), phones: HashMap::new(), unknown: RssiUnknown::Refuse }
    }
}

/// What is done with a token whose signal strength is not known, where there is a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RssiUnknown {
    /// It is refused.
    Refuse,
    /// It opens.
    Accept,
}
