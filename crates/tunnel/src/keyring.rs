//! The keys of the tunnel, and which of them a message was sealed with.
//!
//! No message names its key, so keys are tried: the one that came from the same address last time first, and all of them
//! before anybody is told that none fits. A key that changes is another one: what was open with it ends, and comes back.

use crate::{scopes::Allowed, seal::Seal, v2};
use doorward_listen::limits::{Trial, network};
use doorward_store::{Store, StoreError, TunnelKey};
use doorward_wire::{Time, tunnel::NONCE};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, watch};

/// Addresses of which it is remembered with which key they came.
const ADDRESSES: usize = 4096;
/// A key that worked within this time is tried whoever else fails.
const RECENT: Duration = Duration::from_hours(24);
/// How far ahead it is written down what was accepted.
const AHEAD: Duration = Duration::from_secs(5);
/// How many seals are written down ahead.
const SEALS_AHEAD: u64 = 1 << 16;
/// So often a key may seal at most: beyond, random nonces of 96 bits may meet (NIST SP 800-38D, section 8.3).
pub const MOST_SEALS: u64 = 1 << 32;
/// From here on it is told that a key should be rotated.
pub const MANY_SEALS: u64 = 1 << 31;

/// A key, as it is used.
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) allowed: Allowed,
    /// What it is known by in memory.
    pub(crate) number: u8,
    seal: Seal,
    previous: Option<(Seal, Time)>,
    stored: TunnelKey,
    pub(crate) ledger: Arc<Ledger>,
    /// `true` once the key is gone or another one.
    gone: watch::Sender<bool>,
}

/// What stays the same while scopes and secrets of a key change.
pub(crate) struct Ledger {
    rate: DefaultDirectRateLimiter,
    /// Streams that may still be opened.
    pub(crate) streams: Arc<Semaphore>,
    /// Nothing at or before it is taken: it was made before this start, or may have been.
    floor: Time,
    /// Until when it is written down that messages were accepted, in microseconds.
    written: AtomicI64,
    writing: tokio::sync::Mutex<()>,
    seals: AtomicU64,
    seals_written: AtomicU64,
    used: AtomicI64,
}

/// A message that opened.
pub(crate) struct Opened {
    pub(crate) key: Arc<Key>,
    /// With the secret that the key had before.
    pub(crate) previous: bool,
    pub(crate) nonce: [u8; NONCE],
    pub(crate) plain: Vec<u8>,
}

/// What every key may do in a second, and at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) rate: NonZeroU32,
    pub(crate) streams: usize,
}

/// Every key.
pub(crate) struct Keyring {
    store: Store,
    bounds: Bounds,
    keys: RwLock<Vec<Arc<Key>>>,
    /// With which key an address came last.
    last: Mutex<HashMap<[u8; 8], String>>,
    loading: tokio::sync::Mutex<()>,
}

impl Key {
    /// A body that holds this. `None` when the key was used up.
    pub(crate) fn seal(&self, previous: bool, plain: &[u8]) -> Option<String> {
        if self.ledger.seals.fetch_add(1, Ordering::Relaxed) >= MOST_SEALS {
            tracing::error!(key = self.name, "a tunnel key has sealed as many messages as it safely can; rotate it");
            return None;
        }
        match (&self.previous, previous) {
            (Some((seal, _)), true) => seal.seal(plain),
            (_, _) => self.seal.seal(plain),
        }
    }

    /// Ends when the key is gone or changed.
    pub(crate) fn gone(&self) -> watch::Receiver<bool> {
        self.gone.subscribe()
    }

    /// Whether one more request may be done now.
    pub(crate) fn has_rate(&self) -> bool {
        self.ledger.rate.check().is_ok()
    }

    /// Whether a message from this time may have been taken before this start.
    pub(crate) fn is_before_start(&self, made: Time) -> bool {
        made <= self.ledger.floor
    }

    fn open(&self, sealed: &[u8], now: Time) -> Option<(bool, Vec<u8>)> {
        let previous = self.previous.as_ref().filter(|(_, until)| now < *until);
        let current = self.seal.open(sealed).map(|plain| (false, plain));
        current.or_else(|| previous.and_then(|(seal, _)| seal.open(sealed)).map(|plain| (true, plain)))
    }
}

impl Ledger {
    fn new(stored: &TunnelKey, bounds: Bounds, shared: bool) -> Self {
        let seals = u64::try_from(stored.seals).unwrap_or_default();
        Self {
            rate: RateLimiter::direct(Quota::per_second(bounds.rate)),
            streams: Arc::new(Semaphore::new(bounds.streams)),
            // Where copies share a store, each message is written down there instead.
            floor: if shared { Time::from_micros(i64::MIN) } else { stored.accepted_until },
            written: AtomicI64::new(stored.accepted_until.as_micros()),
            writing: tokio::sync::Mutex::default(),
            seals: AtomicU64::new(seals),
            seals_written: AtomicU64::new(seals),
            used: AtomicI64::new(stored.used.map_or(i64::MIN, Time::as_micros)),
        }
    }

    /// When the key was last used.
    pub(crate) fn used(&self) -> Option<Time> {
        Some(self.used.load(Ordering::Relaxed)).filter(|used| *used > i64::MIN).map(Time::from_micros)
    }

    /// Messages that were sealed, at most.
    pub(crate) fn seals(&self) -> u64 {
        self.seals.load(Ordering::Relaxed)
    }
}

impl Keyring {
    pub(crate) async fn load(store: Store, bounds: Bounds) -> Result<Self, StoreError> {
        let ring = Self { store, bounds, keys: RwLock::default(), last: Mutex::default(), loading: tokio::sync::Mutex::default() };
        ring.reload().await?;
        Ok(ring)
    }

    /// Reads the keys again. Those that changed or are gone end what they hold open.
    pub(crate) async fn reload(&self) -> Result<(), StoreError> {
        let turn = self.loading.lock().await;
        let stored = self.store.tunnel_keys().await?;
        let mut there = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *there);
        let mut free = (0..=u8::MAX).filter(|number| before.iter().all(|key| key.number != *number)).collect::<Vec<_>>().into_iter();
        *there = stored
            .into_iter()
            .filter_map(|stored| match before.iter().find(|key| key.name == stored.name) {
                Some(known) if is_same(&known.stored, &stored) => Some(Arc::clone(known)),
                Some(known) => Some(self.made(stored, known.number, Some(known))),
                None => Some(self.made(stored, free.next()?, None)),
            })
            .collect();
        for key in before.iter().filter(|key| !there.iter().any(|stays| Arc::ptr_eq(stays, key))) {
            key.gone.send_replace(true);
        }
        drop(there);
        drop(turn);
        Ok(())
    }

    fn made(&self, stored: TunnelKey, number: u8, before: Option<&Arc<Key>>) -> Arc<Key> {
        let allowed = Allowed::read(&stored.scopes).inspect_err(
            |error| tracing::error!(key = stored.name, %error, "the scopes of a tunnel key cannot be read; it may do nothing"),
        );
        let ledger = match before {
            None => Arc::new(Ledger::new(&stored, self.bounds, self.store.is_shared())),
            Some(before) => {
                if before.stored.secret != stored.secret {
                    before.ledger.seals.store(0, Ordering::Relaxed);
                    before.ledger.seals_written.store(0, Ordering::Relaxed);
                }
                Arc::clone(&before.ledger)
            }
        };
        Arc::new(Key {
            name: stored.name.clone(),
            allowed: allowed.unwrap_or_default(),
            number,
            seal: Seal::new(&stored.secret),
            previous: stored.previous.as_ref().map(|(secret, until)| (Seal::new(secret), *until)),
            stored,
            ledger,
            gone: watch::Sender::new(false),
        })
    }

    /// A key by its name.
    pub(crate) fn key(&self, name: &str) -> Option<Arc<Key>> {
        self.read().iter().find(|key| key.name == name).cloned()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// Opens a message with the key that it was sealed with.
    pub(crate) fn open(&self, sealed: &[u8], source: Option<IpAddr>, trial: Trial, now: Time) -> Option<Opened> {
        let may = |key: &&Arc<Key>| match trial {
            Trial::All => true,
            Trial::Recent => worked_within(key, RECENT, now),
            Trial::Closed => false,
        };
        let address = source.map(network);
        let last = address.and_then(|address| lock(&self.last).get(&address).cloned());
        let is_last = |key: &&Arc<Key>| Some(&key.name) == last.as_ref();
        let keys = self.read();
        let (first, others) = (keys.iter().filter(is_last), keys.iter().filter(|key| !is_last(key)));
        let (key, previous, plain) =
            first.chain(others).filter(may).find_map(|key| key.open(sealed, now).map(|(previous, plain)| (key, previous, plain)))?;
        if let Some(address) = address.filter(|_| last.as_ref() != Some(&key.name)) {
            let mut last = lock(&self.last);
            if last.len() >= ADDRESSES {
                last.clear();
            }
            last.insert(address, key.name.clone());
        }
        key.ledger.used.fetch_max(now.as_micros(), Ordering::Relaxed);
        let nonce = sealed.get(..NONCE)?.try_into().ok()?;
        Some(Opened { key: Arc::clone(key), previous, nonce, plain })
    }

    /// The key that made a request of version 2. Where none has its name, one that nobody has is asked, which takes as long.
    pub(crate) fn of_request(&self, request: &v2::Request, trial: Trial, now: Time) -> Option<Arc<Key>> {
        let named = request.key_id().and_then(|name| self.key(name)).filter(|key| match trial {
            Trial::All => true,
            Trial::Recent => worked_within(key, RECENT, now),
            Trial::Closed => false,
        });
        let Some(key) = named else {
            let _ = request.is_by(&[0; 32]);
            return None;
        };
        let previous = key.stored.previous.as_ref().filter(|(_, until)| now < *until);
        let is_by = request.is_by(key.stored.secret.reveal()) || previous.is_some_and(|(secret, _)| request.is_by(secret.reveal()));
        is_by.then(|| {
            key.ledger.used.fetch_max(now.as_micros(), Ordering::Relaxed);
            key
        })
    }

    /// Writes ahead that a message from this time is accepted; after the next start nothing up to there is.
    pub(crate) async fn accept(&self, key: &Key, made: Time) -> Result<(), StoreError> {
        let ledger = &key.ledger;
        let enough = || {
            made.as_micros() <= ledger.written.load(Ordering::SeqCst)
                && ledger.seals.load(Ordering::Relaxed) < ledger.seals_written.load(Ordering::Relaxed)
        };
        if enough() {
            return Ok(());
        }
        let _turn = ledger.writing.lock().await;
        if enough() {
            return Ok(());
        }
        let until = made.plus(AHEAD).max(Time::from_micros(ledger.written.load(Ordering::SeqCst)));
        let seals = ledger.seals() + SEALS_AHEAD;
        let used = ledger.used().unwrap_or(made);
        if !self.store.advance_tunnel_key(&key.name, until, i64::try_from(seals).unwrap_or(i64::MAX), used).await? {
            return Err(StoreError::Unavailable(format!("the tunnel key {} is gone", key.name)));
        }
        ledger.written.store(until.as_micros(), Ordering::SeqCst);
        ledger.seals_written.store(seals, Ordering::Relaxed);
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<Arc<Key>>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nothing changed that matters while a key is in use.
fn is_same(a: &TunnelKey, b: &TunnelKey) -> bool {
    (&a.person, &a.secret, &a.previous, &a.scopes) == (&b.person, &b.secret, &b.previous, &b.scopes)
}

fn worked_within(key: &Key, span: Duration, now: Time) -> bool {
    key.ledger.used().is_some_and(|used| now.since(used) <= span)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
