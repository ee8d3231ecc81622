//! A second start goes on where the first one ended.

use std::sync::Arc;
use std::time::Duration;

use doorward_sim::HandClock;
use doorward_sim::utec::{self, Bolt, Config, Position, Sim};
use serde_json::json;

use crate::client::{Client, refresh};
use crate::{FRONT, GARDEN, WORKSHOP};

async fn start(dir: &std::path::Path, clock: &Arc<HandClock>) -> Sim {
    let clock = Arc::<HandClock>::clone(clock);
    let config = Config { dir: Some(dir.join("sim")), clock, ..Config::default() };
    utec::start(config).await.expect("the simulator starts")
}

#[tokio::test]
async fn tokens_locks_people_and_the_port_outlive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(HandClock::new());
    let sim = start(folder.path(), &clock).await;
    let client = Client::new(&sim);
    sim.turn(GARDEN, Bolt::Unlocked);
    sim.set_battery(WORKSHOP, 2);
    let user = json!({ "name": "Ada", "type": 0, "password": 4711 });
    let command = json!({ "capability": "st.lockUser", "name": "add", "arguments": user });
    let payload = json!({ "devices": [{ "id": FRONT, "command": command }] });
    client.action("Uhome.Device", "Command", payload).await.expect("an answer");
    client.command(FRONT, "unlock").await.expect("an answer");
    let addr = sim.addr();
    sim.stop().await;

    clock.advance(Duration::from_mins(1));
    let sim = start(folder.path(), &clock).await;
    assert_eq!(sim.addr(), addr);
    let front = sim.lock(FRONT);
    assert_eq!(front.position, Position::Unlocked, "the bolt arrived meanwhile");
    assert_eq!((front.commands_received, front.times_opened, front.users), (1, 1, 1));
    assert_eq!(sim.lock(GARDEN).position, Position::Unlocked);
    assert_eq!(sim.lock(WORKSHOP).battery, 2);
    assert_eq!(client.query(FRONT).await.expect("an answer").status, 200);
    let fresh = refresh(sim.addr(), &client.tokens.refresh_token).await.expect("an answer").json();
    assert!(fresh["access_token"].as_str().is_some_and(|token| *token != client.tokens.access_token));
    assert_eq!(sim.counters().command, 0, "request counters begin anew");
}

#[tokio::test]
async fn a_simulator_that_is_killed_has_forgotten_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(HandClock::new());
    let sim = start(folder.path(), &clock).await;
    let tokens = sim.grant();
    // A copy of what is on disk at this moment is what a killed process leaves behind.
    let left = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(left.path().join("sim")).expect("a folder");
    std::fs::copy(folder.path().join("sim/utec.json"), left.path().join("sim/utec.json")).expect("a copy");
    let second = start(left.path(), &clock).await;
    assert_ne!(second.addr(), sim.addr(), "the port is taken, so it is another one");
    assert_eq!(refresh(second.addr(), &tokens.refresh_token).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn state_that_cannot_be_read_is_not_thrown_away() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("utec.json"), "{").expect("written");
    let config = Config { dir: Some(folder.path().to_owned()), ..Config::default() };
    let error = utec::start(config).await.err().expect("an error");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert_eq!(std::fs::read_to_string(folder.path().join("utec.json")).expect("read"), "{");
}

#[tokio::test]
async fn without_a_folder_nothing_is_kept() {
    let clock = Arc::new(HandClock::new());
    let first = utec::start(Config { clock: Arc::<HandClock>::clone(&clock), ..Config::default() }).await.expect("a start");
    first.turn(FRONT, Bolt::Unlocked);
    drop(first);
    let second = utec::start(Config { clock, ..Config::default() }).await.expect("a start");
    assert_eq!(second.lock(FRONT).position, Position::Locked);
}
