//! Who may try how often, before anything is opened.
//!
//! Only trials that fail cost: a phone with a key is never slowed by its own success. Each network has a budget. Where
//! nobody knows from where a request came (Tailscale Funnel, a proxy that is not named), all share one; then keys that
//! worked within a day are still tried, so that a stranger cannot lock a phone out.

use doorward_core::Mono;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Failed trials in a row from one network.
const BURST: u32 = 20;
/// After them, one in this time.
const PAUSE: Duration = Duration::from_secs(3);
/// The same where nobody knows from where they come.
const UNKNOWN_BURST: u32 = 200;
const UNKNOWN_PAUSE: Duration = Duration::from_millis(300);
/// Networks that are remembered; those beyond share one budget.
const REMEMBERED: usize = 8192;

/// What may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// Every key.
    All,
    /// Keys that worked within a day.
    Recent,
    /// None.
    Closed,
}

/// Failed trials.
#[derive(Default)]
pub struct Limits {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    networks: HashMap<[u8; 8], Budget>,
    unknown: Budget,
}

/// What was spent, and when it will have come back.
#[derive(Debug, Clone, Copy, Default)]
struct Budget {
    /// When nothing of it is spent any more.
    whole_at: Mono,
}

impl Budget {
    fn is_spent(self, burst: u32, pause: Duration, now: Mono) -> bool {
        self.whole_at.since(now) + pause > pause * burst
    }

    fn spend(&mut self, pause: Duration, now: Mono) {
        self.whole_at = self.whole_at.max(now).plus(pause);
    }
}

impl Limits {
    /// What somebody may try.
    pub fn ask(&self, source: Option<IpAddr>, now: Mono) -> Trial {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match source.map(network).map(|network| inner.networks.get(&network)) {
            Some(Some(budget)) if budget.is_spent(BURST, PAUSE, now) => Trial::Closed,
            Some(None) if inner.networks.len() >= REMEMBERED && inner.unknown.is_spent(UNKNOWN_BURST, UNKNOWN_PAUSE, now) => Trial::Recent,
            None if inner.unknown.is_spent(UNKNOWN_BURST, UNKNOWN_PAUSE, now) => Trial::Recent,
            Some(_) | None => Trial::All,
        }
    }

    /// A trial failed.
    pub fn failed(&self, source: Option<IpAddr>, now: Mono) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(network) = source.map(network) else { return inner.unknown.spend(UNKNOWN_PAUSE, now) };
        if inner.networks.len() >= REMEMBERED && !inner.networks.contains_key(&network) {
            inner.networks.retain(|_, budget| budget.whole_at > now);
        }
        if inner.networks.len() >= REMEMBERED && !inner.networks.contains_key(&network) {
            return inner.unknown.spend(UNKNOWN_PAUSE, now);
        }
        inner.networks.entry(network).or_default().spend(PAUSE, now);
    }
}

/// One subscriber: an IPv4 address, or a /64 of IPv6.
pub fn network(address: IpAddr) -> [u8; 8] {
    let mut network = [0; 8];
    match address.to_canonical() {
        IpAddr::V4(address) => network[4..].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => network.copy_from_slice(&address.octets()[..8]),
    }
    network
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    #[test]
    fn a_network_that_fails_too_often_waits_and_the_others_do_not() {
        let (limits, bad, good) = (Limits::default(), Some("192.0.2.1".parse().unwrap()), Some("192.0.2.2".parse().unwrap()));
        for _ in 0..BURST {
            assert_eq!(limits.ask(bad, at(100)), Trial::All);
            limits.failed(bad, at(100));
        }
        assert_eq!((limits.ask(bad, at(100)), limits.ask(good, at(100))), (Trial::Closed, Trial::All));
        assert_eq!((limits.ask(bad, at(102)), limits.ask(bad, at(103))), (Trial::Closed, Trial::All), "one more after a while");
    }

    #[test]
    fn one_subscriber_has_a_whole_network_of_ipv6() {
        let limits = Limits::default();
        for host in 0..BURST {
            limits.failed(Some(format!("2001:db8::{host:x}").parse().unwrap()), at(1));
        }
        assert_eq!(limits.ask(Some("2001:db8::ffff".parse().unwrap()), at(1)), Trial::Closed);
        assert_eq!(limits.ask(Some("2001:db8:0:1::1".parse().unwrap()), at(1)), Trial::All);
    }

    #[test]
    fn strangers_of_whom_nothing_is_known_slow_each_other_and_no_key_that_works() {
        let limits = Limits::default();
        for _ in 0..UNKNOWN_BURST {
            limits.failed(None, at(1));
        }
        assert_eq!(limits.ask(None, at(1)), Trial::Recent);
        assert_eq!(limits.ask(None, at(2)), Trial::All);
    }

    #[test]
    fn a_million_networks_are_not_remembered() {
        let limits = Limits::default();
        for number in 0..100_000_u32 {
            limits.failed(Some(IpAddr::from((0x0b00_0000 + number).to_be_bytes())), at(1));
        }
        assert!(limits.inner.lock().unwrap().networks.len() <= REMEMBERED);
        assert_eq!(limits.ask(Some("203.0.113.1".parse().unwrap()), at(1)), Trial::Recent, "those beyond share one budget");
    }
}
