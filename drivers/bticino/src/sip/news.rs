//! What follows from what was heard on a connection, for the house.

use super::calls::CallEnd;
use doorward_core::driver::Fault;
use std::time::Duration;

/// What follows for the house.
#[derive(Debug)]
pub enum Happening {
    /// The server knows where we are, for so long.
    Registered(Duration),
    /// It does not want to know.
    NotRegistered(Refusal),
    /// An opening has ended.
    Opened {
        /// Which one.
        ticket: u64,
        /// How.
        end: End,
    },
    /// A gate answered to a command, perhaps before the server did.
    Replied {
        /// Which gate.
        gate: String,
        /// The command's own id, as in [`End::Accepted`].
        key: String,
        /// Done, or what is against it.
        outcome: Result<(), String>,
    },
    /// Somebody rings.
    Rings {
        /// The Call-ID.
        call: String,
        /// The name of whoever rings.
        name: Option<String>,
        /// The user of its address.
        user: Option<String>,
    },
    /// A call has ended.
    RingOver {
        /// The Call-ID.
        call: String,
        /// How.
        end: CallEnd,
    },
    /// The server said something else.
    Said(Vec<u8>),
}

/// How an opening ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The server took it: exactly 200.
    Accepted {
        /// The JSON-RPC id: the command's own, by which the gate may answer later.
        key: String,
    },
    /// A final status.
    Refused(Refusal),
    /// It was too late to send it.
    Stale(Fault),
    /// It was not sent.
    NotSent,
    /// It was sent, and nobody knows.
    Unanswered {
        /// As above; none when nobody knows that either.
        key: Option<String>,
    },
}

/// Why the server said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its status.
    pub status: u16,
    /// In words.
    pub reason: String,
    /// It does not take the password.
    pub wrong_password: bool,
    /// Not before this time is over.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Whether asking again is of no use: the server does not take who we are.
    pub const fn is_for_good(&self) -> bool {
        self.wrong_password || self.status == 403
    }
}
