//! Characteristics: those that are served, and those of others.

use super::{Address, RadioError};
use doorward_core::driver::BoxFuture;
use std::fmt;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Bytes of a value (Core Specification 5.4, volume 3, part F, 3.2.9).
pub const MOST_VALUE: usize = 512;
/// Requests that wait for a server, before more are refused.
pub const MOST_REQUESTS: usize = 64;

/// A service and what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// What it is.
    pub uuid: Uuid,
    /// What it has.
    pub characteristics: Vec<Characteristic>,
}

/// A characteristic. Among all services of one server each UUID stands once: that is how it is named from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Characteristic {
    /// What it is.
    pub uuid: Uuid,
    /// What can be done with it.
    pub can: Can,
}

/// What can be done with a characteristic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are the bits of the attribute")]
pub struct Can {
    /// It can be read.
    pub read: bool,
    /// It can be written, and the server says whether it took it.
    pub write: bool,
    /// It can be written, and nobody says whether that arrived.
    pub write_without_response: bool,
    /// It tells of changes.
    pub notify: bool,
}

/// Names one connection for as long as it lasts. An address that connects again has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

/// Who is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Which connection.
    pub id: PeerId,
    /// Who it is, as it says.
    pub address: Address,
    /// The MTU that was agreed: a notification carries 3 bytes less.
    pub mtu: u16,
}

/// What others want of a server.
#[derive(Debug)]
pub enum Incoming {
    /// Somebody reads.
    Read {
        /// Who.
        peer: Peer,
        /// What.
        characteristic: Uuid,
        /// The value goes here.
        reply: Reply<Vec<u8>>,
    },
    /// Somebody writes: at most [`MOST_VALUE`] bytes.
    Write {
        /// Who.
        peer: Peer,
        /// What.
        characteristic: Uuid,
        /// The value.
        value: Vec<u8>,
        /// Whether it is taken; where nobody waits for that it goes nowhere.
        reply: Reply<()>,
    },
    /// Somebody wants to be told of changes, or does not any more. A backend that is not told who leaves this out: whoever is to be
    /// told something is known by what it asked before.
    Subscribed {
        /// Who.
        peer: Peer,
        /// Of what.
        characteristic: Uuid,
        /// Whether it does.
        on: bool,
    },
    /// A connection that asked for something is over.
    Gone(PeerId),
}

/// Why a server does not take a request: the errors of ATT (Core Specification 5.4, volume 3, part F, 3.4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttError {
    /// It cannot be done with this characteristic, or not by this peer.
    #[error("not permitted")]
    NotPermitted,
    /// The value has a length that cannot be.
    #[error("invalid length")]
    InvalidLength,
    /// Any other reason.
    #[error("unlikely error")]
    Unlikely,
}

/// Where an answer goes. Dropping it answers with [`AttError::Unlikely`].
pub struct Reply<T>(Option<oneshot::Sender<Result<T, AttError>>>);

impl<T> Reply<T> {
    /// A reply, and where a backend waits for it.
    pub fn new() -> (Self, oneshot::Receiver<Result<T, AttError>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(sender)), receiver)
    }

    /// A reply that nobody waits for.
    pub const fn nobody() -> Self {
        Self(None)
    }

    /// Answers.
    pub fn give(self, answer: Result<T, AttError>) {
        if let Some(sender) = self.0 {
            // Who asked may be gone.
            let _ = sender.send(answer);
        }
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply(…)")
    }
}

/// Services that are served. They end when this is dropped.
pub trait Server: Send + Sync {
    /// The next that others want; `None` when the adapter is gone. One caller at a time.
    fn next(&self) -> BoxFuture<'_, Option<Incoming>>;

    /// Tells one connection of a value, of at most its MTU less 3 bytes.
    ///
    /// A backend that cannot tell one alone tells all that subscribed ([`tells_one`](Self::tells_one)): nothing is told in clear
    /// that another one must not know.
    fn notify<'a>(&'a self, peer: PeerId, characteristic: Uuid, value: &'a [u8]) -> BoxFuture<'a, Result<(), RadioError>>;

    /// Whether what one is told is told to it alone.
    fn tells_one(&self) -> bool {
        true
    }
}

/// A connection to a server. It ends when this is dropped.
pub trait Connection: Send + Sync {
    /// Who it is with.
    fn address(&self) -> Address;

    /// The MTU that was agreed: a write without parts carries 3 bytes less.
    fn mtu(&self) -> u16;

    /// What the server has. Whether it has a characteristic: [`has`](Self::has).
    fn services(&self) -> &[Service];

    /// Reads a value.
    fn read(&self, characteristic: Uuid) -> BoxFuture<'_, Result<Vec<u8>, RadioError>>;

    /// Writes a value, and returns when the server has taken it.
    fn write<'a>(&'a self, characteristic: Uuid, value: &'a [u8]) -> BoxFuture<'a, Result<(), RadioError>>;

    /// Writes a value, and returns when it is sent.
    fn write_without_response<'a>(&'a self, characteristic: Uuid, value: &'a [u8]) -> BoxFuture<'a, Result<(), RadioError>>;

    /// Asks to be told of changes, and returns when the server agrees. They end with the connection, or when they are dropped.
    fn subscribe(&self, characteristic: Uuid) -> BoxFuture<'_, Result<Notifications, RadioError>>;

    /// Ends when the connection does.
    fn closed(&self) -> BoxFuture<'_, ()>;

    /// Ends it, and returns when it has ended.
    fn disconnect(&self) -> BoxFuture<'_, ()>;

    /// Whether the server has this characteristic in this service.
    fn has(&self, service: Uuid, characteristic: Uuid) -> bool {
        let own = self.services().iter().filter(|own| own.uuid == service);
        own.flat_map(|service| &service.characteristics).any(|own| own.uuid == characteristic)
    }
}

/// What a server tells of one characteristic.
#[derive(Debug)]
pub struct Notifications(mpsc::Receiver<Vec<u8>>);

impl Notifications {
    /// What a backend gives out. Its channel is bounded; what does not fit any more ends the connection, since a part that is
    /// missing makes the rest worthless.
    pub const fn new(queue: mpsc::Receiver<Vec<u8>>) -> Self {
        Self(queue)
    }

    /// The next one; `None` when the connection is over.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.0.recv().await
    }
}
