//! The rules of the house, driven by hand: inputs go in, outputs are asserted in their order.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one output among many")]

use super::*;
use crate::{
    driver::{Family, How, Lease, Once, Sight},
    setup::AutoLock,
};
use doorward_wire::{
    attempt::{ActorKind, AttemptState, Reason},
    door::{Capability, DoorKind, DoorState, EvidenceKind},
    event::EventKind,
};

const SECOND: Duration = Duration::from_secs(1);

/// A keeper with one account, one bolt and a store that writes what it is told to.
struct House {
    keeper: Keeper,
    now: Now,
    /// Outputs that were not asked for yet.
    out: VecDeque<Output>,
    /// Events, once written.
    told: Vec<Event>,
    store: StoreMood,
}

#[derive(Clone, Copy, PartialEq)]
enum StoreMood {
    Writes,
    Fails,
    /// Somebody else owns the account.
    NotOurs,
}

impl House {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut DoorSetup)) -> Self {
        let mut door = DoorSetup {
            id: "front".parse().unwrap(),
            name: "Front".into(),
            site: "home".into(),
            time_zone: "Europe/Berlin".into(),
            kind: DoorKind::Bolt,
            account: "cloud".parse().unwrap(),
            external: "AA".into(),
            capabilities: vec![Capability::Lock, Capability::Unlock, Capability::Refresh],
            confirm_within: 5 * SECOND,
            auto_lock: AutoLock::default(),
            fail_open: false,
            managed: false,
            last_state: None,
        };
        change(&mut door);
        let account = AccountSetup {
            id: "cloud".parse().unwrap(),
            verify: [2, 5, 10, 20, 30].map(Duration::from_secs).to_vec(),
            stale_after: 200 * SECOND,
        };
        let now = Now { utc: "2026-11-23T07:00:00Z".parse().unwrap(), mono: Mono(1000 * SECOND) };
        let mut house = Self { keeper: Keeper::new(1), now, out: VecDeque::new(), told: Vec::new(), store: StoreMood::Writes };
        house.put(Input::Boot { accounts: vec![account], doors: vec![door], intents: Vec::new() });
        house.out.clear();
        house
    }

    fn put(&mut self, input: Input) {
        self.keeper.handle(input, self.now);
        while let Some(output) = self.keeper.poll() {
            if let Output::Publish(Notice::Event(event)) = output {
                self.told.push(event);
            } else {
                self.out.push_back(output);
            }
        }
    }

    /// Lets time pass in small steps, as the run loop does.
    fn pass(&mut self, span: Duration) {
        let end = self.now.mono.plus(span);
        while let Some(due) = self.keeper.deadline().filter(|due| *due <= end) {
            let step = due.since(self.now.mono);
            self.now = self.now.plus(step);
            self.put(Input::Time);
            self.write();
        }
        self.now = self.now.plus(end.since(self.now.mono));
        self.put(Input::Time);
        self.write();
    }

    /// Writes every record that is waiting.
    fn write(&mut self) {
        while let Some(at) = self.out.iter().position(|output| matches!(output, Output::Record { .. })) {
            let Some(Output::Record { ticket, record }) = self.out.remove(at) else { unreachable!() };
            let what = match (&record, self.store) {
                (_, StoreMood::Fails) => {
                    self.put(Input::Stored { ticket, result: Err(StoreFailed("disk full".into())) });
                    continue;
                }
                (Record::Intent { attempt, claim, .. }, mood) => match (attempt.state.is_final(), claim) {
                    (false, true) => WrittenAs::Claim(mood == StoreMood::Writes),
                    _ => WrittenAs::Plain,
                },
                (Record::Claim { .. }, mood) => WrittenAs::Claim(mood == StoreMood::Writes),
                _ => WrittenAs::Plain,
            };
            let first = i64::try_from(self.told.len()).unwrap() + 1;
            let events = (first..).zip(record.events()).map(|(id, new)| event(id, new)).collect();
            self.put(Input::Stored { ticket, result: Ok(Written { events, what }) });
        }
    }

    fn command(&mut self, number: u128, action: ActionWord) -> AttemptId {
        self.command_by(number, action, Rights::administrator(), None)
    }

    fn command_by(&mut self, number: u128, action: ActionWord, rights: Rights, not_after: Option<Time>) -> AttemptId {
        let id = uuid::Uuid::from_u128(number);
        let actor = Actor { kind: ActorKind::Person, id: "anna".into(), name: None };
        let command = Command { id, door: "front".parse().unwrap(), action, actor, rights, not_after };
        self.put(Input::Command(Box::new(command)));
        id
    }

    /// Takes the actions that were sent to drivers.
    fn acts(&mut self) -> Vec<(ActId, Action)> {
        let mut acts = Vec::new();
        self.out.retain(|output| match output {
            Output::Act { act, action, .. } => {
                acts.push((*act, action.clone()));
                false
            }
            _ => true,
        });
        acts
    }

    fn openings(&mut self) -> usize {
        self.acts().iter().filter(|(_, action)| matches!(action, Action::Open(_) | Action::Unlock(_))).count()
    }

    fn answer(&mut self, act: ActId, result: Result<Done, Fault>) {
        self.put(Input::Acted { act, result });
        self.write();
    }

    fn seen(&mut self, how: How, state: DoorState) {
        let sight = Sight { state: Some(state), ..Sight::new(how) };
        let report = Report::Seen { external: "AA".into(), sight };
        self.put(Input::Report { account: "cloud".parse().unwrap(), report });
        self.write();
    }

    fn polled(&self, state: DoorState) -> Done {
        Done { sight: Some(Sight { state: Some(state), ..Sight::new(How::Polled { requested: self.now.mono }) }), ..Done::default() }
    }

    /// Answers every look with this state until the time is over.
    fn looks(&mut self, state: DoorState, span: Duration) {
        let end = self.now.mono.plus(span);
        while self.now.mono < end {
            self.pass(SECOND);
            for (act, action) in self.acts() {
                assert!(matches!(action, Action::Refresh), "only looks are expected, not {action:?}");
                let done = self.polled(state);
                self.answer(act, Ok(done));
            }
        }
    }

    /// An unlock that the vendor accepted.
    fn accepted(&mut self, number: u128, action: ActionWord) -> AttemptId {
        let id = self.command(number, action);
        self.write();
        let acts = self.acts();
        assert_eq!(acts.len(), 1);
        self.answer(acts[0].0, Ok(Done::default()));
        id
    }

    fn last(&self, id: AttemptId) -> Attempt {
        let attempts = self.out.iter().rev().filter_map(|output| match output {
            Output::Publish(Notice::Attempt(attempt)) | Output::Reply { attempt: Ok(attempt), .. } => Some(attempt),
            _ => None,
        });
        attempts.into_iter().find(|attempt| attempt.id == id).expect("the attempt was told").clone()
    }

    fn door(&self) -> Door {
        let doors = self.out.iter().rev().filter_map(|output| match output {
            Output::Publish(Notice::Door(door)) => Some(door),
            _ => None,
        });
        doors.into_iter().next().expect("the door was told").clone()
    }

    fn kinds(&self) -> Vec<EventKind> {
        self.told.iter().map(|event| event.kind).collect()
    }
}

fn event(id: i64, new: &NewEvent) -> Event {
    Event {
        id,
        time: new.time,
        kind: new.kind,
        door: new.door.clone(),
        account: new.account.as_ref().map(ToString::to_string),
        device: None,
        actor: new.actor.clone(),
        reason: new.reason,
        attempt: new.attempt,
        data: new.data.clone(),
    }
}

fn end(house: &House, id: AttemptId) -> (AttemptState, Option<Reason>) {
    let attempt = house.last(id);
    (attempt.state, attempt.reason)
}

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
        let fault = Fault { family, person: "no".into(), log: "no".into(), reason: None, status: None, retry_after: None };
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
            fresh: true,
        };
        house.put(Input::Report { account: "cloud".parse().unwrap(), report: Report::Lease(lease) });
        house.accepted(1, ActionWord::Unlock);
        house.pass(Duration::from_hours(2));
        format!("{:?}", house.out)
    };
    assert_eq!(run(), run(), "time and dice are arguments");
}

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
        after.put(Input::Boot { accounts: Vec::new(), doors: Vec::new(), intents: vec![OpenIntent { attempt, acted }] });
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

fn lease(house: &mut House, hours: u64, fresh: bool) {
    let not_after = Some(house.now.utc.plus(Duration::from_hours(hours)));
    let lease = Lease { id: "oauth".into(), kind: "oauth_token", not_after, margin: Some(300 * SECOND), fresh };
    house.put(Input::Report { account: "cloud".parse().unwrap(), report: Report::Lease(lease) });
    house.write();
}

fn renewals(house: &mut House) -> Vec<ActId> {
    house.acts().into_iter().filter(|(_, action)| matches!(action, Action::Renew(_))).map(|(act, _)| act).collect()
}

#[test]
fn a_token_is_renewed_before_it_ends_and_not_much_before() {
    let mut house = House::new();
    lease(&mut house, 10, true);
    house.pass(Duration::from_mins(10 * 60 - 6));
    assert_eq!(renewals(&mut house).len(), 0, "more than margin and jitter are left");
    house.pass(Duration::from_mins(1));
    assert_eq!(renewals(&mut house).len(), 1);
}

#[test]
fn a_refused_renewal_asks_a_person_once_and_stops() {
    let mut house = House::new();
    lease(&mut house, 1, true);
    house.pass(Duration::from_mins(56));
    let act = renewals(&mut house)[0];
    house.answer(act, Err(Fault::auth("sign in again", "invalid_grant")));
    house.pass(Duration::from_hours(48));
    assert_eq!(renewals(&mut house).len(), 0, "no storm");
    assert_eq!(house.kinds().iter().filter(|kind| **kind == EventKind::AccountNeedsSignIn).count(), 1);
}

#[test]
fn a_vendor_that_is_away_is_asked_again_with_backoff() {
    let mut house = House::new();
    lease(&mut house, 1, true);
    house.pass(Duration::from_mins(56));
    let mut asked = 0;
    for _ in 0..3600 {
        for act in renewals(&mut house) {
            asked += 1;
            house.answer(act, Err(Fault::offline("away", "connect")));
        }
        house.pass(SECOND);
    }
    assert!((8..40).contains(&asked), "an hour of outage costs {asked} requests");
}

#[test]
fn a_token_that_lives_shorter_than_its_margin_is_no_storm() {
    let mut house = House::new();
    let mut asked = 0;
    for _ in 0..600 {
        let not_after = Some(house.now.utc.plus(60 * SECOND));
        let lease = Lease { id: "oauth".into(), kind: "oauth_token", not_after, margin: Some(300 * SECOND), fresh: true };
        for act in renewals(&mut house) {
            asked += 1;
            house.put(Input::Report { account: "cloud".parse().unwrap(), report: Report::Lease(lease.clone()) });
            house.answer(act, Ok(Done::default()));
        }
        if asked == 0 {
            house.put(Input::Report { account: "cloud".parse().unwrap(), report: Report::Lease(lease) });
        }
        house.pass(SECOND);
    }
    assert!(asked <= 25, "{asked} renewals in ten minutes");
}

#[test]
fn a_clock_that_jumps_a_day_either_way_makes_no_storm() {
    for jump in [1_i64, -1] {
        let mut house = House::new();
        lease(&mut house, 7 * 24, true);
        house.pass(Duration::from_hours(24));
        let day = 86_400_000_000;
        house.now.utc = Time::from_micros(house.now.utc.as_micros() + jump * day);
        house.pass(Duration::from_mins(10));
        assert_eq!(renewals(&mut house).len(), 0, "days are left");
        // However the wall clock was moved, the token ends 168 hours after it was made.
        house.pass(Duration::from_mins(6 * 24 * 60 - 14));
        let asked = renewals(&mut house).len();
        assert!(asked == 1, "renewed {asked} times before its real end after a jump of {jump} day");
    }
}
