//! Time and dice, handed in: what issuer and guest need of the house, and no more of it.

use doorward_core::{
    Now,
    driver::{BoxFuture, Ctx},
};
use doorward_wire::Time;
use std::time::Duration;

/// Time and dice.
pub trait Clock: Send + Sync {
    /// Both clocks, now.
    fn now(&self) -> Now;

    /// Waits. Tests let this time pass by hand.
    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()>;

    /// Fills a buffer with random bytes, good enough for keys.
    fn fill(&self, bytes: &mut [u8]);
}

/// The house, for its time and dice.
pub struct House<'a>(pub &'a dyn Ctx);

impl Clock for House<'_> {
    fn now(&self) -> Now {
        self.0.now()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        self.0.sleep(span)
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}

/// So many random bytes.
pub(crate) fn random<const N: usize>(clock: &dyn Clock) -> [u8; N] {
    let mut bytes = [0; N];
    clock.fill(&mut bytes);
    bytes
}

/// Whole seconds since 1970.
pub fn seconds(time: Time) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(0) / 1_000_000
}
