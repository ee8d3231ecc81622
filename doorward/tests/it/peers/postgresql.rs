//! The same house on PostgreSQL.

use crate::{
    binary::{Binary, json},
    boot::killed::{link, until},
    house::{DRIVERS, TestHouse, actor, provider, within},
    postgres::Postgres,
};
use doorward_core::{keeper::Command, policy::Rights};
use doorward_engine::{Clock, House, SystemClock};
use doorward_sim::utec::Config;
use doorward_store::{OpenOptions, Store};
use doorward_wire::{
    attempt::{ActionWord, AttemptState},
    grant::Means,
};
use std::{sync::Arc, time::Duration};

const FRONT: &str = "7C:DF:A1:68:3E:6A";
const ROUNDS: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_house_on_postgresql_opens_its_door() {
    let postgres = Postgres::start();
    let house = TestHouse::with(Some(postgres.database()), Config::default()).await;
    let attempt = house.submit("front_door", ActionWord::Unlock).await;
    let done = || house.attempt(&attempt).state == AttemptState::Confirmed;
    house.pass_until("somebody saw it open", Duration::from_secs(1), Duration::from_secs(31), done).await;
    house.settle().await;
    assert!(house.handle.store().audit_verify().await.unwrap().ok);
    house.stop().await;
}

/// Rule 10: what must hold across instances is in the database.
#[tokio::test(flavor = "multi_thread")]
async fn rule_10_two_copies_on_one_database_act_once() {
    provider();
    let postgres = Postgres::start();
    let url = postgres.database();
    let first = TestHouse::with(Some(url.clone()), Config::default()).await;
    // The second copy takes the account over, as it does when it starts.
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = Store::open(&OpenOptions::new(url, first.key(), clock.now().utc)).await.unwrap();
    let (second, stopper) = House { store, clock, drivers: DRIVERS }.start().await.unwrap();
    for round in 0..ROUNDS {
        let command = Command {
            id: first.handle.clock().uuid(),
            door: "front_door".parse().unwrap(),
            action: ActionWord::Lock,
            actor: actor(),
            rights: Rights::administrator(),
            not_after: None,
            means: Means::Remote,
        };
        let (one, two) = tokio::join!(first.handle.submit(command.clone()), second.submit(command));
        assert_eq!(one.unwrap().id, two.unwrap().id, "round {round}");
    }
    let all = async {
        while first.sim.lock(FRONT).commands_received < ROUNDS {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(all).await;
    // Every call that was made has come back.
    for under_way in [first.handle.under_way(), second.under_way()] {
        within(under_way.clone().wait_for(|count| *count == 0)).await.unwrap();
    }
    let received = first.sim.lock(FRONT).commands_received;
    assert_eq!(received, ROUNDS, "each was acted on once");
    stopper.stop().await;
    first.stop().await;
}

/// The database goes away at run time: a clear message, no crash, nothing opens; it comes back and everything works.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_keeps_the_doors_shut() {
    let sim = doorward_sim::utec::start(Config::default()).await.unwrap();
    let mut postgres = Postgres::start();
    let data = tempfile::tempdir().unwrap();
    let url = postgres.database();
    let binary = Binary::start_with(data.path(), &[("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"), ("DOORWARD_STORE__URL", &url)]);
    let client = binary.client();
    link(&client, &sim).await;
    until("the doors are known", async || client.get("/doors").await["items"].as_array().unwrap().len() == 3).await;
    assert_eq!(json(data.path(), &["audit", "verify"])["ok"], true);
    assert!(!binary.log().contains(crate::postgres::PASSWORD), "the password is not in the log");

    postgres.crash();
    let answer = client.post("/people", serde_json::json!({ "name": "Berta" })).await;
    let answer = answer.unwrap_or_else(|error| panic!("{error:?}: {}", binary.log()));
    assert_eq!(answer.0, 503, "{}", answer.1);
    assert!(answer.1["detail"].as_str().unwrap().contains("database"), "{}", answer.1);
    let unlock = "/doors/front_door/actions?wait=50s";
    let (status, refused) = client.post(unlock, serde_json::json!({ "action": "unlock" })).await.unwrap();
    assert_eq!((status, refused["reason"].as_str()), (503, Some("audit_unavailable")), "{refused}");
    assert_eq!(sim.lock(FRONT).commands_received, 0, "what cannot be written down is not done");

    postgres.recover();
    let opened = async || client.post(unlock, serde_json::json!({ "action": "unlock" })).await.unwrap().1["state"] == "confirmed";
    until("the door opens again", opened).await;
    assert_eq!(sim.lock(FRONT).times_opened, 1);
    // The refusal was kept until it could be written.
    let attempt = format!("/attempts/{}", refused["attempt"].as_str().unwrap());
    until("the refusal is written down", async || {
        let events = client.get("/events?kind=door.refused").await;
        events["items"].as_array().unwrap().iter().any(|event| event["attempt"] == refused["attempt"])
    })
    .await;
    assert_eq!(client.get(&attempt).await["state"], "refused");
    assert_eq!(json(data.path(), &["audit", "verify"])["ok"], true);
    assert_eq!(binary.terminate().code(), Some(0), "it still stops when told to");
}
