//! What a device says about a command by itself, and which command it means.

use super::{
    super::*,
    house::{House, SECOND, end},
};
use crate::setup::{Contact, DoorSetup};
use doorward_wire::{
    attempt::{AttemptState, Reason},
    door::{Capability, DoorKind, EvidenceKind},
    event::EventKind,
};

fn gate() -> House {
    House::with(|door: &mut DoorSetup| {
        door.kind = DoorKind::Strike;
        door.capabilities = vec![Capability::Open];
    })
}

impl House {
    /// An opening that the vendor took, whose device answers by this key.
    fn taken(&mut self, number: u128, key: &str) -> AttemptId {
        let id = self.command(number, ActionWord::Open);
        self.write();
        let (act, _) = self.acts().remove(0);
        self.answer(act, Ok(Done { key: Some(key.into()), ..Done::default() }));
        self.write();
        id
    }

    fn device(&mut self, key: &str, outcome: Result<(), Fault>) {
        let report = Report::Answer { external: "AA".into(), key: key.into(), outcome };
        self.put(Input::Report { account: "cloud".parse().unwrap(), report });
        self.write();
    }
}

fn no() -> Fault {
    Fault::refused("The gate refused.", "error").because(Reason::VendorRefused)
}

#[test]
fn an_answer_confirms_its_command_and_no_answer_leaves_it_unconfirmed() {
    let mut house = gate();
    let id = house.taken(1, "k1");
    house.device("k1", Ok(()));
    assert_eq!(end(&house, id), (AttemptState::Confirmed, None));
    assert_eq!(house.last(id).evidence.last().map(|evidence| evidence.kind), Some(EvidenceKind::Answer));
    let id = house.taken(2, "k2");
    house.pass(10 * SECOND);
    assert_eq!(end(&house, id).0, AttemptState::Unconfirmed);
}

#[test]
fn a_late_answer_corrects_what_nobody_saw_and_a_very_late_one_does_not() {
    for (wait, state) in [(20, AttemptState::Confirmed), (40, AttemptState::Unconfirmed)] {
        let mut house = gate();
        let id = house.taken(1, "k1");
        house.pass(wait * SECOND);
        assert_eq!(end(&house, id).0, AttemptState::Unconfirmed);
        house.device("k1", Ok(()));
        assert_eq!(end(&house, id).0, state, "after {wait} s");
    }
}

#[test]
fn a_refusal_by_the_device_ends_the_command_failed() {
    let mut house = gate();
    let id = house.taken(1, "k1");
    house.device("k1", Err(no()));
    assert_eq!(end(&house, id), (AttemptState::Failed, Some(Reason::VendorRefused)));
    house.device("k1", Ok(()));
    assert_eq!(end(&house, id).0, AttemptState::Failed, "the first word counts");
}

#[test]
fn an_answer_to_an_older_command_says_nothing_about_the_newest() {
    let mut house = gate();
    let older = house.taken(1, "k1");
    let newer = house.command(2, ActionWord::Open);
    house.write();
    house.device("k1", Ok(()));
    let (act, _) = house.acts().remove(0);
    house.answer(act, Ok(Done { key: Some("k2".into()), ..Done::default() }));
    house.write();
    assert_eq!(house.last(newer).state, AttemptState::Pending);
    house.device("unknown", Ok(()));
    assert_eq!(house.last(newer).state, AttemptState::Pending);
    house.pass(10 * SECOND);
    assert_eq!(end(&house, newer).0, AttemptState::Unconfirmed);
    assert!(end(&house, older).0.is_final());
}

#[test]
fn an_answer_that_comes_before_the_driver_is_kept_for_its_command() {
    let mut house = gate();
    let id = house.command(1, ActionWord::Open);
    house.write();
    for other in 0..3 {
        house.device(&format!("other {other}"), Err(no()));
    }
    house.device("k1", Ok(()));
    assert_eq!(house.last(id).state, AttemptState::Pending);
    let (act, _) = house.acts().remove(0);
    house.answer(act, Ok(Done { key: Some("k1".into()), ..Done::default() }));
    house.write();
    assert_eq!(end(&house, id), (AttemptState::Confirmed, None));
}

#[test]
fn an_answer_corrects_a_command_whose_vendor_did_not_answer() {
    for early in [true, false] {
        for (outcome, state) in [(Ok(()), AttemptState::Confirmed), (Err(no()), AttemptState::Failed)] {
            let mut house = gate();
            let id = house.command(1, ActionWord::Open);
            house.write();
            if early {
                house.device("k1", outcome.clone());
            }
            let (act, _) = house.acts().remove(0);
            let lost = Fault::timeout("Nobody answered.", "lost");
            house.answer(act, Err(Fault { key: Some("k1".into()), ..lost }));
            house.write();
            if !early {
                assert_eq!(end(&house, id), (AttemptState::Unconfirmed, Some(Reason::OutcomeUnknown)));
                house.device("other", Ok(()));
                house.device("k1", outcome);
            }
            assert_eq!(end(&house, id).0, state);
            assert!(house.acts().is_empty(), "nothing is sent again");
        }
    }
}

#[test]
fn a_contact_knows_better_than_an_answer() {
    let mut house = House::with(|door: &mut DoorSetup| {
        door.kind = DoorKind::Strike;
        door.capabilities = vec![Capability::Open];
        door.contact = Some(Contact { mqtt: "sensors/gate".into(), json: None, open: "open".into() });
    });
    let id = house.taken(1, "k1");
    house.device("k1", Ok(()));
    assert_eq!(house.last(id).state, AttemptState::Pending, "the contact is waited for");
    house.put(Input::Contact { door: "front".parse().unwrap(), open: Some(true), kept: false });
    house.write();
    assert_eq!(end(&house, id), (AttemptState::Confirmed, None));
}

#[test]
fn a_person_is_asked_once_about_a_part_of_an_account() {
    let mut house = House::new();
    let report = |house: &mut House, report| {
        house.put(Input::Report { account: "cloud".parse().unwrap(), report });
        house.write();
    };
    let asked = |house: &House| house.kinds().iter().filter(|kind| **kind == EventKind::AccountNeedsSignIn).count();
    for _ in 0..3 {
        report(&mut house, Report::NeedsPerson(Some(no())));
    }
    report(&mut house, Report::NeedsPerson(Some(Fault::refused("Something else.", "x"))));
    assert_eq!(asked(&house), 1);
    report(&mut house, Report::SignedIn);
    report(&mut house, Report::NeedsPerson(Some(Fault::refused("Something else.", "x"))));
    assert_eq!(asked(&house), 1, "signing in does not mend it, and nobody is asked again");
    report(&mut house, Report::NeedsPerson(None));
    report(&mut house, Report::NeedsPerson(Some(no())));
    assert_eq!(asked(&house), 2);
}
