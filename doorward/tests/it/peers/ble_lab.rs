//! The same with the real `BlueZ` and two virtual controllers, in a small machine of its own: issuer and guest over GATT, a lock that
//! hears the tokens as they change, `bluetoothd` killed in the middle, and a gesture.

use super::{
    ble::{enrol, strike},
    brokers::free_port,
};
use std::{fs, path::Path, process::Command};

#[test]
fn a_guest_opens_a_lock_before_and_after_bluetoothd_was_killed_with_the_real_bluez() {
    let folder = tempfile::tempdir().unwrap();
    enrol(folder.path(), "2");
    strike(folder.path());
    let port = free_port();
    // The machine has no network but its own loopback.
    fs::write(folder.path().join("mosquitto.conf"), format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let told = Command::new(here.join("../../shared/ble-lab/ble-lab"))
        .args(["--timeout", "300", "--", "bash"])
        .arg(here.join("tests/it/peers/ble_lab.sh"))
        .args([env!("CARGO_BIN_EXE_doorward"), &folder.path().display().to_string(), &port.to_string()])
        .output()
        .expect("the lab lies beside the repository");
    let said = [told.stdout, told.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).join("\n");
    println!("{said}");
    assert!(told.status.success() && said.contains("\ndone\n"), "{}: {said}", told.status);
}
