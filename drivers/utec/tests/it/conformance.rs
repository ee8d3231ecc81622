//! The suite that every driver passes, with the simulated cloud as its weather; and the cloud's oddities.

use crate::house::{FRONT, bench, build, door, settings};
use doorward_core::{
    Secret,
    conformance::{self, Bench, Counts, Fixture, Stage, Tokens, Weather},
    driver::{Action, BoxFuture, Driver, Report, Target},
};
use doorward_sim::utec::{self, Config, Faults, LockSpec, On, Rotation, Sim};
use doorward_wire::door::{Capability, DoorState};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

struct Cloud(Mutex<Option<Sim>>);

pub(crate) async fn signed_in(sim: &Sim) -> (Arc<dyn Driver>, Arc<Bench>) {
    let mut settings = settings(&sim.base_url());
    settings.values.insert("access_key".into(), json!("sim-access-key"));
    settings.secrets.insert("secret_key".into(), "sim-secret-key".into());
    let (driver, bench) = (build(&settings), bench());
    let tokens = sim.grant();
    let input = json!({ "access_token": tokens.access_token, "refresh_token": tokens.refresh_token, "expires_in": tokens.expires_in });
    let step = Action::Setup { step: "tokens".into(), input: Secret::new(input.to_string()) };
    driver.act(&*bench, &Target::Account, step).await.unwrap();
    bench.reports();
    (driver, bench)
}

impl Fixture for Cloud {
    fn fresh(&self) -> BoxFuture<'_, Stage> {
        Box::pin(async {
            let mut lock = LockSpec::new(FRONT, "Front door");
            lock.travel_ms = 1;
            // The hardest kind: whoever loses a new refresh token has lost the account.
            let sim = utec::start(Config { locks: vec![lock], rotation: Rotation::Strict, ..Config::default() }).await.unwrap();
            let (driver, bench) = signed_in(&sim).await;
            *self.0.lock().unwrap() = Some(sim);
            let tokens = Tokens { lease: "oauth", needed: Action::Unlock };
            Stage { driver, bench, door: door(FRONT), open: Action::Unlock, tokens: Some(tokens) }
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
                Weather::Healthy | Weather::Offline => {}
                Weather::ServerError => faults.server_error = Some(utec::Fault::with(503)),
                Weather::Silent => faults.dead = Some(utec::Fault::with(utec::Dead::Silent)),
                Weather::Slow => faults.slow_ms = Some(utec::Fault::with(200)),
                Weather::Garbage => faults.garbage = Some(utec::Fault::default()),
                Weather::Refuses => faults.error_in_200 = Some(utec::Fault::with("NOT_ALLOWED".to_owned()).on(On::Command)),
                Weather::UnauthorizedOnce => faults.unauthorized = Some(utec::Fault::default().times(1)),
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
        let Some(sim) = slot.as_ref() else { return Counts::default() };
        let counted = sim.counters();
        Counts {
            opened: sim.lock(FRONT).times_opened,
            open_requests: counted.command,
            requests: counted.token + counted.command + counted.query + counted.discovery + counted.users + counted.other,
            renewals: counted.token,
        }
    }

    fn pause(&self) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(20)))
    }
}

#[tokio::test]
async fn the_driver_conforms() {
    let cloud = Cloud(Mutex::default());
    if let Err(failed) = conformance::run(&cloud).await {
        panic!("{}", failed.join("\n"));
    }
}

#[tokio::test]
async fn a_person_signs_in_at_the_cloud() {
    for code_name in [utec::CodeName::AuthorizationCode, utec::CodeName::Code] {
        let sim = utec::start(Config::default()).await.unwrap();
        sim.set_faults(Faults { code_name, ..Faults::default() });
        let mut settings = settings(&sim.base_url());
        settings.values.insert("access_key".into(), json!("sim-access-key"));
        settings.secrets.insert("secret_key".into(), "sim-secret-key".into());
        let (driver, bench) = (build(&settings), bench());
        let step = |step: &str, input: serde_json::Value| Action::Setup { step: step.into(), input: Secret::new(input.to_string()) };
        let started = driver.act(&*bench, &Target::Account, step("start", json!({}))).await.unwrap().output;
        let landed = sim.allow(started["authorize_url"].as_str().unwrap()).unwrap();
        driver.act(&*bench, &Target::Account, step("exchange", json!({ "callback_url": landed }))).await.unwrap();
        let words: Vec<String> = bench.reports().iter().map(crate::house::word).collect();
        assert_eq!(words, ["signed in", "lease oauth fresh=true", "found 3"]);
    }
}

#[tokio::test]
async fn every_oddity_of_the_clouds_answers_is_read() {
    let odd: [fn(&mut Faults); 8] = [
        |faults| faults.discovery_shape = utec::Wrapping::TopLevelDevices,
        |faults| faults.discovery_shape = utec::Wrapping::PayloadList,
        |faults| faults.discovery_shape = utec::Wrapping::BareList,
        |faults| faults.discovery_id = utec::IdName::DeviceId,
        |faults| faults.discovery_id = utec::IdName::SerialNo,
        |faults| faults.states_as_object = true,
        |faults| faults.state_not_states = true,
        |faults| {
            faults.lower_case = true;
            faults.attribute_not_name = true;
        },
    ];
    for change in odd {
        let sim = utec::start(Config::default()).await.unwrap();
        let mut faults = Faults::default();
        change(&mut faults);
        sim.set_faults(faults);
        let (driver, bench) = signed_in(&sim).await;
        driver.act(&*bench, &Target::Account, Action::Refresh).await.unwrap();
        let reports = bench.reports();
        let words: Vec<String> = reports.iter().map(crate::house::word).collect();
        assert_eq!(words.iter().filter(|word| word.starts_with("seen")).count(), 3, "{words:?}");
        for report in &reports {
            if let Report::Seen { sight, .. } = report {
                assert_eq!(sight.state, Some(DoorState::Locked));
            }
        }
    }
}

#[tokio::test]
async fn a_contact_that_was_seen_becomes_a_capability() {
    let sim = utec::start(Config::default()).await.unwrap();
    sim.set_door(FRONT, true);
    let (driver, bench) = signed_in(&sim).await;
    driver.act(&*bench, &Target::Account, Action::Refresh).await.unwrap();
    let mut with_contact = Vec::new();
    for report in bench.reports() {
        if let Report::Found(found) = report {
            with_contact.push(found.iter().filter(|found| found.capabilities.contains(&Capability::Contact)).count());
        }
    }
    assert_eq!(with_contact, [0, 1], "listings do not tell, so it is told again once it is known");
}

#[tokio::test]
async fn each_older_cloud_is_learned() {
    for only in 0..6 {
        let sim = utec::start(Config::default()).await.unwrap();
        sim.set_faults(Faults { control_only: Some(only), ..Faults::default() });
        let (driver, bench) = signed_in(&sim).await;
        let once = doorward_core::driver::Once { not_after: doorward_wire::Time::from_micros(i64::MAX) };
        driver.act(&*bench, &door(FRONT), Action::Unlock(once)).await.unwrap();
        let first = sim.counters().command;
        assert_eq!(first, u64::from(only) + 2);
        driver.act(&*bench, &door(FRONT), Action::Lock(once)).await.unwrap();
        assert_eq!(sim.counters().command, first + 1);
        assert_eq!(sim.lock(FRONT).unlock_commands, 1);
    }
}
