//! What the pages and the API need of locks over Bluetooth: whoever gives phones their sessions.

use crate::Web;
use doorward_core::driver::{Action, BoxFuture};
use doorward_store::{PhoneKey, PhoneOf};
use doorward_wire::{
    Time,
    account::AccountId,
    attempt::Reason,
    ble::v2::Given,
    door::{DoorId, DoorKind},
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Gives phones their sessions.
pub trait Bluetooth: fmt::Debug + Send + Sync {
    /// How phones open this door; nothing when it is no lock that this house gives sessions for.
    fn lock(&self, door: &DoorId) -> Option<RadioLock>;

    /// What the house calls itself on the air; nothing while phones cannot ask it there.
    fn beacon(&self) -> Option<&str>;

    /// The issuer's public keys of version 2, which phones believe alone.
    fn issuer(&self) -> Option<[u8; 64]>;

    /// Looks at once whether sessions and passes still hold, and takes back those that do not.
    fn review(&self) -> BoxFuture<'_, ()>;

    /// Signs a pass for a phone, which the lock of this door takes without a network, until then at the latest.
    fn sign<'a>(&'a self, door: &'a DoorId, phone: &'a PhoneKey, until: Time) -> BoxFuture<'a, Result<Offline, NotGiven>>;

    /// Ends every pass that was signed for this door until now; gives how many were still good.
    fn end_offline<'a>(&'a self, door: &'a DoorId) -> BoxFuture<'a, Result<usize, NotGiven>>;

    /// A session for the page of whoever holds a pass, or of a person. The lock has it before this returns.
    fn give<'a>(&'a self, door: &'a DoorId, of: &'a PhoneOf) -> BoxFuture<'a, Result<Given, NotGiven>>;
}

/// A lock as phones see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RadioLock {
    /// What it is called on the wire.
    pub lock: String,
    /// It can be opened by answering its challenge, which a page can do.
    pub answers: bool,
    /// It is opened by an answered challenge alone.
    pub secure: bool,
    /// It asks the house before it opens. One that does not can hold no more of a right than its time.
    pub asks: bool,
}

/// A pass that a lock takes without a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offline {
    /// What the lock is called on the wire.
    pub lock: String,
    /// From when it is good.
    pub from: Time,
    /// Until when.
    pub until: Time,
    /// What the phone shows to the lock. Without the phone's key it is worth nothing.
    pub pass: Vec<u8>,
}

/// Why there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotGiven {
    /// The right does not reach so far, for this reason.
    Denied(Reason),
    /// The lock, or its broker, cannot be reached.
    Unreachable,
}

/// What a lock tells of itself: whether it hears, what it counted, and what it heard last.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(crate) struct LockNews {
    pub(crate) door: String,
    pub(crate) lock: String,
    pub(crate) up: bool,
    pub(crate) trouble: Option<String>,
    pub(crate) threshold: Option<i8>,
    pub(crate) secure: bool,
    pub(crate) sessions: u64,
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) heard: Vec<Heard>,
}

/// A token that a lock heard.
#[derive(Debug, Deserialize)]
pub(crate) struct Heard {
    pub(crate) at: Time,
    pub(crate) rssi: Option<i8>,
    pub(crate) what: String,
}

/// What the locks of the house tell. A house without any has nobody to ask.
pub(crate) async fn news(web: &Web) -> Vec<LockNews> {
    #[derive(Deserialize)]
    struct Told {
        locks: Vec<LockNews>,
    }
    let doors = web.house().board().doors().into_iter().filter(|door| door.kind == DoorKind::Radio);
    let accounts: BTreeSet<AccountId> = doors.filter_map(|door| door.account?.parse().ok()).collect();
    let mut news = Vec::new();
    for account in accounts {
        let Ok(done) = web.house().call(&account, Action::Call("locks".into())).await else { continue };
        match serde_json::from_value::<Told>(done.output) {
            Ok(told) => news.extend(told.locks),
            Err(error) => tracing::warn!(%account, %error, "what locks tell makes no sense"),
        }
    }
    news
}
