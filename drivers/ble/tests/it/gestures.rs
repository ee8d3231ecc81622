//! Challenges and passes.

use crate::bench::*;
use doorward_ble::{
    lock::{Config, Input, Way},
    radio::PeerId,
};
use doorward_wire::{
    attempt::ActionWord,
    ble::{
        order::{Refusal, Revoked, RevokedSession},
        v2::{
            self, Challenge, Ways,
            challenge::{Outcome, respond},
            pass::{Actions, Hours, Pass, parts, prove},
        },
    },
};

const ME: PeerId = PeerId(1);

fn challenge(bench: &mut Bench, connection: PeerId, random: u8) -> Challenge {
    Challenge::read(&bench.lock.challenge(connection, [random; 16], bench.now).unwrap()).unwrap()
}

fn secure() -> (Bench, Guest) {
    let mut bench = Bench::with(Config { secure: true, ..Config::new(id("lock_01"), keys_of_v2()) });
    let guest = Guest::of(1, START + 300, Ways::CHALLENGE);
    bench.give(Input::Session(&guest.message()));
    (bench, guest)
}

fn answer(challenge: &Challenge, guest: &Guest) -> Vec<u8> {
    respond(challenge, &guest.lock, &guest.given, ActionWord::Unlock).unwrap()
}

#[test]
fn who_answers_the_challenge_is_let_in_and_what_was_heard_opens_nothing_later() {
    let (mut bench, guest) = secure();
    let asked = challenge(&mut bench, ME, 1);
    let response = answer(&asked, &guest);
    let seen = bench.give(Input::Written { connection: ME, value: &response });
    let [Seen::Opened(presented)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((presented.way, presented.action, presented.connection), (Way::Challenge, ActionWord::Unlock, Some(ME)));
    let again = bench.give(Input::Written { connection: ME, value: &response });
    assert_eq!((opened(&again), reasons(&again)), (0, vec![Refusal::ChallengeOver]));
    assert!(again.contains(&Seen::Told(ME, Outcome::Again)));
    challenge(&mut bench, ME, 2);
    let replayed = bench.give(Input::Written { connection: ME, value: &response });
    assert_eq!(reasons(&replayed), [Refusal::WrongResponse]);
    assert!(replayed.contains(&Seen::Told(ME, Outcome::Refused)));
}

#[test]
fn a_challenge_is_good_for_two_seconds_and_its_own_connection() {
    let (mut bench, guest) = secure();
    let response = answer(&challenge(&mut bench, ME, 1), &guest);
    assert_eq!(opened(&bench.give(Input::Written { connection: PeerId(2), value: &response })), 0);
    bench.secs(3);
    assert_eq!(reasons(&bench.give(Input::Written { connection: ME, value: &response })), [Refusal::ChallengeOver]);
    let response = answer(&challenge(&mut bench, ME, 3), &guest);
    bench.give(Input::Gone(ME));
    assert_eq!(opened(&bench.give(Input::Written { connection: ME, value: &response })), 0);
}

#[test]
fn a_session_that_is_over_or_taken_back_or_without_that_way_answers_in_vain() {
    let (mut bench, guest) = secure();
    bench.give(Input::Revoked(crate::orders::revoked(1, &[&guest]).as_bytes()));
    let response = answer(&challenge(&mut bench, ME, 1), &guest);
    assert_eq!(reasons(&bench.give(Input::Written { connection: ME, value: &response })), [Refusal::Revoked]);

    let (mut bench, guest) = secure();
    bench.secs(301);
    let response = answer(&challenge(&mut bench, ME, 1), &guest);
    assert_eq!(reasons(&bench.give(Input::Written { connection: ME, value: &response })), [Refusal::Expired]);

    let (mut bench, mut guest) = (Bench::new(), Guest::new(1, START + 300));
    bench.give(Input::Session(&guest.message()));
    guest.given.ways = Ways::CHALLENGE;
    let response = answer(&challenge(&mut bench, ME, 1), &guest);
    assert_eq!(reasons(&bench.give(Input::Written { connection: ME, value: &response })), [Refusal::NotAllowed]);
}

#[test]
fn tokens_do_not_open_again_what_a_gesture_opened() {
    let mut bench = Bench::new();
    let guest = Guest::of(1, START + 300, Ways::CHALLENGE.and(Ways::TOKEN));
    bench.give(Input::Session(&guest.message()));
    let response = answer(&challenge(&mut bench, ME, 1), &guest);
    assert_eq!(opened(&bench.give(Input::Written { connection: ME, value: &response })), 1);
    assert_eq!(bench.show(&guest), []);
}

fn guest_key() -> v2::Guest {
    v2::Guest::from_seed(&[8; 32])
}

/// A pass for office hours in Berlin.
fn pass(serial: u8, epoch: u32) -> Pass {
    Pass {
        key_id: issuer().identity().key_id(),
        serial: [serial; 8],
        epoch,
        guest: guest_key().key(),
        not_before: START - 86_400,
        not_after: START + 86_400 * 30,
        actions: Actions::new(&[ActionWord::Open]).unwrap(),
        doors: vec![id("lock_01")],
        zone: "Europe/Berlin".into(),
        hours: vec![Hours { days: 0x7f, from: 8 * 60, until: 18 * 60 }],
    }
}

/// Shows a pass and proves that it is the guest's own.
fn enter(bench: &mut Bench, pass: &Pass, action: ActionWord) -> Vec<Seen> {
    let frame = pass.issue(&issuer()).unwrap();
    let mut seen = Vec::new();
    for part in parts(&frame) {
        seen.extend(bench.give(Input::Written { connection: ME, value: &part }));
    }
    let asked = challenge(bench, ME, 7);
    let proof = prove(&frame, &asked.lock, &asked.bytes, action, &guest_key()).unwrap();
    seen.extend(bench.give(Input::Written { connection: ME, value: &proof }));
    seen
}

/// START is 2026-11-22T12:57:30Z, 13:57 in Berlin.
#[test]
fn a_pass_lets_in_whom_the_lock_has_never_heard_of() {
    let mut bench = Bench::new();
    let seen = enter(&mut bench, &pass(1, 0), ActionWord::Open);
    let [Seen::Opened(presented)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((presented.way, presented.client.as_ref()), (Way::Pass, Some(&guest_key().key().name())));
    assert_eq!(presented.nonce, Some(pass(1, 0).nonce()));
    let long = Pass {
        doors: (1..=8).map(|number| id(&format!("lock_{number:02}_{}", "x".repeat(if number == 1 { 0 } else { 30 })))).collect(),
        ..pass(1, 0)
    };
    let long = Pass { doors: [vec![id("lock_01")], long.doors[1..].to_vec()].concat(), ..long };
    assert_eq!(opened(&enter(&mut bench, &long, ActionWord::Open)), 1, "in parts too");
}

#[test]
fn a_pass_is_good_at_its_hours_for_its_actions_and_doors_alone() {
    let mut bench = Bench::new();
    assert_eq!(reasons(&enter(&mut bench, &pass(1, 0), ActionWord::Unlock)), [Refusal::NotAllowed]);
    let elsewhere = Pass { doors: vec![id("lock_02")], ..pass(1, 0) };
    assert_eq!(reasons(&enter(&mut bench, &elsewhere, ActionWord::Open)), [Refusal::NotAllowed]);
    let nowhere = Pass { zone: "Mars/Olympus".into(), ..pass(1, 0) };
    assert_eq!(reasons(&enter(&mut bench, &nowhere, ActionWord::Open)), [Refusal::NotAllowed]);
    let over = Pass { not_after: START, ..pass(1, 0) };
    assert_eq!(reasons(&enter(&mut bench, &over, ActionWord::Open)), [Refusal::Expired]);
    bench.secs(5 * 3600);
    assert_eq!(reasons(&enter(&mut bench, &pass(1, 0), ActionWord::Open)), [Refusal::NotAllowed], "it is evening in Berlin");
    bench.secs(14 * 3600);
    assert_eq!(opened(&enter(&mut bench, &pass(1, 0), ActionWord::Open)), 1, "and morning");
}

#[test]
fn a_pass_that_was_taken_back_or_is_of_an_older_epoch_opens_nothing() {
    let mut bench = Bench::new();
    assert_eq!(opened(&enter(&mut bench, &pass(2, 5), ActionWord::Open)), 1);
    assert_eq!(reasons(&enter(&mut bench, &pass(1, 4), ActionWord::Open)), [Refusal::Revoked], "a newer one told the lock");
    bench.killed(Config::new(id("lock_01"), keys_of_v2()), std::time::Duration::from_secs(1));
    assert_eq!(reasons(&enter(&mut bench, &pass(1, 4), ActionWord::Open)), [Refusal::Revoked], "after a restart too");
    let taken = RevokedSession { nonce: pass(2, 5).nonce(), expiry: START + 86_400 * 30 };
    let list = Revoked { seq: 1, revoked: vec![taken], epoch: None }.issue(&id("lock_01"), &issuer()).unwrap();
    bench.give(Input::Revoked(list.as_bytes()));
    assert_eq!(reasons(&enter(&mut bench, &pass(2, 5), ActionWord::Open)), [Refusal::Revoked]);
}

#[test]
fn a_lock_without_a_clock_admits_no_pass_and_says_why() {
    let mut bench = Bench::new();
    bench.give(Input::ClockKnown(false));
    assert!(!challenge(&mut bench, ME, 1).knows_time);
    let seen = enter(&mut bench, &pass(1, 0), ActionWord::Open);
    assert_eq!(reasons(&seen), [Refusal::NoTime]);
    assert!(seen.contains(&Seen::Told(ME, Outcome::NoTime)));
}

#[test]
fn a_stolen_pass_and_a_forged_one_open_nothing() {
    let mut bench = Bench::new();
    let frame = pass(1, 0).issue(&issuer()).unwrap();
    bench.give(Input::Written { connection: ME, value: &frame });
    let asked = challenge(&mut bench, ME, 7);
    let thief = v2::Guest::from_seed(&[66; 32]);
    let proof = prove(&frame, &asked.lock, &asked.bytes, ActionWord::Open, &thief).unwrap();
    assert_eq!(reasons(&bench.give(Input::Written { connection: ME, value: &proof })), [Refusal::WrongResponse]);
    let forger = v2::Issuer::from_seeds(&[5; 32], &[2; 32]);
    let wrong = Pass { key_id: forger.identity().key_id(), ..pass(1, 9) }.issue(&forger).unwrap();
    assert_eq!(reasons(&bench.give(Input::Written { connection: ME, value: &wrong })), [Refusal::Signature]);
    assert_eq!(bench.lock.hello().epoch, Some(0), "a forger raises no epoch");
}
