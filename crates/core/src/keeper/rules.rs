//! The rules of the house, driven by hand: inputs go in, outputs are asserted in their order.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one output among many")]

mod answers;
mod contacts;
mod grants;
mod house;
mod leases;
mod rings;
mod truth;

use super::*;
use crate::driver::{Family, How, Lease, Once};
use doorward_wire::{
    attempt::{ActorKind, AttemptState, Reason},
    door::DoorState,
    event::EventKind,
};
use house::{House, SECOND, StoreMood, end};

#[test]
fn nothing_is_sent_before_the_intent_is_durable() {
    let mut house = House::new();
    house.command(1, ActionWord::Unlock);
    assert!(matches!(house.out.front(), Some(Output::Record { record: Record::Intent { claim: true, .. }, .. })), "first the record");
    assert_eq!(house.acts().len(), 0, "nothing is sent yet");
    house.write();
    assert_eq!(house.openings(), 1, "now it is sent");
    assert_eq!(house.kinds(), [EventKind::AttemptRequested]);
}

#[test]
fn rule_1_an_unlock_is_at_most_once_whatever_comes_back() {
    for family in [Family::Auth, Family::Offline, Family::Refused, Family::Protocol, Family::Timeout] {
        let mut house = House::new();
        let id = house.command(1, ActionWord::Unlock);
        house.write();
        let (act, _) = house.acts().remove(0);
        let fault = Fault { family, ..Fault::refused("no", "no") };
        house.answer(act, Err(fault));
        assert!(house.last(id).state.is_final(), "{family:?} ends the attempt");
        for _ in 0..120 {
            house.pass(SECOND);
            assert_eq!(house.openings(), 0, "{family:?} never sends it again");
        }
    }
}

#[test]
fn rule_1_the_same_id_again_is_the_same_attempt() {
    let mut house = House::new();
    let id = house.accepted(1, ActionWord::Unlock);
    house.command(1, ActionWord::Unlock);
    house.write();
    assert_eq!(house.openings(), 0);
    assert_eq!(house.last(id).id, id);
    house.command(1, ActionWord::Lock);
    let conflict = house.out.iter().any(|output| matches!(output, Output::Reply { attempt: Err(CommandError::Conflict), .. }));
    assert!(conflict, "the same id for another command is refused");
}

#[test]
fn rule_1_only_the_claim_may_act() {
    let mut house = House::new();
    house.store = StoreMood::NotOurs;
    house.command(1, ActionWord::Unlock);
    house.write();
    assert_eq!(house.acts().len(), 0, "another copy of doorward owns the account");
}

#[test]
fn rule_10_a_command_that_another_copy_wrote_is_claimed_before_it_is_sent() {
    for (ours, sent) in [(true, 1), (false, 0)] {
        let mut house = House::new();
        let id = house.command(1, ActionWord::Unlock);
        let Some(Output::Record { ticket, record: Record::Intent { attempt, .. } }) = house.out.pop_front() else { panic!("no intent") };
        let what = WrittenAs::Known(Box::new(attempt));
        house.put(Input::Stored { ticket, result: Ok(Written { events: Vec::new(), what }) });
        assert_eq!(house.openings(), 0, "not before it is claimed");
        house.store = if ours { StoreMood::Writes } else { StoreMood::NotOurs };
        house.write();
        assert_eq!(house.openings(), sent);
        assert_eq!(house.last(id).state, AttemptState::Pending);
    }
}

#[test]
fn rule_1_a_late_command_opens_nothing() {
    let mut house = House::new();
    let past = house.now.utc.minus(SECOND);
    let id = house.command_by(1, ActionWord::Unlock, Rights::administrator(), Some(past));
    house.write();
    assert_eq!(house.openings(), 0);
    assert_eq!(end(&house, id), (AttemptState::Refused, Some(Reason::StaleCommand)));

    let too_far = house.now.utc.plus(61 * SECOND);
    house.command_by(2, ActionWord::Unlock, Rights::administrator(), Some(too_far));
    assert!(house.out.iter().any(|output| matches!(output, Output::Reply { attempt: Err(CommandError::TooFarAhead), .. })));
}

#[test]
fn rule_1_a_command_that_gets_late_in_the_mailbox_opens_nothing() {
    let mut house = House::new();
    house.command(1, ActionWord::Lock);
    house.write();
    let (slow, _) = house.acts().remove(0);
    let id = house.command(2, ActionWord::Unlock);
    house.write();
    assert_eq!(house.openings(), 0, "it waits behind the first");
    house.pass(11 * SECOND);
    house.answer(slow, Ok(Done::default()));
    house.write();
    assert_eq!(house.openings(), 0);
    assert_eq!(end(&house, id), (AttemptState::Refused, Some(Reason::StaleCommand)));
}

#[test]
fn rule_1_a_command_whose_record_came_back_late_opens_nothing() {
    let mut house = House::new();
    let id = house.command(1, ActionWord::Unlock);
    house.now = house.now.plus(11 * SECOND);
    house.write();
    assert_eq!(house.openings(), 0);
    house.write();
    assert_eq!(end(&house, id), (AttemptState::Refused, Some(Reason::StaleCommand)));
}

#[test]
fn commands_at_one_door_go_out_one_at_a_time() {
    let mut house = House::new();
    house.command(1, ActionWord::Lock);
    house.command(2, ActionWord::Unlock);
    house.write();
    let first = house.acts();
    assert_eq!(first.len(), 1);
    house.answer(first[0].0, Ok(Done::default()));
    let second = house.acts();
    assert_eq!(second.len(), 1, "the second follows when the driver came back, not when the door was seen");
    assert!(matches!(second[0].1, Action::Unlock(Once { .. })));
    let first_end = end(&house, uuid::Uuid::from_u128(1));
    assert_eq!(first_end, (AttemptState::Unconfirmed, Some(Reason::Superseded)));
}

#[test]
fn rule_3_no_grant_no_door() {
    let mut house = House::new();
    let id = house.command_by(1, ActionWord::Unlock, Rights::none(), None);
    house.write();
    assert_eq!(house.acts().len(), 0);
    assert_eq!(end(&house, id), (AttemptState::Refused, Some(Reason::NoGrant)));
    assert_eq!(house.kinds(), [EventKind::DoorRefused], "the refusal is in the audit");
}

#[test]
fn rule_4_what_cannot_be_written_down_is_not_done() {
    let mut house = House::new();
    house.store = StoreMood::Fails;
    let id = house.command(1, ActionWord::Unlock);
    house.write();
    assert_eq!(house.acts().len(), 0);
    assert_eq!(end(&house, id), (AttemptState::Refused, Some(Reason::AuditUnavailable)));
    house.store = StoreMood::Writes;
    house.pass(60 * SECOND);
    assert_eq!(house.acts().len(), 0, "it is not done later either");
    assert!(house.kinds().contains(&EventKind::DoorRefused), "but the refusal is written when that is possible again");
}

#[test]
fn rule_4_a_way_out_opens_for_the_admin_socket_alone() {
    for (kind, opens) in [(ActorKind::Admin, 1), (ActorKind::Person, 0), (ActorKind::Token, 0)] {
        let mut house = House::with(|door| door.fail_open = true);
        house.store = StoreMood::Fails;
        let actor = Actor { kind, id: "x".into(), name: None };
        let command = Command {
            id: uuid::Uuid::from_u128(1),
            door: "front".parse().unwrap(),
            action: ActionWord::Unlock,
            actor,
            rights: Rights::administrator(),
            not_after: None,
            means: Means::Remote,
        };
        house.put(Input::Command(Box::new(command)));
        house.write();
        assert_eq!(house.openings(), opens, "{kind}");
    }
}

#[test]
fn rule_4_an_outcome_that_could_not_be_written_is_written_later() {
    let mut house = House::new();
    let id = house.accepted(1, ActionWord::Unlock);
    house.store = StoreMood::Fails;
    house.seen(How::Pushed, DoorState::Unlocked);
    assert_eq!(end(&house, id).0, AttemptState::Confirmed, "the caller hears the truth all the same");
    assert!(house.keeper.unwritten().0 > 0);
    house.pass(10 * SECOND);
    house.store = StoreMood::Writes;
    house.pass(120 * SECOND);
    assert_eq!(house.keeper.unwritten(), (0, 0));
    assert!(house.kinds().contains(&EventKind::AttemptFinished));
    assert!(house.kinds().contains(&EventKind::DoorUnlocked));
}

#[test]
fn rule_7_a_refusal_tells_a_person_what_to_do() {
    let mut house = House::new();
    let id = house.command_by(1, ActionWord::Unlock, Rights::none(), None);
    house.write();
    let detail = house.last(id).detail.unwrap();
    assert!(detail.contains("nobody gave a right to door front"), "{detail}");
}

#[test]
fn rule_9_the_same_inputs_give_the_same_outputs() {
    let run = || {
        let mut house = House::new();
        let lease = Lease {
            id: "oauth".into(),
            kind: "oauth_token",
            not_after: Some(house.now.utc.plus(Duration::from_hours(1))),
            margin: Some(300 * SECOND),
            made: None,
            fresh: true,
        };
        house.put(Input::Report { account: "cloud".parse().unwrap(), report: Report::Lease(lease) });
        house.accepted(1, ActionWord::Unlock);
        house.pass(Duration::from_hours(2));
        format!("{:?}", house.out)
    };
    assert_eq!(run(), run(), "time and dice are arguments");
}
