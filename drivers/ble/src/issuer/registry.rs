//! Who may have a session is not the issuer's to say: this is whom it asks, and whom it hands the session before the guest has it.

use super::pace::Delivery;
use crate::radio::Address;
use doorward_core::{Now, driver::BoxFuture};
use doorward_wire::{
    Time,
    ble::{
        LockId,
        compat::PublicKey,
        request::Trouble,
        token::{Nonce, SlotLength},
        v2::{GuestKey, LockKey, Ways},
    },
    device::Mac,
};
use std::sync::Arc;

/// Who decides, and keeps what was decided.
///
/// # To add a registry
/// 1. [`decide`](Self::decide) by the key, or by the invite where the key is nobody's. Nothing else of an [`Ask`] is proven.
/// 2. In [`issued`](Self::issued) keep the session, use up the invite in the same step, and give the message to the lock. Two asks
///    with one invite may both have been let through by `decide`: the second one is refused here.
/// 3. Return only when that is durable: the guest has its session right after.
/// 4. Be prepared that the adapter goes, and a future is dropped where it waits. A guest that then asks again with the same key and
///    invite is the same guest, and should get through.
pub trait Registry: Send + Sync {
    /// Whether this guest may have a session for this lock, now.
    fn decide<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Leave, Refused>>;

    /// A session was made, and nobody has it yet. After an error nobody will.
    fn issued<'a>(&'a self, issued: &'a Issued) -> BoxFuture<'a, Result<(), Refused>>;
}

/// What a guest asks for.
#[derive(Debug)]
pub struct Ask {
    /// The lock that it wants to open.
    pub lock: LockId,
    /// Who it has proven to be, or in version 1: for whom the answer will be readable.
    pub by: AskedBy,
    /// What it calls itself. Nothing vouches for it.
    pub client_id: Option<String>,
    /// The one-time code of a pass.
    pub invite: Option<String>,
    /// The address of its phone: as the adapter knows it, or else as the guest says. It may have another by tomorrow.
    pub phone_mac: Option<Mac>,
    /// What its clock shows, in seconds since 1970.
    pub client_time: Option<u64>,
    /// Who is connected.
    pub peer: Address,
    /// When it asked.
    pub at: Now,
}

/// By which key a guest asks.
#[derive(Debug, Clone)]
pub enum AskedBy {
    /// RSA. It has proven nothing, but the session is sealed to this key.
    V1(Arc<PublicKey>),
    /// Ed25519. It has signed the request.
    V2(GuestKey),
    /// None, in the plain variant: it can be anybody.
    Nobody,
    /// None, and the house knows who it is by other means, such as the page of a pass. It gives the session to them itself.
    House,
}

impl AskedBy {
    /// What the key is called; `None` when there is none.
    pub fn fingerprint(&self) -> Option<String> {
        match self {
            Self::V1(key) => Some(key.fingerprint()),
            Self::V2(key) => Some(key.name()),
            Self::Nobody | Self::House => None,
        }
    }

    /// The whole key, as it is kept; nothing when there is none.
    pub fn public(&self) -> Vec<u8> {
        match self {
            Self::V1(key) => key.spki().to_vec(),
            Self::V2(key) => key.as_bytes().to_vec(),
            Self::Nobody | Self::House => Vec::new(),
        }
    }
}

/// A guest may have a session.
#[derive(Debug, Clone)]
pub struct Leave {
    /// Its grant ends then, and so does the session at the latest.
    pub until: Time,
    /// Who it is, as the registry names people and passes.
    pub who: String,
    /// The lock.
    pub lock: Recipient,
    /// For how long the lock wants each token.
    pub slot: SlotLength,
    /// How the door can be opened. One that is marked secure has [`Ways::CHALLENGE`] alone, and gives nothing to version 1.
    pub ways: Ways,
}

/// The lock that gets the session.
#[derive(Debug, Clone)]
pub enum Recipient {
    /// One of the original system, and its key.
    Original(Arc<PublicKey>),
    /// One of doorward's own that was installed with a key of version 1 only.
    OwnV1(Arc<PublicKey>),
    /// One of doorward's own.
    Own(LockKey),
}

impl Recipient {
    /// Whether it is one of doorward's own, which understands what is retained.
    pub const fn is_own(&self) -> bool {
        matches!(self, Self::OwnV1(_) | Self::Own(_))
    }
}

/// Why there is no session: a word for the guest, and more for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{trouble}: {log}")]
pub struct Refused {
    /// What the guest is told.
    pub trouble: Trouble,
    /// What the log needs.
    pub log: String,
}

impl Refused {
    /// With a word for the guest, and more for the log.
    pub fn new(trouble: Trouble, log: impl Into<String>) -> Self {
        Self { trouble, log: log.into() }
    }

    /// It is not the guest's fault.
    pub fn internal(log: impl Into<String>) -> Self {
        Self::new(Trouble::InternalError, log)
    }
}

/// A session that was made. The key in it is sealed for the lock.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Who it is, as the registry named it.
    pub who: String,
    /// What the guest's key is called.
    pub fingerprint: Option<String>,
    /// The guest's key.
    pub public: Vec<u8>,
    /// What the guest calls itself.
    pub client_id: Option<String>,
    /// The invite that is used up by it.
    pub invite: Option<String>,
    /// The address of its phone.
    pub phone_mac: Option<Mac>,
    /// When it was made.
    pub at: Now,
    /// The message for the lock.
    pub delivery: Delivery,
}

impl Issued {
    /// The lock.
    pub const fn lock(&self) -> &LockId {
        &self.delivery.lock
    }

    /// What names the session.
    pub const fn nonce(&self) -> &Nonce {
        &self.delivery.nonce
    }

    /// When it is over, in seconds since 1970.
    pub const fn expiry(&self) -> u64 {
        self.delivery.expiry
    }
}
