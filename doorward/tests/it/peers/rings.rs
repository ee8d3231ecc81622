//! A ring in a real Chromium: it appears by itself, is ignored, looked at and opened for, and the page never loads again.

use super::{chromium::Browser, mosquitto::User};
use crate::{
    binary::{Binary, json},
    boot::killed::until,
    house::provider,
};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
};

/// A camera's page, for every request. Gives its address; it goes with the test's process.
fn camera() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/stream.html?src=gate", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let page = "<!doctype html><link rel=icon href=data:,><h1>The picture</h1>";
            let length = page.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

/// Rings until it is heard: a bell that rang just now rings once.
async fn rings(bell: &User, data: &Path) {
    let ringing = || json(data, &["ring", "list", "--state", "ringing"]).as_array().is_some_and(|rings| !rings.is_empty());
    until("it rings", async || bell.publish("bell", "ding", &[]) && ringing()).await;
}

impl Browser {
    async fn mark(&self) {
        self.client.execute("window.marked = true", Vec::new()).await.unwrap();
    }

    async fn is_marked(&self) -> bool {
        self.client.execute("return window.marked === true", Vec::new()).await.unwrap() == Value::Bool(true)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_appears_by_itself_and_is_ignored_looked_at_and_opened_for() {
    provider();
    let data = tempfile::tempdir().unwrap();
    let gate = format!(
        "[[doors]]\nid = \"gate\"\nname = \"Garden gate\"\nkind = \"foreign\"\nopen = {{ mqtt = \"gate/set\", payload = \"OPEN\" }}\n\
         ring = {{ mqtt = \"bell\" }}\nstream = \"{}\"\n",
        camera()
    );
    std::fs::write(data.path().join("doorward.toml"), gate).unwrap();
    let environment = [("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"), ("DOORWARD_MQTT__LISTEN", "127.0.0.1:0")];
    let binary = Binary::start_with(data.path(), &environment);
    // The broker says first that it listens.
    until("its pages are there", async || binary.log().contains(concat!(env!("CARGO_PKG_VERSION"), " listens at "))).await;
    let page = binary.page();
    let made = json(data.path(), &["mqtt", "user", "add", "bell", "--publish", "bell"]);
    let bell = User::new("bell", made["secret"].as_str().unwrap(), &binary.mqtt_port());
    let browser = Browser::start().await;
    browser.go(std::fs::read_to_string(data.path().join("first-start.txt")).unwrap().trim()).await;
    browser.fill("password", "correct horse battery").await;
    browser.click("form button.primary").await;
    browser.says("#door-gate", "Garden gate").await;
    browser.find("#live-state[data-state='on']").await;
    browser.mark().await;

    // It appears, and is ignored.
    rings(&bell, data.path()).await;
    browser.says("#banners", "Somebody rings at Garden gate").await;
    browser.says("#door-gate .ring-note", "Somebody rings here").await;
    assert!(browser.is_marked().await, "nothing was loaded again");
    browser.click("#door-gate .ring-note").await;
    browser.says(".ring .state-word", "Somebody rings at Garden gate").await;
    browser.find("#live-state[data-state='on']").await;
    browser.mark().await;
    browser.click(".ring form[action$='/ignore'] button").await;
    browser.says(".ring .state-word", "ignored the ring at Garden gate").await;

    // The next one is looked at: the picture opens beside this page.
    rings(&bell, data.path()).await;
    browser.says("#banners", "Somebody rings at Garden gate").await;
    assert!(browser.is_marked().await, "nothing was loaded again");
    browser.click("#banners a.button").await;
    browser.find("#live-state[data-state='on']").await;
    browser.mark().await;
    let here = browser.client.window().await.unwrap();
    browser.click(".ring form[action$='/answer'] button").await;
    until("a tab opens", async || browser.client.windows().await.unwrap().len() == 2).await;
    let beside = browser.client.windows().await.unwrap().into_iter().find(|window| *window != here).unwrap();
    browser.client.switch_to_window(beside).await.unwrap();
    browser.says("h1", "The picture").await;
    browser.client.close_window().await.unwrap();
    browser.client.switch_to_window(here).await.unwrap();
    browser.says(".ring .state-word", "answered the ring at Garden gate").await;

    // For the last one the gate is opened.
    rings(&bell, data.path()).await;
    browser.click("#banners a.button").await;
    browser.click(".ring button[value='open']").await;
    browser.says(".ring .state-word", "opened Garden gate for whoever rang").await;
    browser.go(&format!("{page}/rings")).await;
    for words in ["ignored the ring", "answered the ring", "opened Garden gate"] {
        browser.says("#rings", words).await;
    }
    let complaints = browser.complaints(&page).await;
    assert!(complaints.is_empty(), "the browser complained: {complaints:?}");
}
