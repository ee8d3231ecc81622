//! A whole house in one process: store, engine, the U-tec driver and its simulated cloud, on a clock pushed by hand.

use doorward_core::{
    Secret,
    driver::{Action, Entry, Settings},
    keeper::{Command, Notice},
    policy::Rights,
};
use doorward_engine::{Clock, Handle, House, ManualClock, Stopper};
use doorward_sim::{
    HandClock,
    utec::{Config, Sim},
};
use doorward_store::{MasterKey, OpenOptions, Store};
use doorward_wire::{
    account::{AccountId, AccountState},
    attempt::{ActionWord, Actor, ActorKind, Attempt},
    door::{Door, DoorState},
    grant::Means,
};
use serde_json::json;
use std::{future::Future, sync::Arc, time::Duration};
use tempfile::TempDir;

pub(crate) static DRIVERS: &[Entry] = &[doorward_utec::ENTRY];

/// Longer than anything takes here; reached only when a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct TestHouse {
    pub(crate) handle: Handle,
    pub(crate) clock: Arc<ManualClock>,
    cloud: Arc<HandClock>,
    pub(crate) sim: Sim,
    stopper: Stopper,
    folder: TempDir,
}

/// Installs the one cryptographic provider, as `main` does.
pub(crate) fn provider() {
    // A second test in this process finds it installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The account of a test house.
pub(crate) fn account() -> AccountId {
    "u_tec".parse().unwrap()
}

pub(crate) fn actor() -> Actor {
    Actor { kind: ActorKind::Person, id: "anna".into(), name: None }
}

impl TestHouse {
    /// On SQLite, with the three locks of the demo.
    pub(crate) async fn start() -> Self {
        Self::with(None, Config::default()).await
    }

    /// On this database, with this cloud. Both clocks are pushed together.
    pub(crate) async fn with(url: Option<String>, config: Config) -> Self {
        provider();
        let cloud = Arc::new(HandClock::new());
        let config = Config { clock: Arc::clone(&cloud) as _, ..config };
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new("2026-11-23T07:00:00Z".parse().unwrap()));
        let key = MasterKey::load_or_create(&folder.path().join("master.key")).unwrap();
        let url = url.unwrap_or_else(|| format!("sqlite:{}", folder.path().join("doorward.db").display()));
        let store = Store::open(&OpenOptions::new(url, key, clock.now().utc)).await.unwrap();
        let (access, secret) = (config.client_id.clone(), config.client_secret.clone());
        let sim = doorward_sim::utec::start(config).await.unwrap();
        let house = House { store, clock: Arc::clone(&clock) as Arc<dyn Clock>, drivers: DRIVERS };
        let (handle, stopper) = house.start().await.unwrap();
        let house = Self { handle, clock, cloud, sim, stopper, folder };
        house.sign_in(access, secret).await;
        house.until("three doors are known", || house.doors_seen() == 3).await;
        house
    }

    async fn sign_in(&self, access: String, secret: String) {
        let mut settings = Settings::default();
        for (key, value) in [("base_url", self.sim.base_url()), ("oauth_base_url", self.sim.base_url()), ("access_key", access)] {
            settings.values.insert(key.into(), json!(value));
        }
        settings.values.insert("redirect_url".into(), json!("http://127.0.0.1:9/callback"));
        settings.secrets.insert("secret_key".into(), Secret::new(secret));
        let account = self.handle.add_account("utec", "U-tec", settings, &actor()).await.unwrap();
        let started = self.step(&account, "start", json!({})).await;
        let redirected = self.sim.allow(started["authorize_url"].as_str().unwrap()).unwrap();
        self.step(&account, "exchange", json!({ "callback_url": redirected })).await;
    }

    pub(crate) async fn step(&self, account: &AccountId, step: &str, input: serde_json::Value) -> serde_json::Value {
        let action = Action::Setup { step: step.into(), input: Secret::new(input.to_string()) };
        self.handle.call(account, action).await.unwrap().output
    }

    fn doors_seen(&self) -> usize {
        self.handle.board().doors().iter().filter(|door| door.state != DoorState::Unknown).count()
    }

    pub(crate) fn key(&self) -> MasterKey {
        MasterKey::load(&self.folder.path().join("master.key")).unwrap()
    }

    pub(crate) fn standing(&self) -> AccountState {
        self.handle.board().standing(&account()).unwrap().state
    }

    pub(crate) fn door(&self, id: &str) -> Door {
        self.handle.board().door(&id.parse().unwrap()).unwrap()
    }

    pub(crate) fn command(&self, door: &str, action: ActionWord) -> Command {
        Command {
            id: self.handle.clock().uuid(),
            door: door.parse().unwrap(),
            action,
            actor: actor(),
            rights: Rights::administrator(),
            not_after: None,
            means: Means::Remote,
        }
    }

    pub(crate) async fn submit(&self, door: &str, action: ActionWord) -> Attempt {
        self.handle.submit(self.command(door, action)).await.unwrap()
    }

    pub(crate) fn attempt(&self, attempt: &Attempt) -> Attempt {
        self.handle.board().attempt(attempt.id).unwrap()
    }

    /// Waits, driven by notices, until something is so. Time of the house does not pass meanwhile.
    pub(crate) async fn until(&self, what: &str, so: impl Fn() -> bool) {
        let mut notices = self.handle.subscribe();
        let wait = async {
            while !so() {
                let _ = notices.recv().await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "waited in vain until {what}");
    }

    /// Lets time of the house pass in steps until something is so; after each step, what it woke comes to its end.
    pub(crate) async fn pass_until(&self, what: &str, step: Duration, most: Duration, so: impl Fn() -> bool) {
        let mut left = most;
        while !so() {
            assert!(left >= step, "{most:?} went by in vain until {what}");
            left -= step;
            self.advance(step);
            self.settle().await;
        }
    }

    /// Lets time pass for house and cloud.
    pub(crate) fn advance(&self, span: Duration) {
        self.cloud.advance(span);
        self.clock.advance(span);
    }

    /// Moves the wall clock of the house alone; nothing else in the world notices.
    pub(crate) fn jump(&self, span: Duration, ahead: bool) {
        let utc = self.clock.now().utc;
        self.clock.set_wall(if ahead { utc.plus(span) } else { utc.minus(span) });
    }

    /// Waits until driver calls came back and nothing is said for a moment.
    pub(crate) async fn settle(&self) {
        let mut under_way = self.handle.under_way();
        // A step of the clock wakes the loop, which calls the driver: give both a moment to begin.
        tokio::time::sleep(Duration::from_millis(5)).await;
        // A call that waits for the clock of the house comes back only when that is pushed again.
        let _ = tokio::time::timeout(Duration::from_secs(2), under_way.wait_for(|count| *count == 0)).await;
        let mut notices = self.handle.subscribe();
        while tokio::time::timeout(Duration::from_millis(25), notices.recv()).await.is_ok() {}
    }

    pub(crate) async fn stop(self) {
        self.stopper.stop().await;
        self.handle.store().close().await;
        self.sim.stop().await;
    }

    /// The kinds of everything that was written down.
    pub(crate) async fn kinds(&self) -> Vec<String> {
        let query = doorward_store::EventQuery { limit: 500, ..Default::default() };
        self.handle.store().events(&query).await.unwrap().iter().map(|event| event.kind.to_string()).collect()
    }
}

/// Reads notices until one fits.
pub(crate) async fn next<T>(notices: &mut tokio::sync::broadcast::Receiver<Arc<Notice>>, fits: impl Fn(&Notice) -> Option<T>) -> T {
    let wait = async {
        loop {
            let notice = notices.recv().await.expect("the house runs");
            if let Some(found) = fits(&notice) {
                return found;
            }
        }
    };
    within(wait).await
}

/// Fails the test when something takes too long.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}
