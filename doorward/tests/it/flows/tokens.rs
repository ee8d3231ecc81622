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

/// The wall clock is moved a day either way, as by a battery that ran out or a time server that comes late.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_a_day_makes_no_storm_and_uses_no_expired_token() {
    for ahead in [true, false] {
        let config = Config { rotation: Rotation::Strict, expires_in: 3 * 24 * 3600, ..Config::default() };
        let house = TestHouse::with(None, config).await;
        let before = house.sim.counters();
        house.jump(24 * HOUR, ahead);
        for _ in 0..12 {
            house.advance(Duration::from_mins(5));
            house.settle().await;
        }
        assert!(house.sim.counters().token <= before.token + 1, "no storm when the clock is moved {ahead}");
        let attempt = house.submit("front_door", ActionWord::Unlock).await;
        let done = || house.attempt(&attempt).state == AttemptState::Confirmed;
        house.pass_until("it opens", Duration::from_secs(1), Duration::from_secs(31), done).await;

        // Whatever the wall clock says, the token ends three days after it was made by the cloud's own time.
        for _ in 0..4 * 24 {
            house.advance(HOUR);
            house.settle().await;
        }
        assert_eq!(house.standing(), AccountState::Ready);
        let after = house.sim.counters();
        assert_eq!(after.unauthorized, before.unauthorized, "no expired token was used");
        assert_eq!(after.token_refused, before.token_refused);
        assert!((before.token + 1..=before.token + 3).contains(&after.token), "{} refreshes in four days", after.token - before.token);
        house.stop().await;
    }
}
