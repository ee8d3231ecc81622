//! Once per approach, and replays.

use crate::bench::*;
use doorward_ble::lock::Input;
use doorward_wire::ble::order::Refusal;

#[test]
fn a_session_opens_once_per_approach_and_again_after_half_a_minute_unseen() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let mut times = 0;
    for _ in 0..60 {
        times += opened(&bench.show(&guest));
        bench.secs(1);
    }
    assert_eq!(times, 1, "whoever stays at the door is let in once");
    assert_eq!(bench.lock.counters().repeats, 59);
    bench.secs(28);
    assert_eq!(opened(&bench.show(&guest)), 0, "seen 29 s ago");
    bench.secs(30);
    assert_eq!(opened(&bench.show(&guest)), 1);
}

#[test]
fn whoever_is_heard_from_further_away_is_still_there() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    assert_eq!(opened(&bench.show(&guest)), 1);
    for _ in 0..10 {
        bench.secs(6);
        let token = bench.token(&guest);
        assert_eq!(bench.hear(&token, Some(-95)), []);
    }
    assert_eq!(opened(&bench.show(&guest)), 0, "a spike of the signal is no approach");
}

#[test]
fn a_replayed_token_in_the_same_slot_is_a_repeat() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let token = bench.token(&guest);
    assert_eq!(opened(&bench.hear(&token, Some(NEAR))), 1);
    assert_eq!(bench.hear(&token, Some(NEAR)), []);
    assert_eq!(bench.lock.counters().repeats, 1);
}

#[test]
fn a_replayed_token_in_the_next_slot_is_a_repeat() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let token = bench.token(&guest);
    assert_eq!(opened(&bench.hear(&token, Some(NEAR))), 1);
    bench.secs(3);
    assert_eq!(bench.hear(&token, Some(NEAR)), []);
}

#[test]
fn a_token_that_opened_and_comes_after_its_window_is_a_replay_told_once() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let token = bench.token(&guest);
    bench.hear(&token, Some(NEAR));
    bench.secs(6);
    let seen = bench.hear(&token, Some(NEAR));
    assert_eq!(reasons(&seen), [Refusal::Replay]);
    let Seen::Refused(refused) = &seen[0] else { panic!("{seen:?}") };
    assert_eq!(refused.nonce.as_ref(), Some(&guest.nonce()));
    assert_eq!(bench.hear(&token, Some(NEAR)), []);
    bench.secs(60);
    assert_eq!(bench.hear(&token, Some(NEAR)), []);
    assert_eq!(bench.lock.counters().replays, 3);
    let later = bench.token(&guest);
    assert_eq!(opened(&bench.hear(&later, Some(NEAR))), 1, "replays are no sign of the guest");
    bench.secs(7);
    assert_eq!(reasons(&bench.hear(&later, Some(NEAR))), [Refusal::Replay], "another token, another event");
}

#[test]
fn tokens_that_opened_long_ago_are_still_refused_when_the_clock_is_set_back_to_them() {
    let mut bench = Bench::new();
    let guest = Guest::new(1, START + 90_000);
    bench.give(Input::Session(&guest.message()));
    let first = bench.token(&guest);
    let start = bench.now.utc;
    for _ in 0..50 {
        assert_eq!(opened(&bench.show(&guest)), 1);
        bench.secs(40);
    }
    bench.now.utc = start;
    bench.secs(0);
    for _ in 0..3 {
        assert_eq!(opened(&bench.hear(&first, Some(NEAR))), 0);
        bench.secs(1);
    }
}

#[test]
fn a_session_that_opened_and_was_forgotten_does_not_come_back_when_the_clock_is_set_back() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let (token, start) = (bench.token(&guest), bench.now.utc);
    assert_eq!(opened(&bench.hear(&token, Some(NEAR))), 1);
    bench.secs(400);
    bench.now.utc = start;
    assert_eq!(reasons(&bench.give(Input::Session(&guest.message()))), [Refusal::Expired]);
    assert_eq!(opened(&bench.hear(&token, Some(NEAR))), 0);
}
