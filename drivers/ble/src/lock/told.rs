//! What was told of strangers, and how much more may be: they can show as many tokens as they like.

use doorward_core::Mono;
use doorward_wire::ble::{order::Refusal, token::Token};
use std::{collections::HashMap, time::Duration};

/// Refusals that may be told at once.
const BURST: u32 = 10;
/// After so long, one more.
const REFILL: Duration = Duration::from_secs(5);
/// For how long it is known that a token was told: longer than any is shown.
const KNOWN: Duration = Duration::from_mins(5);

/// Whether a refusal of a token of nobody is told.
pub(super) enum Stranger {
    /// It is.
    Tell,
    /// It was.
    Known,
    /// Too many were.
    TooMany,
}

/// Who may be told of.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// It has at most what the bucket lets through in [`KNOWN`].
    tokens: HashMap<(Token, Refusal), Mono>,
    air: Bucket,
    messages: Bucket,
    gestures: Bucket,
}

impl Told {
    pub(super) fn stranger(&mut self, token: &Token, reason: Refusal, now: Mono) -> Stranger {
        if self.tokens.contains_key(&(*token, reason)) {
            return Stranger::Known;
        }
        if !self.air.take(now) {
            return Stranger::TooMany;
        }
        self.tokens.insert((*token, reason), now);
        Stranger::Tell
    }

    /// Whether a message that is refused may be told.
    pub(super) fn message(&mut self, now: Mono) -> bool {
        self.messages.take(now)
    }

    /// Whether a write that is refused may be told.
    pub(super) fn gesture(&mut self, now: Mono) -> bool {
        self.gestures.take(now)
    }

    pub(super) fn tidy(&mut self, now: Mono) {
        self.tokens.retain(|_, since| now.since(*since) < KNOWN);
    }
}

#[derive(Debug)]
struct Bucket {
    left: u32,
    since: Mono,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { left: BURST, since: Mono::default() }
    }
}

impl Bucket {
    fn take(&mut self, now: Mono) -> bool {
        let more = now.since(self.since).as_secs() / REFILL.as_secs();
        if more > 0 {
            self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(BURST)).min(BURST);
            self.since = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}
