//! Radios in the simulated air, whose clock is pushed by hand together with that of the lock.

use crate::bench::{Bench, START, Seen};
use doorward_ble::{
    lock::Input,
    radio::{
        Address, Advertisement, Advertising, Fields, Radio, Scan, Sighting, Sightings,
        air::{AirRadio, Who},
    },
};
use doorward_core::Mono;
use doorward_sim::{
    Clock as _, HandClock,
    air::{Air, Config, Physics},
};
use doorward_wire::ble::{ADVERTISED_SERVICE, COMPANY, GUEST_NAME};
use std::{sync::Arc, time::Duration};

pub(crate) struct Scene {
    pub(crate) air: Air,
    pub(crate) clock: Arc<HandClock>,
}

pub(crate) const LOCK: Address = Address([0xC0, 0, 0, 0, 0, 1]);
pub(crate) const GUEST: Address = Address([0xC0, 0, 0, 0, 0, 2]);

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(Physics::default()).await
    }

    pub(crate) async fn with(physics: Physics) -> Self {
        let clock = Arc::new(HandClock::at_ms(START * 1000));
        let config = Config { clock: Arc::clone(&clock) as _, physics, ..Config::default() };
        Self { air: Air::start(config).await.unwrap(), clock }
    }

    fn who(&self, name: &str, address: Address, metres: f64) -> Who {
        let clock = Arc::clone(&self.clock);
        let now = move || Mono(Duration::from_millis(clock.now_ms() - START * 1000));
        Who { name: name.into(), address, place: [metres, 0.0, 0.0], clock: Arc::new(now) }
    }

    /// A radio so many metres along the corridor.
    pub(crate) async fn radio(&self, name: &str, address: Address, metres: f64) -> AirRadio {
        AirRadio::enter(&self.air.address().to_string(), self.who(name, address, metres)).await.unwrap()
    }

    pub(crate) async fn radio_at(&self, path: &std::path::Path, name: &str, address: Address) -> AirRadio {
        AirRadio::enter_at(path, self.who(name, address, 0.0)).await.unwrap()
    }

    /// Time goes by in the air and at the lock.
    pub(crate) fn pass(&self, bench: &mut Bench, span: Duration) -> Vec<Seen> {
        self.clock.advance(span);
        bench.pass(span)
    }
}

/// What a guest of version 1 advertises.
pub(crate) fn token(token: &[u8]) -> Advertisement {
    let data = Fields::new().manufacturer(COMPANY, token).service16(ADVERTISED_SERVICE);
    Advertisement::new(data).response(Fields::new().name(GUEST_NAME))
}

pub(crate) async fn scan(radio: &AirRadio) -> Sightings {
    radio.scan(Scan { company: Some(COMPANY), ..Scan::default() }).await.unwrap()
}

pub(crate) async fn advertise(radio: &AirRadio, data: &[u8]) -> Box<dyn Advertising> {
    radio.advertise(token(data)).await.unwrap()
}

/// The next sighting. It must come.
pub(crate) async fn next(sightings: &mut Sightings) -> Sighting {
    tokio::time::timeout(Duration::from_secs(20), sightings.next()).await.expect("nothing is heard").expect("the radio is gone")
}

/// The lock hears the next one.
pub(crate) async fn hear(bench: &mut Bench, sightings: &mut Sightings) -> Vec<Seen> {
    let sighting = next(sightings).await;
    bench.give(Input::Sighting(&sighting))
}
