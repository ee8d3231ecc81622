//! What is kept, when, and who waits for it.
//!
//! Sessions are kept in 256 drawers by their nonce, so that one opening writes a few kilobytes at most, and so that every key is
//! known beforehand: a store that cannot list its keys is enough. Of each drawer one writing is under way at a time, whole, so
//! that it does not matter in which order different drawers become durable. Whoever comes meanwhile waits for the next one.

use super::Presented;
use doorward_core::Mono;
use doorward_wire::{
    Time,
    ble::{LockId, token::Nonce},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

/// After a writing that failed, what nobody waits for is tried again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// Names one writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One value that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Drawer {
    /// Commands that were done.
    Commands,
    /// Sessions, by their nonce.
    Sessions(u8),
    /// What was taken back.
    Orders,
}

/// In which drawer a session is. FNV-1a, which is the same in every version: what matters is that it stays.
pub(super) fn shard(nonce: &Nonce) -> u8 {
    let hash = nonce.as_str().bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [a, b, c, d] = hash.to_be_bytes();
    a ^ b ^ c ^ d
}

impl Drawer {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self::Sessions).chain([Self::Orders, Self::Commands])
    }

    pub(super) fn key(self, lock: &LockId) -> String {
        match self {
            Self::Sessions(shard) => format!("lock/{lock}/sessions/{shard:02x}"),
            Self::Orders => format!("lock/{lock}/orders"),
            Self::Commands => format!("lock/{lock}/commands"),
        }
    }

    pub(super) fn of(lock: &LockId, key: &str) -> Option<Self> {
        let name = key.strip_prefix("lock/")?.strip_prefix(lock.as_str())?.strip_prefix('/')?;
        match name {
            "orders" => Some(Self::Orders),
            "commands" => Some(Self::Commands),
            _ => u8::from_str_radix(name.strip_prefix("sessions/")?, 16).ok().map(Self::Sessions),
        }
    }
}

/// Somebody who is let in once it is kept.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) presented: Presented,
    pub(super) since: Mono,
    /// The last moment of a command.
    pub(super) not_after: Option<Time>,
}

#[derive(Debug, Default)]
struct State {
    under_way: Option<Ticket>,
    /// They wait for the next writing.
    waiting: Vec<Pending>,
    /// They wait for the one under way.
    riding: Vec<Pending>,
}

/// Everything that is to be kept.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    drawers: BTreeMap<Drawer, State>,
    under_way: HashMap<Ticket, Drawer>,
    next: u64,
    /// Somebody waits for these, and nothing of them is under way.
    urgent: BTreeSet<Drawer>,
    /// These are to be written some time, one after the other.
    dirty: BTreeSet<Drawer>,
    background: Option<Ticket>,
    again: Option<Mono>,
}

impl Shelf {
    /// A drawer is to be written, and nobody waits for it.
    pub(super) fn touch(&mut self, drawer: Drawer) {
        self.dirty.insert(drawer);
    }

    /// A drawer is to be written, and somebody waits for it.
    pub(super) fn wait(&mut self, drawer: Drawer, pending: Pending) {
        let state = self.drawers.entry(drawer).or_default();
        state.waiting.push(pending);
        if state.under_way.is_none() {
            self.urgent.insert(drawer);
        }
    }

    /// When something is to be tried again.
    pub(super) fn due(&self) -> Option<Mono> {
        let waits = self.background.is_none() && self.dirty.iter().any(|drawer| !self.drawers.contains_key(drawer));
        self.again.filter(|_| waits)
    }

    /// The next drawer to be written, now.
    pub(super) fn ready(&mut self, now: Mono) -> Option<(Ticket, Drawer)> {
        let urgent = self.urgent.pop_first();
        let drawer = urgent.or_else(|| self.quiet(now))?;
        self.next += 1;
        let ticket = Ticket(self.next);
        if urgent.is_none() {
            (self.background, self.again) = (Some(ticket), None);
        }
        self.dirty.remove(&drawer);
        let state = self.drawers.entry(drawer).or_default();
        state.under_way = Some(ticket);
        state.riding = std::mem::take(&mut state.waiting);
        self.under_way.insert(ticket, drawer);
        Some((ticket, drawer))
    }

    fn quiet(&self, now: Mono) -> Option<Drawer> {
        if self.background.is_some() || self.again.is_some_and(|again| now < again) {
            return None;
        }
        // What is under way has a state; there is one for each who waits, and so they are few.
        self.dirty.iter().find(|drawer| !self.drawers.contains_key(drawer)).copied()
    }

    /// A writing is over. Gives those who waited for it.
    pub(super) fn kept(&mut self, ticket: Ticket, durable: bool, now: Mono) -> Vec<Pending> {
        let Some(drawer) = self.under_way.remove(&ticket) else { return Vec::new() };
        if self.background == Some(ticket) {
            self.background = None;
        }
        if !durable {
            self.dirty.insert(drawer);
            self.again = Some(now.plus(AGAIN));
        }
        let Some(mut state) = self.drawers.remove(&drawer) else { return Vec::new() };
        let riding = std::mem::take(&mut state.riding);
        if !state.waiting.is_empty() {
            state.under_way = None;
            self.drawers.insert(drawer, state);
            self.urgent.insert(drawer);
        }
        riding
    }
}
