//! What survives, and what waits for the disk.

use crate::bench::*;
use doorward_ble::lock::{Config, Failure, Input};
use doorward_wire::ble::order::Refusal;
use std::time::Duration;

fn config() -> Config {
    Config::new(id("lock_01"), keys_of_v2())
}

#[test]
fn nobody_is_let_in_before_the_token_is_durable_as_used() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    bench.slow = true;
    assert_eq!(bench.show(&guest), []);
    bench.secs(1);
    assert_eq!(bench.show(&guest), [], "a repeat");
    assert_eq!(opened(&bench.catch_up()), 1);
}

#[test]
fn killed_before_the_token_was_durable_the_lock_opens_once() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    bench.slow = true;
    let token = bench.token(&guest);
    assert_eq!(bench.hear(&token, Some(NEAR)), []);
    bench.slow = false;
    bench.killed(config(), Duration::from_secs(1));
    assert_eq!(opened(&bench.hear(&token, Some(NEAR))), 1);
    assert_eq!(opened(&bench.hear(&token, Some(NEAR))), 0);
}

#[test]
fn killed_between_acceptance_and_its_confirmation_nothing_opens_twice() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    bench.slow = true;
    let token = bench.token(&guest);
    assert_eq!(bench.hear(&token, Some(NEAR)), []);
    for (_, key, value) in std::mem::take(&mut bench.waiting) {
        bench.persist(key, value);
    }
    bench.slow = false;
    bench.killed(config(), Duration::from_secs(1));
    assert_eq!(bench.hear(&token, Some(NEAR)), []);
    bench.secs(3);
    assert_eq!(opened(&bench.show(&guest)), 0, "nor does the next token of the same approach");
    bench.secs(10);
    assert_eq!(reasons(&bench.hear(&token, Some(NEAR))), [Refusal::Replay]);
}

#[test]
fn a_restart_opens_no_door_for_those_who_are_still_there() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    assert_eq!(opened(&bench.show(&guest)), 1);
    for _ in 0..30 {
        bench.secs(3);
        bench.show(&guest);
    }
    bench.killed(config(), Duration::from_secs(5));
    for _ in 0..20 {
        assert_eq!(opened(&bench.show(&guest)), 0);
        bench.secs(3);
    }
    bench.secs(30);
    assert_eq!(opened(&bench.show(&guest)), 1);
}

#[test]
fn sessions_and_used_tokens_and_what_was_taken_back_survive() {
    let mut bench = Bench::new();
    let (guest, other, third) = (bench.guest(1), bench.guest(2), bench.guest(3));
    let token = bench.token(&guest);
    bench.hear(&token, Some(NEAR));
    bench.give(Input::Revoked(crate::orders::revoked(7, &[&other]).as_bytes()));
    bench.killed(config(), Duration::from_secs(20));
    assert_eq!(bench.lock.counters().sessions, 3);
    assert_eq!(bench.lock.hello().seq, Some(7));
    assert_eq!(reasons(&bench.hear(&token, Some(NEAR))), [Refusal::Replay]);
    assert_eq!(reasons(&bench.show(&other)), [Refusal::Revoked]);
    assert_eq!(opened(&bench.show(&third)), 1);
    assert_eq!(reasons(&bench.give(Input::Revoked(crate::orders::revoked(6, &[]).as_bytes()))), [Refusal::Replay]);
}

#[test]
fn a_session_that_comes_again_keeps_which_of_its_tokens_opened() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let token = bench.token(&guest);
    assert_eq!(opened(&bench.hear(&token, Some(NEAR))), 1);
    bench.give(Input::Session(&guest.message()));
    assert_eq!(bench.lock.counters().known, 1);
    assert_eq!(bench.hear(&token, Some(NEAR)), []);
}

#[test]
fn where_nothing_can_be_kept_nobody_is_let_in() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    bench.broken = true;
    let seen = bench.show(&guest);
    assert!(matches!(seen.as_slice(), [Seen::Failed(_, Failure::NotKept)]), "{seen:?}");
    assert_eq!(bench.show(&guest), [], "the token stays used");
    bench.broken = false;
    bench.secs(3);
    assert_eq!(opened(&bench.show(&guest)), 1, "the next one opens");
}

#[test]
fn a_disk_that_takes_too_long_opens_no_door_for_whom_has_left() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    bench.slow = true;
    bench.show(&guest);
    bench.secs(11);
    let seen = bench.catch_up();
    assert!(matches!(seen.as_slice(), [Seen::Failed(_, Failure::TooLate)]), "{seen:?}");
}

#[test]
fn what_is_over_is_forgotten_on_disk_too() {
    let mut bench = Bench::new();
    bench.guest(1);
    assert_eq!(bench.disk.len(), 1);
    bench.secs(400);
    assert_eq!(bench.disk.len(), 0);
}

#[test]
fn a_value_that_makes_no_sense_is_named_and_the_rest_is_restored() {
    use doorward_ble::lock::Lock;
    use doorward_core::Secret;
    let mut bench = Bench::new();
    bench.guest(1);
    let mut kept: Vec<_> = bench.disk.iter().map(|(key, value)| (key.clone(), Secret::new(value.clone()))).collect();
    kept.push(("lock/lock_01/orders".into(), Secret::new(vec![9])));
    kept.push(("somebody/else".into(), Secret::new(vec![])));
    let restored = Lock::restore(config(), kept, true, bench.now);
    assert_eq!(restored.unreadable, ["lock/lock_01/orders", "somebody/else"]);
    assert_eq!(restored.lock.counters().sessions, 1);
}
