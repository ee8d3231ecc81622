//! Notifications by the real binary: from a battery in the vendor's cloud to a topic, on the command line, and over a restart.

use super::killed::{link, until};
use crate::binary::{Binary, json, run};
use axum::{Router, http::HeaderMap, routing::post};
use doorward_sim::utec::Config;
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tempfile::tempdir;
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(20);
const FRONT: &str = "7C:DF:A1:68:3E:6A";

/// An ntfy server of somebody else's: what it was sent.
struct Topic {
    url: String,
    received: mpsc::UnboundedReceiver<(HeaderMap, String)>,
}

impl Topic {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a-topic-nobody-guesses", listener.local_addr().unwrap());
        let (sender, received) = mpsc::unbounded_channel();
        let take = move |headers: HeaderMap, body: String| {
            let sender = sender.clone();
            async move {
                let _ = sender.send((headers, body));
            }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/a-topic-nobody-guesses", post(take))).await });
        Self { url, received }
    }

    async fn next(&mut self) -> (HeaderMap, String) {
        tokio::time::timeout(PATIENCE, self.received.recv()).await.expect("a message comes within 20 seconds").unwrap()
    }
}

/// What a command prints, and the code with which it ends.
fn says(data: &Path, arguments: &[&str]) -> (String, Option<i32>) {
    let output = run(data, arguments);
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&text).trim().to_owned(), output.status.code())
}

fn channel(data: &Path, name: &str) -> Value {
    let shown = json(data, &["notify", "show"]);
    shown["channels"].as_array().unwrap().iter().find(|channel| channel["channel"] == name).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_by_the_real_binary_and_not_once_more_after_a_restart() {
    let sim = doorward_sim::utec::start(Config::default()).await.unwrap();
    let mut topic = Topic::start().await;
    // Nobody listens there any more.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempdir().unwrap();
    let data = folder.path();
    let url = topic.url.clone();
    let mail = format!("smtps://door@{closed}");
    let environment = [
        ("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"),
        ("DOORWARD_LOG__LEVEL", "trace"),
        ("DOORWARD_NOTIFY__NTFY", url.as_str()),
        ("DOORWARD_NOTIFY__NTFY_TOKEN", "tk_hunter2"),
        ("DOORWARD_NOTIFY__SMTP", mail.as_str()),
        ("DOORWARD_NOTIFY__SMTP_PASSWORD", "hunter3"),
        ("DOORWARD_NOTIFY__MAIL_FROM", "doorward@example.org"),
        ("DOORWARD_NOTIFY__MAIL_TO", "ada@example.org,bob@example.org"),
        ("DOORWARD_NOTIFY__QUIET_HOURS", "00:00-23:59"),
        ("DOORWARD_NOTIFY__QUIET_KINDS", "battery"),
    ];
    let binary = Binary::start_with(data, &environment);
    link(&binary.client(), &sim).await;
    until("the doors are known", async || binary.client().get("/doors").await["items"].as_array().unwrap().len() == 3).await;
    until("it is locked", async || binary.client().get("/doors/front_door").await["state"] == "locked").await;
    sim.set_battery(FRONT, 1);
    binary.client().post("/doors/front_door/actions", json!({ "action": "refresh" })).await.unwrap();
    let (headers, body) = topic.next().await;
    assert_eq!(headers["title"], "Battery of Front door is low", "{body}");
    assert_eq!(headers["priority"], "low");
    until("it is written down", async || channel(data, "ntfy")["last_tried"].is_string()).await;
    let last = channel(data, "ntfy");
    assert_eq!((&last["enabled"], &last["server"], &last["last_error"]), (&json!(true), &json!("127.0.0.1"), &json!(null)));
    until("mail was tried", async || channel(data, "mail")["last_error"].is_string()).await;

    let (shown, code) = says(data, &["notify", "show"]);
    assert!(shown.contains("00:00-23:59") && shown.contains("what comes through: battery") && code == Some(0), "{shown}");
    assert_eq!(says(data, &["notify", "test", "--channel", "ntfy"]), ("ntfy took the message.".into(), Some(0)));
    assert_eq!(topic.next().await.0["tags"], "white_check_mark");
    let (tested, code) = says(data, &["notify", "test", "--channel", "mail"]);
    assert!(tested.contains("mail did not take the message") && code == Some(1), "{tested}");
    let (tested, code) = says(data, &["notify", "test", "--channel", "push"]);
    assert!(tested.contains("no browser") && code == Some(1), "{code:?} {tested}");

    let token = json(data, &["person", "token", "create", "prometheus", "--scope", "metrics"]);
    let metrics = reqwest::Client::builder().no_proxy().build().unwrap().get(format!("{}/metrics", binary.page()));
    let metrics = metrics.bearer_auth(token["secret"].as_str().unwrap()).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("doorward_notifications_total{channel=\"ntfy\",result=\"sent\"} 1"), "{metrics}");

    // Whatever is logged or shown, no secret is; a topic's name is one.
    let (config, _) = says(data, &["config", "show"]);
    let log = binary.log();
    assert!(log.contains("a notification was taken") && log.contains("a notification was not taken yet"), "this looks in the right place");
    for secret in ["hunter2", "hunter3", "a-topic-nobody-guesses"] {
        assert!(!log.contains(secret) && !config.contains(secret) && !shown.contains(secret), "{secret} is shown");
    }

    assert_eq!(binary.terminate().code(), Some(0));
    let binary = Binary::start_with(data, &environment);
    until("it is back", async || channel(data, "ntfy")["last_tried"].is_string()).await;
    assert_eq!(channel(data, "ntfy")["pending"], 0);
    says(data, &["notify", "test", "--channel", "ntfy"]);
    assert_eq!(topic.next().await.0["tags"], "white_check_mark", "the battery was told before");
    drop(binary);
}
