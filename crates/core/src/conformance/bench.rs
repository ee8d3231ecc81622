//! A house for tests.

use crate::{
    Mono, Now, Secret,
    driver::{BoxFuture, Ctx, KeepError, Report},
};
use doorward_wire::Time;
use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    time::Duration,
};

/// A house for tests: its clock is moved by hand, its dice are always the same, its store can be broken.
pub struct Bench(Mutex<Inside>);

struct Inside {
    now: Now,
    dice: u64,
    broken: bool,
    kept: BTreeMap<String, Secret<Vec<u8>>>,
    reports: Vec<Report>,
    sleepers: Vec<(Mono, Waker)>,
}

impl Bench {
    /// A house at a time, with an empty store.
    pub fn new(utc: Time) -> Self {
        // Any beginning of the monotonic clock is as good as another; nothing is a special case.
        let now = Now { utc, mono: Mono(Duration::from_secs(1000)) };
        Self(Mutex::new(Inside { now, dice: 1, broken: false, kept: BTreeMap::new(), reports: Vec::new(), sleepers: Vec::new() }))
    }

    /// Lets time pass. Whoever sleeps until then wakes.
    pub fn advance(&self, span: Duration) {
        let due = {
            let mut inside = lock(&self.0);
            inside.now = inside.now.plus(span);
            let mono = inside.now.mono;
            let (due, rest) = inside.sleepers.drain(..).partition(|(until, _)| *until <= mono);
            inside.sleepers = rest;
            due
        };
        let due: Vec<(Mono, Waker)> = due;
        for (_, waker) in due {
            waker.wake();
        }
    }

    /// Sets the wall clock, as people and time servers do.
    pub fn set_utc(&self, utc: Time) {
        lock(&self.0).now.utc = utc;
    }

    /// Breaks the store, or mends it.
    pub fn break_store(&self, broken: bool) {
        lock(&self.0).broken = broken;
    }

    /// Puts a value into the store, as an earlier run left it.
    pub fn put(&self, key: &str, value: Secret<Vec<u8>>) {
        lock(&self.0).kept.insert(key.into(), value);
    }

    /// The store as it would be found after a restart.
    pub fn store(&self) -> BTreeMap<String, Secret<Vec<u8>>> {
        lock(&self.0).kept.clone()
    }

    /// What was reported since this was last asked.
    pub fn reports(&self) -> Vec<Report> {
        std::mem::take(&mut lock(&self.0).reports)
    }
}

impl Ctx for Bench {
    fn now(&self) -> Now {
        lock(&self.0).now
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        let until = self.now().mono.plus(span);
        Box::pin(poll_fn(move |cx| {
            let mut inside = lock(&self.0);
            if inside.now.mono >= until {
                return Poll::Ready(());
            }
            if !inside.sleepers.iter().any(|(at, waker)| *at == until && waker.will_wake(cx.waker())) {
                inside.sleepers.push((until, cx.waker().clone()));
            }
            Poll::Pending
        }))
    }

    fn fill(&self, bytes: &mut [u8]) {
        let mut inside = lock(&self.0);
        for byte in bytes {
            // SplitMix64 (Steele, Lea, Flood 2014): different each time, the same in each run.
            inside.dice = inside.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (inside.dice ^ (inside.dice >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            *byte = mixed.to_be_bytes()[0];
        }
    }

    fn keep<'a>(&'a self, key: &'a str, value: Secret<Vec<u8>>) -> BoxFuture<'a, Result<(), KeepError>> {
        Box::pin(async move {
            let mut inside = lock(&self.0);
            if inside.broken {
                return Err(KeepError("broken on purpose".into()));
            }
            inside.kept.insert(key.into(), value);
            Ok(())
        })
    }

    fn kept<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, KeepError>> {
        Box::pin(async move { Ok(lock(&self.0).kept.get(key).cloned()) })
    }

    fn report(&self, report: Report) {
        lock(&self.0).reports.push(report);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
