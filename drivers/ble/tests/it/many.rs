//! Ten thousand sessions.

use crate::bench::*;
use doorward_ble::lock::{Config, Input, ROLL};
use doorward_core::Mono;
use doorward_wire::ble::v2::Ways;
use std::time::Duration;

/// A lock with so many sessions, all at the same second of their slots: the worst case.
fn crowd(number: u32) -> (Bench, Vec<Guest>) {
    let mut bench = Bench::new();
    let guests: Vec<Guest> = (0..number).map(|number| Guest::of(number, START + 3_000, Ways::TOKEN)).collect();
    for guest in &guests {
        assert_eq!(bench.give(Input::Session(&guest.message())), []);
    }
    (bench, guests)
}

#[test]
fn with_ten_thousand_sessions_each_opens_and_no_tick_computes_more_than_its_share() {
    let (mut bench, guests) = crowd(10_000);
    assert_eq!(bench.lock.counters().sessions, 10_000);
    for guest in guests.iter().step_by(1_000) {
        assert_eq!(opened(&bench.show(guest)), 1);
    }
    // A new slot begins: the tokens are there already, and the ones after them are computed bit by bit.
    let (before, mut ticks) = (bench.now, 0);
    bench.now = bench.now.plus(Duration::from_secs(3));
    for guest in guests.iter().skip(500).step_by(1_000) {
        assert_eq!(opened(&bench.show(guest)), 1, "before any tick");
    }
    let calm = |bench: &Bench| bench.lock.deadline() > bench.now.mono.plus(Duration::from_millis(100));
    while !calm(&bench) {
        bench.now = bench.now.plus(Duration::from_millis(5));
        bench.give(Input::Tick);
        ticks += 1;
        assert!(ticks < 200, "it ends");
    }
    assert!(ticks >= 9_000 / ROLL, "{ticks} ticks");
    assert!(bench.now.mono.since(before.mono) < Duration::from_secs(4), "long before the slot is over");
    for guest in guests.iter().skip(700).step_by(1_000) {
        assert_eq!(opened(&bench.show(guest)), 1);
    }
}

#[test]
fn a_lock_that_slept_for_an_hour_catches_up_within_a_slot() {
    let (mut bench, guests) = crowd(2_000);
    bench.now = doorward_core::Now { utc: bench.now.utc.plus(Duration::from_mins(40)), mono: Mono(bench.now.mono.0) };
    bench.pass(Duration::from_millis(500));
    for guest in guests.iter().step_by(100) {
        assert_eq!(opened(&bench.show(guest)), 1);
    }
}

#[test]
fn sessions_beyond_the_most_are_counted_and_those_before_them_open() {
    let mut bench = Bench::with(Config { most_sessions: 2, ..Config::new(id("lock_01"), keys_of_v2()) });
    let guests = [1, 2, 3].map(|number| bench.guest(number));
    assert_eq!(bench.lock.counters().full, 1);
    assert_eq!(guests.iter().map(|guest| opened(&bench.show(guest))).sum::<usize>(), 2);
    bench.secs(400);
    let later = bench.guest(4);
    assert_eq!(opened(&bench.show(&later)), 1, "there is room once they are over");
}
