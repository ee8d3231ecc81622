//! What ends a start, and how it is said.

use super::killed::until;
use crate::binary::{Binary, command, is_of_an_administrator, json, run};
use std::{net::TcpListener, os::unix::fs::PermissionsExt, path::Path, process::Output};
use tempfile::tempdir;

fn serve(data: &Path, environment: &[(&str, &str)]) -> Output {
    command(data).arg("serve").envs(environment.iter().copied()).output().expect("the binary runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn it_starts_answers_and_stops_when_told_to() {
    let data = tempdir().unwrap();
    let binary = Binary::start(data.path());
    assert_eq!(json(data.path(), &["door", "list"]), serde_json::json!([]));
    assert!(run(data.path(), &["doctor", "--live"]).status.success());
    let link = std::fs::read_to_string(data.path().join("first-start.txt")).unwrap();
    assert!(link.contains("/link/"), "not a terminal: the first sign-in link is in a file");
    for (file, mode) in [("first-start.txt", 0o600), ("master.key", 0o600), ("doorward.sock", 0o600), ("", 0o700)] {
        let path = data.path().join(file);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    assert!(!binary.log().contains(link.trim().rsplit('/').next().unwrap()), "the link is not in the log");
    assert_eq!(binary.terminate().code(), Some(0));
    assert!(!data.path().join("doorward.sock").exists());
    assert_eq!(run(data.path(), &["door", "list"]).status.code(), Some(4), "nobody answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_sign_in_is_an_administrators_until_one_can_sign_in_without() {
    let data = tempdir().unwrap();
    let link = || std::fs::read_to_string(data.path().join("first-start.txt"));
    let binary = Binary::start(data.path());
    // Somebody else was there first, and has a password: that opens doors, and lets nobody in here.
    for arguments in [
        &["person", "add", "Ada", "--role", "administrator"][..],
        &["person", "change", "Administrator", "--name", "Resi", "--role", "resident"],
        &["person", "password", "Resi", "--password-file", "password"],
    ] {
        std::fs::write(data.path().join("password"), "tram lemon quartz").unwrap();
        let output = command(data.path()).args(arguments).current_dir(data.path()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    }
    drop(binary);
    let binary = Binary::start(data.path());
    until("the link is there", async || link().is_ok_and(|link| link.contains("/link/"))).await;
    assert!(is_of_an_administrator(link().unwrap().trim()).await);
    assert!(
        run(data.path(), &["person", "password", "Ada", "--password-file", data.path().join("password").to_str().unwrap()])
            .status
            .success()
    );
    drop(binary);
    let binary = Binary::start(data.path());
    assert_eq!(json(data.path(), &["person", "list"]).as_array().unwrap().len(), 2, "nobody was made");
    assert_eq!(binary.terminate().code(), Some(0));
    assert_eq!(link().unwrap_err().kind(), std::io::ErrorKind::NotFound, "Ada signs in by herself");
}

#[test]
fn every_mistake_of_the_configuration_is_told_at_once() {
    let data = tempdir().unwrap();
    std::fs::write(data.path().join("doorward.toml"), "[http]\nlisen = 'x'\nlisten = 'x'\n[stor]\n").unwrap();
    let output = serve(data.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    for part in ["3 mistakes", "http.lisen", "did you mean http.listen", "http.listen: “x” is not an address", "stor"] {
        assert!(said(&output).contains(part), "{part} is missing in {}", said(&output));
    }
    assert_eq!(run(data.path(), &["config", "check"]).status.code(), Some(2));
}

#[test]
fn a_port_that_is_taken_ends_the_start_with_a_hint() {
    let data = tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = serve(data.path(), &[("DOORWARD_HTTP__LISTEN", &address)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("another program uses this port"), "{}", said(&output));
}

#[test]
fn a_wrong_master_key_ends_the_start() {
    let data = tempdir().unwrap();
    assert_eq!(Binary::start(data.path()).terminate().code(), Some(0));
    let key = data.path().join("master.key");
    let old = std::fs::read_to_string(&key).unwrap();
    std::fs::write(&key, "0".repeat(64)).unwrap();
    let output = serve(data.path(), &[("DOORWARD_HTTP__LISTEN", "127.0.0.1:0")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("the master key does not belong to the database"), "{}", said(&output));
    std::fs::write(&key, old).unwrap();
    assert_eq!(Binary::start(data.path()).terminate().code(), Some(0), "nothing was changed");
}

#[test]
fn a_data_folder_that_cannot_be_made_ends_the_start() {
    let data = tempdir().unwrap();
    let file = data.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output = serve(&file.join("data"), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("cannot be written"), "{}", said(&output));
}

#[test]
fn two_programs_cannot_use_one_data_folder() {
    let data = tempdir().unwrap();
    let _first = Binary::start(data.path());
    let output = serve(data.path(), &[("DOORWARD_HTTP__LISTEN", "127.0.0.1:0")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("another doorward uses the data folder"), "{}", said(&output));
}
