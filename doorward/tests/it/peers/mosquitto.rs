//! The clients of Mosquitto at the embedded broker: what is allowed, what is not, and what opens nothing.

use crate::{
    binary::{Binary, json},
    boot::killed::{link, until},
};
use doorward_sim::utec::{Config, Sim};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};
use tempfile::TempDir;

pub(super) const FRONT: &str = "7C:DF:A1:68:3E:6A";
const SET: &str = "doorward/door/front_door/set";

pub(super) struct Scene {
    pub(super) binary: Binary,
    pub(super) sim: Sim,
    pub(super) port: String,
    pub(super) data: TempDir,
}

impl Scene {
    pub(super) async fn start() -> Self {
        let sim = doorward_sim::utec::start(Config::default()).await.unwrap();
        let data = tempfile::tempdir().unwrap();
        let environment = [("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"), ("DOORWARD_MQTT__LISTEN", "127.0.0.1:0")];
        let binary = Binary::start_with(data.path(), &environment);
        link(&binary.client(), &sim).await;
        let client = binary.client();
        until("the doors are known", async || client.get("/doors/front_door").await["state"] == "locked").await;
        let port = binary.mqtt_port();
        Self { binary, sim, port, data }
    }

    fn path(&self) -> &Path {
        self.data.path()
    }

    /// Adds a user of the broker.
    pub(super) fn user(&self, name: &str, publish: &[&str], subscribe: &[&str]) -> User {
        let mut arguments = vec!["mqtt", "user", "add", name];
        arguments.extend(publish.iter().flat_map(|filter| ["--publish", filter]));
        arguments.extend(subscribe.iter().flat_map(|filter| ["--subscribe", filter]));
        let made = json(self.path(), &arguments);
        assert_eq!(made["name"], name);
        User::new(name, made["secret"].as_str().unwrap(), &self.port)
    }

    fn opened(&self) -> u64 {
        self.sim.lock(FRONT).times_opened
    }
}

/// Somebody with Mosquitto's clients.
#[derive(Clone)]
pub(super) struct User {
    name: String,
    pub(super) secret: String,
    port: String,
    version: &'static str,
}

impl User {
    pub(super) fn new(name: &str, secret: &str, port: &impl ToString) -> Self {
        Self { name: name.into(), secret: secret.into(), port: port.to_string(), version: "5" }
    }

    /// The same one with another version of MQTT.
    pub(super) fn speaking(self, version: &'static str) -> Self {
        Self { version, ..self }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &self.port, "-V", self.version]);
        // Somebody without a name says none.
        if !self.name.is_empty() {
            command.args(["-u", &self.name, "-P", &self.secret]);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Publishes, and says whether the broker took it.
    pub(super) fn publish(&self, topic: &str, payload: &str, more: &[&str]) -> bool {
        let output = self.command("mosquitto_pub").args(["-t", topic, "-m", payload, "-q", "1"]).args(more).output();
        let output = output.expect("mosquitto-clients are installed: `make test` does it");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success() && !said.contains("not authorised") && !said.contains("Not authorized")
    }

    /// What the broker keeps at a topic.
    pub(super) fn keeps(&self, topic: &str) -> Option<String> {
        let output = self.command("mosquitto_sub").args(["-t", topic, "-C", "1", "-W", "1", "--retained-only"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    pub(super) fn listen(&self, filter: &str) -> Listener {
        self.listen_with(filter, &[])
    }

    /// Listens with further arguments of `mosquitto_sub`.
    pub(super) fn listen_with(&self, filter: &str, more: &[&str]) -> Listener {
        let mut command = self.command("mosquitto_sub");
        let command = command.args(["-t", filter, "-v"]).args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::new(Mutex::new(String::new()));
        let (out, err) = (BufReader::new(child.stdout.take().unwrap()), BufReader::new(child.stderr.take().unwrap()));
        let lines = Arc::clone(&heard);
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| lines.lock().unwrap().push(line)));
        let errors = Arc::clone(&said);
        std::thread::spawn(move || err.lines().map_while(Result::ok).for_each(|line| errors.lock().unwrap().push_str(&line)));
        Listener { child, heard, said }
    }
}

/// A `mosquitto_sub` that runs.
pub(super) struct Listener {
    child: Child,
    heard: Arc<Mutex<Vec<String>>>,
    said: Arc<Mutex<String>>,
}

impl Listener {
    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub(super) async fn hears(&self, line: &str) {
        until(line, async || self.heard().iter().any(|heard| heard == line)).await;
    }
}

impl Listener {
    /// Waits until something with these words was heard.
    pub(super) async fn has(&self, words: &str) {
        until(words, async || self.heard().iter().any(|heard| heard.contains(words))).await;
    }

    /// The numbers of the events that were heard, in their order.
    pub(super) fn ids(&self) -> Vec<i64> {
        let events = self.heard();
        let events = events.iter().filter_map(|line| line.split_once(' ')).map(|(_, event)| event);
        events.map(|event| serde_json::from_str::<serde_json::Value>(event).unwrap()["id"].as_i64().unwrap()).collect()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_is_seen_and_opened_over_mqtt() {
    let scene = Scene::start().await;
    let app = scene.user("app", &[SET], &["doorward/door/+/state", "doorward/status", "doorward/event"]);
    let states = app.listen("doorward/door/+/state");
    states.hears("doorward/door/front_door/state LOCKED").await;
    app.listen("doorward/status").hears("doorward/status online").await;
    let events = app.listen("doorward/event");

    assert!(app.publish(SET, "UNLOCK", &[]));
    states.hears("doorward/door/front_door/state UNLOCKED").await;
    assert_eq!(scene.opened(), 1);
    until("the event is told", async || {
        events.heard().iter().any(|line| line.contains("door.unlocked") && line.contains("\"kind\":\"mqtt\""))
    })
    .await;
    let attempts = scene.binary.client().get("/events?kind=attempt.finished").await;
    assert_eq!(attempts["items"][0]["actor"]["id"], "app", "{attempts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_allowed_that_was_not_named() {
    let scene = Scene::start().await;
    let reader = scene.user("reader", &["weather/#"], &["#", "doorward/door/+/state"]);
    let nobody = User { name: "nobody".into(), ..reader.clone() };
    let wrong = User { secret: "wrong".into(), ..reader.clone() };
    for stranger in [&nobody, &wrong] {
        assert!(!stranger.publish("weather/today", "rain", &[]), "no connection without the right secret");
    }
    let anonymous =
        Command::new("mosquitto_pub").args(["-h", "127.0.0.1", "-p", &scene.port, "-t", "weather/x", "-m", "x"]).output().unwrap();
    assert!(!anonymous.status.success(), "nobody is anonymous");

    assert!(!reader.publish(SET, "UNLOCK", &[]));
    let listener = reader.listen("doorward/door/+/set");
    until("it is told that it may not", async || {
        listener.said.lock().unwrap().contains("enied") || listener.said.lock().unwrap().contains("uthori")
    })
    .await;
    // A right to everything else still reaches what it names.
    let weather = scene.user("weather", &["weather/#"], &["weather/#"]);
    let listener = weather.listen("weather/+");
    until("messages come through", async || {
        reader.publish("weather/today", "rain", &[]);
        listener.heard().contains(&"weather/today rain".to_owned())
    })
    .await;
    // Nobody speaks for doorward.
    let liar = scene.user("liar", &["doorward/door/+/state"], &["doorward/door/+/state"]);
    let states = liar.listen("doorward/door/front_door/state");
    states.hears("doorward/door/front_door/state LOCKED").await;
    liar.publish("doorward/door/front_door/state", "OPEN", &["-r"]);
    liar.publish("doorward/door/front_door/state", "OPEN", &[]);
    for topic in [SET, "doorward/door/front_door/state"] {
        let mut will = weather.command("mosquitto_sub");
        let refused = will.args(["-t", "weather/+", "--will-topic", topic, "--will-payload", "UNLOCK", "-W", "5"]).output().unwrap();
        assert!(String::from_utf8_lossy(&refused.stderr).to_lowercase().contains("authori"), "no will at {topic}: {refused:?}");
    }
    assert_eq!(scene.opened(), 0);
    assert_eq!(scene.sim.lock(FRONT).commands_received, 0);
    // What doorward says next comes after whatever came through before it.
    scene.binary.client().post("/doors/front_door/actions", serde_json::json!({ "action": "unlock" })).await.unwrap();
    states.hears("doorward/door/front_door/state UNLOCKED").await;
    assert!(!states.heard().contains(&"doorward/door/front_door/state OPEN".to_owned()), "{:?}", states.heard());
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_2_retained_late_and_repeated_commands_open_nothing() {
    let scene = Scene::start().await;
    let app = scene.user("app", &[SET], &[SET]);
    let client = scene.binary.client();

    assert!(app.publish(SET, "UNLOCK", &["-r"]));
    until("it is told", async || {
        client.get("/events?kind=mqtt.retained_command").await["items"].as_array().is_some_and(|items| items.len() == 1)
    })
    .await;
    let listener = app.listen(SET);
    let late = r#"{"action":"unlock","not_after":"2026-01-01T00:00:00Z"}"#;
    assert!(app.publish(SET, late, &[]));
    until("it is refused", async || {
        let events = client.get("/events?kind=door.refused").await;
        events["items"].as_array().unwrap().iter().any(|event| event["reason"] == "stale_command")
    })
    .await;
    for nonsense in ["unlock", "{}", "OPEN SESAME", r#"{"action":"unlock","sudo":true}"#] {
        app.publish(SET, nonsense, &[]);
    }
    assert_eq!(scene.opened(), 0);

    let once = r#"{"action":"unlock","id":"0190a1b2-0000-7000-8000-000000000001"}"#;
    for _ in 0..3 {
        assert!(app.publish(SET, once, &[]));
    }
    until("it opens", async || scene.opened() == 1).await;
    until("it is seen", async || client.get("/doors/front_door").await["state"] == "unlocked").await;
    assert_eq!(scene.sim.lock(FRONT).commands_received, 1, "the same id is the same command");
    for _ in 0..3 {
        assert!(app.publish(SET, "LOCK", &[]));
    }
    until("it is locked", async || client.get("/doors/front_door").await["state"] == "locked").await;
    assert_eq!(scene.sim.lock(FRONT).commands_received, 2, "a bare word said again at once is the same command");
    assert_eq!(listener.heard(), Vec::<String>::new(), "commands are for doorward alone, and none was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_block_a_doors_code_and_lock_no_door() {
    let scene = Scene::start().await;
    let app = scene.user("app", &[SET], &[]);
    let client = scene.binary.client();
    let mut set = crate::binary::command(scene.path());
    let set = set.args(["door", "set", "front_door", "--mqtt-code", "2468"]).output().unwrap();
    assert!(set.status.success(), "{set:?}");
    let unlock = |code: &str| format!(r#"{{"action":"unlock","code":"{code}"}}"#);
    let refused = async |reason: &str| {
        let events = client.get("/events?kind=door.refused&limit=100").await;
        events["items"].as_array().unwrap().iter().filter(|event| event["reason"] == reason).count()
    };
    assert!(app.publish(SET, "UNLOCK", &[]), "a command without a code is a wrong one");
    for code in ["0000", "1111", "2222", "24680"] {
        assert!(app.publish(SET, &unlock(code), &[]));
    }
    until("five are refused", async || refused("wrong_code").await == 5).await;
    for _ in 0..3 {
        assert!(app.publish(SET, &unlock("2468"), &[]));
    }
    until("now the right one is too", async || refused("rate_limited").await == 1).await;
    assert_eq!(scene.sim.lock(FRONT).commands_received, 0);
    let metrics = client.text("/metrics").await;
    for line in ["reason=\"wrong_code\"} 5", "reason=\"rate_limited\"} 3"] {
        assert!(metrics.contains(line), "each is counted: {metrics}");
    }

    // Locking needs no code, and a person at the page is not kept out.
    assert!(app.publish(SET, "LOCK", &[]));
    until("it is told to lock", async || scene.sim.lock(FRONT).commands_received == 1).await;
    client.post("/doors/front_door/actions?wait=20s", serde_json::json!({ "action": "unlock" })).await.unwrap();
    assert_eq!(scene.opened(), 1);
    assert!(!scene.binary.log().contains("2468"), "a code is in no log");
}

#[tokio::test(flavor = "multi_thread")]
async fn home_assistant_is_told_when_announcements_change_their_way() {
    let scene = Scene::start().await;
    let app = scene.user("app", &["homeassistant/status"], &["homeassistant/#"]);
    let (lock, whole) = ("homeassistant/lock/doorward_front_door/lock/config", "homeassistant/device/doorward_front_door/config");
    until("the lock is announced", async || app.keeps(lock).is_some()).await;
    assert_eq!(app.keeps(whole), None);
    let before = app.listen(lock);
    before.has(lock).await;

    let Scene { binary, sim, data, .. } = scene;
    binary.terminate();
    let environment =
        [("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"), ("DOORWARD_MQTT__LISTEN", "127.0.0.1:0"), ("DOORWARD_MQTT__DISCOVERY", "device")];
    let binary = Binary::start_with(data.path(), &environment);
    let app = User { port: binary.mqtt_port(), ..app };
    until("the door is announced as a device", async || app.keeps(whole).is_some_and(|text| text.contains("\"components\""))).await;
    until("the lock alone is not", async || app.keeps(lock).is_none()).await;

    // What is announced goes with its door, and comes again when Home Assistant does.
    let devices = app.listen("homeassistant/device/+/config");
    until("both are there", async || devices.heard().iter().filter(|line| line.starts_with(whole)).count() == 1).await;
    assert!(app.publish("homeassistant/status", "online", &[]));
    until("it is said again", async || devices.heard().iter().filter(|line| line.starts_with(whole)).count() == 2).await;
    assert!(crate::binary::run(data.path(), &["account", "remove", "u_tec"]).status.success());
    until("nothing is left of it", async || app.keeps(whole).is_none()).await;
    drop(sim);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_removed_is_gone_at_once() {
    let scene = Scene::start().await;
    let app = scene.user("app", &[SET], &["doorward/status"]);
    let mut listener = app.listen("doorward/status");
    listener.hears("doorward/status online").await;
    let connected = || json(scene.path(), &["mqtt", "user", "list"])[0]["clients"].as_array().unwrap().len();
    assert_eq!(connected(), 1);
    assert!(crate::binary::run(scene.path(), &["mqtt", "user", "remove", "app"]).status.success());
    until("its connection ends, and no other begins", async || {
        listener.child.try_wait().unwrap().is_some() || !app.publish(SET, "UNLOCK", &[])
    })
    .await;
    assert!(!app.publish(SET, "UNLOCK", &[]));
    assert_eq!(scene.opened(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_is_there_after_a_restart_and_doors_are_told_offline() {
    let scene = Scene::start().await;
    let app = scene.user("app", &["note/#"], &["note/#", "doorward/status"]);
    assert!(app.publish("note/one", "kept", &["-r"]));
    let status = app.listen("doorward/status");
    status.hears("doorward/status online").await;
    let Scene { binary, sim, data, .. } = scene;
    binary.terminate();
    status.hears("doorward/status offline").await;
    let environment = [("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"), ("DOORWARD_MQTT__LISTEN", "127.0.0.1:0")];
    let binary = Binary::start_with(data.path(), &environment);
    let app = User { port: binary.mqtt_port(), ..app };
    app.listen("note/+").hears("note/one kept").await;
    app.listen("doorward/status").hears("doorward/status online").await;
    drop(sim);
}
