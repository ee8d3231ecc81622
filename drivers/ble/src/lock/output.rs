//! What a lock's core puts out.

use super::Ticket;
use crate::radio::{Address, PeerId};
use doorward_core::Secret;
use doorward_wire::{
    attempt::ActionWord,
    ble::{LockId, order::Refusal, token::Nonce, v2::challenge::Outcome},
};

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// To be kept, durably; answered by [`Input::Kept`](super::Input::Kept). It replaces what was kept under this key.
    Keep {
        /// Its name.
        ticket: Ticket,
        /// Where.
        key: String,
        /// What.
        value: Secret<Vec<u8>>,
    },
    /// Nothing is to be kept under this key any more; answered in the same way.
    Forget {
        /// Its name.
        ticket: Ticket,
        /// Where.
        key: String,
    },
    /// Somebody is let in: this is what opens.
    Present(Box<Presented>),
    /// Somebody is not let in.
    Refuse(Box<Refused>),
    /// Somebody would have been let in, and doorward could not.
    Failed(Box<Presented>, Failure),
    /// To be notified to a connection. What [`Output::Present`] names one is told by who carries it out.
    Tell {
        /// To whom.
        connection: PeerId,
        /// What.
        outcome: Outcome,
    },
}

/// Somebody who is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The lock.
    pub lock: LockId,
    /// What is asked of it: of a token always to open.
    pub action: ActionWord,
    /// How it is asked.
    pub way: Way,
    /// The session, or the serial of a pass; for a command nothing.
    pub nonce: Option<Nonce>,
    /// What the guest's key is called, where the lock knows; for a command its id.
    pub client: Option<String>,
    /// How well it was heard.
    pub rssi: Option<i8>,
    /// From where, as it says.
    pub address: Option<Address>,
    /// The slot of a token. With the nonce it names the token: each is presented once at most.
    pub slot: Option<u64>,
    /// The connection that waits for a result.
    pub connection: Option<PeerId>,
}

/// Somebody who is not let in. It is told once for each token, session or message and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Refusal,
    /// How it was asked.
    pub way: Way,
    /// The session or pass, where it is known.
    pub nonce: Option<Nonce>,
    /// What the guest's key is called, where the lock knows.
    pub client: Option<String>,
    /// How well it was heard.
    pub rssi: Option<i8>,
    /// From where, as it says.
    pub address: Option<Address>,
}

impl Refused {
    pub(super) const fn new(reason: Refusal, way: Way) -> Self {
        Self { reason, way, nonce: None, client: None, rssi: None, address: None }
    }
}

/// How somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// A token of 16 bytes.
    Token,
    /// A token with a hint.
    Hinted,
    /// An answer to a challenge.
    Challenge,
    /// A pass.
    Pass,
    /// A command over MQTT.
    Command,
    /// A message of a session: nobody stands at the door.
    Session,
    /// A list of what is taken back: nobody stands at the door.
    Revoked,
}

/// Why somebody was not let in who should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// That the token is used could not be kept.
    NotKept,
    /// It was kept too late: whoever it was may not be there any more.
    TooLate,
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Advertisements that were looked at.
    pub heard: u64,
    /// Of them, those that are no token.
    pub foreign: u64,
    /// Tokens that waited too long to be looked at.
    pub late: u64,
    /// Tokens of sessions whose guest was let in already.
    pub repeats: u64,
    /// Tokens of no session.
    pub unknown: u64,
    /// Tokens that came again after their time.
    pub replays: u64,
    /// Who was let in.
    pub presented: u64,
    /// Refusals that were told.
    pub refused: u64,
    /// Refusals that were not told, since there were too many.
    pub hushed: u64,
    /// Messages of sessions that were known already.
    pub known: u64,
    /// Messages of sessions for which there was no room.
    pub full: u64,
    /// How often somebody set the clock.
    pub clock_jumps: u64,
    /// Sessions that the lock has now.
    pub sessions: usize,
}
