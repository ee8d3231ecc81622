//! A client certificate is renewed thirty days ahead by itself, and the connection is handed over.

use crate::house::{actor, provider};
use doorward_core::{
    Secret,
    driver::{Action, Entry, Settings},
};
use doorward_engine::{Clock, House, ManualClock, SystemClock};
use doorward_sim::legrand::{self, Config};
use doorward_store::{EventQuery, MasterKey, OpenOptions, Store};
use doorward_wire::event::EventKind;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

static DRIVERS: &[Entry] = &[doorward_bticino::ENTRY];

const DAY: Duration = Duration::from_hours(24);
/// Longer than anything takes here; reached only when the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

async fn until(what: &str, so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "waited in vain until {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_thirty_days_ahead() {
    provider();
    // The cloud lives in real time, which is that of certificates in TLS; the house's is pushed by hand.
    let sim = legrand::start(Config { certificate_lives: 61 * DAY, ..Config::default() }).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(SystemClock::new().now().utc));
    let key = MasterKey::load_or_create(&folder.path().join("master.key")).unwrap();
    let url = format!("sqlite:{}", folder.path().join("doorward.db").display());
    let store = Store::open(&OpenOptions::new(url, key, clock.now().utc)).await.unwrap();
    let house = House { store, clock: Arc::clone(&clock) as Arc<dyn Clock>, drivers: DRIVERS };
    let (handle, stopper) = house.start().await.unwrap();
    let mut settings = Settings::default();
    for (key, value) in [("login_url", sim.base_url()), ("api_url", sim.base_url()), ("sip_server", sim.sip_addr().to_string())] {
        settings.values.insert(key.into(), json!(value));
    }
    settings.secrets.insert("subscription_key".into(), Secret::new(Config::default().subscription_key));
    let account = handle.add_account("bticino", "Gates", settings, &actor()).await.unwrap();
    let step = async |step: &str, input: Value| {
        let action = Action::Setup { step: step.into(), input: Secret::new(input.to_string()) };
        handle.call(&account, action).await.unwrap().output
    };
    let started = step("start", json!({})).await;
    let redirected = sim.allow(started["authorize_url"].as_str().unwrap()).unwrap();
    step("exchange", json!({ "callback_url": redirected })).await;
    step("register", json!({ "plants": ["plant-1"] })).await;
    until("it is connected", || sim.registered().len() == 1).await;

    // A quarter after thirty days it is still too early; a quarter after thirty-one it is due.
    for quarter in 1..=4 * 31 + 1 {
        clock.advance(DAY / 4);
        let mut under_way = handle.under_way();
        // A step of the clock wakes the loop, which calls the driver: give both a moment to begin.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let _ = tokio::time::timeout(Duration::from_secs(2), under_way.wait_for(|count| *count == 0)).await;
        assert!(quarter > 4 * 30 + 1 || sim.counters().client_certs == 1, "it was renewed too early");
    }
    until("it is renewed", || sim.counters().client_certs == 2).await;
    let renewed = EventQuery { kind: Some(EventKind::AccountCertificateRenewed), ..EventQuery::default() };
    let wait = async {
        while handle.store().events(&renewed).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "nobody was told");
    stopper.stop().await;
    handle.store().close().await;
    sim.stop().await;
}
