//! What a contact says about a door, and when it is believed.

use super::{
    super::*,
    house::{House, SECOND, end},
};
use crate::{
    driver::{How, Sight},
    setup::{Contact, DoorSetup},
};
use doorward_wire::{
    attempt::{AttemptState, Reason},
    door::{Capability, DoorKind, DoorState, EvidenceKind},
    event::EventKind,
};

fn contact() -> Contact {
    Contact { mqtt: "sensors/gate".into(), json: None, open: "open".into() }
}

/// A gate that is opened for a moment, and a contact at it.
fn gate() -> House {
    House::with(|door: &mut DoorSetup| {
        door.kind = DoorKind::Strike;
        door.capabilities = vec![Capability::Open];
        door.contact = Some(contact());
    })
}

impl House {
    fn contact(&mut self, open: Option<bool>, kept: bool) {
        self.put(Input::Contact { door: "front".parse().unwrap(), open, kept });
        self.write();
    }
}

#[test]
fn a_gate_that_the_configuration_named_first_is_what_its_driver_says() {
    let mut house = House::with(|door| {
        door.managed = true;
        door.contact = Some(contact());
    });
    let found = crate::driver::Found {
        external: "AA".into(),
        name: "Vendor's name".into(),
        kind: DoorKind::Strike,
        capabilities: vec![Capability::Open],
        raw: serde_json::Value::Null,
    };
    house.put(Input::Report { account: "cloud".parse().unwrap(), report: crate::driver::Report::Found(vec![found]) });
    house.write();
    let door = house.door();
    assert_eq!((door.name.as_str(), door.kind), ("Front", DoorKind::Strike));
    assert_eq!(door.capabilities, [Capability::Open, Capability::Contact]);
    let id = house.accepted(1, ActionWord::Open);
    house.contact(Some(true), false);
    assert_eq!(end(&house, id), (AttemptState::Confirmed, None));
}

#[test]
fn a_gate_is_confirmed_by_its_contact() {
    let mut house = gate();
    house.contact(Some(false), true);
    assert_eq!(house.door().state, DoorState::Locked, "a contact that is closed says so");
    let id = house.accepted(1, ActionWord::Open);
    house.pass(6 * SECOND);
    assert_eq!(house.last(id).state, AttemptState::Pending, "it has a contact, so it is waited for");
    house.contact(Some(true), false);
    assert_eq!(end(&house, id), (AttemptState::Confirmed, None));
    assert_eq!(house.last(id).evidence.last().map(|evidence| evidence.kind), Some(EvidenceKind::Contact));
    assert_eq!(house.kinds().iter().filter(|kind| **kind == EventKind::DoorOpened).count(), 1, "told once");
    house.pass(5 * SECOND);
    house.contact(Some(false), false);
    assert_eq!(end(&house, id).0, AttemptState::Confirmed, "a gate closes again by itself");
    assert_eq!(house.door().state, DoorState::Locked);
}

#[test]
fn a_gate_that_is_seen_closed_after_the_command_is_contradicted_in_the_end() {
    let mut house = gate();
    let id = house.accepted(1, ActionWord::Open);
    house.contact(Some(false), false);
    house.pass(29 * SECOND);
    assert_eq!(house.last(id).state, AttemptState::Pending, "it may still move");
    house.pass(2 * SECOND);
    assert_eq!(end(&house, id), (AttemptState::Contradicted, Some(Reason::Contradicted)));
}

#[test]
fn a_gate_without_a_contact_is_not_waited_for_longer_than_it_is_set_up() {
    let mut house = House::with(|door| {
        door.kind = DoorKind::Strike;
        door.capabilities = vec![Capability::Open];
    });
    let id = house.accepted(1, ActionWord::Open);
    house.pass(6 * SECOND);
    assert_eq!(end(&house, id), (AttemptState::Unconfirmed, Some(Reason::NoEvidence)));
    assert!(house.acts().is_empty(), "it cannot be asked, so it is not");
}

#[test]
fn what_a_broker_kept_says_nothing_about_a_command() {
    let mut house = gate();
    let id = house.accepted(1, ActionWord::Open);
    house.contact(Some(true), true);
    assert_eq!(house.last(id).state, AttemptState::Pending, "it may have stood open since yesterday");
    house.contact(Some(true), false);
    assert_eq!(end(&house, id).0, AttemptState::Confirmed);
}

#[test]
fn a_contact_that_cannot_be_heard_tells_nothing() {
    let mut house = gate();
    house.contact(Some(true), false);
    house.contact(None, false);
    assert_eq!((house.door().state, house.door().contact_open), (DoorState::Unknown, None));
}

#[test]
fn a_bolt_that_is_drawn_and_a_contact_make_an_open_door() {
    let mut house = House::with(|door| door.contact = Some(contact()));
    house.contact(Some(true), false);
    assert_eq!(house.door().state, DoorState::Unknown, "a contact alone does not know the bolt");
    house.seen(How::Pushed, DoorState::Unlocked);
    assert_eq!(house.door().state, DoorState::Open);
    house.contact(Some(false), false);
    assert_eq!(house.door().state, DoorState::Unlocked);
    house.seen(How::Pushed, DoorState::Locked);
    house.contact(Some(true), false);
    assert_eq!(house.door().state, DoorState::Locked, "a bolt can be thrown while the door is open");
    assert_eq!(house.door().contact_open, Some(true));
}

#[test]
fn a_contact_that_was_set_up_is_believed_rather_than_the_vendors_and_outlives_an_outage() {
    let mut house = House::with(|door| door.contact = Some(contact()));
    house.contact(Some(false), false);
    let sight = Sight { contact_open: Some(true), state: Some(DoorState::Unlocked), ..Sight::new(How::Pushed) };
    house.put(Input::Report { account: "cloud".parse().unwrap(), report: Report::Seen { external: "AA".into(), sight } });
    assert_eq!((house.door().state, house.door().contact_open), (DoorState::Unlocked, Some(false)));
    house.put(Input::Report { account: "cloud".parse().unwrap(), report: Report::Down(Fault::offline("away", "away")) });
    assert_eq!((house.door().state, house.door().contact_open), (DoorState::Unknown, Some(false)));
    assert!(house.door().capabilities.contains(&Capability::Contact));
}

#[test]
fn a_contact_is_believed_for_a_day_and_no_longer() {
    let mut house = gate();
    house.contact(Some(false), false);
    house.pass(24 * 3600 * SECOND);
    assert_eq!(house.door().state, DoorState::Locked);
    house.pass(2 * 3600 * SECOND);
    assert_eq!(house.door().state, DoorState::Unknown);
}

#[test]
fn a_bell_that_bounces_rings_once() {
    let mut house = gate();
    for _ in 0..3 {
        let report = Report::Ring { external: "AA".into(), call: String::new(), from: None };
        house.put(Input::Report { account: "cloud".parse().unwrap(), report });
        house.write();
    }
    house.pass(3 * SECOND);
    house.put(Input::Report {
        account: "cloud".parse().unwrap(),
        report: Report::Ring { external: "AA".into(), call: String::new(), from: None },
    });
    house.write();
    assert_eq!(house.kinds().iter().filter(|kind| **kind == EventKind::DoorRing).count(), 2);
}
