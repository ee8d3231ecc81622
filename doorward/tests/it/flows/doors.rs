//! Commands at doors.

use crate::house::{TestHouse, next, within};
use doorward_core::keeper::Notice;
use doorward_sim::utec::{Bolt, Faults, On};
use doorward_wire::{
    attempt::{ActionWord, AttemptState, Reason},
    door::{DoorState, EvidenceKind},
};
use std::time::Duration;

const FRONT: &str = "7C:DF:A1:68:3E:6A";
const LIAR: &str = "7C:DF:A1:68:3E:6B";

#[tokio::test(flavor = "multi_thread")]
async fn open_the_gate() {
    let house = TestHouse::start().await;
    let mut notices = house.handle.subscribe();
    let attempt = house.submit("front_door", ActionWord::Unlock).await;
    assert_eq!(attempt.state, AttemptState::Pending, "accepted is not done");
    let accepted = next(&mut notices, |notice| match notice {
        Notice::Attempt(seen) if seen.id == attempt.id && !seen.evidence.is_empty() => Some(seen.clone()),
        _ => None,
    });
    assert_eq!(accepted.await.evidence[0].kind, EvidenceKind::Accepted);
    assert_eq!(house.door("front_door").state, DoorState::Unlocking);
    let done = || house.attempt(&attempt).state == AttemptState::Confirmed;
    house.pass_until("somebody saw it open", Duration::from_secs(1), Duration::from_secs(31), done).await;
    assert_eq!(house.door("front_door").state, DoorState::Unlocked);
    assert_eq!(house.sim.lock(FRONT).times_opened, 1);
    house.settle().await;
    let kinds = house.kinds().await;
    let from = kinds.iter().position(|kind| kind == "attempt.requested").unwrap();
    assert_eq!(kinds[from..], ["attempt.requested", "door.unlocked", "attempt.finished"], "in the order in which it happened");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_is_contradicted() {
    let house = TestHouse::start().await;
    let attempt = house.submit("garden_gate_lock", ActionWord::Unlock).await;
    let ended = || house.attempt(&attempt).state.is_final();
    house.pass_until("the attempt ends", Duration::from_secs(1), Duration::from_mins(1), ended).await;
    let ended = house.attempt(&attempt);
    assert_eq!((ended.state, ended.reason), (AttemptState::Contradicted, Some(Reason::Contradicted)));
    assert_eq!(house.door("garden_gate_lock").state, DoorState::Locked);
    assert_eq!(house.sim.lock(LIAR).times_opened, 0);
    assert_eq!(house.sim.lock(LIAR).commands_received, 1, "it is not told again");
    house.settle().await;
    assert!(!house.kinds().await.contains(&"door.unlocked".to_owned()), "nothing is reported as done by optimism");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_breaks_after_it_took_the_unlock_is_not_asked_again() {
    let house = TestHouse::start().await;
    let broken = doorward_sim::utec::Fault::with(503_u16).on(On::Command).after_effect();
    house.sim.set_faults(Faults { server_error: Some(broken), ..Faults::default() });
    let attempt = house.submit("front_door", ActionWord::Unlock).await;
    house.until("the attempt ends", || house.attempt(&attempt).state.is_final()).await;
    let ended = house.attempt(&attempt);
    assert_eq!((ended.state, ended.reason), (AttemptState::Unconfirmed, Some(Reason::OutcomeUnknown)));
    house.sim.set_faults(Faults::default());
    for _ in 0..40 {
        house.advance(Duration::from_secs(1));
        house.settle().await;
    }
    assert_eq!(house.sim.counters().command, 1, "one request, whatever came back");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_is_turned_by_hand_is_told_without_an_attempt() {
    let house = TestHouse::start().await;
    house.sim.turn(FRONT, Bolt::Unlocked);
    let seen = || house.door("front_door").state == DoorState::Unlocked;
    house.pass_until("a poll sees it", Duration::from_secs(10), Duration::from_secs(130), seen).await;
    house.settle().await;
    let kinds = house.kinds().await;
    assert!(kinds.contains(&"door.unlocked".to_owned()), "{kinds:?}");
    assert!(!kinds.contains(&"attempt.requested".to_owned()));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_1_two_callers_with_one_id_open_once() {
    let house = TestHouse::start().await;
    let command = house.command("front_door", ActionWord::Unlock);
    let (first, second) = within(async { tokio::join!(house.handle.submit(command.clone()), house.handle.submit(command.clone())) }).await;
    assert_eq!(first.unwrap().id, second.unwrap().id);
    let done = || house.handle.board().attempt(command.id).is_some_and(|attempt| attempt.state.is_final());
    house.pass_until("the attempt ends", Duration::from_secs(1), Duration::from_mins(1), done).await;
    assert_eq!(house.sim.counters().command, 1);
    assert_eq!(house.sim.lock(FRONT).times_opened, 1);
    house.stop().await;
}
