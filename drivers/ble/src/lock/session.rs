//! One session, and which of its tokens opened.

use crate::radio::Address;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_core::Mono;
use doorward_wire::{
    Time,
    ble::{
        order::Refusal,
        session::Session,
        token::{Nonce, SessionKey, SlotLength, Token, Tokens, slot_at},
        v2::{LockSession, Ways},
    },
};

/// Slots that are remembered one by one. A session opens at most twice a minute, so these are those of a quarter of an hour.
const MOST_USED: usize = 32;

/// A session, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) key: SessionKey,
    pub(super) nonce: Nonce,
    /// Seconds since 1970.
    pub(super) expiry: u64,
    pub(super) clock_offset: i64,
    pub(super) slot: SlotLength,
    pub(super) ways: Ways,
    pub(super) phone: Option<Address>,
    pub(super) fingerprint: Option<[u8; 10]>,
    pub(super) used: Used,
}

impl Facts {
    pub(super) fn of_v1(session: Session, slot: SlotLength) -> Self {
        Self {
            key: session.key,
            nonce: session.nonce,
            expiry: session.expiry,
            clock_offset: session.clock_offset.unwrap_or(0),
            slot,
            ways: Ways::TOKEN,
            phone: session.phone_mac.map(Address::from),
            fingerprint: None,
            used: Used::default(),
        }
    }

    pub(super) fn of_v2(session: &LockSession) -> Self {
        let given = &session.given;
        Self {
            key: given.key.clone(),
            nonce: given.nonce(),
            expiry: given.expiry,
            clock_offset: given.clock_offset.into(),
            slot: given.slot,
            ways: given.ways,
            phone: None,
            fingerprint: Some(session.fingerprint),
            used: Used::default(),
        }
    }

    /// What the guest's key is called.
    pub(super) fn client(&self) -> Option<String> {
        self.fingerprint.map(|fingerprint| URL_SAFE_NO_PAD.encode(fingerprint))
    }

    /// Whether it is over, at the very second.
    pub(super) fn is_over(&self, now: Time) -> bool {
        u64::try_from(now.as_micros()).unwrap_or(0) >= self.expiry.saturating_mul(1_000_000)
    }

    /// The slot in which its guest is.
    pub(super) fn slot_at(&self, now: Time) -> Option<u64> {
        slot_at(now, self.clock_offset, self.slot)
    }
}

/// The slots whose tokens opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Used {
    /// Every slot up to this one counts as used.
    pub(super) floor: Option<u64>,
    /// In order.
    pub(super) slots: Vec<u64>,
}

impl Used {
    pub(super) fn has(&self, slot: u64) -> bool {
        self.floor.is_some_and(|floor| slot <= floor) || self.slots.binary_search(&slot).is_ok()
    }

    /// Gives a slot that is not remembered by itself any more.
    pub(super) fn insert(&mut self, slot: u64) -> Option<u64> {
        if self.has(slot) {
            return None;
        }
        let at = self.slots.partition_point(|own| *own < slot);
        self.slots.insert(at, slot);
        if self.slots.len() <= MOST_USED {
            return None;
        }
        self.floor = Some(self.slots.remove(0));
        self.floor
    }

    pub(super) fn is_empty(&self) -> bool {
        self.floor.is_none() && self.slots.is_empty()
    }
}

/// A session, as it runs.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) facts: Facts,
    pub(super) tokens: Tokens,
    /// What of it is in the table and not used, by slot.
    pub(super) expected: [Option<(u64, Token)>; 3],
    /// Tells it from others that had its place before.
    pub(super) generation: u32,
    /// When a good token of it was heard last.
    pub(super) seen: Option<Mono>,
    /// It was let in since it came.
    pub(super) opened: bool,
    told: u32,
}

impl Live {
    pub(super) fn new(facts: Facts, generation: u32) -> Self {
        let tokens = Tokens::new(&facts.key, facts.nonce.as_str());
        Self { facts, tokens, expected: [None; 3], generation, seen: None, opened: false, told: 0 }
    }

    /// A good token was heard: whether its guest comes anew, after so long.
    pub(super) fn see(&mut self, now: Mono, approach: std::time::Duration) {
        if self.seen.is_none_or(|seen| now.since(seen) >= approach) {
            self.opened = false;
            self.told = 0;
        }
        self.seen = Some(now);
    }

    /// Whether this is to be told: once for each time that the guest comes.
    pub(super) fn tell(&mut self, reason: Refusal) -> bool {
        let bit = 1 << reason as u32;
        let first = self.told & bit == 0;
        self.told |= bit;
        first
    }
}
