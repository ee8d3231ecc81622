//! Rights at a door: two people, somebody who is forced, a guest's pass, a right that is taken back.

use super::super::*;
use super::house::{House, SECOND, StoreMood, end};
use crate::policy::Grant;
use doorward_wire::{
    attempt::{ActorKind, AttemptState, Reason},
    event::EventKind,
    grant::{Actions, Doors, Terms},
};

fn rights(holder: &str, terms: Terms) -> Rights {
    let grant = Grant { id: Some(format!("grant of {holder}")), terms, ..Grant::standing(holder, vec![Doors::All], Actions::Act) };
    Rights::of(vec![grant]).held_by(holder)
}

fn together(holder: &str) -> Rights {
    rights(holder, Terms { two_person: true, ..Terms::default() })
}

#[test]
fn two_people_open_what_one_does_not() {
    let mut house = House::new();
    let first = house.command_by(1, ActionWord::Unlock, together("anna"), None);
    house.write();
    assert_eq!(end(&house, first), (AttemptState::Refused, Some(Reason::NeedsSecondPerson)));
    let again = house.command_by(2, ActionWord::Unlock, together("anna"), None);
    house.write();
    assert_eq!(end(&house, again), (AttemptState::Refused, Some(Reason::NeedsSecondPerson)), "nobody is two people");
    assert_eq!(house.openings(), 0);
    house.command_by(3, ActionWord::Unlock, together("bob"), None);
    house.write();
    assert_eq!(house.openings(), 1);
    let requested = house.told.iter().find(|event| event.kind == EventKind::AttemptRequested).unwrap();
    assert_eq!(requested.data["with"], "anna", "who agreed is written down");
    house.command_by(4, ActionWord::Unlock, together("bob"), None);
    house.write();
    assert_eq!(house.openings(), 0, "an agreement is for once");
}

#[test]
fn a_second_person_who_comes_late_or_wants_something_else_does_not_agree() {
    let mut house = House::new();
    house.command_by(1, ActionWord::Unlock, together("anna"), None);
    house.write();
    house.pass(61 * SECOND);
    house.command_by(2, ActionWord::Unlock, together("bob"), None);
    house.write();
    assert_eq!(house.openings(), 0, "after a minute the first one is forgotten");
    house.command_by(3, ActionWord::Lock, together("anna"), None);
    house.write();
    assert_eq!(house.acts().len(), 1, "whoever locks needs nobody");
    assert_eq!(house.openings(), 0);
}

#[test]
fn whoever_is_forced_opens_and_it_is_told() {
    let mut house = House::new();
    let id = house.command_by(1, ActionWord::Unlock, rights("anna", Terms { duress: true, ..Terms::default() }), None);
    house.write();
    assert_eq!(house.openings(), 1, "as if nothing were");
    let told: Vec<_> = house.told.iter().filter(|event| event.kind == EventKind::DoorDuress).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].attempt, Some(id));
    let attempt = serde_json::to_string(&house.last(id)).unwrap();
    assert!(!attempt.contains("duress"), "whoever looks over the shoulder sees nothing: {attempt}");
}

#[test]
fn the_use_of_a_pass_is_told_with_what_it_opened() {
    let mut house = House::new();
    house.command_of(1, ActionWord::Unlock, rights("pass", Terms::default()), None, ActorKind::Pass);
    house.write();
    assert_eq!(house.kinds(), [EventKind::AttemptRequested, EventKind::PassUsed]);
    assert_eq!(house.told[1].data["how"], "remote");
    house.command_of(2, ActionWord::Lock, rights("pass", Terms::default()), None, ActorKind::Pass);
    house.write();
    assert!(house.kinds().iter().filter(|kind| **kind == EventKind::PassUsed).count() == 1, "locking up is not a use");
}

#[test]
fn a_grant_that_is_taken_back_while_the_command_is_on_its_way_opens_nothing() {
    let mut house = House::new();
    house.store = StoreMood::Denies;
    let id = house.command_by(1, ActionWord::Unlock, rights("anna", Terms::default()), None);
    house.write();
    assert_eq!(house.openings(), 0);
    assert_eq!(end(&house, id), (AttemptState::Refused, Some(Reason::Revoked)));
    assert_eq!(house.kinds(), [EventKind::DoorRefused]);
    house.store = StoreMood::Writes;
    house.command(2, ActionWord::Unlock);
    house.write();
    assert_eq!(house.openings(), 1, "the mailbox is free for the next one");
}
