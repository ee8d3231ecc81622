//! The two examples as a person runs them, one after the other, against the simulated cloud.

use crate::browser::Browser;
use doorward_bticino::files::Files;
use doorward_sim::legrand::{Config, Sim, start};
use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};
use tempfile::tempdir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
};

const TOKEN: &str = "token/token_cache.json";
const ACCOUNT: &str = "token/sip_account.json";
const CERTIFICATE: &str = "certs/client-certs.json";

/// An example, which is built with the tests and lies beside them.
fn example(name: &str, sim: &Sim) -> Command {
    let built: PathBuf = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples").join(name);
    let mut command = Command::new(built);
    command.env("BTICINO_SUBSCRIPTION_KEY", "sim-subscription-key").env("BTICINO_SIP_SERVER", sim.sip_addr().to_string());
    for name in ["BTICINO_LOGIN_URL", "BTICINO_API_URL"] {
        command.env(name, sim.base_url());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Signs in as a person does, and ends where a browser cannot go on.
async fn person(page: &str) -> String {
    let mut browser = Browser::new();
    let page = browser.open(&page.parse().unwrap()).await;
    let form = [("signInName", "user@example.com"), ("password", "sim-password"), ("answer", "continue")];
    browser.press(&page, &form).await.location().to_owned()
}

/// Runs `sign_in` to its end.
async fn sign_in(sim: &Sim, folder: &Path) -> String {
    let mut child = example("sign_in", sim).arg(folder).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while let Some(line) = stdout.next_line().await.unwrap() {
        if line.starts_with("http://") {
            let ended_at = person(&line).await;
            assert!(ended_at.starts_with("com.legrandgroup.diy://oauth2redirect?"), "{ended_at}");
            child.stdin.take().unwrap().write_all(format!("{ended_at}\n").as_bytes()).await.unwrap();
        } else {
            said += &(line + "\n");
        }
    }
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{said} {output:?}");
    said + &String::from_utf8(output.stderr).unwrap()
}

async fn open(sim: &Sim, folder: &Path, gate: &str) -> Output {
    example("open", sim).arg(folder).arg(gate).output().await.unwrap()
}

#[tokio::test]
async fn a_gate_opens_once_from_the_files_that_the_sign_in_saved() {
    let sim = start(Config::default()).await.unwrap();
    let (folder, moved) = (tempdir().unwrap(), tempdir().unwrap());
    let said = sign_in(&sim, folder.path()).await;
    let name = sim.opener("20#2").name;
    assert!(said.contains(&format!("Registered: {name}\n")), "{said}");

    // The three files alone are enough.
    for file in [TOKEN, ACCOUNT, CERTIFICATE] {
        let copy = moved.path().join(file);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(folder.path().join(file), copy).unwrap();
    }
    let output = open(&sim, moved.path(), &name).await;
    assert!(output.status.success(), "{output:?}");
    let view = sim.opener("20#2");
    assert_eq!((view.commands_received, sim.counters().commands_accepted, sim.counters().accounts_made), (1, 1, 2));

    let saved = Files::read(moved.path()).await.unwrap();
    let tokens = saved.tokens.unwrap();
    let secrets = [tokens.access_token, tokens.refresh_token.unwrap(), saved.account.unwrap().password, saved.certificate.unwrap().key];
    let shown = [said.as_bytes(), &output.stdout, &output.stderr].concat();
    let shown = String::from_utf8(shown).unwrap();
    assert!(secrets.iter().all(|secret| !shown.contains(secret.reveal().trim())), "{shown}");
}

#[tokio::test]
async fn tokens_that_were_renewed_meanwhile_are_those_that_are_used_next() {
    let sim = start(Config::default()).await.unwrap();
    let folder = tempdir().unwrap();
    sign_in(&sim, folder.path()).await;
    std::fs::remove_dir_all(folder.path().join("kept")).unwrap();
    let name = sim.opener("20#2").name;
    for opened in 1..=2 {
        sim.expire_access_tokens();
        let output = open(&sim, folder.path(), &name).await;
        assert!(output.status.success(), "{output:?}");
        assert_eq!(sim.opener("20#2").commands_received, opened);
    }
}

#[tokio::test]
async fn a_gate_that_is_not_there_and_files_that_are_not_there_are_told() {
    let sim = start(Config::default()).await.unwrap();
    let folder = tempdir().unwrap();
    let told = async |gate: &str| String::from_utf8(open(&sim, folder.path(), gate).await.stderr).unwrap();
    assert!(told("Gate").await.contains("token_cache.json"));
    sign_in(&sim, folder.path()).await;
    assert!(told("No such gate").await.contains("there is no gate of this name"));
    assert_eq!(sim.counters().message, 0);
}
