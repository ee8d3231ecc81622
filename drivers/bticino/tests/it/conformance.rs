//! The suite that every driver passes, with the simulated cloud as its weather.

use crate::account::{Account, GATE, door};
use doorward_core::{
    conformance::{self, Counts, Fixture, Stage, Weather},
    driver::{Action, BoxFuture},
};
use doorward_sim::legrand::{Dead, Fault, Faults, On, Sim};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

struct Cloud(Mutex<Option<Sim>>);

impl Fixture for Cloud {
    fn fresh(&self) -> BoxFuture<'_, Stage> {
        Box::pin(async {
            let Account { sim, bench, driver } = Account::registered().await;
            bench.reports();
            *self.0.lock().unwrap() = Some(sim);
            // Gates are opened without a token; those of the account have tests of their own.
            Stage { driver, bench, door: door(GATE), open: Action::Open, lease: None }
        })
    }

    fn turn(&self, weather: Weather) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if weather == Weather::Offline {
                let sim = self.0.lock().unwrap().take();
                if let Some(sim) = sim {
                    sim.stop().await;
                }
            }
            let slot = self.0.lock().unwrap();
            let Some(sim) = slot.as_ref() else { return };
            let mut faults = Faults::default();
            match weather {
                Weather::Healthy | Weather::Offline | Weather::UnauthorizedOnce | Weather::Expired | Weather::Dead => {}
                // A final status is a definite no; what takes a request and closes is out of order.
                Weather::ServerError => faults.dead = Some(Fault::with(Dead::Close).on(On::Message)),
                Weather::Silent => faults.dead = Some(Fault::with(Dead::Silent).on(On::Message)),
                Weather::Slow => faults.slow_ms = Some(Fault::with(200)),
                Weather::Garbage => faults.garbage = Some(Fault::default().on(On::Message)),
                Weather::Refuses => faults.status = Some(Fault::with(403).on(On::Message)),
            }
            sim.set_faults(faults);
        })
    }

    fn counts(&self) -> Counts {
        let slot = self.0.lock().unwrap();
        let Some(sim) = slot.as_ref() else { return Counts::default() };
        let counted = sim.counters();
        let http = counted.plants + counted.modules + counted.sip_accounts + counted.ca_certs;
        Counts {
            opened: sim.opener("20#2").times_opened,
            // The first request on a connection is challenged, which is a definite no.
            open_requests: counted.message.saturating_sub(counted.challenged),
            requests: http + counted.message,
            renewals: counted.token,
        }
    }

    fn pause(&self) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(20)))
    }
}

#[tokio::test]
async fn the_driver_passes_the_suite() {
    let cloud = Arc::new(Cloud(Mutex::default()));
    if let Err(failed) = conformance::run(&*cloud).await {
        panic!("{}", failed.join("\n"));
    }
}
