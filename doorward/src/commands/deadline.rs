//! Until when a command waits for something.

use doorward_engine::{Clock as _, SystemClock};
use std::time::Duration;

/// A moment ahead.
pub(crate) struct Deadline {
    clock: SystemClock,
    span: Duration,
}

impl Deadline {
    /// So long from now.
    pub(crate) fn within(span: Duration) -> Self {
        Self { clock: SystemClock::new(), span }
    }

    /// What is left until it.
    pub(crate) fn left(&self) -> Duration {
        self.span.saturating_sub(self.clock.now().mono.0)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}
