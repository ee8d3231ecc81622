//! The suite that every driver passes, with a simulated relay as its weather.

use crate::house::{bench, door, driver};
use doorward_core::{
    conformance::{self, Counts, Fixture, Stage, Weather},
    driver::{Action, BoxFuture},
};
use doorward_sim::relay::{AUTHORIZATION, Mood, Relay};
use serde_json::{Value, json};
use std::{sync::Mutex, time::Duration};

struct Garage(Mutex<Option<Relay>>);

pub(crate) fn spec(relay: &Relay) -> Value {
    let target = |path: &str| json!({ "http": relay.url(path), "authorization": AUTHORIZATION });
    json!([{
        "id": "garage",
        "open": target("/open"),
        "lock": target("/lock"),
        "unlock": target("/unlock"),
        "state": { "http": relay.url("/state"), "authorization": AUTHORIZATION, "json": "bolt", "locked": "locked", "unlocked": "unlocked" },
    }])
}

impl Fixture for Garage {
    fn fresh(&self) -> BoxFuture<'_, Stage> {
        Box::pin(async {
            let relay = Relay::start().await.unwrap();
            let driver = driver(&spec(&relay));
            *self.0.lock().unwrap() = Some(relay);
            Stage { driver, bench: bench(), door: door("garage"), open: Action::Unlock, tokens: None }
        })
    }

    fn turn(&self, weather: Weather) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut slot = self.0.lock().unwrap();
            if weather == Weather::Offline {
                drop(slot.take());
            }
            let Some(relay) = slot.as_ref() else { return };
            relay.set_mood(match weather {
                Weather::Healthy | Weather::Offline => Mood::Good,
                Weather::ServerError => Mood::OutOfOrder,
                Weather::Silent => Mood::Silent,
                Weather::Slow => Mood::Slow,
                Weather::Garbage => Mood::Garbage,
                Weather::Refuses | Weather::UnauthorizedOnce | Weather::Expired | Weather::Dead => Mood::Refuses,
            });
        })
    }

    fn counts(&self) -> Counts {
        let slot = self.0.lock().unwrap();
        let seen = slot.as_ref().map(Relay::seen).unwrap_or_default();
        Counts { opened: seen.opened, open_requests: seen.open_requests, requests: seen.requests, renewals: 0 }
    }

    fn pause(&self) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(20)))
    }
}

#[tokio::test]
async fn the_driver_conforms() {
    if let Err(failed) = conformance::run(&Garage(Mutex::default())).await {
        panic!("{}", failed.join("\n"));
    }
}
