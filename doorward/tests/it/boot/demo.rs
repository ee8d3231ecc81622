//! `doorward demo`, as a new user starts it: both accounts are linked, and a second start goes on, at other ports if need be.

use super::killed::until_within;
use crate::binary::{Client, command, is_of_an_administrator};
use serde_json::{Value, json};
use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

/// What it printed.
const PRINTED: &str = "printed.txt";

struct Demo(Child);

impl Demo {
    fn start(data: &Path) -> Self {
        let mut demo = command(data);
        demo.arg("demo").env("DOORWARD_HTTP__LISTEN", "127.0.0.1:0").env("DOORWARD_TUNNEL__LISTEN", "127.0.0.1:0");
        demo.env("DOORWARD_MQTT__LISTEN", "127.0.0.1:0");
        let printed = fs::File::create(data.join(PRINTED)).unwrap();
        Self(demo.stdin(Stdio::null()).stdout(printed).stderr(Stdio::null()).spawn().unwrap())
    }

    fn end(mut self) {
        let process = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        assert!(self.0.wait().unwrap().success(), "Ctrl-C is no failure");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It has ended already, unless the test has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn ready(data: &Path) -> Client {
    let socket = data.join("doorward.sock");
    until_within(Duration::from_mins(1), "it listens", async || tokio::net::UnixStream::connect(&socket).await.is_ok()).await;
    let client = Client::new(data);
    let known = async || {
        let doors = client.get("/doors").await;
        let doors = doors["items"].as_array().cloned().unwrap_or_default();
        doors.len() == 7 && doors.iter().all(|door| door["online"] == true)
    };
    until_within(Duration::from_mins(1), "seven doors are there", known).await;
    client
}

async fn act(client: &Client, door: &str, action: &str) -> Value {
    client.post(&format!("/doors/{door}/actions?wait=40s"), json!({ "action": action })).await.unwrap().1["state"].clone()
}

/// Other programs at the ports that the simulators had.
fn taken(data: &Path) -> Vec<TcpListener> {
    let had = |(file, key): (&str, &str)| {
        let saved: Value = serde_json::from_slice(&fs::read(data.join("sim").join(file)).unwrap()).unwrap();
        TcpListener::bind(("127.0.0.1", saved[key].as_u64().unwrap().try_into().unwrap())).unwrap()
    };
    [("utec.json", "port"), ("legrand.json", "port"), ("legrand.json", "sip_port")].map(had).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_has_locks_and_gates_and_goes_on_where_it_stopped() {
    let data = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let demo = Demo::start(data.path());
        let client = ready(data.path()).await;
        let heard = async || client.get("/doors/driveway_gate").await["contact_open"] == false;
        until_within(Duration::from_secs(30), "the contact tells", heard).await;
        assert_eq!(act(&client, "driveway_gate", "open").await, "confirmed");
        assert_eq!(act(&client, "garden_door", "open").await, "unconfirmed");
        let printed = async || fs::read_to_string(data.path().join(PRINTED)).unwrap();
        until_within(Duration::from_secs(30), "it says how to sign in", async || printed().await.contains("Ctrl-C")).await;
        let printed = printed().await;
        let link = printed.split_whitespace().find(|word| word.contains("/link/")).unwrap();
        assert!(is_of_an_administrator(link).await, "whoever else is there: {printed}");
        demo.end();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_goes_on_at_other_ports_and_keeps_what_was_changed_in_its_file() {
    let data = tempfile::tempdir().unwrap();
    let demo = Demo::start(data.path());
    ready(data.path()).await;
    demo.end();
    let file = data.path().join("doorward.toml");
    let changed = fs::read_to_string(&file).unwrap().replace("\"Driveway gate\"", "'My gate' # changed") + "\n[log]\nlevel = \"error\"\n";
    fs::write(&file, &changed).unwrap();

    let _others = taken(data.path());
    let demo = Demo::start(data.path());
    let client = ready(data.path()).await;
    assert_eq!(client.get("/doors/driveway_gate").await["name"], "My gate");
    assert_eq!(act(&client, "driveway_gate", "open").await, "confirmed");
    assert_eq!(act(&client, "front_door", "unlock").await, "confirmed");
    demo.end();
    let now = fs::read_to_string(&file).unwrap();
    let moved = changed.lines().zip(now.lines()).filter(|(before, now)| before != now).map(|(before, _)| before.split(' ').next().unwrap());
    assert_eq!(moved.collect::<Vec<_>>(), ["login_url", "api_url", "sip_server"]);
    assert_eq!(now.lines().count(), changed.lines().count());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_opens_its_door_over_bluetooth_for_its_guest_and_for_nobody_who_plays_her_tokens_again() {
    let data = tempfile::tempdir().unwrap();
    let demo = Demo::start(data.path());
    let client = ready(data.path()).await;
    let told = async |kind: &str| client.get(&format!("/events?door=studio_door&kind={kind}")).await["items"].as_array().unwrap().clone();
    until_within(Duration::from_secs(30), "the guest is let in", async || {
        told("attempt.finished").await.iter().any(|event| event["actor"]["name"] == "Mia" && event["data"]["state"] == "confirmed")
    })
    .await;
    until_within(Duration::from_mins(1), "her tokens are played again", async || {
        told("door.refused").await.iter().any(|event| event["reason"] == "replay")
    })
    .await;
    assert_eq!(told("door.opened").await.len(), 1, "once");
    demo.end();
}
