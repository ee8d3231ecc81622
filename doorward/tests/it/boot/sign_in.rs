//! Signing in on the command line of the real binary, at a vendor that sends people back to its own app.

use crate::binary::command;
use axum::{
    Json, Router,
    routing::{get, post},
};
use doorward_sim::legrand::{self, Config, Sim};
use reqwest::{Client, StatusCode, Url, redirect::Policy};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Output, Stdio},
    time::Duration,
};
use tempfile::tempdir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdout},
    sync::mpsc,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A doorward whose driver signs in at a simulated cloud: its address, and what it is given in the end.
async fn doorward(sim: &Sim, redirect: &str) -> (String, mpsc::UnboundedReceiver<Value>) {
    let config = Config::default();
    let mut url = Url::parse(&format!("{}/{}/oauth2/v2.0/authorize", sim.base_url(), config.tenant)).unwrap();
    url.query_pairs_mut().extend_pairs([
        ("client_id", config.client_id.as_str()),
        ("redirect_uri", redirect),
        ("response_type", "code"),
        ("scope", &config.scope),
        ("p", &config.policy),
        ("state", "S"),
    ]);
    let (sender, given) = mpsc::unbounded_channel();
    let step = async move |Json(step): Json<Value>| {
        if step["step"] == "exchange" {
            let _ = sender.send(step["input"]["callback_url"].clone());
        }
        Json(json!({ "output": { "authorize_url": url.as_str(), "state": "S" } }))
    };
    let step = move |body: Json<Value>| {
        let step = step.clone();
        async move { step(body).await }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let account = json!({
        "id": "gate", "kind": "bticino", "name": "Gate", "state": "new", "leases": [], "doors": 0, "settings": {}, "last_push": null,
    });
    let router = Router::new()
        .route("/api/v1/kinds", get(async || Json(json!({ "items": [] }))))
        .route("/api/v1/accounts", post(async move || Json(account.clone())))
        .route("/api/v1/accounts/gate/steps", post(step));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, given)
}

/// `doorward account login gate` with these words, at this doorward.
fn login(address: &str, words: &[&str], environment: &[(&str, &str)]) -> Child {
    let folder = tempdir().unwrap();
    let mut command = command(folder.path());
    command.args(["--url", address, "account", "login", "gate"]).args(words).env("DOORWARD_TOKEN", "dw_x");
    for variable in ["BROWSER", "DISPLAY", "WAYLAND_DISPLAY"] {
        command.env_remove(variable);
    }
    command.envs(environment.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap()
}

/// The first address that it prints.
async fn printed(stdout: &mut BufReader<ChildStdout>) -> Url {
    let printed = async {
        loop {
            let mut line = String::new();
            assert_ne!(stdout.read_line(&mut line).await.unwrap(), 0, "it prints an address");
            if let Ok(url) = Url::parse(line.trim()) {
                return url;
            }
        }
    };
    tokio::time::timeout(PATIENCE, printed).await.expect("it prints an address")
}

async fn ended(child: Child) -> Output {
    tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap()
}

/// Signs the simulator's person in, or cancels, as a browser does.
async fn play(url: &Url, answer: &str) -> (StatusCode, String) {
    let browser = Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
    let page = browser.get(url.clone()).send().await.unwrap();
    let cookies = page.headers().get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap());
    let cookies = cookies.collect::<Vec<_>>().join("; ");
    let page = page.text().await.unwrap();
    let between = |before: &str| page.split_once(before).unwrap().1.split_once('"').unwrap().0;
    let person = Config::default().people.remove(0);
    let mut form = Url::parse("form:").unwrap();
    form.query_pairs_mut().extend_pairs([
        ("tx", between("name=\"tx\" value=\"")),
        ("csrf_token", between("name=\"csrf_token\" value=\"")),
        ("signInName", &person.email),
        ("password", &person.password),
        ("answer", answer),
    ]);
    let answer = browser
        .post(url.join(between("action=\"")).unwrap())
        .header("content-type", "application/x-www-form-urlencoded")
        .header("cookie", cookies)
        .body(form.query().unwrap().to_owned());
    let answer = answer.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_on_this_machine_signs_in_and_nothing_is_pasted() {
    crate::house::provider();
    let sim = legrand::start(Config::default()).await.unwrap();
    let (address, mut given) = doorward(&sim, &Config::default().redirect_uri).await;
    let folder = tempdir().unwrap();
    let (browser, opened) = (folder.path().join("browser"), folder.path().join("opened"));
    // It waits for a reader, as the test does for a writer.
    let made = std::process::Command::new("mkfifo").arg(&opened).status().unwrap();
    assert!(made.success());
    fs::write(&browser, format!("#!/bin/sh\necho \"$1\" > {}\n", opened.display())).unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o700)).unwrap();
    let mut child = login(&address, &["--port", "0"], &[("BROWSER", browser.to_str().unwrap()), ("DISPLAY", ":0")]);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let url = printed(&mut stdout).await;
    assert_eq!(url.host_str(), Some("localhost"));
    let opened = tokio::task::spawn_blocking(move || fs::read_to_string(opened).unwrap()).await.unwrap();
    assert_eq!(opened.trim(), url.as_str(), "the browser was given the same address");

    let (status, page) = play(&url, "continue").await;
    assert!(status == StatusCode::OK && page.contains("You can close this window."), "{page}");
    let callback = tokio::time::timeout(PATIENCE, given.recv()).await.unwrap().unwrap();
    assert!(callback.as_str().unwrap().starts_with("com.legrandgroup.diy://oauth2redirect?state=S&code="), "{callback}");
    let output = ended(child).await;
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Waiting for the sign-in in your browser, 3 minutes…") && !said.contains("code="), "{said}");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("Signed in.\n"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_a_person_cancels_ends_the_command_as_refused() {
    crate::house::provider();
    let sim = legrand::start(Config::default()).await.unwrap();
    let (address, mut given) = doorward(&sim, &Config::default().redirect_uri).await;
    let mut child = login(&address, &["--port", "0"], &[]);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let url = printed(&mut stdout).await;
    play(&url, "cancel").await;
    let output = ended(child).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.contains("the sign-in was cancelled in the browser")), (Some(3), true), "{said}");
    assert!(given.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pasted_is_taken_where_no_proxy_is_wanted_or_needed() {
    crate::house::provider();
    let sim = legrand::start(Config::default()).await.unwrap();
    for (redirect, words) in [("com.legrandgroup.diy://oauth2redirect", &["--paste"][..]), ("https://localhost/callback", &[][..])] {
        let (address, mut given) = doorward(&sim, redirect).await;
        let mut child = login(&address, words, &[("DISPLAY", ":0"), ("BROWSER", "/bin/false")]);
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        assert_eq!(printed(&mut stdout).await.origin().ascii_serialization(), sim.base_url(), "the vendor's own address");
        child.stdin.take().unwrap().write_all(b" app://back?code=1\n").await.unwrap();
        assert_eq!(tokio::time::timeout(PATIENCE, given.recv()).await.unwrap().unwrap(), "app://back?code=1");
        assert!(ended(child).await.status.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_a_new_account_is_signed_in_at_once_and_takes_what_is_pasted_too() {
    crate::house::provider();
    let sim = legrand::start(Config::default()).await.unwrap();
    let (address, mut given) = doorward(&sim, &Config::default().redirect_uri).await;
    for (words, signed_in) in [("", true), ("--no-login", false)] {
        let add = format!("{} --url {address} account add bticino {words}", env!("CARGO_BIN_EXE_doorward"));
        let mut terminal = tokio::process::Command::new("script");
        terminal.args(["-qec", &add, "/dev/null"]).env("DOORWARD_TOKEN", "dw_x").env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stdin = child.stdin.take().unwrap();
        if signed_in {
            let url = printed(&mut stdout).await;
            assert_eq!(url.host_str(), Some("localhost"));
            stdin.write_all(b"\n  app://back?code=1 \n").await.unwrap();
            assert_eq!(tokio::time::timeout(PATIENCE, given.recv()).await.unwrap().unwrap(), "app://back?code=1");
        }
        let mut said = String::new();
        tokio::time::timeout(PATIENCE, stdout.read_to_string(&mut said)).await.expect("it ends").unwrap();
        assert_eq!((said.contains("Signed in."), said.contains("account login gate")), (signed_in, !signed_in), "{said}");
        assert!(ended(child).await.status.success(), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_cannot_be_read_is_told_before_anything_is_opened() {
    let sim = legrand::start(Config::default()).await.unwrap();
    let (address, _given) = doorward(&sim, &Config::default().redirect_uri).await;
    let output = ended(login(&address, &["--ca-file", "/no/such/file"], &[])).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.contains("ca_file cannot be read")), (Some(2), true), "{said}");
}
