//! A real Home Assistant at the embedded broker.

use super::mosquitto::{FRONT, Scene};
use crate::binary::Binary;
use std::{net::TcpListener, path::PathBuf, process::Command};
use tempfile::TempDir;

/// A Home Assistant of our own, with the MQTT integration. It ends with the test.
struct Lab {
    folder: TempDir,
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
        Self { folder }
    }

    fn wait(&self, entity: &str, state: &str) {
        let waited = lab().arg("wait").arg(self.folder.path()).args([entity, state, "--timeout", "60"]).output().unwrap();
        assert!(waited.status.success(), "{entity} is not {state}: {}", String::from_utf8_lossy(&waited.stdout));
    }

    fn call(&self, service: &str, entity: &str) {
        let called = lab().arg("call").arg(self.folder.path()).args([service, entity]).output().unwrap();
        assert!(called.status.success(), "{service} {entity}: {}", String::from_utf8_lossy(&called.stderr));
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
    subscribe.extend(["homeassistant/#", "doorward/status", "doorward/event"]);
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

    home.call("lock.unlock", "lock.front_door");
    home.wait("lock.front_door", "unlocked");
    assert_eq!(scene.sim.lock(FRONT).times_opened, 1);
    home.call("lock.lock", "lock.front_door");
    home.wait("lock.front_door", "locked");

    home.call("lock.unlock", "lock.garden_gate_lock");
    home.wait("binary_sensor.garden_gate_lock_problem", "on");
    home.wait("lock.garden_gate_lock", "locked");

    // The broker goes and comes back: doors are unavailable meanwhile, and nothing opens by itself afterwards.
    let Scene { binary, sim, data, .. } = scene;
    let opened = sim.lock(FRONT).times_opened;
    binary.terminate();
    home.wait("lock.front_door", "unavailable");
    let _binary = Binary::start_with(data.path(), &[("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"), ("DOORWARD_MQTT__LISTEN", &broker)]);
    home.wait("lock.front_door", "locked");
    assert_eq!(sim.lock(FRONT).times_opened, opened);
}
