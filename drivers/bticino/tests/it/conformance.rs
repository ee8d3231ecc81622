//! The suite that every driver passes, with the simulated cloud as its weather.

use crate::account::{Account, GATE, door};
use doorward_core::{
    conformance::{self, Counts, Fixture, Stage, Tokens, Weather},
    driver::{Action, BoxFuture},
};
use doorward_sim::legrand::{Config, Counters, Dead, Fault, Faults, On, Rotation, Sim};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// The cloud, and what it had counted when the account was ready.
struct Cloud(Mutex<Option<(Sim, Counters)>>);

impl Fixture for Cloud {
    fn fresh(&self) -> BoxFuture<'_, Stage> {
        Box::pin(async {
            // The hardest kind: whoever loses a new refresh token has lost the account.
            let config = Config { rotation: Rotation::AtOnce, ..Config::default() };
            let Account { sim, bench, driver, .. } = Account::registered_with(config).await;
            bench.reports();
            let counted = sim.counters();
            *self.0.lock().unwrap() = Some((sim, counted));
            // Gates open without a token: the vendor is asked for what is known of them.
            let tokens = Tokens { lease: "oauth", needed: |_| Action::Refresh };
            Stage { driver, bench, door: door(GATE), open: Action::Open, tokens: Some(tokens) }
        })
    }

    fn turn(&self, weather: Weather) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if weather == Weather::Offline {
                let sim = self.0.lock().unwrap().take();
                if let Some((sim, _)) = sim {
                    sim.stop().await;
                }
            }
            let slot = self.0.lock().unwrap();
            let Some((sim, _)) = slot.as_ref() else { return };
            let mut faults = Faults::default();
            match weather {
                Weather::Healthy | Weather::Offline => {}
                // A final status is a definite no; what takes a request and closes is out of order.
                Weather::ServerError => faults.dead = Some(Fault::with(Dead::Close).on(On::Message)),
                Weather::Silent => faults.dead = Some(Fault::with(Dead::Silent).on(On::Message)),
                Weather::Slow => faults.slow_ms = Some(Fault::with(200)),
                Weather::Garbage => faults.garbage = Some(Fault::default().on(On::Message)),
                Weather::Refuses => faults.status = Some(Fault::with(403).on(On::Message)),
                Weather::UnauthorizedOnce => faults.unauthorized = Some(Fault::default().on(On::Http).times(1)),
                Weather::Expired => sim.expire_access_tokens(),
                Weather::Dead => {
                    sim.expire_access_tokens();
                    sim.revoke();
                }
            }
            sim.set_faults(faults);
        })
    }

    fn counts(&self) -> Counts {
        let slot = self.0.lock().unwrap();
        let Some((sim, before)) = slot.as_ref() else { return Counts::default() };
        let counted = sim.counters();
        let http = |counted: &Counters| counted.plants + counted.modules + counted.sip_accounts + counted.ca_certs + counted.token;
        Counts {
            opened: sim.opener("20#2").times_opened,
            // The first request on a connection is challenged, which is a definite no.
            open_requests: counted.message.saturating_sub(counted.challenged),
            requests: http(&counted) - http(before) + counted.message,
            renewals: counted.token - before.token,
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
