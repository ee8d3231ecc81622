//! A real Chromium uses the pages as a person does.

use crate::{binary::Binary, house::provider, postgres::Postgres};
use doorward_sim::utec::{Config, Sim};
use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::{
    net::TcpListener,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// Longer than a liar takes to be contradicted.
const PATIENCE: Duration = Duration::from_secs(50);

/// Debian's Chromium behind its driver, with an empty profile. Both end when this goes.
pub(super) struct Browser {
    pub(super) client: Client,
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
}

impl Browser {
    pub(super) async fn start() -> Self {
        let port = free_port();
        let mut driver = Command::new("chromedriver");
        let driver = driver.arg(format!("--port={port}")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own: Chromium is in it too, and ends with it.
        let driver = driver.process_group(0).spawn().expect("chromedriver is installed: `make test` does it");
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-breakpad",
            "--window-size=1280,900",
        ];
        let mut arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let wishes = json!({ "goog:chromeOptions": { "args": arguments }, "goog:loggingPrefs": { "browser": "ALL" } });
        let Value::Object(wishes) = wishes else { unreachable!() };
        let url = format!("http://127.0.0.1:{port}");
        let mut client = None;
        for _ in 0..200 {
            if let Ok(connected) = ClientBuilder::new(HttpConnector::new()).capabilities(wishes.clone()).connect(&url).await {
                client = Some(connected);
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let client = client.expect("Chromium starts");
        let session = client.session_id().await.unwrap().unwrap();
        Self { client, driver, port, session, _profile: profile }
    }

    pub(super) async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Follows the first sign-in link, which sets a password, and works once.
    pub(super) async fn sign_in_first(&self, data: &Path) {
        let link = std::fs::read_to_string(data.join("first-start.txt")).unwrap();
        self.go(link.trim()).await;
        self.fill("password", "correct horse battery").await;
        self.click("form button.primary").await;
        self.find("nav a[href='/doors'][aria-current]").await;
    }

    pub(super) async fn find(&self, css: &str) -> Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("{css}: {error}; the page shows:\n{}", self.text().await),
        }
    }

    pub(super) async fn fill(&self, name: &str, value: &str) {
        let input = self.find(&format!("input[name='{name}']")).await;
        input.clear().await.unwrap();
        input.send_keys(value).await.unwrap();
    }

    pub(super) async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap();
    }

    /// Waits until the page says something, without loading it again.
    pub(super) async fn says(&self, css: &str, words: &str) {
        let wait = async {
            loop {
                let text = match self.client.find(Locator::Css(css)).await {
                    Ok(element) => element.text().await.unwrap_or_default(),
                    Err(_) => String::new(),
                };
                if text.to_lowercase().contains(&words.to_lowercase()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let said = tokio::time::timeout(PATIENCE, wait).await.is_ok();
        assert!(said, "{css} never said “{words}”; the page shows:\n{}", self.text().await);
    }

    pub(super) async fn text(&self) -> String {
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    }

    /// What the browser complained about pages at this address.
    pub(super) async fn complaints(&self, origin: &str) -> Vec<String> {
        let url = format!("http://127.0.0.1:{}/session/{}/se/log", self.port, self.session);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer: Value = client.post(url).json(&json!({ "type": "browser" })).send().await.unwrap().json().await.unwrap();
        let entries = answer["value"].as_array().expect("a list of entries").clone();
        let serious = entries.iter().filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        serious.filter_map(|entry| entry["message"].as_str()).filter(|message| message.contains(origin)).map(str::to_owned).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.driver);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.driver.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn cloud() -> (Sim, String, String) {
    let config = Config::default();
    let (access, secret) = (config.client_id.clone(), config.client_secret.clone());
    (doorward_sim::utec::start(config).await.unwrap(), access, secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_links_an_account_and_opens_a_lock() {
    the_story(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_does_the_same_in_a_house_on_postgresql() {
    let postgres = Postgres::start();
    the_story(&[("DOORWARD_STORE__URL", &postgres.database())]).await;
}

async fn the_story(environment: &[(&str, &str)]) {
    provider();
    let (sim, access, secret) = cloud().await;
    let data = tempfile::tempdir().unwrap();
    let environment: Vec<(&str, &str)> = environment.iter().copied().chain([("DOORWARD_HTTP__LISTEN", "127.0.0.1:0")]).collect();
    let binary = Binary::start_with(data.path(), &environment);
    let page = binary.page();
    let browser = Browser::start().await;

    browser.sign_in_first(data.path()).await;

    // An account is added and signed in by link and pasted address.
    browser.go(&format!("{page}/accounts/new?kind=utec")).await;
    browser.fill("_name", "U-tec").await;
    browser.fill("access_key", &access).await;
    browser.fill("secret_key", &secret).await;
    browser.fill("redirect_url", &format!("http://127.0.0.1:{}/callback", free_port())).await;
    browser.click("#more-fields summary").await;
    browser.fill("base_url", &sim.base_url()).await;
    browser.fill("oauth_base_url", &sim.base_url()).await;
    browser.click("form.card button.primary").await;
    browser.find("#account-u_tec").await;
    let account = format!("{page}/accounts/u_tec");
    browser.click("form[action='/accounts/u_tec/sign-in#sign-in'] button").await;
    let vendor = browser.find("#sign-in a.button[target='_blank']").await.attr("href").await.unwrap().unwrap();
    assert!(vendor.starts_with(&sim.base_url()), "{vendor}");
    browser.go(&vendor).await;
    // The vendor sends the browser where nobody listens: its address bar is what is pasted.
    let _ = browser.find("button").await.click().await;
    let redirected = {
        let wait = async {
            loop {
                let url = browser.client.current_url().await.unwrap().to_string();
                if url.contains("code=") {
                    return url;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the vendor redirects")
    };
    browser.go(&account).await;
    if !browser.find("input[name='pasted']").await.is_displayed().await.unwrap() {
        browser.click("#sign-in summary").await;
    }
    browser.fill("pasted", &redirected).await;
    browser.click("form[action='/accounts/u_tec/sign-in/finish#sign-in'] button").await;
    browser.says("#account-u_tec", "signed in").await;

    // A lock opens, and the page unfolds it live.
    browser.go(&format!("{page}/doors")).await;
    browser.click("#door-front_door button[value='unlock']").await;
    browser.says("#door-front_door .attempt", "confirmed").await;
    browser.says("#door-front_door .state-word", "unlocked").await;
    assert_eq!(sim.lock("7C:DF:A1:68:3E:6A").times_opened, 1);

    // The liar is told as what it is.
    browser.click("#door-garden_gate_lock button[value='unlock']").await;
    browser.says("#door-garden_gate_lock .attempt", "contradicted").await;
    assert_eq!(sim.lock("7C:DF:A1:68:3E:6B").times_opened, 0);

    // A token is refreshed now.
    browser.go(&account).await;
    let refreshed = sim.counters().token_ok;
    browser.click("form[action='/accounts/u_tec/renew'] button").await;
    browser.says("#account-u_tec", "renewed").await;
    let wait = async {
        while sim.counters().token_ok == refreshed {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the token is refreshed");

    for path in ["/doors/front_door", "/events", "/settings", "/settings/logs", "/accounts", "/webhooks", "/webhooks/new", "/nowhere"] {
        browser.go(&format!("{page}{path}")).await;
    }
    let complaints = browser.complaints(&page).await;
    let unexpected: Vec<&String> = complaints.iter().filter(|message| !message.contains("/nowhere")).collect();
    assert!(unexpected.is_empty(), "the browser complained: {unexpected:?}");
}
