//! Keys of locks over Bluetooth, as they are made on the command line.

use crate::binary::{command, json, run};
use serde_json::{Value, json};
use std::{os::unix::fs::PermissionsExt as _, path::Path};

/// Whose keys there are, in which version, whether the secret half is here, and how many were before them.
fn listed(data: &Path) -> Vec<(String, u64, bool, usize)> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let row = |row: &Value| {
        let whose = format!("{} {}", text(row, "role"), text(row, "name"));
        (whose.trim().to_owned(), row["wire"].as_u64().unwrap(), row["secret"] == true, row["former"].as_array().unwrap().len())
    };
    json(data, &["ble", "keys", "list"]).as_array().unwrap().iter().map(row).collect()
}

#[test]
fn keys_are_made_replaced_tidied_and_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let (data, other) = (folder.path().join("data"), folder.path().join("other"));
    for arguments in [&["issuer"][..], &["lock", "front"], &["guest"], &["guest", "anna", "--wire", "2"]] {
        let made = run(&data, &[&["ble", "keys", "create"], arguments].concat());
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        assert!(String::from_utf8_lossy(&made.stdout).contains("Copy "), "it says what is to be copied where");
    }
    let row = |whose: &str, wire| (whose.to_owned(), wire, true, 0);
    let all = [row("issuer", 1), row("issuer", 2), row("lock front", 1), row("lock front", 2), row("guest", 1), row("guest", 2)];
    assert_eq!(listed(&data), [&all[..], &[row("guest anna", 2)]].concat());
    let secret = data.join("ble/keys/front_private.pem");
    assert_eq!(std::fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o600);

    // What is missing is made, and nothing is made twice.
    let made = json(&data, &["ble", "keys", "create", "guest", "anna"]);
    assert_eq!((made.as_array().unwrap().len(), &made[0]["wire"], &made[0]["bits"]), (1, &json!(1), &json!(2048)));
    assert_eq!(run(&data, &["ble", "keys", "create", "guest", "anna"]).status.code(), Some(1));
    for wrong in [&["lock"][..], &["issuer", "x"], &["lock", "backend"], &["lock", "a/b"], &["guest", "anna", "--bits", "1024"]] {
        assert_eq!(run(&data, &[&["ble", "keys", "create"], wrong].concat()).status.code(), Some(2), "{wrong:?}");
    }
    assert_eq!(run(&data, &["ble", "keys", "rotate", "lock", "back"]).status.code(), Some(1));
    json(&data, &["ble", "keys", "rotate", "lock", "front", "--wire", "1"]);
    assert!(listed(&data).contains(&("lock front".into(), 1, true, 1)));
    assert_eq!(json(&data, &["ble", "keys", "tidy"]), json!([]), "it was only just replaced");
    assert_eq!(json(&data, &["ble", "keys", "tidy", "--older", "0s"]).as_array().unwrap().len(), 2);

    // Keys of version 1 are those of the original; the folder is named as there.
    let path = data.join("ble/keys").display().to_string();
    let taken = json(&other, &["ble", "keys", "import", &path]);
    assert_eq!(taken, json!({ "taken": ["backend", "front", "unlocker", "unlocker_anna"], "known": [] }));
    let again =
        command(&folder.path().join("nowhere")).args(["--json", "ble", "keys", "list"]).env("KEYS_DIR", other.join("ble/keys")).output();
    let again: Value = serde_json::from_slice(&again.unwrap().stdout).unwrap();
    assert_eq!(again.as_array().unwrap().len(), 4);
    // Another key of the same name is not written over.
    json(&data, &["ble", "keys", "rotate", "lock", "front", "--wire", "1"]);
    let refused = run(&other, &["ble", "keys", "import", &path]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("front_public.pem"));
}

#[test]
fn what_a_lock_or_guest_lacks_is_said_before_it_starts() {
    let data = tempfile::tempdir().unwrap();
    let says = |arguments: &[&str], words: &str| {
        let output = run(data.path(), &[&["ble"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(words), "{arguments:?}: {said}");
    };
    says(&["guest", "--lock", "front"], "there are no keys");
    says(&["lock", "--lock", "front"], "--broker or MQTT_BROKER");
    for arguments in [&["issuer"][..], &["lock", "front"]] {
        assert!(run(data.path(), &[&["ble", "keys", "create"], arguments, &["--wire", "2"]].concat()).status.success());
    }
    says(&["guest", "--lock", "front"], "no private key of unlocker");
    let lock = ["lock", "--lock", "front", "--broker", "127.0.0.1:1"];
    says(&lock, "nothing opens the door: give --command");
    says(&[&lock[..], &["--command", "open.sh"]].concat(), "the whole path of a program");
    says(&[&lock[..], &["--phones", "x", "--command", "/bin/true"]].concat(), "rssi_threshold");
    says(&["lock", "--lock", "back", "--broker", "127.0.0.1:1", "--command", "/bin/true"], "no private key of back");
    says(&["issuer", "--broker", "http://x:hunter2@y"], "neither a host nor");
    says(&["issuer", "--broker", "127.0.0.1:1", "--name", "a name that is too long for a beacon"], "choose a shorter name");
    says(&["scan", "--radio", "air:10.0.0.1:1"], "on this machine");
}
