//! `doorward demo`, as a new user starts it: both accounts are linked, and a second start goes on.

use super::killed::until_within;
use crate::binary::{Client, command};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

struct Demo(Child);

impl Demo {
    fn start(data: &Path) -> Self {
        let mut demo = command(data);
        demo.arg("demo").env("DOORWARD_HTTP__LISTEN", "127.0.0.1:0").env("DOORWARD_TUNNEL__LISTEN", "127.0.0.1:0");
        Self(demo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
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
        doors.len() == 6 && doors.iter().all(|door| door["online"] == true)
    };
    until_within(Duration::from_mins(1), "six doors are there", known).await;
    client
}

async fn open(client: &Client, door: &str) -> Value {
    client.post(&format!("/doors/{door}/actions?wait=40s"), json!({ "action": "open" })).await.unwrap().1["state"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_has_locks_and_gates_and_goes_on_where_it_stopped() {
    let data = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let demo = Demo::start(data.path());
        let client = ready(data.path()).await;
        let heard = async || client.get("/doors/driveway_gate").await["contact_open"] == false;
        until_within(Duration::from_secs(30), "the contact tells", heard).await;
        assert_eq!(open(&client, "driveway_gate").await, "confirmed");
        assert_eq!(open(&client, "garden_door").await, "unconfirmed");
        demo.end();
    }
}
