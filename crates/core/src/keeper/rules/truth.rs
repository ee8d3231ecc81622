//! What is believed about a door, and when.

use super::{
    super::*,
    house::{House, SECOND, end},
};
use crate::{
    driver::{How, Sight},
    setup::Told,
};
use doorward_wire::{
    attempt::{ActorKind, AttemptState, Reason},
    door::{DoorState, EvidenceKind},
    event::EventKind,
};

#[test]
fn a_vendors_ok_is_not_an_open_door() {
    let mut house = House::new();
    let id = house.accepted(1, ActionWord::Unlock);
    assert_eq!(house.last(id).state, AttemptState::Pending);
    assert_eq!(house.last(id).evidence.iter().map(|e| e.kind).collect::<Vec<_>>(), [EvidenceKind::Accepted]);
    assert_eq!(house.door().state, DoorState::Unlocking);
    assert!(!house.kinds().contains(&EventKind::DoorUnlocked));
}

#[test]
fn agreeing_evidence_confirms_at_once_and_looking_stops() {
    let mut house = House::new();
    let id = house.accepted(1, ActionWord::Unlock);
    house.looks(DoorState::Unlocked, 3 * SECOND);
    assert_eq!(end(&house, id), (AttemptState::Confirmed, None));
    assert!(house.kinds().contains(&EventKind::AttemptFinished));
    for _ in 0..60 {
        house.pass(SECOND);
        assert_eq!(house.acts().len(), 0, "nothing is left to look for");
    }
}

#[test]
fn a_liar_is_contradicted_after_thirty_seconds() {
    let mut house = House::new();
    house.seen(How::Pushed, DoorState::Locked);
    let id = house.accepted(1, ActionWord::Unlock);
    house.looks(DoorState::Locked, 29 * SECOND);
    assert_eq!(house.last(id).state, AttemptState::Pending, "it may still move");
    house.looks(DoorState::Locked, 2 * SECOND);
    assert_eq!(end(&house, id), (AttemptState::Contradicted, Some(Reason::Contradicted)));
    assert!(house.kinds().contains(&EventKind::DoorContradicted));
    assert!(!house.kinds().contains(&EventKind::DoorUnlocked));
}

#[test]
fn nothing_seen_is_unconfirmed() {
    let mut house = House::new();
    let id = house.accepted(1, ActionWord::Lock);
    for _ in 0..60 {
        house.pass(SECOND);
        for (act, _) in house.acts() {
            house.answer(act, Err(Fault::offline("away", "away")));
        }
    }
    assert_eq!(end(&house, id), (AttemptState::Unconfirmed, Some(Reason::NoEvidence)));
    assert!(house.kinds().contains(&EventKind::DoorUnconfirmed));
}

#[test]
fn a_stale_poll_cannot_contradict_or_confirm() {
    for state in [DoorState::Locked, DoorState::Unlocked] {
        let mut house = House::new();
        let asked = house.now.mono;
        house.pass(SECOND);
        let id = house.accepted(1, ActionWord::Unlock);
        house.seen(How::Polled { requested: asked }, state);
        assert_eq!(house.last(id).state, AttemptState::Pending, "a poll from before the answer says nothing");
        assert_eq!(house.door().state, DoorState::Unlocking);
    }
}

#[test]
fn a_confirmation_is_corrected_by_the_opposite_pushed_within_thirty_seconds() {
    let mut house = House::new();
    let id = house.accepted(1, ActionWord::Lock);
    house.seen(How::Pushed, DoorState::Locked);
    assert_eq!(end(&house, id).0, AttemptState::Confirmed);
    house.pass(10 * SECOND);
    house.seen(How::Polled { requested: house.now.mono }, DoorState::Unlocked);
    assert_eq!(end(&house, id).0, AttemptState::Confirmed, "a poll does not correct it");
    house.seen(How::Pushed, DoorState::Unlocked);
    assert_eq!(end(&house, id).0, AttemptState::Contradicted);

    let mut house = House::new();
    let id = house.accepted(1, ActionWord::Lock);
    house.seen(How::Pushed, DoorState::Locked);
    house.pass(31 * SECOND);
    house.seen(How::Pushed, DoorState::Unlocked);
    assert_eq!(end(&house, id).0, AttemptState::Confirmed, "later it is somebody else's doing");
}

#[test]
fn a_jam_ends_contradicted_and_is_told() {
    let mut house = House::new();
    let id = house.accepted(1, ActionWord::Lock);
    house.looks(DoorState::Jammed, 31 * SECOND);
    assert_eq!(end(&house, id), (AttemptState::Contradicted, Some(Reason::Jammed)));
    assert!(house.kinds().contains(&EventKind::DoorJammed));
}

#[test]
fn a_time_out_ends_unconfirmed_and_the_door_is_looked_at() {
    let mut house = House::new();
    let id = house.command(1, ActionWord::Unlock);
    house.write();
    let (act, _) = house.acts().remove(0);
    house.answer(act, Err(Fault::timeout("nobody knows", "time-out")));
    assert_eq!(end(&house, id), (AttemptState::Unconfirmed, Some(Reason::OutcomeUnknown)));
    house.looks(DoorState::Unlocked, 3 * SECOND);
    assert_eq!(house.door().state, DoorState::Unlocked, "the state is true although the attempt is not confirmed");
    assert_eq!(end(&house, id).0, AttemptState::Unconfirmed);
}

#[test]
fn an_open_intent_shows_as_unknown_outcome_after_a_restart() {
    for (acted, state, reason) in
        [(true, AttemptState::Unconfirmed, Reason::OutcomeUnknown), (false, AttemptState::Refused, Reason::StaleCommand)]
    {
        let mut house = House::new();
        let id = house.command(7, ActionWord::Unlock);
        house.write();
        let attempt = house.last(id);
        let mut after = House::new();
        after.put(Input::Boot { accounts: Vec::new(), doors: Vec::new(), intents: vec![OpenIntent { attempt, acted }], rings: Vec::new() });
        let outcome = after.out.iter().find_map(|output| match output {
            Output::Record { record: Record::Outcome { attempt, .. }, .. } => Some(attempt.clone()),
            _ => None,
        });
        let outcome = outcome.expect("the outcome is written");
        assert_eq!((outcome.state, outcome.reason), (state, Some(reason)));
        assert_eq!(after.acts().len(), 0, "it is not sent again");
    }
}

#[test]
fn evidence_that_gets_old_leaves_the_state_unknown() {
    let mut house = House::new();
    house.seen(How::Pushed, DoorState::Locked);
    assert_eq!(house.door().state, DoorState::Locked);
    house.pass(201 * SECOND);
    assert_eq!(house.door().state, DoorState::Unknown);
}

#[test]
fn an_account_that_is_down_leaves_its_doors_unknown() {
    let mut house = House::new();
    house.seen(How::Pushed, DoorState::Locked);
    let report = Report::Down(Fault::offline("the cloud is away", "connect"));
    house.put(Input::Report { account: "cloud".parse().unwrap(), report });
    house.write();
    assert_eq!(house.door().state, DoorState::Unknown);
    assert_eq!(house.door().online, Some(false));
    assert_eq!(house.kinds().iter().filter(|kind| **kind == EventKind::DoorOffline).count(), 1);
}

#[test]
fn a_start_tells_what_changed_and_nothing_again() {
    let told = Told { state: Some(DoorState::Jammed), online: Some(false), battery_low: Some(true) };
    let mut house = House::with(|door| door.told = told);
    let mut see = |state, online, battery| {
        let sight = Sight { state, online: Some(online), battery: Some(battery), ..Sight::new(How::Pushed) };
        house.put(Input::Report { account: "cloud".parse().unwrap(), report: Report::Seen { external: "AA".into(), sight } });
        house.write();
        house.kinds()
    };
    assert_eq!(see(None, false, 4), [], "all of it was told before the start");
    assert_eq!(see(Some(DoorState::Jammed), true, 3), [EventKind::DoorOnline]);
    assert_eq!(see(Some(DoorState::Locked), true, 90), [EventKind::DoorOnline, EventKind::DoorBattery, EventKind::DoorLocked]);
}

#[test]
fn a_door_locks_itself_some_minutes_after_it_was_seen_unlocked() {
    let mut house = House::with(|door| door.auto_lock.after = Some(5));
    house.seen(How::Pushed, DoorState::Unlocked);
    house.pass(4 * 60 * SECOND);
    house.seen(How::Polled { requested: house.now.mono }, DoorState::Unlocked);
    assert!(house.acts().is_empty(), "another look at it does not start the minutes again, nor lock it early");
    house.pass(61 * SECOND);
    let acts = house.acts();
    assert!(matches!(acts.as_slice(), [(_, Action::Lock(_))]), "{acts:?}");
    let actor = house.told.iter().find(|event| event.kind == EventKind::AttemptRequested).unwrap().actor.clone().unwrap();
    assert_eq!(actor.kind, ActorKind::System);
}

#[test]
fn a_door_locks_itself_at_a_time_of_day_in_its_own_zone() {
    let mut house = House::with(|door| door.auto_lock.at = Some(jiff::civil::time(22, 0, 0, 0)));
    // 07:00 UTC is 08:00 in Berlin: 22:00 there is 14 hours away.
    house.pass(Duration::from_mins(14 * 60 - 1));
    assert!(house.acts().is_empty());
    house.pass(Duration::from_mins(2));
    assert!(matches!(house.acts().as_slice(), [(_, Action::Lock(_))]));
}

#[test]
fn a_door_that_stands_open_is_not_locked_by_itself() {
    let mut house = House::with(|door| door.auto_lock.after = Some(1));
    let sight = Sight { state: Some(DoorState::Unlocked), contact_open: Some(true), ..Sight::new(How::Pushed) };
    house.put(Input::Report { account: "cloud".parse().unwrap(), report: Report::Seen { external: "AA".into(), sight } });
    house.write();
    assert_eq!(house.door().state, DoorState::Open);
    house.pass(120 * SECOND);
    assert!(house.acts().is_empty(), "a bolt thrown at an open door locks nobody out");
}
