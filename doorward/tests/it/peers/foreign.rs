//! A gate and a lock that are neither doorward's nor a vendor's: over MQTT, with Mosquitto's clients as the devices, and
//! behind HTTP.

use super::mosquitto::User;
use crate::{
    binary::{Binary, json, run},
    boot::killed::until,
};
use doorward_sim::relay::{AUTHORIZATION, Mood, Relay};
use tempfile::TempDir;

struct Scene {
    binary: Binary,
    data: TempDir,
}

impl Scene {
    fn start(doors: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("doorward.toml"), doors).unwrap();
        let environment = [("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"), ("DOORWARD_MQTT__LISTEN", "127.0.0.1:0")];
        Self { binary: Binary::start_with(data.path(), &environment), data }
    }

    fn user(&self, name: &str, publish: &[&str], subscribe: &[&str]) -> User {
        let mut arguments = vec!["mqtt", "user", "add", name];
        arguments.extend(publish.iter().flat_map(|filter| ["--publish", filter]));
        arguments.extend(subscribe.iter().flat_map(|filter| ["--subscribe", filter]));
        let made = json(self.data.path(), &arguments);
        User::new(name, made["secret"].as_str().unwrap(), &self.binary.mqtt_port())
    }

    async fn is(&self, door: &str, state: &str) {
        let client = self.binary.client();
        until(state, async || client.get(&format!("/doors/{door}")).await["state"] == state).await;
    }

    async fn ask(&self, door: &str, action: &str, wait: u32) -> serde_json::Value {
        let path = format!("/doors/{door}/actions?wait={wait}s");
        self.binary.client().post(&path, serde_json::json!({ "action": action })).await.unwrap().1
    }
}

const GATE: &str = r#"
[[doors]]
id = "gate"
name = "Garden gate"
kind = "foreign"
open = { mqtt = "gate/set", payload = "OPEN" }
contact = { mqtt = "zigbee2mqtt/gate", json = "contact", open = false }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_over_mqtt_is_confirmed_by_its_contact() {
    let scene = Scene::start(GATE);
    let gate = scene.user("gate", &["zigbee2mqtt/gate"], &["gate/set"]);
    // It was told before anybody listened, and kept.
    assert!(gate.publish("zigbee2mqtt/gate", r#"{"contact":true}"#, &["-r"]));
    scene.is("gate", "locked").await;
    let motor = gate.listen("gate/set");
    until("the motor listens", async || json(scene.data.path(), &["mqtt", "user", "list"])[0]["clients"] != serde_json::json!([])).await;

    let moving = async {
        motor.hears("gate/set OPEN").await;
        assert!(gate.publish("zigbee2mqtt/gate", r#"{"contact":false}"#, &["-r"]));
    };
    let (attempt, ()) = tokio::join!(scene.ask("gate", "open", 20), moving);
    assert_eq!((attempt["state"].as_str(), attempt["evidence"][1]["kind"].as_str()), (Some("confirmed"), Some("contact")), "{attempt}");
    scene.is("gate", "open").await;
    assert_eq!(motor.heard().len(), 1, "once");

    // What was kept is known again after a restart.
    let Scene { binary, data } = scene;
    binary.terminate();
    let environment = [("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"), ("DOORWARD_MQTT__LISTEN", "127.0.0.1:0")];
    let scene = Scene { binary: Binary::start_with(data.path(), &environment), data };
    scene.is("gate", "open").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_behind_http_is_believed_when_it_is_seen_and_not_before() {
    let relay = Relay::start().await.unwrap();
    let target = |path: &str| format!("{{ http = {:?}, authorization = {AUTHORIZATION:?} }}", relay.url(path));
    let text = format!(
        "[[doors]]\nid = \"shed\"\nkind = \"foreign\"\nlock = {}\nunlock = {}\n\
         state = {{ http = {:?}, authorization = {AUTHORIZATION:?}, every = 1, json = \"bolt\", locked = \"locked\", unlocked = \"unlocked\" }}\n",
        target("/lock"),
        target("/unlock"),
        relay.url("/state"),
    );
    let scene = Scene::start(&text);
    scene.is("shed", "locked").await;
    let attempt = scene.ask("shed", "unlock", 20).await;
    assert_eq!(attempt["state"], "confirmed", "{attempt}");
    assert_eq!(relay.seen().opened, 1);
    relay.set_mood(Mood::Lies);
    let attempt = scene.ask("shed", "lock", 3).await;
    assert_eq!(attempt["state"], "pending", "it says yes and does not move: {attempt}");
    relay.set_mood(Mood::Good);
    relay.turn(false);
    scene.is("shed", "locked").await;

    // What is no longer in the file is gone.
    let Scene { binary, data } = scene;
    binary.terminate();
    std::fs::write(data.path().join("doorward.toml"), "").unwrap();
    let scene = Scene { binary: Binary::start(data.path()), data };
    assert_eq!(json(scene.data.path(), &["door", "list"]), serde_json::json!([]));
    assert_eq!(json(scene.data.path(), &["account", "list"]), serde_json::json!([]));
}

#[test]
fn mistakes_at_foreign_doors_are_told_with_their_place() {
    let data = tempfile::tempdir().unwrap();
    let text = "[[doors]]\nid = \"gate\"\nkind = \"foreign\"\nopen = { mqtt = \"gate/#\", payload = \"x\" }\ncontact = { mqtt = \"a\" }\n\
                [[doors]]\nid = \"shed\"\nopen = { http = \"http://relay\" }\n";
    std::fs::write(data.path().join("doorward.toml"), text).unwrap();
    let output = run(data.path(), &["config", "check"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success());
    for place in ["doors.gate.open.mqtt", "doors[0].contact", "doors[1].open"] {
        assert!(told.contains(place), "{place} is missing in {told}");
    }
}
