//! Time, handed in.

use doorward_wire::Time;
use std::time::Duration;

/// A reading of the monotonic clock: time since some start that only this process knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub Duration);

impl Mono {
    /// This reading plus a span of time.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// The time from `earlier` to this reading; nothing when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Both clocks, read together. Delays, backoff and confirm windows run on `mono`; expiries, grants and a sent
/// `not_after` on `utc`, which people and time servers move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Wall clock.
    pub utc: Time,
    /// Monotonic clock.
    pub mono: Mono,
}

impl Now {
    /// When the wall clock will show `utc`, if nobody moves it.
    pub fn mono_at(self, utc: Time) -> Mono {
        self.mono.plus(utc.since(self.utc))
    }

    /// Both clocks after a span of time in which nobody moved them.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self { utc: self.utc.plus(span), mono: self.mono.plus(span) }
    }

    /// How far the wall clock was moved between `earlier` and now, either way.
    pub fn drift(self, earlier: Self) -> Duration {
        let wall = self.utc.as_micros().saturating_sub(earlier.utc.as_micros());
        let mono = i64::try_from(self.mono.since(earlier.mono).as_micros()).unwrap_or(i64::MAX);
        Duration::from_micros(wall.saturating_sub(mono).unsigned_abs())
    }
}
