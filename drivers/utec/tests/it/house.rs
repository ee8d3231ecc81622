//! An account in a house whose clock is moved by hand.

use crate::recorder::{Recorder, Reply, reply};
use doorward_core::{
    Secret,
    conformance::Bench,
    driver::{Action, Ctx, Done, Driver, Fault, Once, Report, Settings, Target},
};
use doorward_utec::ENTRY;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

pub(crate) const FRONT: &str = "7C:DF:A1:68:3E:6A";
pub(crate) const BACK: &str = "7C:DF:A1:68:3E:6B";

/// The vectors.
pub(crate) fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/utec.json")).unwrap()
}

pub(crate) fn bench() -> Arc<Bench> {
    Arc::new(Bench::new("2026-11-23T07:00:00Z".parse().unwrap()))
}

pub(crate) fn settings(base: &str) -> Settings {
    let mut settings = Settings::default();
    for key in ["base_url", "oauth_base_url"] {
        settings.values.insert(key.into(), json!(base));
    }
    settings.values.insert("access_key".into(), json!("AK"));
    settings.values.insert("redirect_url".into(), json!("http://localhost:9501"));
    settings.secrets.insert("secret_key".into(), "SK".into());
    settings
}

pub(crate) fn build(settings: &Settings) -> Arc<dyn Driver> {
    // Another test may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    (ENTRY.build)(settings).unwrap()
}

pub(crate) fn door(external: &str) -> Target {
    Target::Door { id: "front".parse().unwrap(), external: external.into(), time_zone: "Europe/Berlin".into() }
}

/// An account at a recording server.
pub(crate) struct House {
    pub(crate) bench: Arc<Bench>,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) cloud: Recorder,
}

impl House {
    /// One that is signed in with the tokens of the vectors.
    pub(crate) async fn signed_in(answers: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Self {
        let house = Self::new(answers).await;
        house
            .setup("tokens", &json!({ "access_token": "AT", "refresh_token": "RT", "token_type": "Bearer", "expires_in": 601_200 }))
            .await
            .unwrap();
        house.bench.reports();
        house
    }

    /// One that nobody has signed in to.
    pub(crate) async fn new(answers: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Self {
        let cloud = Recorder::start(answers).await;
        let driver = build(&settings(&cloud.base_url()));
        Self { bench: bench(), driver, cloud }
    }

    /// The same account after a restart.
    pub(crate) fn restarted(&self) -> Arc<dyn Driver> {
        build(&settings(&self.cloud.base_url()))
    }

    pub(crate) async fn act(&self, target: &Target, action: Action) -> Result<Done, Fault> {
        self.driver.act(&*self.bench, target, action).await
    }

    pub(crate) async fn setup(&self, step: &str, input: &Value) -> Result<Value, Fault> {
        let action = Action::Setup { step: step.into(), input: Secret::new(input.to_string()) };
        self.act(&Target::Account, action).await.map(|done| done.output)
    }

    pub(crate) fn once(&self) -> Once {
        Once { not_after: self.bench.now().utc.plus(Duration::from_secs(10)) }
    }

    pub(crate) async fn unlock(&self) -> Result<Done, Fault> {
        self.act(&door(FRONT), Action::Unlock(self.once())).await
    }

    pub(crate) async fn lock(&self) -> Result<Done, Fault> {
        self.act(&door(FRONT), Action::Lock(self.once())).await
    }

    /// Waits until `work` sleeps for some of the time from `least` to `most`; it must not end before.
    pub(crate) async fn sleeps(&self, least: Duration, most: Duration, work: &mut (impl Future + Unpin)) {
        loop {
            tokio::select! { biased; _ = &mut *work => panic!("it ended too early"), () = breathe() => {} }
            let now = self.bench.now().mono;
            if self.bench.next_wake().is_some_and(|wake| (now.plus(least)..=now.plus(most)).contains(&wake)) {
                return;
            }
        }
    }

    /// Waits until the cloud was asked so many times; `work` must not end before.
    pub(crate) async fn asked(&self, times: usize, work: &mut (impl Future + Unpin)) {
        while self.cloud.requests().len() < times {
            tokio::select! { biased; _ = &mut *work => panic!("it ended too early"), () = breathe() => {} }
        }
    }

    /// What was reported, by a word each.
    pub(crate) fn words(&self) -> Vec<String> {
        self.bench.reports().iter().map(word).collect()
    }
}

pub(crate) fn word(report: &Report) -> String {
    match report {
        Report::Found(found) => format!("found {}", found.len()),
        Report::Seen { external, .. } => format!("seen {external}"),
        Report::Lease(lease) => format!("lease {} fresh={}", lease.id, lease.fresh),
        Report::LeaseForgotten(lease) => format!("lease {lease} forgotten"),
        Report::SignedIn => "signed in".into(),
        Report::Up => "up".into(),
        Report::Down(fault) => format!("down {:?}", fault.family),
        Report::Push(_) => "push".into(),
        Report::Listen(_) => "listen".into(),
        Report::Ring { external, .. } => format!("ring {external}"),
        Report::Presented(presented) => format!("presented {}", presented.credential),
        Report::Admitted(admitted) => format!("admitted {}", admitted.credential),
        Report::TurnedAway(turned) => format!("turned away {} {}", turned.external, turned.reason),
        Report::RingEnded { call, end } => format!("ring {call} {end}"),
        Report::Answer { external, .. } => format!("answer {external}"),
        Report::Milestone { what, .. } => format!("milestone {what:?}"),
        Report::Stages(_) => "stages".into(),
        Report::NeedsPerson(fault) => format!("needs person {}", fault.is_some()),
    }
}

/// An answer that every call is content with.
pub(crate) fn fine(_: usize, _: &Value) -> Reply {
    reply(200, &json!({ "payload": { "devices": [] } }))
}

/// Lets other tasks of the runtime work.
pub(crate) async fn breathe() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}
