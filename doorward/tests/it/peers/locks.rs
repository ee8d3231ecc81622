//! Locks over Bluetooth: a house in the simulated air, phones that come near, and who does not get in.

mod original;
mod page;
mod phones;

use crate::{
    binary::{self, Binary, run},
    boot::killed::until,
};
use doorward_ble::{
    clock::Clock,
    guest::{Config, Enrolment, Guest, Held},
    keys::{Folder, Kind, PublicV2, Role},
    radio::{
        Address, Radio,
        air::{AirRadio, Who},
    },
};
use doorward_core::{Mono, Now, driver::BoxFuture};
use doorward_sim::air::{self, Air, Place};
use doorward_wire::{
    Time,
    attempt::ActionWord,
    ble::{LockId, v2},
};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

/// The door, and what its lock is called on the air.
const DOOR: &str = "garden";
/// A stranger to every lock at this distance, and near enough at the other.
const FAR: f64 = 20.0;
const NEAR: f64 = 1.0;

/// A house with one lock, in an air of its own.
struct Scene {
    binary: Option<Binary>,
    air: Air,
    data: TempDir,
    strike: PathBuf,
    environment: Vec<(String, String)>,
}

impl Scene {
    async fn start() -> Self {
        Self::with("", &[("DOORWARD_MQTT__LISTEN", "127.0.0.1:0")]).await
    }

    /// With more keys of the door, and more environment.
    async fn with(door: &str, environment: &[(&str, &str)]) -> Self {
        crate::house::provider();
        let (air, data) = (Air::start(air::Config::default()).await.unwrap(), tempfile::tempdir().unwrap());
        let strike = data.path().join("strike");
        let keys = Folder::new(data.path().join("ble/keys"));
        for role in [Role::Issuer, Role::Lock(DOOR.parse().unwrap())] {
            keys.create(&role, Kind::V2, &PhoneClock::new()).unwrap();
        }
        let at = air.address();
        let toml = format!(
            "[ble]\nradio = \"air:{at}\"\nissuer = \"air:{at}\"\n\n[[doors]]\nid = \"{DOOR}\"\nname = \"Garden\"\nkind = \"radio\"\n\
             open = {{ command = [\"/bin/sh\", \"-c\", \"echo opened >> {}\"] }}\n{door}",
            strike.display()
        );
        std::fs::write(data.path().join("doorward.toml"), toml).unwrap();
        let environment = environment.iter().chain(&[("DOORWARD_HTTP__LISTEN", "127.0.0.1:0")]);
        let environment = environment.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut scene = Self { binary: None, air, data, strike, environment };
        scene.serve().await;
        scene
    }

    /// Starts the house, and waits until its lock hears.
    async fn serve(&mut self) {
        let environment: Vec<(&str, &str)> = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let binary = Binary::start_with(self.path(), &environment);
        let client = binary.client();
        self.binary = Some(binary);
        until("the lock hears", async || client.get(&format!("/doors/{DOOR}")).await["online"] == true).await;
    }

    /// Kills it without a word and starts it again.
    async fn killed(&mut self) {
        self.binary.take().unwrap().kill();
        self.serve().await;
    }

    fn path(&self) -> &Path {
        self.data.path()
    }

    fn binary(&self) -> &Binary {
        self.binary.as_ref().unwrap()
    }

    /// How often the door was opened.
    fn opened(&self) -> usize {
        std::fs::read_to_string(&self.strike).unwrap_or_default().lines().count()
    }

    async fn opens(&self, times: usize) {
        until("the door opens", async || self.opened() >= times).await;
        assert_eq!(self.opened(), times);
    }

    /// Does something on the command line.
    fn does(&self, arguments: &[&str]) {
        let output = run(self.path(), arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn json(&self, arguments: &[&str]) -> Value {
        binary::json(self.path(), arguments)
    }

    /// Waits until the door refused somebody for this reason.
    async fn refuses(&self, reason: &str) {
        let client = self.binary().client();
        let refused = async || {
            let events = client.get("/events?kind=door.refused").await;
            events["items"].as_array().unwrap().iter().any(|event| event["reason"] == reason)
        };
        until(&format!("somebody is refused: {reason}"), refused).await;
    }

    /// A radio in the air, so far away.
    async fn radio(&self, name: &str, number: u8, metres: f64) -> AirRadio {
        let who = Who {
            name: name.into(),
            address: Address([0xC0, 0, 0, 0, 1, number]),
            place: [metres, 0.0, 0.0],
            clock: PhoneClock::new().stopwatch(),
        };
        AirRadio::enter(&self.air.address().to_string(), who).await.unwrap()
    }

    /// Somebody with a phone of their own.
    async fn phone(&self, name: &'static str, number: u8, invite: Option<String>) -> Phone {
        let key = || v2::Guest::from_seed(&[number; 32]);
        let keys = Folder::new(self.path().join("ble/keys")).read().unwrap();
        let Some(PublicV2::Issuer(issuer)) = keys.v2.get(&Role::Issuer).map(|key| key.public) else { panic!("no issuer") };
        let config = Config { invite, search: Duration::from_secs(15), ..Config::new(DOOR.parse().unwrap()) };
        let guest = Guest::new(config, Enrolment::V2 { key: key(), issuer });
        Phone { name, guest, radio: self.radio(name, number, FAR).await, clock: PhoneClock::new() }
    }
}

/// A phone, far away at first.
struct Phone {
    name: &'static str,
    guest: Guest,
    radio: AirRadio,
    clock: PhoneClock,
}

impl Phone {
    /// Asks for a session; says why there is none.
    async fn asks(&self) -> Result<Held, String> {
        self.guest.session(&self.radio as &dyn Radio, &self.clock, &|_| {}).await.map_err(|error| error.to_string())
    }

    /// Shows its tokens while something is done.
    async fn shows<T>(&self, held: &Held, meanwhile: impl Future<Output = T>) -> T {
        tokio::select! {
            done = meanwhile => done,
            shown = self.guest.show(held, &self.radio, &self.clock, &|_| {}) => panic!("its session is over: {shown:?}"),
        }
    }

    /// Shows a pass to the lock, and proves that it is its own.
    async fn presents(&self, pass: &[u8]) -> Result<(), String> {
        let confirm = |_: &LockId, _: ActionWord| -> BoxFuture<'static, bool> { Box::pin(std::future::ready(true)) };
        let shown = self.guest.present(pass, ActionWord::Open, &self.radio, &self.clock, &confirm, &|_| {}).await;
        shown.map_err(|error| error.to_string())
    }

    /// Comes near and goes away again.
    fn comes(&self, scene: &Scene) {
        scene.air.carry(self.name, Place::new(NEAR, 0.0, 0.0));
    }

    fn goes(&self, scene: &Scene) {
        scene.air.carry(self.name, Place::new(FAR, 0.0, 0.0));
    }
}

/// A phone's clock and dice.
#[derive(Clone)]
struct PhoneClock(Arc<dyn doorward_engine::Clock>);

impl PhoneClock {
    fn new() -> Self {
        Self(Arc::new(doorward_engine::SystemClock::new()))
    }

    fn stopwatch(&self) -> Arc<dyn Fn() -> Mono + Send + Sync> {
        let clock = Arc::clone(&self.0);
        Arc::new(move || clock.now().mono)
    }

    fn utc(&self) -> Time {
        self.0.now().utc
    }
}

impl Clock for PhoneClock {
    fn now(&self) -> Now {
        self.0.now()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        self.0.sleep_until(self.0.now().mono.plus(span))
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}
