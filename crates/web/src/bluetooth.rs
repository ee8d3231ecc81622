//! What the pages and the API need of locks over Bluetooth: whoever gives phones their sessions.

use doorward_core::driver::BoxFuture;
use doorward_store::PhoneOf;
use doorward_wire::{attempt::Reason, ble::v2::Given, door::DoorId};
use std::fmt;

/// Gives phones their sessions.
pub trait Bluetooth: fmt::Debug + Send + Sync {
    /// How phones open this door; nothing when it is no lock that this house gives sessions for.
    fn lock(&self, door: &DoorId) -> Option<RadioLock>;

    /// What the house calls itself on the air; nothing while phones cannot ask it there.
    fn beacon(&self) -> Option<&str>;

    /// The issuer's public keys of version 2, which phones believe alone.
    fn issuer(&self) -> Option<[u8; 64]>;

    /// Looks at once whether sessions still hold, and takes back those that do not.
    fn review(&self);

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

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotGiven {
    /// The right does not reach so far, for this reason.
    Denied(Reason),
    /// The lock, or its broker, cannot be reached.
    Unreachable,
}
