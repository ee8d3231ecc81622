//! Backups of a whole house, and what they are restored into.

use super::killed::until;
use crate::binary::{Binary, command, json, run};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
};
use tempfile::{TempDir, tempdir};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// A house with a person, a configuration, and keys of locks; what it is backed up into, and how that is opened.
struct Original {
    data: TempDir,
    file: PathBuf,
    passphrase: PathBuf,
}

impl Original {
    fn new() -> Self {
        let data = tempdir().unwrap();
        let (file, passphrase) = (data.path().join("house.backup"), data.path().join("passphrase"));
        fs::write(&passphrase, "correct horse battery staple\n").unwrap();
        fs::write(data.path().join("doorward.toml"), "[server]\ntime_zone = \"Europe/Rome\"\n").unwrap();
        fs::write(data.path().join(".env"), "DOORWARD_BLE__PAGE_MINUTES=30\n").unwrap();
        for whose in [&["issuer"][..], &["lock", "front"]] {
            assert!(run(data.path(), &[&["ble", "keys", "create"], whose].concat()).status.success());
        }
        Self { data, file, passphrase }
    }

    fn data(&self) -> &Path {
        self.data.path()
    }

    fn back_up(&self) -> Output {
        run(self.data(), &["backup", self.file.to_str().unwrap(), "--passphrase-file", self.passphrase.to_str().unwrap()])
    }

    /// Runs, adds somebody, and is backed up meanwhile.
    fn backed_up() -> Self {
        let original = Self::new();
        let _binary = Binary::start(original.data());
        assert!(run(original.data(), &["person", "add", "Berta"]).status.success());
        let made = original.back_up();
        assert!(made.status.success(), "{}", said(&made));
        original
    }

    fn restore_with(&self, other: &Path, passphrase: &Path) -> Output {
        run(other, &["restore", self.file.to_str().unwrap(), "--passphrase-file", passphrase.to_str().unwrap()])
    }

    fn restore(&self, other: &Path) -> Output {
        self.restore_with(other, &self.passphrase)
    }
}

fn assert_is_the_house(data: &Path) {
    let _binary = Binary::start(data);
    let people = json(data, &["person", "list"]);
    assert!(people.as_array().unwrap().iter().any(|person| person["name"] == "Berta"), "{people}");
    assert_eq!(json(data, &["audit", "verify"])["ok"], true);
}

#[test]
fn a_backup_made_while_it_runs_restores_into_an_empty_folder() {
    let original = Original::backed_up();
    let (other, wrong) = (tempdir().unwrap(), original.data().join("wrong"));
    fs::write(&wrong, "wrong").unwrap();
    let refused = original.restore_with(other.path(), &wrong);
    assert_eq!(refused.status.code(), Some(1));
    assert!(!other.path().join("doorward.toml").exists() && !other.path().join("ble").exists(), "nothing was restored");

    let restored = original.restore(other.path());
    assert!(restored.status.success(), "{}", said(&restored));
    let text = said(&restored);
    assert!(text.contains("The house is restored as it was on 2") && !text.contains("warning"), "{text}");
    for file in ["doorward.toml", ".env", "ble/keys/backend_private.pem", "ble/keys/backend_v2.secret", "ble/keys/front_v2.public"] {
        let (here, there) = (original.data().join(file), other.path().join(file));
        assert_eq!(fs::read(here).unwrap(), fs::read(&there).unwrap(), "{file}");
        assert_eq!(fs::metadata(&there).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    let keys = |data: &Path| json(data, &["ble", "keys", "list"]);
    assert_eq!(keys(original.data()), keys(other.path()), "phones go on with the issuer that they know");
    assert_is_the_house(other.path());
}

#[test]
fn a_restored_configuration_never_leads_to_another_database() {
    let original = Original::new();
    let elsewhere = tempdir().unwrap();
    let url = format!("sqlite:{}", elsewhere.path().join("old.db").display());
    fs::write(original.data().join("doorward.toml"), format!("[store]\nurl = {url:?}\n")).unwrap();
    let binary = Binary::start(original.data());
    assert!(run(original.data(), &["person", "add", "Berta"]).status.success());
    assert!(original.back_up().status.success());
    drop(binary);

    let other = tempdir().unwrap();
    let restored = original.restore(other.path());
    let text = said(&restored);
    assert!(restored.status.success() && text.contains("names another database"), "{text}");
    assert!(text.contains("doorward.toml.restored") && other.path().join("doorward.toml.restored").exists(), "{text}");
    assert!(!other.path().join("doorward.toml").exists() && !other.path().join(".env").exists());
    assert_is_the_house(other.path());

    // With the database named, the same configuration is right; one that was there already stays.
    let same = tempdir().unwrap();
    let there = same.path().join("doorward.toml");
    fs::write(&there, "[server]\ntime_zone = \"Asia/Tokyo\"\n").unwrap();
    let output = command(same.path())
        .args(["--json", "restore", original.file.to_str().unwrap(), "--passphrase-file", original.passphrase.to_str().unwrap()])
        .env("DOORWARD_STORE__URL", "sqlite:new.db")
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    assert_eq!(fs::read_to_string(there).unwrap(), "[server]\ntime_zone = \"Asia/Tokyo\"\n");
    assert!(same.path().join("new.db").exists() && same.path().join(".env").exists());
    assert!(told["warnings"][0].as_str().unwrap().contains("was there already and stays"), "{told}");
    assert!(told["rows"].as_u64() > Some(0) && told["warnings"].as_array().unwrap().len() == 1, "{told}");

    // The environment counts more than the file, and may be gone at the next start.
    let named = tempdir().unwrap();
    let output = command(named.path())
        .args(["restore", original.file.to_str().unwrap(), "--passphrase-file", original.passphrase.to_str().unwrap()])
        .env("DOORWARD_STORE__URL", "sqlite:new.db")
        .output()
        .unwrap();
    assert!(output.status.success() && said(&output).contains("DOORWARD_STORE__URL"), "{}", said(&output));
    assert!(named.path().join("doorward.toml").exists());
}

#[test]
fn a_backup_that_would_lack_a_key_is_not_made() {
    let original = Original::new();
    let _binary = Binary::start(original.data());
    let key = original.data().join("ble/keys/front_v2.secret");
    fs::File::options().write(true).open(&key).unwrap().set_len((1 << 20) + 1).unwrap();
    let refused = original.back_up();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("front_v2.secret") && said(&refused).contains("1 MiB"), "{}", said(&refused));
    assert!(!original.file.exists() && !original.file.with_extension("part").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_can_be_done_again() {
    let original = Original::backed_up();
    let other = tempdir().unwrap();
    let mut restore = command(other.path());
    restore.args(["restore", original.file.to_str().unwrap(), "--passphrase-file", original.passphrase.to_str().unwrap()]);
    let mut restoring = restore.spawn().unwrap();
    // The first file is there: the rows are written, and do not count yet.
    until("the first file is put back", async || other.path().join("doorward.toml").exists()).await;
    restoring.kill().unwrap();
    restoring.wait().unwrap();
    let again = original.restore(other.path());
    assert!(again.status.success() || said(&again).contains("already holds a house"), "{}", said(&again));
    assert!(other.path().join("ble/keys/front_v2.secret").exists());
    assert_is_the_house(other.path());
}
