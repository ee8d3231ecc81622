//! Tokens that end.

use crate::house::{TestHouse, account};
use doorward_sim::utec::{Config, Rotation};
use doorward_wire::{
    account::AccountState,
    attempt::{ActionWord, AttemptState},
};
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);

async fn start() -> TestHouse {
    TestHouse::with(None, Config { rotation: Rotation::Strict, expires_in: 10 * 3600, ..Config::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_about_to_expire() {
    let house = start().await;
    let before = house.sim.counters();
    let lease = house.handle.board().standing(&account()).unwrap().leases[0].clone();
    house.advance(9 * HOUR);
    house.settle().await;
    assert_eq!(house.sim.counters().token, before.token, "an hour is left");
    let span = Duration::from_mins(55);
    house.advance(span);
    house.until("it is renewed", || house.handle.board().standing(&account()).unwrap().leases[0].not_after > lease.not_after).await;
    assert_eq!(house.sim.counters().token, before.token + 1, "one request");
    assert_eq!(house.standing(), AccountState::Ready);
    house.settle().await;
    assert!(house.kinds().await.contains(&"account.renewed".to_owned()));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_refresh_token_asks_a_person_once() {
    let house = start().await;
    let before = house.sim.counters();
    house.sim.revoke();
    house.advance(10 * HOUR);
    house.until("a person is asked", || house.standing() == AccountState::NeedsSignIn).await;
    for _ in 0..20 {
        house.advance(HOUR);
        house.settle().await;
    }
    let attempt = house.submit("front_door", ActionWord::Unlock).await;
    house.until("the attempt ends", || house.attempt(&attempt).state.is_final()).await;
    assert_eq!(house.attempt(&attempt).state, AttemptState::Failed);
    assert_eq!(house.sim.counters().token_refused, before.token_refused + 1, "exactly one refused request, no storm");
    let asked = house.kinds().await.iter().filter(|kind| *kind == "account.needs_sign_in").count();
    assert_eq!(asked, 1);
    house.stop().await;
}
