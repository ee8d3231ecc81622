//! A house with a BTicino account in one process. Its time is pushed by hand; the cloud lives in real time, which is that of
//! certificates in TLS.

use crate::house::{actor, provider};
use doorward_core::{
    Secret,
    driver::{Action, Entry, Settings},
};
use doorward_engine::{Clock, Handle, House, ManualClock, Stopper, SystemClock};
use doorward_sim::legrand::{self, Config, Sim};
use doorward_store::{MasterKey, OpenOptions, Store};
use doorward_wire::account::AccountId;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;

static DRIVERS: &[Entry] = &[doorward_bticino::ENTRY];

/// Longer than anything takes here; reached only when a test fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Intercom {
    pub(super) sim: Sim,
    pub(super) clock: Arc<ManualClock>,
    pub(super) handle: Handle,
    account: AccountId,
    stopper: Stopper,
    _folder: TempDir,
}

impl Intercom {
    /// With an account that has these settings besides, is signed in, and registered at home.
    pub(super) async fn start(config: Config, settings: &[(&str, Value)]) -> Self {
        provider();
        let sim = legrand::start(config).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(SystemClock::new().now().utc));
        let key = MasterKey::load_or_create(&folder.path().join("master.key")).unwrap();
        let url = format!("sqlite:{}", folder.path().join("doorward.db").display());
        let store = Store::open(&OpenOptions::new(url, key, clock.now().utc)).await.unwrap();
        let house = House { store, clock: Arc::clone(&clock) as Arc<dyn Clock>, drivers: DRIVERS };
        let (handle, stopper) = house.start().await.unwrap();
        let mut all = Settings::default();
        for (key, value) in [("login_url", sim.base_url()), ("api_url", sim.base_url()), ("sip_server", sim.sip_addr().to_string())] {
            all.values.insert(key.into(), json!(value));
        }
        all.values.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        all.secrets.insert("subscription_key".into(), Secret::new(Config::default().subscription_key));
        let account = handle.add_account("bticino", "Gates", all, &actor()).await.unwrap();
        let intercom = Self { sim, clock, handle, account, stopper, _folder: folder };
        let started = intercom.step("start", json!({})).await;
        let redirected = intercom.sim.allow(started["authorize_url"].as_str().unwrap()).unwrap();
        intercom.step("exchange", json!({ "callback_url": redirected })).await;
        intercom.step("register", json!({ "plants": ["plant-1"] })).await;
        until("it is connected", || intercom.sim.registered().len() == 1).await;
        intercom
    }

    async fn step(&self, step: &str, input: Value) -> Value {
        let action = Action::Setup { step: step.into(), input: Secret::new(input.to_string()) };
        self.handle.call(&self.account, action).await.unwrap().output
    }

    pub(super) async fn stop(self) {
        self.stopper.stop().await;
        self.handle.store().close().await;
        self.sim.stop().await;
    }
}

pub(super) async fn until(what: &str, so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "waited in vain until {what}");
}
