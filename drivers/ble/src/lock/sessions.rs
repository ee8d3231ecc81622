//! The sessions of a lock, and the one table of their tokens.

use super::{
    session::{Facts, Live},
    shelf::{Drawer, shard},
};
use doorward_core::{Mono, Now};
use doorward_wire::{
    Time,
    ble::token::{Nonce, Token},
};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    time::Duration,
};

/// Sessions of one lock, unless it is set otherwise.
pub const MOST_SESSIONS: usize = 20_000;
/// Sessions whose tokens one tick computes: a fraction of a millisecond.
pub const ROLL: usize = 128;
/// For how long a session that is over is known, so that its guest can be told.
const GRACE: Duration = Duration::from_mins(1);
/// For how long a session that opened does not come back after it was forgotten, though somebody sets the clock back.
const OVER_FOR: Duration = Duration::from_hours(24);
/// How many of those are remembered.
const MOST_OVER: usize = 20_000;

/// Where a token leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) session: u32,
    generation: u32,
    pub(super) slot: u64,
    /// That it came again after its time was told.
    pub(super) told: bool,
}

/// Every session, by place, nonce and token.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    places: Vec<Option<Live>>,
    free: Vec<u32>,
    generation: u32,
    by_nonce: HashMap<Nonce, u32>,
    /// Its hash has a key of this process: nobody outside can make tokens that collide. Tokens compare in constant time.
    by_token: HashMap<Token, Place>,
    by_shard: HashMap<u8, HashSet<u32>>,
    /// When each session is to be computed next, by the wall clock.
    due: BinaryHeap<Reverse<(i64, u32, u32)>>,
    /// Sessions that opened and were forgotten, and when.
    over: HashMap<Nonce, Mono>,
}

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.by_nonce.len()
    }

    pub(super) fn by_nonce(&mut self, nonce: &Nonce) -> Option<&mut Live> {
        let at = *self.by_nonce.get(nonce)?;
        self.at(at)
    }

    /// The session at a place that [`find`](Self::find) gave.
    pub(super) fn at(&mut self, place: u32) -> Option<&mut Live> {
        self.places.get_mut(place as usize)?.as_mut()
    }

    pub(super) fn find(&self, token: &Token) -> Option<Place> {
        self.by_token.get(token).copied()
    }

    /// Whether a replay of this token was told before; from now on it was.
    pub(super) fn told(&mut self, token: &Token) -> bool {
        self.by_token.get_mut(token).is_none_or(|place| std::mem::replace(&mut place.told, true))
    }

    pub(super) fn of_shard(&self, shard: u8) -> impl Iterator<Item = &Facts> {
        let own = self.by_shard.get(&shard).into_iter().flatten();
        own.filter_map(|at| Some(&self.places.get(*at as usize)?.as_ref()?.facts))
    }

    /// Takes a session, which must not be there.
    pub(super) fn insert(&mut self, facts: Facts, clock_known: bool, now: Now) {
        let at = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        self.generation = self.generation.wrapping_add(1);
        self.by_nonce.insert(facts.nonce.clone(), at);
        self.by_shard.entry(shard(&facts.nonce)).or_default().insert(at);
        let live = Live::new(facts, self.generation);
        for slot in live.facts.used.slots.clone() {
            let place = Place { session: at, generation: self.generation, slot, told: false };
            self.by_token.insert(live.tokens.at(slot), place);
        }
        if let Some(place) = self.places.get_mut(at as usize) {
            *place = Some(live);
        }
        self.due.push(Reverse((i64::MIN, at, self.generation)));
        if clock_known {
            self.compute(at, now.utc);
        }
    }

    /// Takes sessions of the last run.
    pub(super) fn restore(&mut self, all: Vec<Facts>, clock_known: bool, now: Now) {
        for facts in all {
            let opened = !facts.used.is_empty();
            let nonce = facts.nonce.clone();
            let is_over = clock_known && facts.is_over(now.utc);
            if is_over || self.by_nonce.contains_key(&nonce) {
                continue;
            }
            self.insert(facts, clock_known, now);
            if let Some(live) = self.by_nonce(&nonce).filter(|_| opened) {
                (live.seen, live.opened) = (Some(now.mono), true);
            }
        }
    }

    /// A token opened: it stays in the table as used.
    pub(super) fn accepted(&mut self, place: Place) {
        let Some(live) = self.at(place.session) else { return };
        live.expected.iter_mut().filter(|own| own.is_some_and(|(slot, _)| slot == place.slot)).for_each(|own| *own = None);
        let forgotten = live.facts.used.insert(place.slot).map(|slot| live.tokens.at(slot));
        if let Some(token) = forgotten {
            self.by_token.remove(&token);
        }
    }

    /// Time is another than it was: every session is to be computed anew.
    pub(super) fn recompute(&mut self) {
        let places = self.places.iter().zip(0..).filter_map(|(live, at)| Some((live.as_ref()?.generation, at)));
        self.due = places.map(|(generation, at)| Reverse((i64::MIN, at, generation))).collect();
    }

    /// When a session is to be computed next.
    pub(super) fn due(&self) -> Option<Time> {
        self.due.peek().map(|Reverse((due, ..))| Time::from_micros(*due))
    }

    /// Whether a session was forgotten that opened.
    pub(super) fn is_over(&self, nonce: &Nonce) -> bool {
        self.over.contains_key(nonce)
    }

    pub(super) fn tidy(&mut self, now: Mono) {
        self.over.retain(|_, since| now.since(*since) < OVER_FOR);
    }

    /// Computes those that are due, so many at most, and removes those that are long over. Gives the drawers that lost one.
    pub(super) fn roll(&mut self, most: usize, time: Now) -> Vec<Drawer> {
        let now = time.utc;
        let mut lost = Vec::new();
        for _ in 0..most {
            let Some(Reverse((due, at, generation))) = self.due.peek().copied() else { break };
            if due > now.as_micros() {
                break;
            }
            self.due.pop();
            let Some(live) = self.at(at).filter(|live| live.generation == generation) else { continue };
            if live.facts.is_over(now.minus(GRACE)) {
                lost.push(Drawer::Sessions(shard(&live.facts.nonce)));
                self.remove(at, time.mono);
            } else {
                let next = self.compute(at, now);
                self.due.push(Reverse((next, at, generation)));
            }
        }
        lost
    }

    /// Puts the tokens of the slots around now into the table. Gives when it is to be done again.
    fn compute(&mut self, at: u32, now: Time) -> i64 {
        let Some(live) = self.places.get_mut(at as usize).and_then(Option::as_mut) else { return i64::MAX };
        // Before 1970 there are no slots.
        let Some(slot) = live.facts.slot_at(now) else { return now.as_micros().saturating_add(1_000_000) };
        let wanted = slot.saturating_sub(1)..=slot.saturating_add(1);
        for own in &mut live.expected {
            if let Some((_, token)) = own.take_if(|(slot, _)| !wanted.contains(slot)) {
                self.by_token.remove(&token);
            }
        }
        for slot in wanted {
            let known = live.expected.iter().flatten().any(|(own, _)| *own == slot) || live.facts.used.has(slot);
            let Some(free) = live.expected.iter_mut().find(|own| own.is_none()).filter(|_| !known) else { continue };
            let token = live.tokens.at(slot);
            self.by_token.insert(token, Place { session: at, generation: live.generation, slot, told: false });
            *free = Some((slot, token));
        }
        // The slot after this one is there already, so this is early by a whole slot.
        let length = i64::from(live.facts.slot.seconds()) * 1_000_000;
        let end = i64::try_from(slot.saturating_add(1)).unwrap_or(i64::MAX).saturating_mul(length);
        end.saturating_sub(live.facts.clock_offset.saturating_mul(1_000_000)).max(now.as_micros().saturating_add(1))
    }

    fn remove(&mut self, at: u32, now: Mono) {
        let Some(live) = self.places.get_mut(at as usize).and_then(Option::take) else { return };
        if !live.facts.used.is_empty() && self.over.len() < MOST_OVER {
            self.over.insert(live.facts.nonce.clone(), now);
        }
        self.by_nonce.remove(&live.facts.nonce);
        if let Some(own) = self.by_shard.get_mut(&shard(&live.facts.nonce)) {
            own.remove(&at);
        }
        for (_, token) in live.expected.iter().flatten() {
            self.by_token.remove(token);
        }
        for slot in &live.facts.used.slots {
            self.by_token.remove(&live.tokens.at(*slot));
        }
        self.free.push(at);
    }
}
