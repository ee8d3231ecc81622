//! What the log says, and what it never says.

use crate::{
    house::{House, fine, vectors},
    recorder::reply,
};
use doorward_core::driver::{Action, Target};
use serde_json::{Value, json};
use std::{
    io,
    sync::{Arc, Mutex},
};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// Everything that is logged in this thread, down to the last trace.
fn logged() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(log.clone()).finish();
    (log, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn the_phrases_that_people_search_for_are_there_and_no_secret_is() {
    let (log, _guard) = logged();
    let answers = [
        vectors()["oauth_answers"]["standard"].clone(),
        json!({ "code": 200, "data": {} }),
        json!({ "error": "invalid_grant", "secret": "hunter2" }),
    ];
    let house = House::new(move |number, body| match (body.get("form").is_some(), number) {
        (true, number) => reply(200, &answers[number.min(2)]),
        (false, _) => fine(0, body),
    })
    .await;
    let input = json!({ "access_token": "very-secret-AT", "refresh_token": "very-secret-RT" });
    house.setup("tokens", &input).await.unwrap();
    let renew = || house.act(&Target::Account, Action::Renew("oauth".into()));
    renew().await.unwrap();
    renew().await.unwrap_err();
    renew().await.unwrap_err();
    for step in ["start", "exchange", "tokens"] {
        let _: Result<Value, _> = house.setup(step, &json!({ "access_token": "hunter2 hunter2", "code": "hunter2" })).await;
    }
    let text = log.text();
    for phrase in
        ["Access token refreshed successfully", "Token expired or expiring soon", "Token refresh failed", "without an access token"]
    {
        assert!(text.contains(phrase), "{phrase}\n{text}");
    }
    // SK is the secret key, RT2 and AT2 are what the cloud gave.
    for secret in ["very-secret", "hunter2", "\"SK\"", "=SK", "AT2", "RT2"] {
        assert!(!text.contains(secret), "{secret}\n{text}");
    }
}
