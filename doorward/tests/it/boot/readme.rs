//! The commands of README.md, as they stand there, against the simulated cloud.

use super::killed::until;
use crate::binary::{Binary, command, run};
use doorward_sim::{legrand, utec::Config};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::Stdio,
};
use tempfile::tempdir;

/// The arguments of a command in README.md that begins like this, without what is said about it.
fn arguments(beginning: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let line = readme.lines().find(|line| line.starts_with(beginning)).unwrap_or_else(|| panic!("README.md does not say “{beginning}”"));
    let line = line.split(" #").next().unwrap_or_default();
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

fn refer(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// Runs a login, and pastes what the vendor's page ends at.
fn sign_in(data: &Path, login: Vec<String>, allow: impl FnOnce(&str) -> Result<String, String>) {
    let mut login = command(data).args(login).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(login.stdout.take().unwrap()).lines().map_while(Result::ok);
    let url = said.find(|line| line.trim().starts_with("http")).expect("it prints an address");
    let redirected = allow(url.trim()).unwrap();
    writeln!(login.stdin.take().unwrap(), "{redirected}").unwrap();
    assert!(said.any(|line| line.contains("Signed in")), "it says so");
    assert!(login.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_and_door_commands_of_the_readme_work() {
    let sim = doorward_sim::utec::start(Config::default()).await.unwrap();
    let data = tempdir().unwrap();
    let binary = Binary::start(data.path());
    let config = Config::default();
    let key = data.path().join("key.txt");
    std::fs::write(&key, &config.client_secret).unwrap();

    let mut add = arguments("doorward account add utec");
    for argument in &mut add {
        *argument = argument.replace("access_key=…", &format!("access_key={}", config.client_id));
        *argument = argument.replace("key.txt", key.to_str().unwrap());
    }
    // The simulated cloud instead of the vendor's.
    for name in ["base_url", "oauth_base_url"] {
        add.extend(["--set".to_owned(), format!("{name}={}", sim.base_url())]);
    }
    let added = run(data.path(), &refer(&add));
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));

    sign_in(data.path(), arguments("doorward account login"), |url| sim.allow(url));

    until("the doors are known", async || binary.client().get("/doors").await["items"].as_array().unwrap().len() == 3).await;
    let list = run(data.path(), &refer(&arguments("doorward door list")));
    assert!(String::from_utf8_lossy(&list.stdout).contains("front_door"), "{}", String::from_utf8_lossy(&list.stdout));
    let unlock = run(data.path(), &refer(&arguments("doorward door unlock")));
    assert!(unlock.status.success(), "{}", String::from_utf8_lossy(&unlock.stderr));
    assert!(String::from_utf8_lossy(&unlock.stdout).contains("confirmed"), "{}", String::from_utf8_lossy(&unlock.stdout));
    assert_eq!(sim.lock("7C:DF:A1:68:3E:6A").times_opened, 1);

    let backup = data.path().join("house.backup");
    let passphrase = data.path().join("passphrase");
    std::fs::write(&passphrase, "correct horse battery staple").unwrap();
    let mut backed = arguments("* Backup: `doorward backup").into_iter().skip(2).take(1).collect::<Vec<_>>();
    assert_eq!(backed.pop().as_deref(), Some("backup"), "README.md names the command");
    let made = run(data.path(), &["backup", backup.to_str().unwrap(), "--passphrase-file", passphrase.to_str().unwrap()]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gates_of_the_readme_are_added_registered_and_opened() {
    let sim = legrand::start(legrand::Config::default()).await.unwrap();
    let data = tempdir().unwrap();
    let binary = Binary::start(data.path());
    let key = data.path().join("key.txt");
    std::fs::write(&key, legrand::Config::default().subscription_key).unwrap();
    let does = |arguments: &[String]| {
        let done = run(data.path(), &refer(arguments));
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8([done.stdout, done.stderr].concat()).unwrap()
    };

    let mut add = arguments("doorward account add bticino");
    for argument in &mut add {
        *argument = argument.replace("key.txt", key.to_str().unwrap());
    }
    // The simulated cloud instead of the vendor's.
    for (name, value) in [("login_url", sim.base_url()), ("api_url", sim.base_url()), ("sip_server", sim.sip_addr().to_string())] {
        add.extend(["--set".to_owned(), format!("{name}={value}")]);
    }
    does(&add);
    let mut login = arguments("doorward account login gates");
    login.push("--paste".to_owned());
    sign_in(data.path(), login, |url| sim.allow(url));
    assert!(does(&arguments("doorward account register gates")).contains("Registered at Home"));
    until("the gate is there", async || binary.client().get("/doors/driveway_gate").await["online"] == true).await;
    let opened = does(&arguments("doorward door open"));
    assert!(opened.contains("unconfirmed"), "nobody saw it: {opened}");
    assert_eq!(sim.opener("20#2").times_opened, 1);
}

/// The original's configuration is taken over once, however often the file is imported.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_taken_once() {
    let sim = doorward_sim::utec::start(Config::default()).await.unwrap();
    let tokens = sim.grant();
    let data = tempdir().unwrap();
    let config = Config::default();
    let file = data.path().join("config.json");
    let original = serde_json::json!({ "base_url": sim.base_url(), "oauth_base_url": sim.base_url(), "action_path": "/action",
        "access_key": config.client_id, "secret_key": config.client_secret, "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token, "token_type": "Bearer", "token_expires_in": 604_800, "log_level": "INFO", "scope": "openapi",
        "redirect_url": "https://localhost/callback", "status_poll_seconds": 60 });
    std::fs::write(&file, original.to_string()).unwrap();
    let import = || {
        let output = run(data.path(), &["import", file.to_str().unwrap()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let first = import();
    assert!(first.contains("Account u_tec is imported") && first.contains("http.trusted"), "{first}");
    let again = import();
    assert!(again.contains("is there already, as u_tec") && again.contains("Nothing was changed"), "{again}");

    let shown = run(data.path(), &["--json", "config", "show"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let trusted = shown.as_array().unwrap().iter().find(|line| line["key"] == "http.trusted").unwrap();
    assert_eq!(trusted["from"], "database", "what an import sets shows without a server: {trusted}");

    let binary = Binary::start(data.path());
    until("the doors are known", async || binary.client().get("/doors").await["items"].as_array().unwrap().len() == 3).await;
    assert_eq!(binary.client().get("/accounts").await["items"].as_array().unwrap().len(), 1);
    let component = reqwest::Client::builder().no_proxy().build().unwrap();
    let devices: serde_json::Value = component.get(format!("{}/api/devices", binary.page())).send().await.unwrap().json().await.unwrap();
    assert_eq!(devices["payload"]["devices"].as_array().unwrap().len(), 3, "without credentials, as before");
}
