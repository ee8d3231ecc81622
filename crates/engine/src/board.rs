//! What everybody may look at: doors, accounts, rings and recent attempts as they stand now.

use doorward_core::keeper::{Notice, Standing};
use doorward_wire::{
    Time,
    account::AccountId,
    attempt::{Attempt, AttemptId},
    door::{Door, DoorId},
    ring::{Ring, RingId},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{PoisonError, RwLock},
};

/// Attempts that are remembered for those who ask again; older ones are in the store.
const ATTEMPTS: usize = 256;

/// Rings that are over and remembered all the same: whoever asks for one need not wait until it is written.
const RINGS: usize = 64;

/// The latest of everything, without asking the run loop.
#[derive(Debug, Default)]
pub struct Board {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    doors: BTreeMap<DoorId, Door>,
    standings: BTreeMap<AccountId, Standing>,
    attempts: BTreeMap<AttemptId, Attempt>,
    order: VecDeque<AttemptId>,
    rings: BTreeMap<RingId, Ring>,
    /// Rings that are over, in the order in which they ended.
    over: VecDeque<RingId>,
    raw: BTreeMap<(AccountId, String), Raw>,
}

/// The vendor's own JSON about a door, as it last came by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Raw {
    /// What the vendor wrote.
    pub value: Value,
    /// When it came.
    pub at: Time,
}

impl Board {
    /// Every door, by name.
    pub fn doors(&self) -> Vec<Door> {
        let mut doors: Vec<Door> = self.read().doors.values().cloned().collect();
        doors.sort_by(|a, b| a.name.to_lowercase().cmp(&b.name.to_lowercase()).then_with(|| a.id.cmp(&b.id)));
        doors
    }

    /// One door.
    pub fn door(&self, id: &DoorId) -> Option<Door> {
        self.read().doors.get(id).cloned()
    }

    /// A door by its id, or by a name that only one door has.
    pub fn find(&self, text: &str) -> Option<Door> {
        let inner = self.read();
        if let Ok(id) = text.parse::<DoorId>()
            && let Some(door) = inner.doors.get(&id)
        {
            return Some(door.clone());
        }
        let mut named = inner.doors.values().filter(|door| door.name.eq_ignore_ascii_case(text));
        named.next().filter(|_| named.next().is_none()).cloned()
    }

    /// The door of an account that the vendor knows by this identifier.
    pub fn door_by_external(&self, account: Option<&AccountId>, external: &str) -> Option<Door> {
        let inner = self.read();
        inner
            .doors
            .values()
            .find(|door| {
                door.external.as_deref() == Some(external)
                    && account.is_none_or(|account| door.account.as_deref() == Some(account.as_str()))
            })
            .cloned()
    }

    /// The vendor's own JSON about a door, of the last poll or push.
    pub fn raw(&self, account: &AccountId, external: &str) -> Option<Raw> {
        self.read().raw.get(&(account.clone(), external.to_owned())).cloned()
    }

    /// How an account stands.
    pub fn standing(&self, id: &AccountId) -> Option<Standing> {
        self.read().standings.get(id).cloned()
    }

    /// How all accounts stand.
    pub fn standings(&self) -> Vec<Standing> {
        self.read().standings.values().cloned().collect()
    }

    /// A recent attempt.
    pub fn attempt(&self, id: AttemptId) -> Option<Attempt> {
        self.read().attempts.get(&id).cloned()
    }

    /// What rings now, the newest first.
    pub fn ringing(&self) -> Vec<Ring> {
        let mut rings: Vec<Ring> = self.read().rings.values().filter(|ring| !ring.state.is_final()).cloned().collect();
        rings.sort_by_key(|ring| std::cmp::Reverse(ring.since));
        rings
    }

    /// What rings now at a door; the newest, if several do.
    pub fn ringing_at(&self, door: &DoorId) -> Option<Ring> {
        let inner = self.read();
        inner.rings.values().filter(|ring| ring.door == *door && !ring.state.is_final()).max_by_key(|ring| ring.since).cloned()
    }

    /// A ring that rings, or is just over.
    pub fn ring(&self, id: RingId) -> Option<Ring> {
        self.read().rings.get(&id).cloned()
    }

    pub(crate) fn put(&self, notice: &Notice) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        match notice {
            Notice::Door(door) => {
                inner.doors.insert(door.id.clone(), door.clone());
            }
            Notice::DoorGone(id) => {
                inner.doors.remove(id);
            }
            Notice::Account(standing) => {
                inner.standings.insert(standing.id.clone(), standing.clone());
            }
            Notice::AccountGone(id) => {
                inner.standings.remove(id);
                inner.raw.retain(|(account, _), _| account != id);
            }
            Notice::Attempt(attempt) => {
                if inner.attempts.insert(attempt.id, attempt.clone()).is_none() {
                    inner.order.push_back(attempt.id);
                    if inner.order.len() > ATTEMPTS
                        && let Some(oldest) = inner.order.pop_front()
                    {
                        inner.attempts.remove(&oldest);
                    }
                }
            }
            Notice::Ring(ring) => {
                inner.rings.insert(ring.id, ring.clone());
                if ring.state.is_final() {
                    inner.over.push_back(ring.id);
                    if inner.over.len() > RINGS
                        && let Some(oldest) = inner.over.pop_front()
                    {
                        inner.rings.remove(&oldest);
                    }
                }
            }
            Notice::Event(_) => {}
        }
    }

    pub(crate) fn put_raw(&self, account: &AccountId, external: &str, value: &Value, at: Time) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.raw.insert((account.clone(), external.to_owned()), Raw { value: value.clone(), at });
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }
}
