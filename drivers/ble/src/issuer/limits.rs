//! How often somebody may ask, and all of them together.

use crate::radio::Address;
use doorward_core::Mono;
use std::{collections::HashMap, time::Duration};

/// Addresses that are remembered. Who changes theirs all the time is held by the limit of the adapter.
const MOST_ADDRESSES: usize = 256;

/// So many requests at once, and as many again in each such span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub requests: u32,
    /// In how long.
    pub per: Duration,
}

impl Rate {
    /// So many in so long.
    pub const fn new(requests: u32, per: Duration) -> Self {
        Self { requests, per }
    }

    /// The time that one request costs.
    fn cost(self) -> Duration {
        self.per / self.requests.max(1)
    }
}

/// How often an issuer lets itself be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// One address.
    pub peer: Rate,
    /// All that ask of one adapter.
    pub adapter: Rate,
}

impl Default for Rates {
    /// Six a minute from one phone, thirty from all.
    fn default() -> Self {
        let minute = Duration::from_mins(1);
        Self { peer: Rate::new(6, minute), adapter: Rate::new(30, minute) }
    }
}

/// What was used up: for each, when it will be as if nobody had asked.
#[derive(Debug)]
pub(super) struct Limits {
    rates: Rates,
    adapter: Mono,
    peers: HashMap<Address, Mono>,
}

impl Limits {
    pub(super) fn new(rates: Rates) -> Self {
        Self { rates, adapter: Mono::default(), peers: HashMap::new() }
    }

    /// Whether this one may ask now. If not, it costs nothing: who waits gets through.
    pub(super) fn take(&mut self, address: Address, now: Mono) -> bool {
        self.peers.retain(|_, free| *free > now);
        let known = self.peers.get(&address).copied();
        // Only when all are busy is somebody new turned away: who is known is not forgotten for it.
        if known.is_none() && self.peers.len() >= MOST_ADDRESSES {
            return false;
        }
        let (peer, adapter) = (after(self.rates.peer, known.unwrap_or_default(), now), after(self.rates.adapter, self.adapter, now));
        let (Some(peer), Some(adapter)) = (peer, adapter) else { return false };
        self.adapter = adapter;
        self.peers.insert(address, peer);
        true
    }
}

/// When all is forgotten after one more; `None` when that is too much.
fn after(rate: Rate, free: Mono, now: Mono) -> Option<Mono> {
    if rate.requests == 0 {
        return None;
    }
    let free = free.max(now).plus(rate.cost());
    (free.since(now) <= rate.per).then_some(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    #[test]
    fn who_asks_too_often_waits_and_gets_through_again() {
        let mut limits = Limits::new(Rates::default());
        let (one, other) = (Address([1; 6]), Address([2; 6]));
        assert_eq!((0..10).filter(|_| limits.take(one, at(100))).count(), 6);
        assert!(limits.take(other, at(100)), "another one is not held up by that");
        assert!(!limits.take(one, at(109)));
        assert!(limits.take(one, at(110)) && !limits.take(one, at(110)));
        assert_eq!((0..10).filter(|_| limits.take(one, at(300))).count(), 6);
    }

    #[test]
    fn who_changes_its_address_is_held_by_the_limit_of_all() {
        let mut limits = Limits::new(Rates { adapter: Rate::new(400, Duration::from_mins(1)), ..Rates::default() });
        let address = |[high, low]: [u8; 2]| Address([0, 0, 0, 0, high, low]);
        let asked = (0..1000u16).filter(|number| limits.take(address(number.to_be_bytes()), at(5)));
        assert_eq!(asked.count(), MOST_ADDRESSES);
        assert!(limits.peers.len() <= MOST_ADDRESSES);
        let mut limits = Limits::new(Rates::default());
        assert_eq!((0..200).filter(|number| limits.take(Address([*number; 6]), at(5))).count(), 30);
        let mut none = Limits::new(Rates { peer: Rate::new(0, Duration::ZERO), ..Rates::default() });
        assert!(!none.take(Address([1; 6]), at(5)));
    }
}
