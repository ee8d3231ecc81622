//! Webhooks on the command line of the real binary, and over a restart.

use crate::binary::{Binary, command, json, run};
use axum::{Router, http::HeaderMap, http::StatusCode, routing::post};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};
use tempfile::tempdir;
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(20);

/// A receiver of somebody else's: what it is sent, and the status that it answers.
struct Receiver {
    url: String,
    received: mpsc::UnboundedReceiver<(HeaderMap, Value)>,
    status: Arc<AtomicU16>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in?key=the-receivers-own", listener.local_addr().unwrap());
        let (sender, received) = mpsc::unbounded_channel();
        let status = Arc::new(AtomicU16::new(204));
        let answer = Arc::clone(&status);
        let take = async move |headers: HeaderMap, body: String| {
            let _ = sender.send((headers, serde_json::from_str(&body).unwrap()));
            (StatusCode::from_u16(answer.load(Ordering::Relaxed)).unwrap(), "as it was told")
        };
        let take = move |headers: HeaderMap, body: String| {
            let take = take.clone();
            async move { take(headers, body).await }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/in", post(take))).await });
        Self { url, received, status }
    }

    /// The next message of this type.
    async fn next(&mut self, kind: &str) -> (HeaderMap, Value) {
        let next = async {
            loop {
                let (headers, body) = self.received.recv().await.unwrap();
                if body["type"] == kind {
                    return (headers, body);
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.unwrap_or_else(|_| panic!("{kind} comes within 20 seconds"))
    }
}

/// What a command prints, and the code with which it ends.
fn says(data: &Path, arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = run(data, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_managed_on_the_command_line_and_survive_a_restart() {
    let mut receiver = Receiver::start().await;
    let folder = tempdir().unwrap();
    let data = folder.path();
    let environment = [("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"), ("DOORWARD_LOG__LEVEL", "trace")];
    let binary = Binary::start_with(data, &environment);
    assert!(says(data, &["webhook", "list"]).0.contains("no webhooks yet"));

    let (first, note, code) = says(data, &["webhook", "add", "Home Assistant", &receiver.url, "--allow-private"]);
    assert_eq!((first.starts_with("whsec_"), first.lines().count(), code), (true, 1, Some(0)), "{note}");
    assert!(note.contains("home_assistant") && note.contains("shown this once"), "{note}");
    let listed = json(data, &["webhook", "list"]);
    assert_eq!((&listed[0]["id"], &listed[0]["state"]), (&json!("home_assistant"), &json!("waiting")));
    let (tested, _, code) = says(data, &["webhook", "test", "home_assistant"]);
    assert!(tested.contains("answered 204") && code == Some(0), "{tested}");
    receiver.next("webhook.test").await;

    says(data, &["person", "add", "Ada"]);
    let (headers, body) = receiver.next("person.changed").await;
    let message = headers["webhook-id"].to_str().unwrap().to_owned();
    assert!(headers["webhook-signature"].to_str().unwrap().starts_with("v1,"));
    let event = body["data"]["id"].as_i64().unwrap();
    assert_eq!(body["data"], binary.client().get(&format!("/events?after={}&limit=1", event - 1)).await["items"][0]);
    let deliveries = json(data, &["webhook", "deliveries", "home_assistant", "--limit", "1"]);
    assert_eq!((&deliveries[0]["message"], &deliveries[0]["event"]), (&json!(message), &json!(event)));
    assert!(says(data, &["webhook", "deliveries", "home_assistant"]).0.contains("person.changed"));

    receiver.status.store(500, Ordering::Relaxed);
    let (tested, _, code) = says(data, &["webhook", "test", "home_assistant"]);
    assert!(tested.contains("answered 500: as it was told") && code == Some(1), "{tested}");
    receiver.status.store(204, Ordering::Relaxed);
    assert_eq!(says(data, &["webhook", "retry", "home_assistant", &message]).2, Some(0));
    assert_eq!(receiver.next("person.changed").await.0["webhook-id"], message.as_str());

    let rotated = json(data, &["webhook", "rotate", "home_assistant"]);
    let second = rotated["secret"].as_str().unwrap().to_owned();
    assert_ne!(second, first);
    let changed = json(data, &["webhook", "set", "home_assistant", "--name", "HA", "--event", "doorward.started", "--door", "*"]);
    assert_eq!((&changed["name"], &changed["kinds"], &changed["doors"]), (&json!("HA"), &json!(["doorward.started"]), &json!([])));

    for (arguments, words) in [
        (vec!["add", "x", "https://127.0.0.1/"], "private network"),
        (vec!["add", "x", "http://hooks.example/"], "https://"),
        (vec!["add", "x", "https://hooks.example/", "--event", "door.blown_up"], "door.blown_up"),
        (vec!["test", "nobody"], "no webhook"),
        (vec!["retry", "home_assistant", "msg_unknown"], "no delivery"),
    ] {
        let (_, error, code) = says(data, &[vec!["webhook"], arguments.clone()].concat());
        assert!(error.contains(words) && code == Some(2), "{arguments:?}: {code:?} {error}");
    }

    let token = json(data, &["person", "token", "create", "prometheus", "--scope", "metrics"]);
    let metrics = reqwest::Client::builder().no_proxy().build().unwrap().get(format!("{}/metrics", binary.page()));
    let metrics = metrics.bearer_auth(token["secret"].as_str().unwrap()).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("doorward_webhook_deliveries_total{result=\"delivered\"}"), "{metrics}");

    // Whatever is logged, no secret is, and no address either: it may hold a secret of the receiver's.
    let log = binary.log();
    assert!(log.contains("delivered to a webhook"), "this looks in the right place");
    for secret in [first.trim_start_matches("whsec_"), second.trim_start_matches("whsec_"), "whsec_", "the-receivers-own"] {
        assert!(!log.contains(secret), "{secret} is logged");
    }

    assert_eq!(binary.terminate().code(), Some(0));
    let binary = Binary::start_with(data, &environment);
    let (_, started) = receiver.next("doorward.started").await;
    assert_eq!(started["data"]["data"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(says(data, &["webhook", "remove", "home_assistant"]).2, Some(0));
    assert_eq!(json(data, &["webhook", "list"]), json!([]));
    drop(binary);
    let unreachable = command(data).args(["webhook", "list"]).output().unwrap();
    assert_eq!(unreachable.status.code(), Some(4));
}
