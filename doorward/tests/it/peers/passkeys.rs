//! A real Chromium with an authenticator of its own signs in with a passkey, and somebody without a script with a code.

use super::chromium::Browser;
use crate::{
    binary::{self, Binary, run},
    boot::killed::until,
    house::provider,
};
use fantoccini::wd::WebDriverCompatibleCommand;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use std::str::FromStr;

/// A command of the extension for Web Authentication (Web Authentication Level 2, section 11).
#[derive(Debug)]
struct Authenticator {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl WebDriverCompatibleCommand for Authenticator {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!("session/{}/webauthn/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (self.method.clone(), self.body.as_ref().map(ToString::to_string))
    }
}

impl Browser {
    /// Plugs an authenticator in whose owner touches it and says who they are. Gives its name.
    async fn plug_in(&self) -> String {
        let body = json!({
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": true,
            "hasUserVerification": true,
            "isUserConsenting": true,
            "isUserVerified": true,
        });
        let made = Authenticator { method: Method::POST, path: "authenticator".into(), body: Some(body) };
        self.client.issue_cmd(made).await.unwrap().as_str().unwrap().to_owned()
    }

    /// From now on its owner cannot say who they are.
    async fn does_not_verify(&self, authenticator: &str) {
        let body = Some(json!({ "isUserVerified": false }));
        self.client
            .issue_cmd(Authenticator { method: Method::POST, path: format!("authenticator/{authenticator}/uv"), body })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_adds_a_passkey_signs_in_with_it_and_removes_it() {
    provider();
    let data = tempfile::tempdir().unwrap();
    let binary = Binary::start_with(data.path(), &[("DOORWARD_HTTP__LISTEN", "127.0.0.1:0")]);
    // An address of numbers is no name that a passkey could be for.
    let (numbers, page) = (binary.page(), binary.page().replace("127.0.0.1", "localhost"));
    let browser = Browser::start().await;
    let authenticator = browser.plug_in().await;
    browser.sign_in_first(data.path()).await;
    browser.go(&format!("{numbers}/settings")).await;
    browser.says("#passkey-nowhere", "by https:// and a name").await;

    browser.go(&format!("{page}/sign-in")).await;
    browser.find("#passkey-in:not([hidden])").await;
    browser.fill("name", &person(&binary).await).await;
    browser.fill("password", "correct horse battery").await;
    browser.click("form[action='/sign-in'] button.primary").await;
    browser.find("nav a[href='/doors'][aria-current]").await;

    browser.go(&format!("{page}/settings")).await;
    browser.says("#browsers", "Chrome on Linux").await;
    browser.says("#browsers", "This browser").await;
    browser.click("#passkey-new summary").await;
    browser.client.execute("document.querySelector('#passkey-form input[name=name]').value = 'Test key'", Vec::new()).await.unwrap();
    browser.click("#passkey-form button").await;
    browser.says("main", "The passkey was added").await;
    browser.says("#passkeys", "Test key").await;

    let name = person(&binary).await;
    let list = |what: &str| binary::json(data.path(), &["person", what, &name]);
    assert_eq!((&list("passkeys")[0]["name"], &list("passkeys")[0]["rp_id"]), (&json!("Test key"), &json!("localhost")));
    assert_eq!(list("second-factor")["since"], Value::Null);
    // One is of the address of numbers, where it began.
    let sessions = list("sessions");
    assert_eq!(sessions.as_array().unwrap().len(), 2, "{sessions}");
    let old = sessions[1]["id"].as_str().unwrap();
    assert!(run(data.path(), &["person", "sessions", &name, "--end", old]).status.success());
    assert_eq!(list("sessions").as_array().unwrap().len(), 1);
    assert!(!run(data.path(), &["person", "second-factor", &name, "--remove"]).status.success(), "there is none");

    // The same authenticator again is refused by the browser: it was told which ones there are.
    browser.click("#passkey-new summary").await;
    browser.click("#passkey-form button").await;
    browser.says("#passkey-form [role='alert']", "has a passkey for you already").await;

    browser.click("#you form[action='/sign-out'] button").await;
    browser.says("main", "You are signed out").await;
    browser.click("#passkey-in button").await;
    browser.find("nav a[href='/doors'][aria-current]").await;
    let client = binary.client();
    until("it is written down", async || {
        let events = client.get("/events?kind=person.signed_in").await;
        events["items"].as_array().unwrap().iter().any(|event| event["data"]["how"] == "passkey")
    })
    .await;

    browser.does_not_verify(&authenticator).await;
    browser.click("header form[action='/sign-out'] button").await;
    browser.says("main", "You are signed out").await;
    browser.click("#passkey-in button").await;
    browser.says("#passkey-in [role='alert']", "cancelled, or took too long").await;
    browser.fill("name", &person(&binary).await).await;
    browser.fill("password", "correct horse battery").await;
    browser.click("form[action='/sign-in'] button.primary").await;
    browser.find("nav a[href='/doors'][aria-current]").await;

    browser.go(&format!("{page}/settings")).await;
    browser.click("#passkeys a.row").await;
    browser.says("main", "You then sign in with your password").await;
    browser.click("form[action$='/remove'] button").await;
    browser.says("main", "The passkey was removed").await;

    let complaints = browser.complaints(&page).await;
    assert!(complaints.is_empty(), "the browser complained: {complaints:?}");
}

/// The name of the first person.
async fn person(binary: &Binary) -> String {
    binary.client().get("/people").await["items"][0]["name"].as_str().unwrap().to_owned()
}
