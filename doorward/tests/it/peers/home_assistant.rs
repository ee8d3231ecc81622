//! A real Home Assistant at the embedded broker.

use super::{
    firmware, fleet,
    mosquitto::{FRONT, Scene},
};
use crate::{
    binary::{Binary, json as printed, run},
    boot::killed::until,
};
use doorward_sim::device::Firmware;
use serde_json::{Value, json};
use std::{net::TcpListener, path::PathBuf, process::Command};
use tempfile::TempDir;

/// A Home Assistant of our own, with the MQTT integration. It ends with the test.
struct Lab {
    folder: TempDir,
    url: String,
    token: String,
}

fn lab() -> Command {
    let program = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/ha-lab/ha-lab"));
    Command::new(program)
}

impl Lab {
    fn start(broker: &str, secret: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let started = lab()
            .arg("start")
            .arg(folder.path())
            .args(["--port", &port, "--mqtt", broker, "--mqtt-user", "homeassistant", "--mqtt-password", secret])
            .output()
            .expect("ha-lab is in ../shared");
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        let told: Value = serde_json::from_slice(&started.stdout).unwrap();
        let text = |key: &str| told[key].as_str().unwrap().to_owned();
        Self { folder, url: text("url"), token: text("token") }
    }

    fn wait(&self, entity: &str, state: &str) {
        let waited = lab().arg("wait").arg(self.folder.path()).args([entity, state, "--timeout", "60"]).output().unwrap();
        assert!(waited.status.success(), "{entity} is not {state}: {}", String::from_utf8_lossy(&waited.stdout));
    }

    fn call(&self, service: &str, entity: &str) {
        let called = lab().arg("call").arg(self.folder.path()).args([service, entity]).output().unwrap();
        assert!(called.status.success(), "{service} {entity}: {}", String::from_utf8_lossy(&called.stderr));
    }

    /// Calls a service with a code.
    async fn call_with(&self, service: &str, entity: &str, code: &str) -> bool {
        crate::house::provider();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/api/services/{}", self.url, service.replace('.', "/"));
        let body = json!({ "entity_id": entity, "code": code });
        client.post(url).bearer_auth(&self.token).json(&body).send().await.unwrap().status().is_success()
    }

    fn state(&self, entity: &str) -> String {
        self.told(entity)["state"].as_str().unwrap_or_default().to_owned()
    }

    fn attributes(&self, entity: &str) -> Value {
        self.told(entity)["attributes"].clone()
    }

    fn told(&self, entity: &str) -> Value {
        let states = lab().arg("states").arg(self.folder.path()).arg(entity).output().unwrap();
        let first = String::from_utf8_lossy(&states.stdout).lines().next().map(ToOwned::to_owned);
        first.map(|line| serde_json::from_str(&line).unwrap()).unwrap_or_default()
    }

    fn has(&self, prefix: &str) -> usize {
        let states = lab().arg("states").arg(self.folder.path()).arg(prefix).output().unwrap();
        String::from_utf8_lossy(&states.stdout).lines().count()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = lab().arg("stop").arg(self.folder.path()).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn home_assistant_finds_every_door_opens_one_and_shows_the_liar() {
    let scene = Scene::start().await;
    let about = |what: &str| format!("doorward/door/+/{what}");
    let about = ["state", "attributes", "availability", "battery", "contact", "contradiction", "ring"].map(about);
    let mut subscribe: Vec<&str> = about.iter().map(String::as_str).collect();
    subscribe.extend(["homeassistant/#", "doorward/status", "doorward/event", "doorward/account/+/problem"]);
    let user = scene.user("homeassistant", &["doorward/door/+/set", "homeassistant/status"], &subscribe);
    let broker = format!("127.0.0.1:{}", scene.port);
    let home = Lab::start(&broker, &user.secret);

    for door in ["lock.front_door", "lock.garden_gate_lock", "lock.workshop"] {
        home.wait(door, "locked");
    }
    assert_eq!(home.has("lock."), 3);
    home.wait("binary_sensor.front_door_contact", "off");
    home.wait("sensor.front_door_battery", "100");
    home.wait("binary_sensor.garden_gate_lock_problem", "off");
    home.wait("binary_sensor.doorward_u_tec_problem", "off");

    home.call("lock.unlock", "lock.front_door");
    home.wait("lock.front_door", "unlocked");
    assert_eq!(scene.sim.lock(FRONT).times_opened, 1);
    home.call("lock.lock", "lock.front_door");
    home.wait("lock.front_door", "locked");

    home.call("lock.unlock", "lock.garden_gate_lock");
    home.wait("binary_sensor.garden_gate_lock_problem", "on");
    home.wait("lock.garden_gate_lock", "locked");

    // A code that is wanted from now on, and a bell that is there after the next start.
    assert!(run(scene.data.path(), &["door", "set", "front_door", "--mqtt-code", "2468"]).status.success());
    let bell = scene.user("bell", &["bell"], &[]);
    let gate =
        "[[doors]]\nid = \"gate\"\nkind = \"foreign\"\nopen = { mqtt = \"gate/set\", payload = \"OPEN\" }\nring = { mqtt = \"bell\" }\n";
    std::fs::write(scene.data.path().join("doorward.toml"), gate).unwrap();

    // The broker goes and comes back: doors are unavailable meanwhile, and nothing opens by itself afterwards.
    let Scene { binary, sim, data, .. } = scene;
    let opened = sim.lock(FRONT).times_opened;
    binary.terminate();
    home.wait("lock.front_door", "unavailable");
    let _binary = Binary::start_with(data.path(), &[("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"), ("DOORWARD_MQTT__LISTEN", &broker)]);
    home.wait("lock.front_door", "locked");
    assert_eq!(sim.lock(FRONT).times_opened, opened);

    // The bell of the gate is heard.
    home.wait("event.gate_doorbell", "unknown");
    until("it rings", async || bell.publish("bell", "ding", &[]) && home.state("event.gate_doorbell") != "unknown").await;
    assert_eq!(home.attributes("event.gate_doorbell")["event_type"], "ring");
    let ringing = printed(data.path(), &["ring", "list", "--state", "ringing"]);
    let ring = ringing[0]["id"].as_str().expect("it rings still");
    assert_eq!(home.attributes("event.gate_doorbell")["ring"], ring);
    let ignored = printed(data.path(), &["ring", "ignore", ring]);
    assert_eq!((&ignored["state"], &ignored["by"]["kind"]), (&json!("rejected"), &json!("admin")));
    until("its end is heard", async || home.attributes("event.gate_doorbell")["event_type"] == "rejected").await;
    // Home Assistant gives the code that the door wants.
    home.call_with("lock.unlock", "lock.front_door", "1111").await;
    assert!(home.call_with("lock.unlock", "lock.front_door", "2468").await);
    home.wait("lock.front_door", "unlocked");
    assert_eq!(sim.lock(FRONT).times_opened, opened + 1, "the wrong code opened nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn home_assistant_shows_the_firmware_of_a_device_and_updates_it() {
    let scene = fleet::Scene::start();
    let device = firmware::device(&scene, Firmware::B, 0xF1, None).await;
    let rights = ["--publish", "doorward/device/+/set", "--publish", "homeassistant/status", "--subscribe", "homeassistant/#"];
    let more =
        ["--subscribe", "doorward/status", "--subscribe", "doorward/device/+/firmware", "--subscribe", "doorward/device/+/availability"];
    let user = printed(scene.path(), &[&["mqtt", "user", "add", "homeassistant"][..], &rights, &more].concat());
    let home = Lab::start(&format!("127.0.0.1:{}", scene.binary.mqtt_port()), user["secret"].as_str().unwrap());
    let entity = "update.a1b2c3d4e5f1_firmware";
    home.wait(entity, "off");
    firmware::add(&scene, "2.1.0", &["--channel", "beta"]);
    firmware::add(&scene, "2.0.5", &["--channel", "stable"]);
    home.wait(entity, "on");
    let attributes = home.attributes(entity);
    assert_eq!(
        (&attributes["installed_version"], &attributes["latest_version"]),
        (&json!("2.0.0"), &json!("2.0.5")),
        "beta is not offered"
    );
    home.call("update.install", entity);
    home.wait(entity, "off");
    assert_eq!((device.version().as_str(), &home.attributes(entity)["installed_version"]), ("2.0.5", &json!("2.0.5")));
    assert!(run(scene.path(), &["device", "revoke", "A1B2C3D4E5F1"]).status.success());
    until("it is gone", async || home.has("update.") == 0).await;
}
