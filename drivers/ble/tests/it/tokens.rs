//! Which tokens are good, when, and from how near.

use crate::bench::*;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use doorward_ble::{
    lock::{Config, Input, Rssi, RssiUnknown, Way},
    radio::Address,
};
use doorward_core::Now;
use doorward_wire::ble::{
    order::Refusal,
    session::{LockMessage, Session},
    sign::Sign as _,
    token::{Nonce, SessionKey, Tokens},
    v2::Ways,
};
use std::{collections::HashMap, time::Duration};

#[test]
fn a_token_of_this_slot_and_of_the_one_before_opens() {
    for back in [0, 1] {
        let mut bench = Bench::new();
        let guest = bench.guest(1);
        let slot = guest.slot(bench.now.utc) - back;
        let seen = bench.hear(&guest.token(slot), Some(NEAR));
        let Some(Seen::Opened(presented)) = seen.first() else { panic!("{seen:?}") };
        assert_eq!((presented.way, presented.nonce.as_ref(), presented.slot), (Way::Token, Some(&guest.nonce()), Some(slot)));
        assert_eq!(presented.client.as_deref(), Some("BQUFBQUFBQUFBQ"));
        assert_eq!(presented.rssi, Some(NEAR));
    }
}

#[test]
fn a_token_of_a_future_slot_or_of_two_slots_ago_opens_nothing() {
    for (ahead, back) in [(1, 0), (2, 0), (100, 0), (0, 2), (0, 3)] {
        let mut bench = Bench::new();
        let guest = bench.guest(1);
        let slot = guest.slot(bench.now.utc) + ahead - back;
        assert_eq!(reasons(&bench.hear(&guest.token(slot), Some(NEAR))), [Refusal::UnknownToken], "{ahead} {back}");
    }
}

#[test]
fn a_token_that_was_shown_too_early_is_good_in_its_slot() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let early = guest.token(guest.slot(bench.now.utc) + 1);
    assert_eq!(opened(&bench.hear(&early, Some(NEAR))), 0);
    bench.secs(3);
    assert_eq!(opened(&bench.hear(&early, Some(NEAR))), 1);
}

#[test]
fn a_token_of_another_lock_is_unknown() {
    let mut bench = Bench::new();
    bench.guest(1);
    let elsewhere = Guest::new(2, START + 300);
    let token = bench.token(&elsewhere);
    assert_eq!(reasons(&bench.hear(&token, Some(NEAR))), [Refusal::UnknownToken]);
    assert_eq!(bench.hear(&token, Some(NEAR)), [], "told once");
    let message = Guest { lock: id("lock_02"), ..elsewhere }.message();
    assert_eq!(reasons(&bench.give(Input::Session(&message))), [Refusal::Signature]);
}

#[test]
fn strangers_are_told_of_at_the_door_alone_and_not_without_end() {
    let mut bench = Bench::new();
    assert_eq!(bench.hear(&[1; 16], Some(-90)), [], "it is at another door");
    let told: usize = (0..200u8).map(|number| bench.hear(&[number; 16], Some(NEAR)).len()).sum();
    assert_eq!(told, 10);
    assert_eq!(bench.lock.counters().hushed, 190);
    bench.secs(5);
    assert_eq!(bench.hear(&[250; 16], Some(NEAR)).len(), 1);
}

#[test]
fn a_phone_whose_clock_is_minutes_off_opens_when_the_issuer_knows_and_not_when_it_does_not() {
    for (known, opens) in [(420, 1), (0, 0)] {
        let mut bench = Bench::new();
        let mut guest = Guest::new(1, START + 300);
        guest.given.clock_offset = known;
        bench.give(Input::Session(&guest.message()));
        guest.given.clock_offset = 420;
        assert_eq!(opened(&bench.show(&guest)), opens, "{known}");
    }
}

#[test]
fn a_lock_without_a_clock_says_so_and_refuses() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    bench.give(Input::ClockKnown(false));
    assert_eq!(bench.lock.hello().time, Some(false));
    assert_eq!(reasons(&bench.show(&guest)), [Refusal::NoTime]);
    assert_eq!(bench.show(&guest), [], "told once");
    let later = Guest::new(2, 400);
    assert_eq!(bench.give(Input::Session(&later.message())), [], "whether it is over is not known either");
    bench.give(Input::ClockKnown(true));
    assert_eq!(opened(&bench.show(&guest)), 1);
}

#[test]
fn the_signal_must_be_above_the_threshold() {
    for (rssi, expected) in [(-69, None), (-70, Some(Refusal::TooFar)), (-71, Some(Refusal::TooFar))] {
        let mut bench = Bench::new();
        let guest = bench.guest(1);
        let token = bench.token(&guest);
        let seen = bench.hear(&token, Some(rssi));
        assert_eq!(reasons(&seen), Vec::from_iter(expected), "{rssi}");
        assert_eq!(opened(&seen), usize::from(expected.is_none()));
        assert_eq!(opened(&bench.hear(&token, Some(-60))), usize::from(expected.is_some()), "who comes nearer is let in");
    }
}

#[test]
fn a_signal_of_unknown_strength_is_refused_where_there_is_a_threshold() {
    let rssi = |threshold, unknown| Rssi { threshold, unknown, phones: HashMap::new() };
    for (rssi, opens) in [
        (rssi(Some(-70), RssiUnknown::Refuse), false),
        (rssi(Some(-70), RssiUnknown::Accept), true),
        (rssi(None, RssiUnknown::Refuse), true),
    ] {
        let mut bench = Bench::new();
        bench.give(Input::Rssi(rssi));
        let guest = bench.guest(1);
        let token = bench.token(&guest);
        let seen = bench.hear(&token, None);
        assert_eq!(opened(&seen) == 1, opens);
        assert_eq!(reasons(&seen), Vec::from_iter((!opens).then_some(Refusal::RssiUnknown)));
    }
}

#[test]
fn a_phone_can_have_a_threshold_of_its_own() {
    let guest = Guest::new(1, START + 300);
    let name_of_key = "BQUFBQUFBQUFBQ".to_owned();
    for (name, others) in [(guest.nonce().to_string(), 0), (name_of_key, 1)] {
        let mut bench = Bench::new();
        bench.give(Input::Rssi(Rssi { phones: HashMap::from([(name, -90)]), ..Rssi::default() }));
        let (guest, of_the_same_key) = (bench.guest(1), bench.guest(2));
        let tokens = [bench.token(&guest), bench.token(&of_the_same_key)];
        assert_eq!(tokens.map(|token| opened(&bench.hear(&token, Some(-80)))), [1, others]);
    }
}

/// A session of version 1 for a phone.
fn session(phone: Option<&str>) -> Session {
    let key = SessionKey::new([7; 32]);
    Session { key, expiry: START + 300, nonce: Nonce::new([7; 8]), phone_mac: phone.map(|mac| mac.parse().unwrap()), clock_offset: None }
}

#[test]
fn a_session_of_version_1_opens_from_any_address_unless_it_is_bound() {
    let phone = "C0:01:02:03:04:05";
    for (bind, session_phone, address, expected) in [
        (false, Some(phone), Address([1; 6]), None),
        (true, Some(phone), PHONE, None),
        (true, Some(phone), Address([1; 6]), Some(Refusal::OtherPhone)),
        (true, None, Address([1; 6]), None),
    ] {
        let mut bench = Bench::with(Config { bind_mac: bind, ..Config::new(id("lock_01"), keys()) });
        let session = session(session_phone);
        assert_eq!(bench.give(Input::Session(message_of_v1(&session, "lock_01").as_bytes())), []);
        let token = *Tokens::new(&session.key, session.nonce.as_str()).at(START / 3).as_bytes();
        let seen = bench.hear_from(&token, Some(NEAR), address);
        assert_eq!((opened(&seen), reasons(&seen)), (usize::from(expected.is_none()), Vec::from_iter(expected)), "{bind} {address}");
    }
}

#[test]
fn a_bound_phone_can_have_a_threshold_of_its_own() {
    let phone = "C0:01:02:03:04:05";
    for (bind_mac, opens) in [(true, 1), (false, 0)] {
        let mut bench = Bench::with(Config { bind_mac, ..Config::new(id("lock_01"), keys()) });
        bench.give(Input::Rssi(Rssi { phones: HashMap::from([(phone.into(), -90)]), ..Rssi::default() }));
        let session = session(Some(phone));
        bench.give(Input::Session(message_of_v1(&session, "lock_01").as_bytes()));
        let token = *Tokens::new(&session.key, session.nonce.as_str()).at(START / 3).as_bytes();
        assert_eq!(opened(&bench.hear(&token, Some(-80))), opens);
    }
}

#[test]
fn a_session_whose_offset_is_more_than_a_day_is_refused_though_it_is_signed() {
    for (offset, expected) in [(86_400, None), (-86_400, None), (86_401, Some(Refusal::Malformed)), (-86_401, Some(Refusal::Malformed))] {
        let mut bench = Bench::with(Config::new(id("lock_01"), keys()));
        let mut message = LockMessage::read(message_of_v1(&session(None), "lock_01").as_bytes()).unwrap();
        message.clock_offset = Some(offset);
        message.signature = Some(STANDARD.encode(RSA.1.sign(&message.signed_bytes()).unwrap()));
        assert_eq!(reasons(&bench.give(Input::Session(message.write().as_bytes()))), Vec::from_iter(expected), "{offset}");
        message.clock_offset = Some(0);
        assert_eq!(
            reasons(&Bench::with(Config::new(id("lock_01"), keys())).give(Input::Session(message.write().as_bytes()))),
            [Refusal::Signature]
        );
    }
}

#[test]
fn a_session_that_is_over_opens_nothing() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    bench.secs(299);
    assert_eq!(opened(&bench.show(&guest)), 1);
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    bench.secs(300);
    assert_eq!(reasons(&bench.show(&guest)), [Refusal::Expired]);
    assert_eq!(reasons(&bench.give(Input::Session(&guest.message()))), [Refusal::Expired]);
    bench.secs(65);
    assert_eq!(bench.lock.counters().sessions, 0);
}

#[test]
fn a_door_that_is_marked_secure_opens_by_no_token() {
    let mut bench = Bench::with(Config { secure: true, ..Config::new(id("lock_01"), keys_of_v2()) });
    let guest = bench.guest(1);
    assert_eq!(reasons(&bench.show(&guest)), [Refusal::TokenNotEnough]);
    let mut bench = Bench::new();
    let guest = Guest::of(1, START + 300, Ways::CHALLENGE);
    bench.give(Input::Session(&guest.message()));
    assert_eq!(reasons(&bench.show(&guest)), [Refusal::TokenNotEnough]);
}

#[test]
fn an_advertisement_with_a_hint_opens_only_where_the_issuer_said_so() {
    for (ways, opens) in [(Ways::HINTED, true), (Ways::TOKEN, false)] {
        let mut bench = Bench::new();
        let guest = Guest::of(1, START + 300, ways);
        bench.give(Input::Session(&guest.message()));
        let data = guest.hinted(guest.slot(bench.now.utc));
        let seen = bench.hear(&data, Some(NEAR));
        assert_eq!(opened(&seen) == 1, opens);
        assert_eq!(reasons(&seen).is_empty(), opens);
    }
}

#[test]
fn a_clock_that_is_set_takes_the_tokens_along() {
    let mut bench = Bench::new();
    let guest = Guest::new(1, START + 90_000);
    bench.give(Input::Session(&guest.message()));
    for by in [7_200_i64, -7_000, 3] {
        bench.now.utc = if by < 0 {
            bench.now.utc.minus(Duration::from_secs(7_000))
        } else {
            bench.now.utc.plus(Duration::from_secs(by.unsigned_abs()))
        };
        bench.secs(31);
        assert_eq!(opened(&bench.show(&guest)), 1, "{by}");
    }
    assert!(bench.lock.counters().clock_jumps >= 2);
}

#[test]
fn a_token_that_waited_for_seconds_opens_nothing() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let old = Now { mono: bench.now.mono, ..bench.now };
    bench.secs(4);
    let sighting = sighting(&bench.token(&guest), Some(NEAR), PHONE, old);
    assert_eq!(bench.give(Input::Sighting(&sighting)), []);
    assert_eq!(bench.lock.counters().late, 1);
}

/// As the driver does it: before each tick the lock is told whether the time is known.
#[test]
fn many_sessions_stay_good_for_a_lock_that_is_told_again_and_again_that_it_knows_the_time() {
    let mut bench = Bench::new();
    let guests: Vec<_> = (0..300).map(|number| Guest::of(number, START + 3_000, Ways::TOKEN)).collect();
    for guest in &guests {
        bench.give(Input::Session(&guest.message()));
    }
    let (end, mut ticks) = (bench.now.mono.plus(Duration::from_secs(30)), 0);
    while bench.now.mono < end {
        bench.now = bench.now.plus(bench.lock.deadline().since(bench.now.mono));
        bench.give(Input::ClockKnown(true));
        bench.give(Input::Tick);
        ticks += 1;
    }
    assert!(ticks < 200, "it rests between the slots: {ticks} ticks");
    for guest in &guests {
        assert_eq!(opened(&bench.show(guest)), 1);
    }
}
