//! The ways in which a device gets what it needs: a list, a factory image, a cable, its portal. Devices are simulated; the bytes of
//! images are compared with those of ESP-IDF's own generator.

use super::fleet::Scene;
use crate::{
    binary::{command, json, run},
    boot::killed::until,
};
use doorward_sim::device::{Config, Device, Firmware, Memory, Standing};
use serde_json::Value;
use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// A device that knows where the broker of a house is.
fn config(scene: &Scene, firmware: Firmware) -> Config {
    let broker = format!("127.0.0.1:{}", scene.binary.mqtt_port()).parse().unwrap();
    Config { firmware, broker, report: Duration::from_millis(200), ..Config::default() }
}

/// Where `scripts/install` puts tools.
fn tools() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cache")));
    cache.unwrap().join("doorward/tools")
}

fn wifi_password(folder: &Path, password: &str) -> String {
    let file = folder.join("wifi.txt");
    fs::write(&file, format!("{password}\n")).unwrap();
    file.display().to_string()
}

async fn is_online(scene: &Scene, id: &str) {
    until("the device is online", async || json(scene.path(), &["device", "show", id])["state"] == "online").await;
}

#[test]
fn a_list_becomes_credentials_and_goes_on_where_it_broke_off() {
    let scene = Scene::start();
    let (list, out) = (scene.path().join("list.csv"), scene.path().join("out.csv"));
    let (list_text, out_text) = (list.display().to_string(), out.display().to_string());
    let mut text = "\u{feff}Device-ID;Name\r\n".to_owned();
    for number in 0..150 {
        writeln!(text, "{number:012x};\"Gate; {number}\"\r").unwrap();
    }
    text += "not hex;x\r\n00:11:22:33:44:55;With colons\r\n000000000001;again\r\n";
    fs::write(&list, &text).unwrap();
    let batch = || {
        let output = run(scene.path(), &["--json", "device", "batch", &list_text, "--out", &out_text]);
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    let (code, told) = batch();
    assert_eq!((code, told["provisioned"].as_u64(), told["failed"].as_u64()), (Some(1), Some(151), Some(2)), "{told}");
    let errors = told["errors"].to_string();
    assert!(errors.contains("line 152: “not hex”") && errors.contains("line 154: the same device stands in line 3"), "{errors}");
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600, "it holds passwords");
    let written = fs::read_to_string(&out).unwrap();
    assert_eq!(written.lines().count(), 1 + 153);
    let devices = json(scene.path(), &["device", "list"]);
    assert_eq!(devices.as_array().unwrap().len(), 151);
    assert!(devices.to_string().contains("\"Gate; 7\""));

    // Cut off in the middle of a line, corrected, and run again.
    let cut: String = written.lines().take(60).flat_map(|line| [line, "\n"]).collect();
    fs::write(&out, format!("{cut}00000000003B,00000000003B,abc")).unwrap();
    fs::write(&list, text.replace("not hex", "A1B2C3").replace("000000000001;again\r\n", "")).unwrap();
    let (code, told) = batch();
    assert_eq!((code, told["before"].as_u64(), told["provisioned"].as_u64()), (Some(0), Some(59), Some(93)), "{told}");
    let again = fs::read_to_string(&out).unwrap();
    let mut lines: Vec<&str> = written.lines().filter(|line| line.contains(",ok,")).collect();
    lines.retain(|line| !again.contains(line));
    assert!(lines.is_empty(), "the same devices have the same credentials: {lines:?}");
    assert_eq!(batch().1["provisioned"], 0);
    fs::write(&out, "something else\n").unwrap();
    let refused = run(scene.path(), &["device", "batch", &list_text, "--out", &out_text]);
    assert_eq!(
        (refused.status.code(), fs::read_to_string(&out).unwrap().as_str()),
        (Some(2), "something else\n"),
        "nothing is overwritten"
    );
}

#[test]
fn a_batch_that_is_killed_goes_on() {
    let scene = Scene::start();
    let (list, out) = (scene.path().join("list.txt"), scene.path().join("out.csv"));
    let ids: Vec<String> = (0..3_000).map(|number| format!("{number:012X}")).collect();
    fs::write(&list, ids.join("\n")).unwrap();
    let mut batch = command(scene.path());
    batch.args(["device", "batch"]).arg(&list).arg("--out").arg(&out);
    let mut child = batch.stdout(std::process::Stdio::null()).spawn().unwrap();
    while fs::metadata(&out).map_or(0, |file| file.len()) < 40_000 {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let told = json(scene.path(), &["device", "batch", &list.display().to_string(), "--out", &out.display().to_string()]);
    assert!(told["before"].as_u64().unwrap() > 0, "{told}");
    assert_eq!(told["before"].as_u64().unwrap() + told["provisioned"].as_u64().unwrap(), 3_000);
    let written = fs::read_to_string(&out).unwrap();
    let mut ids: Vec<&str> = written.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), written.lines().count()), (3_000, 3_001), "each once");
    assert_eq!(json(scene.path(), &["device", "list"]).as_array().unwrap().len(), 3_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_factory_image_is_what_esp_idf_makes_of_its_csv_and_a_device_starts_with_it() {
    let scene = Scene::start();
    let out = scene.path().join("nvs.bin");
    let ssid = "Lab, \"7\"";
    let password = wifi_password(scene.path(), "pass word");
    let image = |more: &[&str]| {
        let arguments = ["device", "image", "--id", "A1B2C3D4E5F6", "--out", &out.display().to_string(), "--wifi-ssid", ssid];
        let arguments: Vec<&str> = arguments.into_iter().chain(["--wifi-password-file", &password]).chain(more.iter().copied()).collect();
        run(scene.path(), &arguments)
    };
    for size in ["0x5000", "24576"] {
        let made = image(&["--size", size]);
        let told = String::from_utf8_lossy(&made.stdout).into_owned();
        assert!(made.status.success() && told.contains("write_flash 0x9000"), "{made:?}");
        let theirs = scene.path().join("theirs.bin");
        let generator = Command::new(tools().join("python/bin/python3"))
            .args(["-m", "esp_idf_nvs_partition_gen", "generate"])
            .args([scene.path().join("nvs.csv"), theirs.clone()])
            .arg(size)
            .output()
            .expect("esp-idf-nvs-partition-gen is installed: `make test` does it");
        assert!(generator.status.success(), "{generator:?}");
        assert!(fs::read(&out).unwrap() == fs::read(&theirs).unwrap(), "the same bytes at {size}");
    }
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(image(&["--size", "0x1000"]).status.code(), Some(2), "flash has no such partition");

    let memory = Memory::from_image(&fs::read(&out).unwrap()).unwrap();
    assert_eq!((memory.wifi_ssid.as_str(), memory.wifi_pass.as_str()), (ssid, "pass word"));
    let mut config = config(&scene, Firmware::A);
    config.networks = vec![(ssid.into(), "pass word".into())];
    let device = Device::start(config, memory).await.unwrap();
    is_online(&scene, &device.id()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_on_a_cable_is_provisioned_and_its_password_is_never_shown() {
    let scene = Scene::start();
    let device = Device::start(config(&scene, Firmware::C), Memory::default()).await.unwrap();
    let port = device.console().display().to_string();
    let serial = |more: &[&str]| {
        let arguments: Vec<&str> = ["device", "serial", "--port", &port].into_iter().chain(more.iter().copied()).collect();
        run(scene.path(), &arguments)
    };
    let wrong = wifi_password(scene.path(), "wrong");
    let refused = serial(&["--wifi-ssid", "Home", "--wifi-password-file", &wrong]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is the password right?"), "{refused:?}");
    let right = wifi_password(scene.path(), "wifi-password");
    let done = serial(&["--clear", "--wifi-ssid", "Home", "--wifi-password-file", &right, "--wait", "20s", "--verbose"]);
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}");
    assert!(said.contains("A1B2C3D4E5F6 is provisioned, and connected to the broker."), "{said}");
    assert!(said.contains("> PROVISION:A1B2C3D4E5F6:***:***"), "its echo is masked: {said}");
    let memory = device.memory();
    assert!(!said.contains(&memory.mqtt_pass) && !said.contains(&memory.device_token), "{said}");
    assert_eq!((memory.wifi_ssid.as_str(), memory.mqtt_user.as_str()), ("Home", "A1B2C3D4E5F6"));
    assert_eq!(device.standing(), Standing::Online);
    let shown = json(scene.path(), &["device", "show", "A1B2C3D4E5F6"]);
    assert_eq!((shown["state"].as_str(), shown["firmware"].as_str()), (Some("online"), Some("2.0.0")));
    let answer = json(scene.path(), &["device", "command", "A1B2C3D4E5F6", "getStatus", "{\"a\":1}"]);
    assert_eq!((&answer["outcome"], &answer["answer"]["params"]["a"]), (&"answered".into(), &1.into()));
    let boots = device.boots();
    assert_eq!(json(scene.path(), &["device", "command", "A1B2C3D4E5F6", "restart"])["outcome"], "back");
    assert!(device.boots() > boots);
}

#[tokio::test(flavor = "multi_thread")]
async fn firmware_says_what_it_cannot_do_over_serial() {
    let scene = Scene::start();
    let right = wifi_password(scene.path(), "wifi-password");
    let said = |output: std::process::Output| (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned());
    let device = Device::start(config(&scene, Firmware::B), Memory::default()).await.unwrap();
    let port = device.console().display().to_string();
    let (code, told) =
        said(run(scene.path(), &["device", "serial", "--port", &port, "--wifi-ssid", "Home", "--wifi-password-file", &right]));
    assert!(code == Some(1) && told.contains("does not speak Improv") && told.contains("doorward device portal"), "{told}");
    assert_eq!(device.memory().mqtt_user, "A1B2C3D4E5F6", "its broker's credentials it has");
    let (code, told) = said(run(scene.path(), &["device", "serial", "--port", "/dev/null"]));
    assert!(code == Some(2) && told.contains("no serial port"), "{told}");
    assert!(said(run(scene.path(), &["device", "serial", "--port", "/dev/ttyUSB99"])).1.contains("cannot be opened"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_provisioned_by_its_portal() {
    let scene = Scene::start();
    let right = wifi_password(scene.path(), "wifi-password");
    let device = Device::start(config(&scene, Firmware::A), Memory::default()).await.unwrap();
    until("its portal is open", async || device.standing() == Standing::Portal && device.boots() == 1).await;
    let portal = |password: &str, wait: &str| {
        let arguments = ["device", "portal", "A1B2C3D4E5F6", "--wifi-ssid", "Home", "--address", &device.portal(), "--wait", wait];
        run(scene.path(), &arguments.into_iter().chain(["--wifi-password-file", password]).collect::<Vec<_>>())
    };
    let done = portal(&right, "20s");
    assert!(done.status.success(), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stdout).contains("connected to the broker"));
    let memory = device.memory();
    assert_eq!((memory.mqtt_user.as_str(), memory.mqtt_host.as_str()), ("A1B2C3D4E5F6", "127.0.0.1"));
    is_online(&scene, "A1B2C3D4E5F6").await;
    let closed = portal(&right, "1s");
    assert_eq!(closed.status.code(), Some(4), "its access point is gone: {closed:?}");

    // A wrong password of the Wi-Fi is told by its silence.
    let mut other = config(&scene, Firmware::A);
    other.mac = [0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF7];
    let device = Device::start(other, Memory::default()).await.unwrap();
    until("its portal is open", async || device.standing() == Standing::Portal && device.boots() == 1).await;
    let wrong = wifi_password(scene.path(), "wrong");
    let arguments = ["device", "portal", "A1B2C3D4E5F7", "--wifi-ssid", "Home", "--wifi-password-file", &wrong, "--wait", "2s"];
    let silent = run(scene.path(), &arguments.into_iter().chain(["--address", &device.portal()]).collect::<Vec<_>>());
    assert_eq!(silent.status.code(), Some(5), "{silent:?}");
    assert_eq!(device.standing(), Standing::NoWifi);
}

/// The script of the original guide, written anew, with Debian's Python.
fn guides_script(scene: &Scene, device: &Device, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new("/usr/bin/python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/peers/provision.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.args(["--server", &format!("http://{}", scene.binary.fleet()), "--portal", &device.portal()]);
    command.args(["--wifi-ssid", "Home", "--wifi-password", "wifi-password"]).args(more);
    let output = command.output().expect("Python is installed: `make test` does it");
    let said = if output.status.success() { &output.stdout } else { &output.stderr };
    (output.status.code(), String::from_utf8_lossy(said).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_script_provisions_a_device_by_its_serial_line_and_its_portal() {
    let scene = Scene::start();
    let token = scene.token("devices:provision");
    let device = Device::start(config(&scene, Firmware::A), Memory::default()).await.unwrap();
    let port = device.console().display().to_string();
    let (code, told) = guides_script(&scene, &device, &["--token", "dw_wrong", "--device-id", "A1B2C3D4E5F6"]);
    assert!(code == Some(1) && told.contains("401") && told.contains("Unauthorized"), "{told}");
    assert_eq!(device.standing(), Standing::Portal, "nothing was sent to it");
    let (code, told) = guides_script(&scene, &device, &["--token", &token, "--port", &port]);
    assert_eq!(code, Some(0), "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((told["device_id"].as_str(), told["mqtt_user"].as_str()), (Some("A1B2C3D4E5F6"), Some("A1B2C3D4E5F6")));
    is_online(&scene, "A1B2C3D4E5F6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_speaks_tls_is_told_the_port_for_it_and_comes_by_it() {
    let scene = Scene::start_with(&[("DOORWARD_MQTT__TLS_LISTEN", "127.0.0.1:0")]);
    let tls = scene.binary.mqtt_port_of("mqtts");
    let told = json(scene.path(), &["device", "provision", "A1B2C3D4E5F6"]);
    assert_eq!(told["mqtt_port"].to_string(), tls, "TLS before plain text");
    let right = wifi_password(scene.path(), "wifi-password");
    let portal = async |speaks_tls: bool, wait: &str| {
        let broker = format!("127.0.0.1:{tls}").parse().unwrap();
        let config = Config { tls: speaks_tls, broker, ..config(&scene, Firmware::A) };
        let device = Device::start(config, Memory::default()).await.unwrap();
        until("its portal is open", async || device.standing() == Standing::Portal && device.boots() == 1).await;
        let arguments = ["device", "portal", "A1B2C3D4E5F6", "--wifi-ssid", "Home", "--address", &device.portal(), "--wait", wait];
        let more = ["--wifi-password-file", &right];
        (run(scene.path(), &arguments.into_iter().chain(more).collect::<Vec<_>>()).status.code(), device)
    };
    let (code, plain) = portal(false, "2s").await;
    assert_eq!((code, plain.standing()), (Some(5), Standing::NoBroker), "without TLS nothing comes in there");
    drop(plain);
    let (code, _device) = portal(true, "20s").await;
    assert_eq!(code, Some(0));
    is_online(&scene, "A1B2C3D4E5F6").await;
}
