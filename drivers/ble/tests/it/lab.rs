//! The real `BlueZ` with two virtual controllers, in a small machine of its own.

use std::{path::PathBuf, process::Command};

/// Runs stories of the example `bluez_lab`, which is built with the tests and lies beside them.
fn tell(stories: &[&str]) {
    let lab = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/ble-lab/ble-lab"));
    let example = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/bluez_lab");
    assert!(example.exists(), "{} is not built: cargo build -p doorward-ble --examples", example.display());
    let told = Command::new(&lab)
        .args(["--timeout", "180", "--"])
        .arg(example)
        .args(stories)
        .output()
        .unwrap_or_else(|error| panic!("{} cannot be run: {error}", lab.display()));
    let said = [told.stdout, told.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).join("\n");
    println!("{said}");
    assert!(told.status.success() && said.contains("\ndone\n"), "{}: {said}", told.status);
}

#[test]
fn two_adapters_find_each_other_talk_and_hear_every_token_with_the_real_bluez() {
    tell(&["talk", "roll"]);
}

#[test]
fn after_bluetoothd_the_adapter_or_the_bus_was_away_all_is_there_again_with_the_real_bluez() {
    tell(&["term", "kill", "power", "bus"]);
}
