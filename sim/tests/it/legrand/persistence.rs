//! A second start goes on where the first one ended.

use std::sync::Arc;
use std::time::Duration;

use doorward_sim::HandClock;
use doorward_sim::legrand::{self, Config, Position, Sim};

use super::phone::Phone;
use super::{Caller, GATE, GATEWAY, STRIKE};

async fn start(dir: &std::path::Path, clock: &Arc<HandClock>) -> Sim {
    let clock = Arc::<HandClock>::clone(clock);
    let config = Config { dir: Some(dir.join("sim")), clock, ..Config::default() };
    legrand::start(config).await.expect("the simulator starts")
}

#[tokio::test]
async fn accounts_certificates_gates_and_ports_outlive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(HandClock::new());
    let sim = start(folder.path(), &clock).await;
    let caller = Caller::new(&sim);
    let who = sim.enrol(GATEWAY);
    sim.delete_opener(STRIKE, true);
    sim.delete_plant("plant-2", true);
    let mut phone = Phone::connect(&sim, &who).await.expect("a connection");
    assert_eq!(phone.prove(|phone| phone.command(GATE)).await.what(), "200");
    let (addr, sip_addr, ca) = (sim.addr(), sim.sip_addr(), sim.server_ca());
    sim.stop().await;

    clock.advance(Duration::from_secs(5));
    let sim = start(folder.path(), &clock).await;
    assert_eq!((sim.addr(), sim.sip_addr(), sim.server_ca()), (addr, sip_addr, ca));
    let gate = sim.opener(GATE);
    assert_eq!((gate.position, gate.commands_received, gate.times_opened), (Position::Open, 1, 1), "it opened meanwhile");
    assert!(sim.opener(STRIKE).deleted);
    assert_eq!(caller.get("/servicecatalog/api/v3.0/plants").await.json().as_array().map(Vec::len), Some(1));
    let mut phone = Phone::connect(&sim, &who).await.expect("a connection");
    phone.registered().await;
    assert_eq!(sim.counters().message, 0, "request counters begin anew");
}

#[tokio::test]
async fn state_that_cannot_be_read_is_not_thrown_away() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("legrand.json"), "{").expect("written");
    let config = Config { dir: Some(folder.path().to_owned()), ..Config::default() };
    let error = legrand::start(config).await.err().expect("an error");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert_eq!(std::fs::read_to_string(folder.path().join("legrand.json")).expect("read"), "{");
}

#[tokio::test]
async fn without_a_folder_nothing_is_kept() {
    let first = legrand::start(Config::default()).await.expect("a start");
    first.hand(GATE, true);
    let who = first.enrol(GATEWAY);
    drop(first);
    let second = legrand::start(Config::default()).await.expect("a start");
    assert_eq!(second.opener(GATE).position, Position::Shut);
    let refused = Phone::connect(&second, &who).await;
    if let Ok(mut phone) = refused {
        assert!(phone.read_some().await.is_none(), "its authority is another one");
    }
}
