//! The same with the real `BlueZ` and two virtual controllers, in a small machine of its own: guests over GATT, a lock that hears
//! the tokens as they change, `bluetoothd` killed in the middle, and a gesture; with parts that are processes of their own, and
//! with a house that is issuer and lock.

use super::{
    ble::{enrol, strike},
    brokers::free_port,
};
use crate::binary::run;
use std::{fs, path::Path, process::Command};

/// Runs one story of `ble_lab.sh` over a folder.
fn tell(story: &str, folder: &Path, more: &[String]) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let told = Command::new(here.join("../../shared/ble-lab/ble-lab"))
        .args(["--timeout", "300", "--", "bash"])
        .arg(here.join("tests/it/peers/ble_lab.sh"))
        .args([story, env!("CARGO_BIN_EXE_doorward"), &folder.display().to_string()])
        .args(more)
        .output()
        .expect("the lab lies beside the repository");
    let said = [told.stdout, told.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).join("\n");
    println!("{said}");
    assert!(told.status.success() && said.contains("\ndone\n"), "{}: {said}", told.status);
}

#[test]
fn a_guest_opens_a_lock_before_and_after_bluetoothd_was_killed_with_the_real_bluez() {
    let folder = tempfile::tempdir().unwrap();
    enrol(folder.path(), "2");
    strike(folder.path());
    let port = free_port();
    // The machine has no network but its own loopback.
    fs::write(folder.path().join("mosquitto.conf"), format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).unwrap();
    tell("parts", folder.path(), &[port.to_string()]);
}

#[test]
fn a_house_lets_in_whom_it_invited_until_the_grant_is_taken_back_with_the_real_bluez() {
    let folder = tempfile::tempdir().unwrap();
    let (program, _) = strike(folder.path());
    let house = folder.path().join("house");
    for role in [&["issuer"][..], &["lock", "front"]] {
        let made = run(&house, &[&["ble", "keys", "create"], role, &["--wire", "2"]].concat());
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    // The emulated controllers know no signal strength.
    let toml = format!(
        "[http]\nlisten = \"127.0.0.1:0\"\n\n[mqtt]\nlisten = \"127.0.0.1:0\"\n\n[ble]\nradio = \"bluez:hci0\"\nissuer = \"bluez:hci0\"\n\n\
         [[doors]]\nid = \"front\"\nname = \"Front\"\nkind = \"radio\"\nrssi_unknown = \"accept\"\nopen = {{ command = [\"{}\"] }}\n",
        program.display()
    );
    fs::write(house.join("doorward.toml"), toml).unwrap();
    tell("house", folder.path(), &[]);
}
