//! The commands of the original provisioning guide at the provisioning server, and Mosquitto's clients with what it gave.

use super::mosquitto::{Listener, User};
use crate::{
    binary::{Binary, json, run},
    boot::killed::until,
};
use serde_json::Value;
use std::{path::Path, process::Command};
use tempfile::TempDir;

/// A house with a provisioning server and a broker.
pub(super) struct Scene {
    pub(super) binary: Binary,
    pub(super) data: TempDir,
}

impl Scene {
    pub(super) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(super) fn start_with(more: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let any = "127.0.0.1:0";
        let mut environment = vec![("DOORWARD_HTTP__LISTEN", any), ("DOORWARD_MQTT__LISTEN", any), ("DOORWARD_FLEET__LISTEN", any)];
        environment.extend_from_slice(more);
        Self { binary: Binary::start_with(data.path(), &environment), data }
    }

    pub(super) fn path(&self) -> &Path {
        self.data.path()
    }

    /// A token of the house with one scope.
    pub(super) fn token(&self, scope: &str) -> String {
        let made = json(self.path(), &["person", "token", "create", scope, "--scope", scope]);
        made["secret"].as_str().unwrap_or_else(|| panic!("no secret in {made}")).to_owned()
    }

    /// What `curl` gets: the status, and the answer.
    fn curl(&self, method: &str, path: &str, token: Option<&str>, more: &[&str]) -> (u16, Value) {
        let mut command = Command::new("curl");
        command.args(["-sS", "-X", method, "-w", "\n%{http_code}"]).args(more);
        if let Some(token) = token {
            command.args(["-H", &format!("Authorization: Bearer {token}")]);
        }
        let output = command.arg(format!("http://{}{path}", self.binary.fleet())).output().expect("curl is installed");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    pub(super) fn provision(&self, id: &str, token: &str) -> (u16, Value) {
        self.curl("POST", &format!("/provision/{id}"), Some(token), &[])
    }

    /// A device at the broker, with what it was given.
    fn device(&self, told: &Value) -> User {
        User::new(told["mqtt_user"].as_str().unwrap(), told["mqtt_password"].as_str().unwrap(), &self.binary.mqtt_port())
    }
}

pub(super) fn client_id(id: &str) -> [String; 2] {
    ["-i".into(), format!("BLE-Gateway-{id}")]
}

#[test]
fn the_guides_curl_provisions_a_device_that_connects_with_what_it_got() {
    let scene = Scene::start();
    let token = scene.token("devices:provision");
    let (status, told) = scene.provision("a1b2c3d4e5f6", &token);
    assert_eq!(status, 200, "{told}");
    assert_eq!((told["device_id"].as_str(), told["mqtt_user"].as_str()), (Some("A1B2C3D4E5F6"), Some("A1B2C3D4E5F6")));
    let listed = json(scene.path(), &["device", "list"]);
    assert_eq!(listed[0]["state"], "provisioned", "it was never there");
    assert_eq!(told["mqtt_password"].as_str().unwrap().len(), 64);
    assert_eq!(told["mqtt_port"].to_string(), scene.binary.mqtt_port());
    let date = told["provision_date"].as_str().unwrap();
    assert!(date.len() == 19 && date.as_bytes()[10] == b' ', "as the original's clients parse it: {date}");
    assert_eq!(scene.provision("A1B2C3D4E5F6", &token).1, told, "the same device again gives the same credentials");

    let own = client_id("A1B2C3D4E5F6");
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let device = scene.device(&told);
    assert!(device.publish("gateway/status", "{}", &own));
    assert!(device.publish("gateway/A1B2C3D4E5F6/ota/status", "{}", &own));
    assert!(!device.publish("gateway/A1B2C3D4E5F6/ota", "{}", &own), "nobody tells it to flash itself");
    assert!(!device.publish("gateway/B1B2C3D4E5F6/status", "{}", &own), "another's");
    assert!(!device.publish("gateway/status", "{}", &["-i", "somebody"]), "its credentials are good for its client identifier alone");

    let listed = json(scene.path(), &["device", "list"]);
    assert_eq!((listed[0]["id"].as_str(), listed[0]["state"].as_str()), (Some("A1B2C3D4E5F6"), Some("offline")), "it was there");
    assert_eq!(json(scene.path(), &["device", "provision", "A1B2C3D4E5F6"]), told, "the command line says the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_cannot_read_its_neighbours_topics() {
    let scene = Scene::start();
    let told = |id: &str| json(scene.path(), &["device", "provision", id]);
    let (first, second) = (told("A1B2C3D4E5F6"), told("A1B2C3D4E5F7"));
    let operator = json(scene.path(), &["mqtt", "user", "add", "operator", "--publish", "gateway/+/command"]);
    let operator = User::new("operator", operator["secret"].as_str().unwrap(), &scene.binary.mqtt_port());
    let own = client_id("A1B2C3D4E5F6");
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let mine = scene.device(&first).listen_with("gateway/A1B2C3D4E5F6/command", &own);
    let id = client_id("A1B2C3D4E5F7");
    let more = ["-t", "gateway/+/command", "-t", "gateway/#", "-t", "#", "-t", "gateway/A1B2C3D4E5F7/command"];
    let more: Vec<&str> = id.iter().map(String::as_str).chain(more).collect();
    let neighbour = scene.device(&second).listen_with("gateway/A1B2C3D4E5F6/command", &more);
    let heard = |listener: &Listener, id: &str| {
        operator.publish(&format!("gateway/{id}/command"), "{}", &[]);
        !listener.heard().is_empty()
    };
    until("each hears what is its own", async || heard(&mine, "A1B2C3D4E5F6") & heard(&neighbour, "A1B2C3D4E5F7")).await;
    for (listener, id) in [(&mine, "A1B2C3D4E5F6"), (&neighbour, "A1B2C3D4E5F7")] {
        let heard = listener.heard();
        assert!(heard.iter().all(|line| line.contains(id)), "and nothing of its neighbour's: {heard:?}");
    }
}

#[test]
fn whoever_shows_no_token_learns_nothing() {
    let scene = Scene::start();
    let error = |error: &str| serde_json::json!({ "error": error });
    assert_eq!(scene.curl("POST", "/provision/A1B2C3D4E5F6", None, &[]), (401, error("Unauthorized")));
    assert_eq!(scene.provision("nonsense", "dw_wrong"), (401, error("Unauthorized")), "before its identifier is looked at");
    assert_eq!(scene.curl("GET", "/devices", None, &[]).0, 401);
    let token = scene.token("devices:provision");
    for id in ["A1B2C", "A1B2C3D4E5F67", "A1B2C3D4E5FG", "A1%2FB2", "..%2Fhealth"] {
        assert_eq!(scene.provision(id, &token), (400, error("Invalid device ID")), "{id}");
    }
    assert_eq!(scene.curl("GET", "/devices", Some(&token), &[]).0, 403, "provisioning is all that it may");
    let other = scene.token("doors:act");
    assert_eq!(scene.provision("A1B2C3D4E5F6", &other).0, 403);
    assert_eq!(json(scene.path(), &["device", "list"]), serde_json::json!([]));
    assert_eq!(scene.curl("GET", "/health", None, &[]).1["status"], "healthy");
    assert_eq!(scene.curl("POST", "/health/x", None, &[]).0, 404);
    assert_eq!(scene.curl("PUT", "/provision/A1B2C3D4E5F6", Some(&token), &[]).0, 405);
}

#[test]
fn secrets_go_over_tls_or_stay_on_this_machine() {
    let scene = Scene::start();
    let token = scene.token("devices:provision");
    let forwarded = ["-H", "X-Forwarded-For: 192.0.2.7"];
    let (status, told) = scene.curl("POST", "/provision/A1B2C3D4E5F6", Some(&token), &forwarded);
    assert_eq!(status, 403, "a proxy that nobody named stands for the internet: {told}");
    assert!(told["error"].as_str().unwrap().contains("fleet.plain_http"));
    let plain = Scene::start_with(&[("DOORWARD_FLEET__PLAIN_HTTP", "true")]);
    let token = plain.token("devices:provision");
    assert_eq!(plain.curl("POST", "/provision/A1B2C3D4E5F6", Some(&token), &forwarded).0, 200);
    let proxied = Scene::start_with(&[("DOORWARD_FLEET__PROXIES", "127.0.0.1")]);
    let token = proxied.token("devices:provision");
    assert_eq!(proxied.curl("POST", "/provision/A1B2C3D4E5F6", Some(&token), &forwarded).0, 403);
    let sealed = ["-H", "X-Forwarded-For: 192.0.2.7", "-H", "X-Forwarded-Proto: https"];
    assert_eq!(proxied.curl("POST", "/provision/A1B2C3D4E5F6", Some(&token), &sealed).0, 200);
}

#[test]
fn wrong_tokens_are_slowed_down_and_counted() {
    let scene = Scene::start_with(&[("DOORWARD_FLEET__PROXIES", "127.0.0.1")]);
    let token = scene.token("devices:provision");
    let from = |address: &str, token: &str| {
        let (source, sealed) = (format!("X-Forwarded-For: {address}"), "X-Forwarded-Proto: https");
        scene.curl("POST", "/provision/A1B2C3D4E5F6", Some(token), &["-H", &source, "-H", sealed]).0
    };
    let wrong = format!("dw_{}", "x".repeat(43));
    let statuses: Vec<u16> = (0..30).map(|_| from("192.0.2.7", &wrong)).collect();
    assert_eq!((statuses[0], statuses[29]), (401, 429));
    assert_eq!(from("192.0.2.7", &token), 429, "nothing is tried any more");
    assert_eq!(from("192.0.2.8", &token), 200, "others are not slowed");
    let metrics = String::from_utf8(
        Command::new("curl")
            .args(["-sS", "--unix-socket"])
            .arg(scene.path().join("doorward.sock"))
            .arg("http://localhost/metrics")
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap();
    for reason in ["not_authenticated", "rate_limited"] {
        assert!(metrics.contains(&format!("doorward_fleet_refused_total{{reason=\"{reason}\"}}")), "{metrics}");
    }
}

#[test]
fn the_environment_of_the_original_server_is_honoured() {
    let salt = "0123456789abcdef0123456789abcdef";
    let admin = "an-admin-token-of-the-original";
    let environment =
        [("DEVICE_SALT", salt), ("ADMIN_TOKEN", admin), ("MQTT_HOST", "mqtt.example"), ("MQTT_PORT", "8883"), ("COMPANY", "Doors")];
    let scene = Scene::start_with(&environment);
    let (status, told) = scene.provision("A1B2C3D4E5F6", admin);
    assert_eq!(status, 200);
    assert_eq!(told["mqtt_password"], "10b2757146584c3f228737a2e7d6fd6476a04e913dec423eecb5bb66f32326d2", "as the vectors have it");
    assert_eq!((&told["mqtt_host"], &told["mqtt_port"]), (&"mqtt.example".into(), &8883.into()));
    assert_eq!(scene.provision("A1B2C3D4E5F6", "an-admin-token-of-the-originaL").0, 401);
    let (status, list) = scene.curl("GET", "/devices", Some(admin), &[]);
    assert_eq!((status, &list["total"], &list["devices"][0]["last_seen"]), (200, &1.into(), &"never".into()));
}

#[test]
fn a_salt_that_was_published_starts_nothing() {
    let data = tempfile::tempdir().unwrap();
    let mut command = crate::binary::command(data.path());
    command.args(["config", "check"]).env("DEVICE_SALT", "YOUR_SECRET_SALT_HERE_CHANGE_THIS");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("everybody knows it") && !said.contains("YOUR_SECRET"), "{said}");
}

#[test]
fn two_devices_that_print_the_same_are_not_one() {
    let scene = Scene::start();
    assert_eq!(json(scene.path(), &["device", "provision", "01:23:12:03:AA:BB"])["device_id"], "123123AABB");
    let output = run(scene.path(), &["device", "provision", "12:03:01:23:aa:bb"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("01:23:12:03:AA:BB"), "it says which other one");
    assert_eq!(json(scene.path(), &["device", "show", "123123aabb"])["mac"], "01:23:12:03:AA:BB");
    let output = run(scene.path(), &["device", "show", "A1B2C3"]);
    assert!(!output.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_says_of_another_is_heard_by_nobody() {
    let scene = Scene::start();
    let told = json(scene.path(), &["device", "provision", "A1B2C3D4E5F6"]);
    json(scene.path(), &["device", "provision", "A1B2C3D4E5F7"]);
    let board = json(scene.path(), &["mqtt", "user", "add", "board", "--subscribe", "sensor/+", "--subscribe", "gateway/status"]);
    let board = User::new("board", board["secret"].as_str().unwrap(), &scene.binary.mqtt_port());
    let listener = board.listen_with("sensor/+", &["-t", "gateway/status"]);
    let own = client_id("A1B2C3D4E5F6");
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let device = scene.device(&told);
    let reading = r#"{"serialNumber":"AA:BB:CC:DD:EE:FF","sensorType":"t","temp":"21.5","gateway":"A1B2C3D4E5F6","offline":true}"#;
    until("what the device says goes on unchanged", async || {
        device.publish("sensor/data", reading, &own);
        listener.heard().contains(&format!("sensor/data {reading}"))
    })
    .await;
    device.publish("sensor/data", &reading.replace("E5F6", "E5F7"), &own);
    device.publish("gateway/status", r#"{"serialNumber":"A1B2C3D4E5F7","firmware":"9.9.9"}"#, &own);
    device.publish("gateway/status", "nonsense", &own);
    let spoken = r#"{"serialNumber":"A1B2C3D4E5F6","firmware":"2.0.0","uptime":300,"freeHeap":181234,"wifiRssi":-61,"timestamp":1}"#;
    device.publish("gateway/status", spoken, &own);
    listener.hears(&format!("gateway/status {spoken}")).await;
    let heard = listener.heard();
    assert!(heard.iter().all(|line| !line.contains("E5F7") && !line.contains("nonsense")), "{heard:?}");
    let metrics = scene.binary.client().text("/metrics").await;
    assert!(metrics.contains("doorward_fleet_refused_total{reason=\"sender\"} 2"), "{metrics}");
    let shown = json(scene.path(), &["device", "show", "A1B2C3D4E5F6"]);
    assert_eq!((shown["firmware"].as_str(), shown["wifi_rssi"].as_i64()), (Some("2.0.0"), Some(-61)));
    assert_eq!(json(scene.path(), &["device", "show", "A1B2C3D4E5F7"])["firmware"], Value::Null);

    // A will is a message too.
    let will = ["--will-topic", "gateway/status", "--will-payload", r#"{"serialNumber":"A1B2C3D4E5F7"}"#];
    assert!(!device.publish("gateway/status", spoken, &[&own[..], &will].concat()), "no will where all devices report");

    // What is written down now and then is written when it is told to stop.
    let Scene { binary, data } = scene;
    assert_eq!(binary.terminate().code(), Some(0));
    let again = Scene { binary: Binary::start_with(data.path(), &[("DOORWARD_HTTP__LISTEN", "127.0.0.1:0")]), data };
    let shown = json(again.path(), &["device", "show", "A1B2C3D4E5F6"]);
    assert_eq!((shown["firmware"].as_str(), shown["state"].as_str()), (Some("2.0.0"), Some("offline")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_connected_is_told_and_its_answer_comes_back() {
    let scene = Scene::start();
    let told = json(scene.path(), &["device", "provision", "A1B2C3D4E5F6"]);
    let away = run(scene.path(), &["device", "command", "A1B2C3D4E5F6", "restart"]);
    assert_eq!(away.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&away.stderr).contains("not connected"), "nothing may reach it later: {away:?}");
    // A device in shell: it answers each request under the same method and number.
    let script = r#"mosquitto_sub -h 127.0.0.1 -p "$1" -u "$2" -P "$3" -i BLE-Gateway-A1B2C3D4E5F6 -t 'sensor/A1B2C3D4E5F6/request/+/+' \
        -t gateway/A1B2C3D4E5F6/command -F '%t %p' -C 1"#;
    let device = |answer: &str| {
        let script = format!("{script} | while read -r topic payload; do {answer}; done");
        let (user, password) = (told["mqtt_user"].as_str().unwrap(), told["mqtt_password"].as_str().unwrap());
        Command::new("sh").args(["-c", &script, "sh", &scene.binary.mqtt_port(), user, password]).spawn().unwrap()
    };
    let online = async || json(scene.path(), &["device", "show", "A1B2C3D4E5F6"])["state"] == "online";
    let answer = r#"mosquitto_pub -h 127.0.0.1 -p "$1" -u "$2" -P "$3" -i BLE-Gateway-A1B2C3D4E5F6 \
        -t "$(echo "$topic" | sed s/request/response/)" -m "{\"heard\":$payload}""#;
    let mut answering = device(answer);
    until("the device is connected", online).await;
    let said = json(scene.path(), &["device", "command", "a1b2c3d4e5f6", "setInterval", r#"{"seconds":30}"#]);
    assert_eq!(said, serde_json::json!({ "outcome": "answered", "answer": { "heard": { "seconds": 30 } } }));
    answering.wait().unwrap();
    let mut restarting = device(
        "exec mosquitto_sub -h 127.0.0.1 -p \"$1\" -u \"$2\" -P \"$3\" -i BLE-Gateway-A1B2C3D4E5F6 -t gateway/A1B2C3D4E5F6/command -W 2",
    );
    until("the device is connected", online).await;
    assert_eq!(json(scene.path(), &["device", "command", "A1B2C3D4E5F6", "restart"])["outcome"], "back");
    restarting.wait().unwrap();
    let events = scene.binary.client().get("/events?kind=device.commanded").await;
    assert_eq!(events["items"].as_array().map(Vec::len), Some(2), "{events}");
}

#[test]
fn a_stranger_who_knows_an_identifier_gets_no_secret() {
    let scene = Scene::start();
    let told = json(scene.path(), &["device", "provision", "A1B2C3D4E5F6"]);
    let ask = |id: &str, more: &[&str]| scene.curl("GET", &format!("/{id}"), None, more);
    let (status, answer) = ask("a1b2c3d4e5f6", &[]);
    assert_eq!((status, answer["device_id"].as_str()), (200, Some("A1B2C3D4E5F6")));
    assert_eq!((&answer["mqtt_port"], &answer["development"]), (&told["mqtt_port"], &"production".into()));
    assert!(answer["timestamp"].is_i64() && answer["mqtt_use_tls"].is_boolean());
    for secret in ["mqtt_user", "mqtt_password"] {
        assert!(answer.get(secret).is_none(), "absent, never empty: the firmware would take it for its own. {answer}");
    }
    assert_eq!(ask("A1B2C3D4E5F7", &[]).0, 404, "an identifier that nobody provisioned is not made known by asking");
    assert_eq!(json(scene.path(), &["device", "list"]).as_array().unwrap().len(), 1);
    let invalid = serde_json::json!({ "error": "Invalid device ID format" });
    assert_eq!(ask("A1B2C", &[]), (400, invalid));
    let token = format!("X-Device-Token: {}", told["device_token"].as_str().unwrap());
    let (_, own) = ask("A1B2C3D4E5F6", &["-H", &token]);
    assert_eq!((&own["mqtt_user"], &own["mqtt_password"]), (&told["mqtt_user"], &told["mqtt_password"]), "with its token it gets them");
    let wrong = ask("A1B2C3D4E5F6", &["-H", "X-Device-Token: 0000"]).1;
    assert!(wrong.get("mqtt_password").is_none());
    let from_elsewhere = ask("A1B2C3D4E5F6", &["-H", &token, "-H", "X-Forwarded-For: 192.0.2.7"]).1;
    assert!(from_elsewhere.get("mqtt_password").is_none(), "nor over a way that others can read");
}

/// What a device behind a named proxy gets.
fn asks(scene: &Scene, address: &str) -> Option<String> {
    let from = format!("X-Forwarded-For: {address}");
    let (status, answer) = scene.curl("GET", "/A1B2C3D4E5F6", None, &["-H", &from, "-H", "X-Forwarded-Proto: https"]);
    assert_eq!(status, 200, "{answer}");
    answer["mqtt_password"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_taken_once_and_a_second_address_ends_it() {
    let scene = Scene::start_with(&[("DOORWARD_FLEET__PROXIES", "127.0.0.1")]);
    let told = json(scene.path(), &["device", "provision", "A1B2C3D4E5F6"]);
    let before = told["mqtt_password"].as_str().unwrap();
    assert_eq!(asks(&scene, "192.0.2.7"), None, "provisioning opens no claim");
    json(scene.path(), &["device", "claim", "A1B2C3D4E5F6", "--network", "192.0.2.0/24"]);
    assert_eq!(asks(&scene, "198.51.100.1"), None, "another network");
    assert_eq!(asks(&scene, "192.0.2.7").as_deref(), Some(before));
    assert_eq!(asks(&scene, "192.0.2.7").as_deref(), Some(before), "the device may ask again");
    let own = client_id("A1B2C3D4E5F6");
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    assert!(scene.device(&told).publish("gateway/A1B2C3D4E5F6/status", "{}", &own));

    assert_eq!(asks(&scene, "192.0.2.8"), None, "the second one gets nothing");
    assert_eq!(asks(&scene, "192.0.2.7"), None, "and the first one no more: one of the two was a stranger");
    assert!(!scene.device(&told).publish("gateway/A1B2C3D4E5F6/status", "{}", &own), "what was fetched is worth nothing");
    let client = scene.binary.client();
    let events = client.get("/events?kind=device.claim_contested").await;
    assert_eq!(events["items"][0]["data"], serde_json::json!({ "why": "second", "first": "192.0.2.7", "second": "192.0.2.8" }));

    let after = json(scene.path(), &["device", "provision", "A1B2C3D4E5F6"]);
    assert_ne!(after["mqtt_password"], told["mqtt_password"]);
    json(scene.path(), &["device", "claim", "A1B2C3D4E5F6", "--until-closed"]);
    assert_eq!(asks(&scene, "192.0.2.9").as_deref(), after["mqtt_password"].as_str());
    assert!(run(scene.path(), &["device", "claim", "A1B2C3D4E5F6", "--close"]).status.success());
    assert_eq!(asks(&scene, "192.0.2.9"), None);
    assert!(!run(scene.path(), &["device", "claim", "A1B2C3D4E5F6", "--close"]).status.success(), "there is none any more");
    for wrong in [&["--network", "nonsense"][..], &["--for", "900d"], &["--for", "0s"]] {
        assert!(!run(scene.path(), &[&["device", "claim", "A1B2C3D4E5F6"][..], wrong].concat()).status.success(), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_from_a_device_ends_at_once() {
    let scene = Scene::start();
    let told = json(scene.path(), &["device", "provision", "A1B2C3D4E5F6"]);
    let own = client_id("A1B2C3D4E5F6");
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let speaks = |told: &Value| scene.device(told).publish("gateway/A1B2C3D4E5F6/status", "{}", &own);
    let state = || json(scene.path(), &["device", "show", "A1B2C3D4E5F6"])["state"].as_str().unwrap().to_owned();
    let listening = scene.device(&told).listen_with("gateway/A1B2C3D4E5F6/command", &own);
    until("it is connected", async || state() == "online").await;

    let renewed = json(scene.path(), &["device", "rotate", "A1B2C3D4E5F6"]);
    assert_ne!(renewed["mqtt_password"], told["mqtt_password"]);
    until("its connection with the old ones ends", async || state() == "offline").await;
    assert!(!speaks(&told) && speaks(&renewed));
    drop(listening);

    let listening = scene.device(&renewed).listen_with("gateway/A1B2C3D4E5F6/command", &own);
    until("it is connected", async || state() == "online").await;
    assert!(run(scene.path(), &["device", "revoke", "A1B2C3D4E5F6"]).status.success());
    assert_eq!(state(), "revoked");
    assert!(!speaks(&renewed));
    drop(listening);
    let token = format!("X-Device-Token: {}", renewed["device_token"].as_str().unwrap());
    assert_eq!(scene.curl("GET", "/A1B2C3D4E5F6", None, &["-H", &token]).0, 404, "it is not known any more");
    let provisioning = scene.token("devices:provision");
    let (status, answer) = scene.provision("A1B2C3D4E5F6", &provisioning);
    assert_eq!(status, 409, "whoever only provisions does not give it back: {answer}");
    assert!(!run(scene.path(), &["device", "revoke", "A1B2C3D4E5F6"]).status.success(), "once");
    let again = json(scene.path(), &["device", "rotate", "A1B2C3D4E5F6"]);
    assert!(speaks(&again) && !speaks(&renewed));
    let kinds = |kind: &'static str| {
        let client = scene.binary.client();
        async move { client.get(&format!("/events?kind={kind}")).await["items"].as_array().map(Vec::len) }
    };
    assert_eq!((kinds("device.revoked").await, kinds("device.renewed").await), (Some(1), Some(2)));
}
