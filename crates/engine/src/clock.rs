//! The one clock and the one source of randomness (rule 9 of the house).

use doorward_core::{Mono, Now, driver::BoxFuture};
use doorward_wire::Time;
use std::{
    collections::BTreeMap,
    sync::Mutex,
    task::{Poll, Waker},
    time::Duration,
};

/// Time and dice, as the program sees them.
pub trait Clock: Send + Sync + 'static {
    /// Both clocks, read together.
    fn now(&self) -> Now;

    /// Ends when the monotonic clock has reached `at`.
    fn sleep_until(&self, at: Mono) -> BoxFuture<'_, ()>;

    /// Fills a buffer with random bytes, good enough for keys.
    fn fill(&self, bytes: &mut [u8]);

    /// A fresh random UUID.
    fn uuid(&self) -> uuid::Uuid {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A monotonic clock that starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the one file that reads clocks")]
    #[expect(clippy::new_without_default, reason = "reading a clock is not a default")]
    pub fn new() -> Self {
        Self { start: std::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one file that reads clocks")]
    fn now(&self) -> Now {
        Now { utc: Time::from(jiff::Timestamp::now()), mono: Mono(self.start.elapsed()) }
    }

    fn sleep_until(&self, at: Mono) -> BoxFuture<'_, ()> {
        let until = tokio::time::Instant::from_std(self.start) + at.0.min(Duration::from_hours(24 * 365));
        Box::pin(tokio::time::sleep_until(until))
    }

    fn fill(&self, bytes: &mut [u8]) {
        random(bytes);
    }
}

fn random(bytes: &mut [u8]) {
    // The generator fails only where the kernel has none; a lock without randomness must not run on.
    #[expect(clippy::expect_used, reason = "nothing can be done safely without randomness")]
    aws_lc_rs::rand::fill(bytes).expect("the system has a source of randomness");
}

/// A clock that tests push by hand: nothing sleeps, everything that was waited for ends at once.
#[derive(Debug)]
pub struct ManualClock {
    inner: Mutex<Manual>,
}

#[derive(Debug)]
struct Manual {
    now: Now,
    next: u64,
    sleepers: BTreeMap<(Mono, u64), Waker>,
}

impl ManualClock {
    /// A clock that stands at this wall time.
    pub fn new(utc: Time) -> Self {
        let now = Now { utc, mono: Mono::default() };
        Self { inner: Mutex::new(Manual { now, next: 0, sleepers: BTreeMap::new() }) }
    }

    /// Lets both clocks run on, and wakes who slept that long.
    pub fn advance(&self, span: Duration) {
        self.change(|now| *now = now.plus(span));
    }

    /// Moves the wall clock alone, as a person or a time server does.
    pub fn set_wall(&self, utc: Time) {
        self.change(|now| now.utc = utc);
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        let due = {
            let mut inner = self.lock();
            change(&mut inner.now);
            let reached = (inner.now.mono, u64::MAX);
            let later = inner.sleepers.split_off(&reached);
            std::mem::replace(&mut inner.sleepers, later)
        };
        for waker in due.into_values() {
            waker.wake();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Manual> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        self.lock().now
    }

    fn sleep_until(&self, at: Mono) -> BoxFuture<'_, ()> {
        let number = {
            let mut inner = self.lock();
            inner.next += 1;
            inner.next
        };
        Box::pin(futures_util::future::poll_fn(move |context| {
            let mut inner = self.lock();
            if inner.now.mono >= at {
                inner.sleepers.remove(&(at, number));
                return Poll::Ready(());
            }
            inner.sleepers.insert((at, number), context.waker().clone());
            Poll::Pending
        }))
    }

    fn fill(&self, bytes: &mut [u8]) {
        random(bytes);
    }
}
