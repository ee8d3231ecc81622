//! A BTicino account in the real binary: `kill -9` around the rotation of its refresh token loses no registration, no gate,
//! and the sign-in only where the vendor leaves no other way.

use super::killed::until;
use crate::binary::{Binary, Client};
use doorward_sim::legrand::{Config, Fault, Faults, Rotation, Sim, start};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::{TempDir, tempdir};

/// Longer than a test takes.
const LONG: u64 = 3_600_000;

/// Takes a step of the account.
pub(super) async fn step(client: &Client, step: &str, input: Value) -> Value {
    let (status, mut answer) = client.post("/accounts/gates/steps", json!({ "step": step, "input": input })).await.unwrap();
    assert!(status < 300, "{step}: {answer}");
    answer["output"].take()
}

/// Adds an account of a simulated cloud.
pub(super) async fn add(client: &Client, sim: &Sim) {
    let settings = json!({ "login_url": sim.base_url(), "api_url": sim.base_url(), "sip_server": sim.sip_addr().to_string(),
        "subscription_key": Config::default().subscription_key });
    let (status, answer) = client.post("/accounts", json!({ "kind": "bticino", "name": "Gates", "settings": settings })).await.unwrap();
    assert!(status < 300, "{answer}");
}

/// Signs it in. Gives the code that the browser brought back.
pub(super) async fn sign_in(client: &Client, sim: &Sim) -> String {
    let started = step(client, "start", json!({})).await;
    let callback = sim.allow(started["authorize_url"].as_str().unwrap()).unwrap();
    step(client, "exchange", json!({ "callback_url": callback })).await;
    callback.split_once("code=").unwrap().1.split('&').next().unwrap().to_owned()
}

struct Scene {
    data: TempDir,
    sim: Sim,
}

impl Scene {
    /// A cloud, and a house that is registered at its home and stopped again.
    async fn new(rotation: Rotation) -> Self {
        let sim = start(Config { rotation, ..Config::default() }).await.unwrap();
        let scene = Self { data: tempdir().unwrap(), sim };
        let binary = Binary::start(scene.path());
        let client = binary.client();
        add(&client, &scene.sim).await;
        sign_in(&client, &scene.sim).await;
        step(&client, "register", json!({ "plants": ["plant-1"] })).await;
        scene.ready(&client).await;
        binary.kill();
        scene
    }

    fn path(&self) -> &Path {
        self.data.path()
    }

    async fn ready(&self, client: &Client) {
        until("the doors are known", async || client.get("/doors").await["items"].as_array().unwrap().len() == 2).await;
        until("it is connected", async || self.sim.registered().len() == 1).await;
    }

    /// Starts the house, has it renew its sign-in, and kills it when the vendor is so far.
    async fn killed_while_renewing(&self, faults: Faults, so: impl Fn() -> bool) {
        let binary = Binary::start(self.path());
        self.ready(&binary.client()).await;
        self.sim.set_faults(faults);
        let client = binary.client();
        let refresh = tokio::spawn(async move { client.post("/accounts/gates/refresh", json!({})).await });
        until("the vendor is so far", async || so()).await;
        binary.kill();
        let _ = refresh.await;
        self.sim.set_faults(Faults::default());
        until("it is gone", async || self.sim.registered().is_empty()).await;
    }

    /// Starts the house, renews three times and opens a gate. Gives how the account stands.
    async fn afterwards(&self) -> (Binary, String) {
        let binary = Binary::start(self.path());
        let client = binary.client();
        self.ready(&client).await;
        for _ in 0..3 {
            let _ = client.post("/accounts/gates/refresh", json!({})).await.unwrap();
        }
        let state = client.get("/accounts/gates").await["state"].as_str().unwrap().to_owned();
        let health: Value = reqwest::get(format!("{}/health", binary.page())).await.unwrap().json().await.unwrap();
        assert_eq!(health["needs_sign_in"], state == "needs_sign_in", "health says it too");
        let received = self.sim.opener("20#2").commands_received;
        let (status, said) = client.post("/doors/driveway_gate/actions", json!({ "action": "open" })).await.unwrap();
        assert_eq!(status, 202, "{said}");
        until("the gate is told", async || self.sim.opener("20#2").commands_received == received + 1).await;
        (binary, state)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_vendor_rotated_the_account_is_never_lost() {
    for rotation in [Rotation::After(60_000), Rotation::AtOnce] {
        let scene = Scene::new(rotation).await;
        let arrived = scene.sim.counters().token;
        let faults = Faults { pause_before_rotation_ms: Some(Fault::with(LONG).times(1)), ..Faults::default() };
        scene.killed_while_renewing(faults, || scene.sim.counters().token > arrived).await;
        let (_binary, state) = scene.afterwards().await;
        assert_eq!((state.as_str(), scene.sim.counters().token_refused), ("ready", 0), "{rotation:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_vendors_rotation_and_our_save_gates_open_all_the_same() {
    for rotation in [Rotation::After(60_000), Rotation::AtOnce] {
        let scene = Scene::new(rotation).await;
        let rotated = scene.sim.counters().token_ok;
        let faults = Faults { pause_after_rotation_ms: Some(Fault::with(LONG).times(1)), ..Faults::default() };
        scene.killed_while_renewing(faults, || scene.sim.counters().token_ok > rotated).await;
        let (binary, state) = scene.afterwards().await;
        if rotation != Rotation::AtOnce {
            assert_eq!((state.as_str(), scene.sim.counters().token_refused), ("ready", 0), "the old token still works for a minute");
            continue;
        }
        assert_eq!((state.as_str(), scene.sim.counters().token_refused), ("needs_sign_in", 1), "it is said after one refusal, no storm");
        let client = binary.client();
        sign_in(&client, &scene.sim).await;
        step(&client, "register", json!({ "plants": ["plant-1"] })).await;
        until("nobody is needed", async || client.get("/accounts/gates").await["state"] == "ready").await;
        let counted = scene.sim.counters();
        assert_eq!((counted.accounts_made, counted.certificates_issued), (1, 1), "the registration was never lost");
    }
}
