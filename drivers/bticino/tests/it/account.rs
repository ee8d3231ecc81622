//! A whole account: the driver in a house whose clock is moved by hand, against the simulated cloud.

use crate::support::{bench, until};
use doorward_bticino::ENTRY;
use doorward_core::{
    Secret,
    conformance::Bench,
    driver::{Action, Ctx as _, Done, Driver, Fault, Once, Report, Settings, Target},
};
use doorward_sim::legrand::{Config, Sim, start};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{sync::oneshot, task::JoinHandle};

/// The gate that has a contact, as the house knows it.
pub(crate) const GATE: &str = "gw-1234/20#2";

pub(crate) fn settings(sim: &Sim) -> Settings {
    let mut settings = Settings::default();
    for key in ["login_url", "api_url"] {
        settings.values.insert(key.into(), json!(sim.base_url()));
    }
    settings.values.insert("sip_server".into(), json!(sim.sip_addr().to_string()));
    settings.secrets.insert("subscription_key".into(), "sim-subscription-key".into());
    settings
}

pub(crate) fn door(external: &str) -> Target {
    Target::Door { id: "gate".parse().unwrap(), external: external.into(), time_zone: "Europe/Rome".into() }
}

/// An account that nobody has signed in to yet.
pub(crate) struct Account {
    pub(crate) sim: Sim,
    pub(crate) bench: Arc<Bench>,
    pub(crate) driver: Arc<dyn Driver>,
    settings: Settings,
}

impl Account {
    pub(crate) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    /// One at a cloud that is set up so.
    pub(crate) async fn with(config: Config) -> Self {
        Self::at(start(config).await.unwrap(), bench())
    }

    pub(crate) fn at(sim: Sim, bench: Arc<Bench>) -> Self {
        let settings = settings(&sim);
        let driver = (ENTRY.build)(&settings).unwrap();
        Self { sim, bench, driver, settings }
    }

    /// One that is signed in and registered at both plants.
    pub(crate) async fn registered() -> Self {
        Self::registered_with(Config::default()).await
    }

    /// The same at a cloud that is set up so.
    pub(crate) async fn registered_with(config: Config) -> Self {
        let account = Self::with(config).await;
        account.sign_in().await.unwrap();
        account.step("register", &json!({})).await.unwrap();
        account
    }

    /// The same account in a new run of the program.
    pub(crate) fn restarted(self) -> Self {
        let driver = (ENTRY.build)(&self.settings).unwrap();
        Self { driver, ..self }
    }

    /// The same account with another setting, in a new run of the program.
    pub(crate) fn set(mut self, key: &str, value: Value) -> Self {
        self.settings.values.insert(key.into(), value);
        self.restarted()
    }

    pub(crate) async fn act(&self, target: &Target, action: Action) -> Result<Done, Fault> {
        self.driver.act(&*self.bench, target, action).await
    }

    pub(crate) async fn step(&self, step: &str, input: &Value) -> Result<Value, Fault> {
        let action = Action::Setup { step: step.into(), input: Secret::new(input.to_string()) };
        self.act(&Target::Account, action).await.map(|done| done.output)
    }

    pub(crate) async fn sign_in(&self) -> Result<Value, Fault> {
        let started = self.step("start", &json!({})).await?;
        let redirected = self.sim.allow(started["authorize_url"].as_str().unwrap()).unwrap();
        self.step("exchange", &json!({ "callback_url": redirected })).await
    }

    pub(crate) fn once(&self) -> Once {
        Once { not_after: self.bench.now().utc.plus(Duration::from_secs(10)) }
    }

    pub(crate) async fn open(&self, external: &str) -> Result<Done, Fault> {
        self.act(&door(external), Action::Open(self.once())).await
    }

    pub(crate) async fn stage(&self, name: &str) -> Value {
        let status = self.act(&Target::Account, Action::Call("status".into())).await.unwrap().output;
        let stage = status.as_array().unwrap().iter().find(|stage| stage["name"] == name);
        stage.cloned().unwrap_or_else(|| panic!("no stage {name} in {status}"))
    }

    /// Watches in a task of its own.
    pub(crate) fn watch(&self) -> Watch {
        let (stop, stopped) = oneshot::channel::<()>();
        let (driver, bench) = (Arc::clone(&self.driver), Arc::clone(&self.bench));
        let task = tokio::spawn(async move {
            let stop = Box::pin(async { _ = stopped.await });
            driver.watch(&*bench, stop).await;
        });
        Watch { stop: Some(stop), task }
    }

    /// Watches until every gateway is connected and registered.
    pub(crate) async fn connected(&self) -> Watch {
        let watch = self.watch();
        until("every gateway is registered", || self.sim.registered().len() == 2).await;
        watch
    }

    /// Reports until one is this.
    pub(crate) async fn reports_until(&self, what: &str, is: impl Fn(&Report) -> bool) -> Vec<Report> {
        let mut seen = Vec::new();
        until(what, || {
            seen.extend(self.bench.reports());
            seen.iter().any(&is)
        })
        .await;
        seen
    }

    /// Lets time pass in steps, so that whoever sleeps wakes between them.
    pub(crate) async fn pass(&self, span: Duration) {
        let mut left = span;
        while left > Duration::ZERO {
            let step = left.min(Duration::from_secs(5));
            self.bench.advance(step);
            left -= step;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A watch that runs.
pub(crate) struct Watch {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Watch {
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        self.task.await.unwrap();
    }
}
