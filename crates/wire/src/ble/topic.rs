//! Where sessions, orders and reports travel: `locks/<lock id>/…`.

use super::{LockId, token::Nonce};
use alloc::{borrow::ToOwned as _, format, string::String};
use core::fmt;

/// A topic of a lock.
///
/// ```
/// use doorward_wire::ble::topic::LockTopic;
///
/// let topic = LockTopic::of("locks/lock_01/sessions/AAECAwQFBgc=").unwrap();
/// assert!(matches!(&topic, LockTopic::Sessions(lock, nonce) if lock.as_str() == "lock_01" && nonce.as_str() == "AAECAwQFBgc="));
/// assert_eq!(topic.to_string(), "locks/lock_01/sessions/AAECAwQFBgc=");
/// assert_eq!(LockTopic::of("locks/+/session"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockTopic {
    /// A session for a lock of the original system. Not retained.
    Session(LockId),
    /// A session for one of doorward's own locks. Retained until it is over.
    Sessions(LockId, TopicNonce),
    /// The sessions that are taken back. Retained, signed.
    Revoked(LockId),
    /// Do something. Signed.
    Command(LockId),
    /// The lock is back.
    Hello(LockId),
    /// The lock reports.
    Event(LockId),
}

/// A nonce that can stand in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicNonce(Nonce);

impl TopicNonce {
    /// `None` when the nonce has a separator or a wildcard of topics, which that of an issuer never has.
    pub fn new(nonce: Nonce) -> Option<Self> {
        nonce.is_level().then_some(Self(nonce))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl LockTopic {
    /// What travels at a topic. `None` when that is no topic of a lock.
    pub fn of(topic: &str) -> Option<Self> {
        let (lock, rest) = topic.strip_prefix("locks/")?.split_once('/')?;
        let lock: LockId = lock.parse().ok()?;
        Some(match rest {
            "session" => Self::Session(lock),
            "revoked" => Self::Revoked(lock),
            "command" => Self::Command(lock),
            "hello" => Self::Hello(lock),
            "event" => Self::Event(lock),
            _ => Self::Sessions(lock, TopicNonce::new(rest.strip_prefix("sessions/")?.parse().ok()?)?),
        })
    }

    /// The lock whose topic it is.
    pub const fn lock(&self) -> &LockId {
        match self {
            Self::Session(lock)
            | Self::Sessions(lock, _)
            | Self::Revoked(lock)
            | Self::Command(lock)
            | Self::Hello(lock)
            | Self::Event(lock) => lock,
        }
    }

    /// Every session of one lock, as a filter.
    pub fn every_session(lock: &LockId) -> String {
        format!("locks/{lock}/sessions/+")
    }

    /// What all locks report, as filters.
    pub fn every_report() -> [String; 2] {
        ["locks/+/hello".to_owned(), "locks/+/event".to_owned()]
    }
}

impl fmt::Display for LockTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lock = self.lock();
        match self {
            Self::Session(_) => write!(f, "locks/{lock}/session"),
            Self::Sessions(_, nonce) => write!(f, "locks/{lock}/sessions/{}", nonce.as_str()),
            Self::Revoked(_) => write!(f, "locks/{lock}/revoked"),
            Self::Command(_) => write!(f, "locks/{lock}/command"),
            Self::Hello(_) => write!(f, "locks/{lock}/hello"),
            Self::Event(_) => write!(f, "locks/{lock}/event"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    #[test]
    fn topics_are_read_as_they_are_written() {
        for last in ["session", "sessions/n-_=", "revoked", "command", "hello", "event"] {
            let topic = format!("locks/lock.01/{last}");
            let read = LockTopic::of(&topic).unwrap();
            assert_eq!((read.to_string(), read.lock().as_str()), (topic, "lock.01"));
        }
        let others = ["locks", "locks//session", "locks/a", "locks/a/", "locks/a/sessions", "locks/a/sessions/", "locks/a/sessions/b/c"];
        for other in
            others.into_iter().chain(["locks/a/sessions/+", "locks/a/sessions/#", "locks/#", "locks/a/session/b", "lock/a/session"])
        {
            assert_eq!(LockTopic::of(other), None, "{other}");
        }
        assert_eq!(TopicNonce::new("a+b".parse().unwrap()), None);
        assert_eq!(LockTopic::every_session(&"a".parse().unwrap()), "locks/a/sessions/+");
    }

    proptest! {
        #[test]
        fn any_topic_that_is_read_is_written_the_same(topic in "locks/[a-z+#/]{0,6}/(session|sessions|event|hello)/?.{0,6}") {
            if let Some(read) = LockTopic::of(&topic) {
                prop_assert_eq!(read.to_string(), topic);
            }
        }
    }
}
