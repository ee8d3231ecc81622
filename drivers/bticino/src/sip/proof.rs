//! Proving who asks: the server's newest challenge, answered ahead of time.

use super::message::Message;
use crate::digest::{Challenge, Credentials};
use doorward_core::Secret;

/// Who wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    /// The server itself: 401.
    Server,
    /// A proxy on the way: 407.
    Proxy,
}

impl Asker {
    const fn challenge(self) -> &'static str {
        match self {
            Self::Server => "WWW-Authenticate",
            Self::Proxy => "Proxy-Authenticate",
        }
    }

    const fn answer(self) -> &'static str {
        match self {
            Self::Server => "Authorization",
            Self::Proxy => "Proxy-Authorization",
        }
    }
}

/// The newest challenge of one connection.
#[derive(Debug, Default)]
pub(super) struct Proof(Option<Newest>);

#[derive(Debug)]
struct Newest {
    asker: Asker,
    challenge: Challenge,
    /// How often it was answered.
    count: u32,
}

/// What a challenge asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// Another answer.
    Answer {
        /// The one before was right, and its nonce too old.
        stale: bool,
    },
    /// What nobody here can do.
    Unknown,
}

/// Whether a status is a challenge.
pub(super) const fn is_challenge(status: u16) -> bool {
    matches!(status, 401 | 407)
}

impl Proof {
    /// Takes the challenge of a 401 or 407.
    pub(super) fn challenged(&mut self, status: u16, response: &Message) -> Wants {
        let asker = if status == 401 { Asker::Server } else { Asker::Proxy };
        let Some(challenge) = response.all(asker.challenge()).find_map(Challenge::read) else { return Wants::Unknown };
        let stale = challenge.stale;
        self.0 = Some(Newest { asker, challenge, count: 0 });
        Wants::Answer { stale }
    }

    /// The field that answers it, if there was one.
    pub(super) fn answer(&mut self, who: &Credentials, method: &str, uri: &str, cnonce: &str) -> Option<(&'static str, Secret<String>)> {
        let newest = self.0.as_mut()?;
        newest.count = newest.count.saturating_add(1);
        Some((newest.asker.answer(), newest.challenge.answer(who, method, uri, newest.count, cnonce)))
    }
}
