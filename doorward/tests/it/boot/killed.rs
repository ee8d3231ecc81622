//! `kill -9` at the worst moment: no account is lost, no door opens twice, what is not known is called unknown.

use crate::binary::{Binary, Client};
use doorward_sim::utec::{Config, Fault, Faults, On, Rotation, Sim};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tempfile::{TempDir, tempdir};

const FRONT: &str = "7C:DF:A1:68:3E:6A";
const ROUNDS: u64 = 12;

struct Scene {
    data: TempDir,
    sim: Sim,
}

impl Scene {
    /// A cloud, and a house that is signed in to it and stopped again.
    async fn start(rotation: Rotation) -> Self {
        let sim = doorward_sim::utec::start(Config { rotation, ..Config::default() }).await.unwrap();
        let data = tempdir().unwrap();
        let binary = Binary::start(data.path());
        link(&binary.client(), &sim).await;
        let scene = Self { data, sim };
        until("the doors are known", async || binary.client().get("/doors").await["items"].as_array().unwrap().len() == 3).await;
        binary.kill();
        scene
    }

    fn path(&self) -> &Path {
        self.data.path()
    }

    /// Starts a house, lets it refresh its token, and kills it when `when` says so.
    async fn killed_while_refreshing(&self, when: impl AsyncFnOnce()) {
        let binary = Binary::start(self.path());
        let client = binary.client();
        let refresh = tokio::spawn(async move { client.post("/accounts/u_tec/refresh", json!({})).await });
        when().await;
        binary.kill();
        let _ = refresh.await;
    }

    /// Starts a house and refreshes twice. Returns how the account stands and how many refreshes were refused.
    async fn refreshed_afterwards(&self) -> (String, u64) {
        let before = self.sim.counters().token_refused;
        let binary = Binary::start(self.path());
        let client = binary.client();
        for _ in 0..3 {
            let _ = client.post("/accounts/u_tec/refresh", json!({})).await.unwrap();
        }
        let state = client.get("/accounts/u_tec").await["state"].as_str().unwrap().to_owned();
        let health: Value = reqwest::get(format!("{}/health", binary.page())).await.unwrap().json().await.unwrap();
        assert_eq!(health["needs_sign_in"], state == "needs_sign_in", "health says it too");
        let refused = self.sim.counters().token_refused - before;
        if state == "needs_sign_in" {
            sign_in(&client, &self.sim).await;
        }
        (state, refused)
    }
}

/// Adds an account of a simulated cloud, and signs it in.
pub(crate) async fn link(client: &Client, sim: &Sim) {
    let config = Config::default();
    let settings = json!({ "base_url": sim.base_url(), "oauth_base_url": sim.base_url(), "access_key": config.client_id,
        "secret_key": config.client_secret, "redirect_url": "http://127.0.0.1:9/callback" });
    let (status, answer) = client.post("/accounts", json!({ "kind": "utec", "name": "U-tec", "settings": settings })).await.unwrap();
    assert!(status < 300, "{answer}");
    sign_in(client, sim).await;
}

async fn sign_in(client: &Client, sim: &Sim) {
    let (_, started) = client.post("/accounts/u_tec/steps", json!({ "step": "start", "input": {} })).await.unwrap();
    let redirected = sim.allow(started["output"]["authorize_url"].as_str().unwrap()).unwrap();
    let step = json!({ "step": "exchange", "input": { "callback_url": redirected } });
    let (status, answer) = client.post("/accounts/u_tec/steps", step).await.unwrap();
    assert!(status < 300, "{answer}");
}

/// Waits for something that the other process does. There is nothing to listen to, so it looks every few milliseconds.
pub(crate) async fn until(what: &str, so: impl AsyncFnMut() -> bool) {
    until_within(Duration::from_secs(20), what, so).await;
}

/// Waits for what takes its time, such as a connection whose other end says nothing.
pub(crate) async fn until_within(patience: Duration, what: &str, mut so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !so().await {
            pause(3).await;
        }
    };
    assert!(tokio::time::timeout(patience, wait).await.is_ok(), "waited in vain until {what}");
}

async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_vendor_rotated_the_account_is_never_lost() {
    for rotation in [Rotation::Grace, Rotation::Strict] {
        let scene = Scene::start(rotation).await;
        scene.sim.set_faults(Faults { pause_before_rotation_ms: Some(Fault::with(10_000).times(1)), ..Faults::default() });
        let arrived = scene.sim.counters().token;
        scene.killed_while_refreshing(async || until("it asked", async || scene.sim.counters().token > arrived).await).await;
        scene.sim.set_faults(Faults::default());
        let (state, refused) = scene.refreshed_afterwards().await;
        assert_eq!((state.as_str(), refused), ("ready", 0), "{rotation:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_vendors_rotation_and_our_save() {
    for rotation in [Rotation::Grace, Rotation::Strict] {
        let (scene, strict) = (Scene::start(rotation).await, rotation == Rotation::Strict);
        scene.sim.set_faults(Faults { pause_after_rotation_ms: Some(Fault::with(10_000).times(1)), ..Faults::default() });
        let rotated = scene.sim.counters().token_ok;
        scene.killed_while_refreshing(async || until("it rotated", async || scene.sim.counters().token_ok > rotated).await).await;
        scene.sim.set_faults(Faults::default());
        let (state, refused) = scene.refreshed_afterwards().await;
        if strict {
            assert_eq!((state.as_str(), refused), ("needs_sign_in", 1), "nothing can save it; it is said after one refusal, no storm");
        } else {
            assert_eq!((state.as_str(), refused), ("ready", 0), "the old token still works for a minute");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_of_a_refresh() {
    for rotation in [Rotation::Grace, Rotation::Strict] {
        let (scene, strict) = (Scene::start(rotation).await, rotation == Rotation::Strict);
        for round in 0..ROUNDS {
            let before = scene.sim.counters().token_ok;
            // The steps between request and save take a few milliseconds: this walks over them.
            scene.killed_while_refreshing(async || pause(round).await).await;
            let (state, refused) = scene.refreshed_afterwards().await;
            if strict && state == "needs_sign_in" {
                // Counted now: the vendor may have heard of the request only after the one who sent it was gone.
                let done = scene.sim.counters().token_ok - before;
                assert_eq!(done, 2, "round {round}: a rotation that nobody could save, and the new sign-in");
                assert_eq!(refused, 1, "round {round}: no storm");
            } else {
                assert_eq!((state.as_str(), refused), ("ready", 0), "round {round}, {rotation:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_lock_moves_the_outcome_is_unknown_and_the_door_opens_once() {
    let scene = Scene::start(Rotation::Grace).await;
    let slow = Fault::with(10_000).on(On::Command).times(1).after_effect();
    scene.sim.set_faults(Faults { slow_ms: Some(slow), ..Faults::default() });
    let binary = Binary::start(scene.path());
    let id = "11111111-1111-4111-8111-111111111111";
    let command = json!({ "id": id, "action": "unlock" });
    let (status, _) = binary.client().post("/doors/front_door/actions", command.clone()).await.unwrap();
    assert_eq!(status, 202);
    until("the cloud took it", async || scene.sim.counters().command == 1).await;
    binary.kill();
    scene.sim.set_faults(Faults::default());

    let binary = Binary::start(scene.path());
    let attempt = binary.client().get(&format!("/attempts/{id}")).await;
    assert_eq!((attempt["state"].as_str(), attempt["reason"].as_str()), (Some("unconfirmed"), Some("outcome_unknown")), "{attempt}");
    let (_, again) = binary.client().post("/doors/front_door/actions?wait=5s", command).await.unwrap();
    assert_eq!(again["id"], id, "the same id is the same attempt");
    pause(200).await;
    assert_eq!(scene.sim.counters().command, 1, "it is not sent again");
    until("the lock has moved", async || scene.sim.lock(FRONT).times_opened == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_of_a_command_no_door_opens_twice() {
    let scene = Scene::start(Rotation::Grace).await;
    for round in 0..ROUNDS {
        let id = format!("22222222-2222-4222-8222-{round:012}");
        let command = json!({ "id": id, "action": "unlock" });
        let received = scene.sim.lock(FRONT).unlock_commands;
        let binary = Binary::start(scene.path());
        let client = binary.client();
        let sent = {
            let command = command.clone();
            tokio::spawn(async move { client.post("/doors/front_door/actions", command).await })
        };
        pause(round * 2).await;
        binary.kill();
        let accepted = matches!(sent.await.unwrap(), Ok((202, _)));

        let binary = Binary::start(scene.path());
        let recorded = binary.client().get(&format!("/attempts/{id}")).await;
        if accepted {
            assert_eq!(recorded["id"], id, "round {round}: what was accepted is known");
        }
        // The caller does not know and asks again, with the same id.
        let (_, again) = binary.client().post("/doors/front_door/actions?wait=10s", command).await.unwrap();
        assert_eq!(again["id"], id, "{again}");
        assert_ne!(again["state"], "pending", "round {round}: {again}");
        let now = scene.sim.lock(FRONT).unlock_commands;
        assert!(now <= received + 1, "round {round}: one command reached the lock {} times", now - received);
        scene.sim.turn(FRONT, doorward_sim::utec::Bolt::Locked);
        assert_eq!(binary.client().get("/audit/verify").await["ok"], true, "round {round}: the audit is whole");
    }
}
