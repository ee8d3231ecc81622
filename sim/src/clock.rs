//! The one place where this crate reads the time.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// How long the system clock is trusted before it is read again, so that a corrected clock is noticed.
const LONGEST_NAP: Duration = Duration::from_secs(30);

/// Where a simulator takes its time from. Times are milliseconds since 1970 (UTC).
pub trait Clock: Send + Sync + 'static {
    /// The present time.
    fn now_ms(&self) -> u64;

    /// Ends when the present time is `at_ms` or later.
    fn sleep_until(&self, at_ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one reading of the system clock in this crate")]
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
    }

    fn sleep_until(&self, at_ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            loop {
                let left = at_ms.saturating_sub(self.now_ms());
                if left == 0 {
                    return;
                }
                tokio::time::sleep(LONGEST_NAP.min(Duration::from_millis(left))).await;
            }
        })
    }
}

/// A clock that stands still until a test moves it. Whoever sleeps on it wakes when it has been moved far
/// enough, so a slow answer stays away for exactly as long as the test wants.
///
/// ```
/// use doorward_sim::{Clock, HandClock};
/// use std::time::Duration;
///
/// let clock = HandClock::new();
/// let before = clock.now_ms();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now_ms(), before + 60_000);
/// ```
#[derive(Debug)]
pub struct HandClock(watch::Sender<u64>);

impl HandClock {
    /// A clock that shows 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        Self::at_ms(1_767_225_600_000)
    }

    /// A clock that shows the given time, in milliseconds since 1970.
    pub fn at_ms(now_ms: u64) -> Self {
        Self(watch::Sender::new(now_ms))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.0.send_modify(|now| *now = now.saturating_add(by));
    }

    /// Sets the clock, forward or back, as somebody does who corrects it.
    pub fn set_ms(&self, now_ms: u64) {
        self.0.send_replace(now_ms);
    }
}

impl Default for HandClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for HandClock {
    fn now_ms(&self) -> u64 {
        *self.0.borrow()
    }

    fn sleep_until(&self, at_ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut shown = self.0.subscribe();
        Box::pin(async move {
            // The sender lives as long as `self`, so waiting cannot fail while this future exists.
            let _ = shown.wait_for(|now| *now >= at_ms).await;
        })
    }
}
