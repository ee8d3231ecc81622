//! What radios and keys of locks over Bluetooth want of the program: its time and dice, and an address of their own.

use doorward_ble::radio::{Address, Place, Radio, RadioError};
use doorward_core::{
    Now,
    driver::{BoxFuture, Stopwatch},
};
use doorward_engine::SystemClock;
use std::{sync::Arc, time::Duration};

/// Time and dice.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn doorward_engine::Clock>);

impl Clock {
    /// The machine's.
    pub(crate) fn start() -> Self {
        Self(Arc::new(SystemClock::new()))
    }

    /// The house's.
    pub(crate) fn of(clock: &Arc<dyn doorward_engine::Clock>) -> Self {
        Self(Arc::clone(clock))
    }

    /// The same, as the engine has it.
    pub(crate) fn engine(&self) -> Arc<dyn doorward_engine::Clock> {
        Arc::clone(&self.0)
    }

    pub(crate) fn stopwatch(&self) -> Stopwatch {
        let clock = Arc::clone(&self.0);
        Arc::new(move || clock.now().mono)
    }
}

impl doorward_ble::clock::Clock for Clock {
    fn now(&self) -> Now {
        self.0.now()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        self.0.sleep_until(self.0.now().mono.plus(span))
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}

/// Opens an adapter. In the simulated air its name has no other radio.
pub(crate) async fn open(place: &Place, what: &str, clock: &Clock) -> Result<Box<dyn Radio>, RadioError> {
    let mut bytes = [0; 6];
    clock.0.fill(&mut bytes);
    // The two highest bits say that the address is a random one.
    bytes[0] |= 0xC0;
    let address = Address(bytes);
    place.open(&format!("{what} {address}"), address, clock.stopwatch()).await
}
