//! Why an action failed, for a person, for the log and for the house.

use super::KeepError;
use doorward_wire::attempt::Reason;
use std::time::Duration;

/// Why an action failed: five families, a verdict each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{log}")]
pub struct Fault {
    /// The family, which says what the house does about it.
    pub family: Family,
    /// What a person can do.
    pub person: String,
    /// What the log needs.
    pub log: String,
    /// A more exact reason than the family's.
    pub reason: Option<Reason>,
    /// The vendor's HTTP status, for compatible APIs.
    pub status: Option<u16>,
    /// Not before this time is over.
    pub retry_after: Option<Duration>,
    /// Of what was sent and not answered: by which the device names it when it answers later by itself, as
    /// [`Done::key`](super::Done::key).
    pub key: Option<String>,
}

/// The verdict on a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// The refresh itself was refused: stop, ask a person once.
    Auth,
    /// Nothing was sent: retry with backoff, never an open.
    Offline,
    /// The vendor or door said no: tell, do not retry.
    Refused,
    /// The answer was not understood: tell, keep the bytes in the log.
    Protocol,
    /// Something was sent and nobody knows what came of it.
    Timeout,
}

impl Fault {
    fn new(family: Family, person: impl Into<String>, log: impl Into<String>) -> Self {
        Self { family, person: person.into(), log: log.into(), reason: None, status: None, retry_after: None, key: None }
    }

    /// The refresh itself was refused.
    pub fn auth(person: impl Into<String>, log: impl Into<String>) -> Self {
        Self::new(Family::Auth, person, log)
    }

    /// Nothing was sent.
    pub fn offline(person: impl Into<String>, log: impl Into<String>) -> Self {
        Self::new(Family::Offline, person, log)
    }

    /// The vendor or door said no.
    pub fn refused(person: impl Into<String>, log: impl Into<String>) -> Self {
        Self::new(Family::Refused, person, log)
    }

    /// The answer was not understood.
    pub fn protocol(person: impl Into<String>, log: impl Into<String>) -> Self {
        Self::new(Family::Protocol, person, log)
    }

    /// Something was sent and nobody knows what came of it.
    pub fn timeout(person: impl Into<String>, log: impl Into<String>) -> Self {
        Self::new(Family::Timeout, person, log)
    }

    /// The same fault with a more exact reason.
    #[must_use]
    pub const fn because(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// The same fault with the vendor's HTTP status.
    #[must_use]
    pub const fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The same fault, not to be tried again before this time is over.
    #[must_use]
    pub const fn retry_after(mut self, span: Duration) -> Self {
        self.retry_after = Some(span);
        self
    }
}

impl From<KeepError> for Fault {
    /// What cannot be kept must not be used: nothing was sent.
    fn from(error: KeepError) -> Self {
        Self::offline("doorward could not write to its store. Look at the disk and the database.", error.to_string())
            .because(Reason::AuditUnavailable)
    }
}
