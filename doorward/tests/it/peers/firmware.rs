//! Firmware on its way from an upload to a device that runs it, and everything that is refused on that way.

use super::fleet::Scene;
use crate::{
    binary::{Binary, json, run},
    boot::killed::until,
};
use doorward_engine::{Clock as _, SystemClock};
use doorward_sim::device::{Config, Device, Firmware, Memory};
use serde_json::{Value, json as value};
use std::{fs, path::PathBuf, process::Command, time::Duration};

/// An image as a build makes it: it says its version.
fn image(scene: &Scene, version: &str, bytes: usize) -> PathBuf {
    let mut image: Vec<u8> = (0..bytes).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
    image[0] = 0xE9;
    image[32..36].copy_from_slice(&[0x32, 0x54, 0xCD, 0xAB]);
    image[48..112].fill(0);
    image[48..48 + version.len()].copy_from_slice(version.as_bytes());
    let file = scene.path().join(format!("gateway-{version}.bin"));
    fs::write(&file, image).unwrap();
    file
}

pub(super) fn add(scene: &Scene, version: &str, more: &[&str]) -> Value {
    let file = image(scene, version, 700_000).display().to_string();
    json(scene.path(), &[&["firmware", "add", &file][..], more].concat())
}

/// The key that a device believes.
fn public_key(scene: &Scene) -> Vec<u8> {
    let pem = scene.path().join("key.pem");
    fs::write(&pem, run(scene.path(), &["firmware", "key"]).stdout).unwrap();
    let der = Command::new("openssl").args(["pkey", "-pubin", "-outform", "DER", "-in"]).arg(&pem).output().unwrap();
    assert!(der.status.success(), "{der:?}");
    der.stdout[der.stdout.len() - 32..].to_vec()
}

/// A provisioned device that runs 2.0.0.
pub(super) async fn device(scene: &Scene, firmware: Firmware, last: u8, public_key: Option<Vec<u8>>) -> Device {
    let mac = [0xA1, 0xB2, 0xC3, 0xD4, 0xE5, last];
    let broker = format!("127.0.0.1:{}", scene.binary.mqtt_port()).parse().unwrap();
    let config = Config { firmware, mac, broker, public_key, report: Duration::from_millis(200), ..Config::default() };
    let id = format!("A1B2C3D4E5{last:X}");
    let told = json(scene.path(), &["device", "provision", &id]);
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    let memory = Memory {
        wifi_ssid: "Home".into(),
        wifi_pass: "wifi-password".into(),
        mqtt_user: text("mqtt_user"),
        mqtt_pass: text("mqtt_password"),
        ..Memory::default()
    };
    let device = Device::start(config, memory).await.unwrap();
    until("it says what it runs", async || json(scene.path(), &["device", "show", &id])["firmware"] == "2.0.0").await;
    device
}

fn send(scene: &Scene, version: &str, device: &Device, more: &[&str]) -> (Option<i32>, String) {
    let output = run(scene.path(), &[&["firmware", "send", version, &device.id()][..], more].concat());
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_done_when_the_device_has_fetched_it_and_come_back_with_it() {
    let scene = Scene::start();
    let made = add(&scene, "2.1.0", &["--min-version", "2.0.0", "--channel", "stable"]);
    assert_eq!(
        (made["version"].as_str(), made["hardware"].as_str(), made["size"].as_u64()),
        (Some("2.1.0"), Some("xiao-esp32s3"), Some(700_000))
    );
    let key = public_key(&scene);
    for (firmware, last) in [(Firmware::B, 0xF1), (Firmware::C, 0xF2)] {
        let device = device(&scene, firmware, last, Some(key.clone())).await;
        let (code, said) = send(&scene, "2.1.0", &device, &["--wait", "20s"]);
        assert_eq!(code, Some(0), "{firmware:?}: {said}");
        assert!(said.contains("2.1.0: done (100 %)"), "{said}");
        assert_eq!((device.version().as_str(), device.image().len()), ("2.1.0", 700_000));
        assert!(device.image() == fs::read(scene.path().join("gateway-2.1.0.bin")).unwrap(), "byte for byte");
        assert_eq!(json(scene.path(), &["device", "show", &device.id()])["firmware"], "2.1.0");
        let (code, said) = send(&scene, "2.1.0", &device, &[]);
        assert!(code == Some(1) && said.contains("runs this version already"), "{said}");
    }
    let events = scene.binary.client().get("/events?kind=firmware.progress").await;
    assert_eq!(events["items"].as_array().map(Vec::len), Some(2), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn firmware_c_refuses_what_is_not_signed_by_this_house_and_the_house_is_told() {
    let scene = Scene::start();
    add(&scene, "2.1.0", &[]);
    let stranger = device(&scene, Firmware::C, 0xF1, Some(vec![7; 32])).await;
    let (code, said) = send(&scene, "2.1.0", &stranger, &["--wait", "20s"]);
    assert!(code == Some(1) && said.contains("failed") && said.contains("wrong signature"), "{said}");
    assert_eq!(stranger.version(), "2.0.0");
    let careless = device(&scene, Firmware::B, 0xF2, Some(vec![7; 32])).await;
    assert_eq!(send(&scene, "2.1.0", &careless, &["--wait", "20s"]).0, Some(0), "firmware B checks nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_over_a_flaky_link_fails_and_the_next_one_does_not() {
    let scene = Scene::start();
    add(&scene, "2.1.0", &[]);
    let device = device(&scene, Firmware::B, 0xF1, None).await;
    device.set(|faults| faults.link_lost_at = Some(50));
    let (code, said) = send(&scene, "2.1.0", &device, &["--wait", "20s"]);
    assert!(code == Some(1) && said.contains("connection lost"), "{said}");
    assert_eq!(device.version(), "2.0.0");
    device.set(|faults| faults.flaky = Some(Duration::from_millis(400)));
    assert!(run(scene.path(), &["device", "command", &device.id(), "restart"]).status.success());
    let (code, said) = send(&scene, "2.1.0", &device, &["--wait", "20s"]);
    assert_eq!(code, Some(0), "it is offered again whenever it is back: {said}");
    assert_eq!(device.version(), "2.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_comes_back_with_the_old_firmware_has_failed() {
    let scene = Scene::start();
    add(&scene, "2.1.0", &[]);
    let device = device(&scene, Firmware::B, 0xF1, None).await;
    device.set(|faults| faults.boot_loop = true);
    let (code, said) = send(&scene, "2.1.0", &device, &["--wait", "20s"]);
    assert!(code == Some(1) && said.contains("it came back with 2.0.0"), "what it says of its success is not believed: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn power_that_is_lost_at_37_per_cent_and_a_house_that_is_killed_lose_no_update() {
    let scene = Scene::start();
    add(&scene, "2.1.0", &[]);
    let device = device(&scene, Firmware::B, 0xF1, None).await;
    device.set(|faults| faults.power_loss_at = Some(37));
    let (code, said) = send(&scene, "2.1.0", &device, &["--wait", "20s"]);
    assert_eq!(code, Some(0), "it is offered again when it is back: {said}");
    assert_eq!(device.version(), "2.1.0");

    // A device that is away gets it when it returns, from a house that was killed meanwhile.
    add(&scene, "2.2.0", &[]);
    let id = device.id();
    let memory = device.memory();
    drop(device);
    until("it is away", async || json(scene.path(), &["device", "show", &id])["state"] == "offline").await;
    let output = run(scene.path(), &["firmware", "send", "2.2.0", &id]);
    assert!(output.status.success(), "{output:?}");
    let Scene { binary, data } = scene;
    binary.kill();
    let any = "127.0.0.1:0";
    let environment = [("DOORWARD_HTTP__LISTEN", any), ("DOORWARD_MQTT__LISTEN", any), ("DOORWARD_FLEET__LISTEN", any)];
    let scene = Scene { binary: Binary::start_with(data.path(), &environment), data };
    let _ = scene.binary.fleet();
    let broker = format!("127.0.0.1:{}", scene.binary.mqtt_port()).parse().unwrap();
    let mac = [0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF1];
    let config = Config { mac, broker, version: "2.1.0".into(), report: Duration::from_millis(200), ..Config::default() };
    let device = Device::start(config, memory).await.unwrap();
    until("it is done", async || json(scene.path(), &["firmware", "status", &id])["state"] == "done").await;
    assert_eq!(device.version(), "2.2.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_does_not_go_back_unless_it_is_meant_to_and_never_behind_what_is_forbidden() {
    let scene = Scene::start();
    add(&scene, "1.9.0", &[]);
    add(&scene, "2.0.0", &[]);
    add(&scene, "2.1.0", &["--min-version", "2.0.0"]);
    let device = device(&scene, Firmware::C, 0xF1, Some(public_key(&scene))).await;
    let (code, said) = send(&scene, "1.9.0", &device, &[]);
    assert!(code == Some(1) && said.contains("which is newer"), "{said}");
    assert_eq!(send(&scene, "2.1.0", &device, &["--wait", "20s"]).0, Some(0));
    let (code, said) = send(&scene, "1.9.0", &device, &["--back"]);
    assert!(code == Some(1) && said.contains("may not go back behind 2.0.0"), "{said}");
    let (code, said) = send(&scene, "2.0.0", &device, &["--back", "--wait", "20s"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(device.version(), "2.0.0");
    assert!(send(&scene, "3.0.0", &device, &[]).1.contains("no firmware of this version"));
}

#[test]
fn what_is_no_firmware_is_not_taken_and_leaves_nothing() {
    let scene = Scene::start();
    let refused = |bytes: &[u8], more: &[&str]| {
        let file = scene.path().join("wrong.bin");
        fs::write(&file, bytes).unwrap();
        let output = run(scene.path(), &[&["firmware", "add", &file.display().to_string()][..], more].concat());
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused(b"\x7fELF and so on", &[]).contains("does not begin with 0xE9"));
    assert!(refused(b"", &[]).contains("0xE9"));
    assert!(refused(&[0xE9; 500], &[]).contains("does not say its version"));
    assert!(refused(&[0xE9; 500], &["--version", "one two"]).contains("letters, digits"));
    assert!(refused(&[0xE9; 500], &["--version", "1.0", "--min-version", "2.0"]).contains("may not be newer"));
    let long = vec![0xE9; 0x33_0001];
    assert!(refused(&long, &["--version", "1.0"]).contains("would not fit into the partition"));
    assert_eq!(json(scene.path(), &["firmware", "list"]), value!([]));
    add(&scene, "1.0", &[]);
    let file = scene.path().join("gateway-1.0.bin").display().to_string();
    let again = run(scene.path(), &["firmware", "add", &file]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("not overwritten"), "{again:?}");

    // Another SHA-256 than was meant, and an upload that breaks off in the middle.
    let socket = scene.path().join("doorward.sock");
    let curl = |more: &[&str], query: &str| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--unix-socket"]).arg(&socket).args(more);
        let output = command.arg(format!("http://localhost/api/v1/firmware?{query}")).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let body = format!("@{file}");
    let sent = ["-X", "POST", "--data-binary", &body];
    assert!(curl(&sent, &format!("version=1.1&sha256={}", "0".repeat(64))).contains("was damaged on the way"));
    curl(&["-X", "POST", "--data-binary", &body, "-H", "Content-Length: 900000", "--max-time", "1"], "version=1.2");
    assert_eq!(json(scene.path(), &["firmware", "list"]).as_array().unwrap().len(), 1);
    assert!(run(scene.path(), &["firmware", "add", &file, "--version", "1.1"]).status.success(), "what broke off is in nobody's way");
    assert!(run(scene.path(), &["firmware", "remove", "1.1"]).status.success());
    assert_eq!(json(scene.path(), &["firmware", "set", "1.0", "--channel", "beta", "--notes", "Try it"])["channel"], "beta");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_firmware_is_good_for_one_device_and_a_day() {
    let scene = Scene::start();
    add(&scene, "2.1.0", &[]);
    let told = json(scene.path(), &["device", "provision", "A1B2C3D4E5F6"]);
    json(scene.path(), &["device", "provision", "A1B2C3D4E5F7"]);
    let mqtt = super::mosquitto::User::new("A1B2C3D4E5F6", told["mqtt_password"].as_str().unwrap(), &scene.binary.mqtt_port());
    let listener = mqtt.listen_with("gateway/A1B2C3D4E5F6/ota", &["-i", "BLE-Gateway-A1B2C3D4E5F6"]);
    until("it is connected", async || json(scene.path(), &["device", "show", "A1B2C3D4E5F6"])["state"] == "online").await;
    assert!(run(scene.path(), &["firmware", "send", "2.1.0", "A1B2C3D4E5F6"]).status.success());
    until("it is offered", async || !listener.heard().is_empty()).await;
    let heard = listener.heard().pop().unwrap();
    let offer: Value = serde_json::from_str(heard.split_once(' ').unwrap().1).unwrap();
    assert_eq!((offer["version"].as_str(), offer["size"].as_u64()), (Some("2.1.0"), Some(700_000)));
    let url = offer["url"].as_str().unwrap().to_owned();
    let out = scene.path().join("out.bin");
    let curl = |url: &str, more: &[&str]| {
        let output = Command::new("curl")
            .args(["-sS", "-o"])
            .arg(&out)
            .args(["-w", "%{http_code} %header{content-length}"])
            .args(more)
            .arg(url)
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert_eq!(curl(&url, &[]), "200 700000");
    let whole = fs::read(&out).unwrap();
    assert!(whole == fs::read(scene.path().join("gateway-2.1.0.bin")).unwrap());
    assert_eq!(curl(&url, &["-r", "262140-262150"]), "206 11", "across two chunks, only for whoever asks");
    assert!(fs::read(&out).unwrap() == whole[262_140..=262_150]);
    assert_eq!(curl(&url, &["-r", "700000-"]).split(' ').next(), Some("416"));
    let wrong = [
        url.replace("A1B2C3D4E5F6", "A1B2C3D4E5F7"),
        url.replace("exp=", "exp=9"),
        url.replace("sig=", "sig=A"),
        url.split('?').next().unwrap().to_owned(),
        url.replace("2.1.0", "2.1.1"),
    ];
    for wrong in &wrong {
        assert_eq!(curl(wrong, &[]).split(' ').next(), Some("403"), "{wrong}");
    }
    let token = format!("X-Device-Token: {}", told["device_token"].as_str().unwrap());
    assert_eq!(curl(url.split('?').next().unwrap(), &["-H", &token]), "200 700000", "or with its token");
    json(scene.path(), &["device", "rotate", "A1B2C3D4E5F6"]);
    assert_eq!(curl(&url, &[]).split(' ').next(), Some("403"), "it ends with the secrets that it had");
}

/// Devices that run 2.0.0, all provisioned.
async fn fleet(scene: &Scene, count: u8) -> Vec<Device> {
    let mut devices = Vec::new();
    for number in 0..count {
        devices.push(device(scene, Firmware::B, 0x10 + number, None).await);
    }
    devices
}

fn rollout(scene: &Scene, arguments: &[&str]) -> Value {
    json(scene.path(), &[&["firmware", "rollout"][..], arguments].concat())
}

fn id(rollout: &Value) -> String {
    rollout["id"].as_str().unwrap().to_owned()
}

async fn stands(scene: &Scene, id: &str, state: &str) -> Value {
    until(state, async || rollout(scene, &["show", id])["state"] == state).await;
    rollout(scene, &["show", id])
}

fn sum(rollout: &Value, name: &str) -> u64 {
    rollout["groups"].as_array().unwrap().iter().map(|group| group[name].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_reaches_everybody_group_by_group_over_a_kill_and_can_be_taken_back() {
    let scene = Scene::start();
    add(&scene, "2.0.0", &[]);
    add(&scene, "2.1.0", &[]);
    let mut devices = fleet(&scene, 6).await;
    let away = devices.pop().unwrap();
    let (absent, memory) = (away.id(), away.memory());
    drop(away);
    until("one is away", async || json(scene.path(), &["device", "show", &absent])["state"] == "offline").await;
    let made = rollout(&scene, &["create", "2.1.0", "--groups", "50,100", "--success", "100", "--at-once", "2"]);
    assert_eq!((made["state"].as_str(), sum(&made, "waiting") + sum(&made, "absent")), (Some("draft"), 6));
    let id = id(&made);
    assert!(run(scene.path(), &["firmware", "rollout", "resume", &id]).status.code() == Some(1), "nobody has agreed to it");
    assert!(devices.iter().all(|device| device.version() == "2.0.0"));
    rollout(&scene, &["approve", &id]);
    let second = self::id(&rollout(&scene, &["create", "2.0.0"]));
    assert!(!run(scene.path(), &["firmware", "rollout", "approve", &second]).status.success(), "two would be in each other's way");
    until("some run it", async || sum(&rollout(&scene, &["show", &id]), "done") >= 1).await;

    // Killed in the middle, it goes on where it was.
    let port = scene.binary.mqtt_port();
    let Scene { binary, data } = scene;
    binary.kill();
    let (any, mqtt) = ("127.0.0.1:0", format!("127.0.0.1:{port}"));
    let environment = [("DOORWARD_HTTP__LISTEN", any), ("DOORWARD_MQTT__LISTEN", &mqtt), ("DOORWARD_FLEET__LISTEN", any)];
    let scene = Scene { binary: Binary::start_with(data.path(), &environment), data };
    let _ = scene.binary.fleet();
    let done = stands(&scene, &id, "done").await;
    assert_eq!((sum(&done, "done"), sum(&done, "failed"), sum(&done, "absent")), (5, 0, 1), "{done}");
    assert!(devices.iter().all(|device| device.version() == "2.1.0"));

    let back = rollout(&scene, &["rollback", &id]);
    assert_eq!(back["state"], "rolled_back");
    until("everybody runs what it ran before", async || devices.iter().all(|device| device.version() == "2.0.0")).await;
    drop((absent, memory));
    let events = scene.binary.client().get("/events?kind=rollout.changed").await.to_string();
    for state in ["approved", "running", "done", "rolled_back"] {
        assert!(events.contains(&format!("\"state\":\"{state}\"")), "{state} in {events}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_stops_when_too_many_fail() {
    let scene = Scene::start();
    add(&scene, "2.1.0", &[]);
    let devices = fleet(&scene, 5).await;
    for device in &devices {
        device.set(|faults| faults.boot_loop = true);
    }
    let made = rollout(&scene, &["create", "2.1.0", "--groups", "100", "--errors", "10", "--tries", "1", "--at-once", "1"]);
    rollout(&scene, &["approve", &id(&made)]);
    let stopped = stands(&scene, &id(&made), "stopped").await;
    assert_eq!((sum(&stopped, "failed"), stopped["detail"].as_str()), (1, Some("too many devices failed")), "{stopped}");
    let devices = rollout(&scene, &["show", &id(&made), "--devices"]);
    assert!(devices["devices"].to_string().contains("it came back with 2.0.0"), "{devices}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_waits_for_its_window_and_for_people() {
    let scene = Scene::start();
    add(&scene, "2.1.0", &[]);
    let device = device(&scene, Firmware::B, 0x10, None).await;
    let now = SystemClock::new().now().utc.timestamp().to_zoned(jiff::tz::TimeZone::UTC);
    let time = |hours: i64| (&now + jiff::SignedDuration::from_hours(hours)).strftime("%H:%M").to_string();
    let later = format!("{}-{}", time(3), time(4));
    let made = rollout(&scene, &["create", "2.1.0", "--groups", "100", "--window", &later]);
    rollout(&scene, &["approve", &id(&made)]);
    assert_eq!(rollout(&scene, &["pause", &id(&made)])["state"], "paused");
    assert_eq!(rollout(&scene, &["resume", &id(&made)])["state"], "running");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(device.version(), "2.0.0", "it is not its time of day");
    rollout(&scene, &["stop", &id(&made)]);
    let wide = format!("{}-{}", time(-3), time(3));
    let made = rollout(&scene, &["create", "2.1.0", "--groups", "100", "--window", &wide]);
    rollout(&scene, &["approve", &id(&made)]);
    stands(&scene, &id(&made), "done").await;
    assert_eq!(device.version(), "2.1.0");
    for wrong in
        [&["--groups", "50"][..], &["--groups", "0,100"], &["--window", "02:00"], &["--window", "25:00-03:00"], &["--errors", "101"]]
    {
        assert_eq!(
            run(scene.path(), &[&["firmware", "rollout", "create", "2.1.0"][..], wrong].concat()).status.code(),
            Some(2),
            "{wrong:?}"
        );
    }
}
