//! How sessions reach locks, and when again: what is to be published, and nothing of how.
//!
//! doorward's own locks find everything retained: `locks/<id>/sessions/<nonce>` until the session is over, and the list of those
//! that were taken back. Locks of the original system hear `locks/<id>/session` only while they listen, so it is said again: when
//! they are back, or else every minute while the session lives.
//!
//! Whoever has a [`Deliveries`] keeps what is in it ([`live`](Deliveries::live), [`lists`](Deliveries::lists)) before it publishes
//! what comes out, and gives it back after a restart.

use crate::clock::seconds;
use doorward_core::{Mono, Now, driver::Message};
use doorward_wire::ble::{
    LockId,
    order::{MOST_REVOKED, Revoked, RevokedSession},
    sign::{Sign, SignError},
    token::Nonce,
    topic::{LockTopic, TopicNonce},
};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// Sessions that live at the same time.
pub const MOST_LIVE: usize = 10_000;
/// Of them at one lock.
pub const MOST_AT_LOCK: usize = 1000;
/// How often a lock of the original system is told again.
pub const AGAIN: Duration = Duration::from_mins(1);
/// A lock that is back more often than this is told once.
const HELLO: Duration = Duration::from_secs(5);
/// Locks whose hello is remembered.
const MOST_LOCKS: usize = 1000;

/// A session on its way to a lock. The key in the message is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The lock.
    pub lock: LockId,
    /// Whether it is one of doorward's own.
    pub own: bool,
    /// What names the session.
    pub nonce: Nonce,
    /// When it is over, in seconds since 1970.
    pub expiry: u64,
    /// The message, of version 1 or 2.
    pub message: Vec<u8>,
}

/// Why something does not get to a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PaceError {
    /// So many are not meant to be.
    #[error("{MOST_LIVE} sessions live, or {MOST_AT_LOCK} at this lock")]
    Full,
    /// Its nonce cannot stand in a topic.
    #[error("the nonce of the session cannot stand in a topic")]
    Nonce,
    /// Locks of the original system take nothing back: the session is good until it expires.
    #[error("a lock of the original system takes no session back: it is good until it expires")]
    Original,
    /// The list could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// What is published of sessions, and when.
#[derive(Debug, Default)]
pub struct Deliveries {
    live: BTreeMap<(LockId, Nonce), Live>,
    lists: BTreeMap<LockId, Revoked>,
    hellos: HashMap<LockId, Mono>,
}

#[derive(Debug)]
struct Live {
    delivery: Delivery,
    again: Option<Mono>,
}

impl Deliveries {
    /// What was kept of the last run. It is published by [`connected`](Self::connected).
    pub fn restore(live: impl IntoIterator<Item = Delivery>, lists: impl IntoIterator<Item = (LockId, Revoked)>, now: Now) -> Self {
        let mut deliveries = Self { lists: lists.into_iter().collect(), ..Self::default() };
        for delivery in live {
            // What does not fit was not taken in the last run either.
            let _ = deliveries.issue(delivery, now);
        }
        deliveries
    }

    /// A session for a lock, at once.
    pub fn issue(&mut self, delivery: Delivery, now: Now) -> Result<Message, PaceError> {
        let key = (delivery.lock.clone(), delivery.nonce.clone());
        let at_lock = self.live.keys().filter(|(lock, _)| *lock == delivery.lock).count();
        if !self.live.contains_key(&key) && (self.live.len() >= MOST_LIVE || at_lock >= MOST_AT_LOCK) {
            return Err(PaceError::Full);
        }
        let message = publish(&delivery).ok_or(PaceError::Nonce)?;
        let again = (!delivery.own).then(|| now.mono.plus(AGAIN));
        self.live.insert(key, Live { delivery, again });
        Ok(message)
    }

    /// Nobody gets this session after all, and nothing of it is to be published again.
    pub fn withdraw(&mut self, lock: &LockId, nonce: &Nonce) {
        self.live.remove(&(lock.clone(), nonce.clone()));
    }

    /// A lock is back. doorward's own find what they need by themselves.
    pub fn hello(&mut self, lock: &LockId, now: Now) -> Vec<Message> {
        if self.hellos.len() >= MOST_LOCKS {
            self.hellos.retain(|_, since| now.mono.since(*since) < HELLO);
        }
        let early = self.hellos.get(lock).is_some_and(|since| now.mono.since(*since) < HELLO);
        if early || self.hellos.len() >= MOST_LOCKS {
            return Vec::new();
        }
        self.hellos.insert(lock.clone(), now.mono);
        let of_lock = self.live.values_mut().filter(|live| live.delivery.lock == *lock && live.again.is_some());
        of_lock.filter_map(|live| live.say_again(now)).collect()
    }

    /// The broker is there again, and may have forgotten everything.
    pub fn connected(&mut self, now: Now, key: &impl Sign) -> Result<Vec<Message>, SignError> {
        let mut messages = Vec::new();
        for (lock, list) in &self.lists {
            messages.push(revoked(lock, list, key)?);
        }
        messages.extend(self.again(now));
        Ok(messages)
    }

    /// The same for an issuer that takes nothing back.
    pub fn again(&mut self, now: Now) -> Vec<Message> {
        self.live.values_mut().filter_map(|live| live.say_again(now)).collect()
    }

    /// Takes a session or pass back: what a lock is told until `expiry`.
    ///
    /// The number of the list rises with each, and with the clock: one that was lost with its disk does not begin below what locks
    /// know.
    pub fn revoke(&mut self, lock: &LockId, nonce: &Nonce, expiry: u64, key: &impl Sign, now: Now) -> Result<Vec<Message>, PaceError> {
        let session = (lock.clone(), nonce.clone());
        let was = self.live.remove(&session);
        if was.as_ref().is_some_and(|live| !live.delivery.own) {
            return Err(PaceError::Original);
        }
        let list = self.lists.entry(lock.clone()).or_insert_with(|| Revoked { seq: 0, revoked: Vec::new(), epoch: None });
        let second = seconds(now.utc);
        list.revoked.retain(|revoked| revoked.expiry > second && revoked.nonce != *nonce);
        if list.revoked.len() >= MOST_REVOKED {
            return Err(PaceError::Full);
        }
        list.revoked.push(RevokedSession { nonce: nonce.clone(), expiry });
        list.seq = next(list.seq, now);
        let mut messages = vec![revoked(lock, list, key)?];
        messages.extend(was.and_then(|live| end(&live.delivery)));
        Ok(messages)
    }

    /// Passes of a lower epoch are over at this lock.
    pub fn epoch(&mut self, lock: &LockId, epoch: u32, key: &impl Sign, now: Now) -> Result<Message, SignError> {
        let list = self.lists.entry(lock.clone()).or_insert_with(|| Revoked { seq: 0, revoked: Vec::new(), epoch: None });
        list.epoch = list.epoch.max(Some(epoch));
        list.seq = next(list.seq, now);
        revoked(lock, list, key)
    }

    /// What is due: sessions are over, or said again.
    pub fn tick(&mut self, now: Now) -> Vec<Message> {
        let (second, mut messages) = (seconds(now.utc), Vec::new());
        self.live.retain(|_, live| {
            let is_over = live.delivery.expiry <= second;
            if is_over {
                messages.extend(end(&live.delivery));
            }
            !is_over
        });
        let due = self.live.values_mut().filter(|live| live.again.is_some_and(|again| again <= now.mono));
        messages.extend(due.filter_map(|live| live.say_again(now)));
        messages
    }

    /// When a tick is due. A wall clock that is moved makes it later or earlier: tick once a minute at least.
    pub fn due(&self, now: Now) -> Option<Mono> {
        let over = |live: &Live| now.mono.plus(Duration::from_secs(live.delivery.expiry.saturating_sub(seconds(now.utc))));
        self.live.values().map(|live| live.again.map_or(over(live), |again| again.min(over(live)))).min()
    }

    /// The sessions that live, to be kept.
    pub fn live(&self) -> impl Iterator<Item = &Delivery> {
        self.live.values().map(|live| &live.delivery)
    }

    /// What was taken back, to be kept.
    pub fn lists(&self) -> impl Iterator<Item = (&LockId, &Revoked)> {
        self.lists.iter()
    }
}

impl Live {
    fn say_again(&mut self, now: Now) -> Option<Message> {
        if let Some(again) = &mut self.again {
            *again = now.mono.plus(AGAIN);
        }
        (self.delivery.expiry > seconds(now.utc)).then(|| publish(&self.delivery)).flatten()
    }
}

fn next(seq: u64, now: Now) -> u64 {
    seq.saturating_add(1).max(seconds(now.utc))
}

fn publish(delivery: &Delivery) -> Option<Message> {
    let topic = topic(delivery)?;
    Some(Message { topic, payload: delivery.message.clone(), retain: delivery.own, fresh_for: None })
}

/// Ends what is retained.
fn end(delivery: &Delivery) -> Option<Message> {
    let topic = topic(delivery).filter(|_| delivery.own)?;
    Some(Message { topic, payload: Vec::new(), retain: true, fresh_for: None })
}

fn topic(delivery: &Delivery) -> Option<String> {
    let lock = delivery.lock.clone();
    let topic = if delivery.own { LockTopic::Sessions(lock, TopicNonce::new(delivery.nonce.clone())?) } else { LockTopic::Session(lock) };
    Some(topic.to_string())
}

fn revoked(lock: &LockId, list: &Revoked, key: &impl Sign) -> Result<Message, SignError> {
    let payload = list.issue(lock, key)?.into_bytes();
    Ok(Message { topic: LockTopic::Revoked(lock.clone()).to_string(), payload, retain: true, fresh_for: None })
}
