//! A house to drive by hand.

use super::super::*;
use crate::{
    driver::{How, Sight},
    record::NewEvent,
    setup::{AutoLock, Told},
};
use doorward_wire::{
    attempt::{ActorKind, AttemptState, Reason},
    door::{Capability, DoorKind, DoorState},
    event::EventKind,
    grant::Means,
};

use std::collections::VecDeque;

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// A keeper with one account, one bolt and a store that writes what it is told to.
pub(super) struct House {
    pub(super) keeper: Keeper,
    pub(super) now: Now,
    /// Outputs that were not asked for yet.
    pub(super) out: VecDeque<Output>,
    /// Events, once written.
    pub(super) told: Vec<Event>,
    pub(super) store: StoreMood,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum StoreMood {
    Writes,
    Fails,
    /// Somebody else owns the account.
    NotOurs,
    /// The grant was taken back.
    Denies,
}

impl House {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut DoorSetup)) -> Self {
        let mut door = DoorSetup {
            id: "front".parse().unwrap(),
            name: "Front".into(),
            site: "home".into(),
            time_zone: "Europe/Berlin".into(),
            holidays: Vec::new(),
            kind: DoorKind::Bolt,
            account: "cloud".parse().unwrap(),
            external: "AA".into(),
            capabilities: vec![Capability::Lock, Capability::Unlock, Capability::Refresh],
            confirm_within: 5 * SECOND,
            auto_lock: AutoLock::default(),
            fail_open: false,
            contact: None,
            mqtt_code: None,
            stream: None,
            managed: false,
            told: Told::default(),
        };
        change(&mut door);
        let account = AccountSetup {
            id: "cloud".parse().unwrap(),
            verify: [2, 5, 10, 20, 30].map(Duration::from_secs).to_vec(),
            stale_after: 200 * SECOND,
            signs_in: true,
        };
        let now = Now { utc: "2026-11-23T07:00:00Z".parse().unwrap(), mono: Mono(1000 * SECOND) };
        let mut house = Self { keeper: Keeper::new(1), now, out: VecDeque::new(), told: Vec::new(), store: StoreMood::Writes };
        house.put(Input::Boot { accounts: vec![account], doors: vec![door], intents: Vec::new(), rings: Vec::new() });
        house.out.clear();
        house
    }

    pub(super) fn put(&mut self, input: Input) {
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
    pub(super) fn pass(&mut self, span: Duration) {
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
    pub(super) fn write(&mut self) {
        while let Some(at) = self.out.iter().position(|output| matches!(output, Output::Record { .. })) {
            let Some(Output::Record { ticket, record }) = self.out.remove(at) else { unreachable!() };
            let what = match (&record, self.store) {
                (_, StoreMood::Fails) => {
                    self.put(Input::Stored { ticket, result: Err(StoreFailed("disk full".into())) });
                    continue;
                }
                (Record::Intent { grant: Some(_), .. }, StoreMood::Denies) => {
                    let (denied, event_of) = record.denied(Reason::Revoked, self.now.utc).expect("an intent");
                    let events = vec![event(i64::try_from(self.told.len()).unwrap() + 1, &event_of)];
                    self.put(Input::Stored { ticket, result: Ok(Written { events, what: WrittenAs::Denied(Box::new(denied)) }) });
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

    pub(super) fn command(&mut self, number: u128, action: ActionWord) -> AttemptId {
        self.command_by(number, action, Rights::administrator(), None)
    }

    pub(super) fn command_by(&mut self, number: u128, action: ActionWord, rights: Rights, not_after: Option<Time>) -> AttemptId {
        self.command_of(number, action, rights, not_after, ActorKind::Person)
    }

    pub(super) fn command_of(
        &mut self,
        number: u128,
        action: ActionWord,
        rights: Rights,
        not_after: Option<Time>,
        kind: ActorKind,
    ) -> AttemptId {
        let id = uuid::Uuid::from_u128(number);
        let actor = Actor { kind, id: "anna".into(), name: None };
        let command = Command { id, door: "front".parse().unwrap(), action, actor, rights, not_after, means: Means::Remote };
        self.put(Input::Command(Box::new(command)));
        id
    }

    /// Takes the actions that were sent to drivers.
    pub(super) fn acts(&mut self) -> Vec<(ActId, Action)> {
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

    pub(super) fn openings(&mut self) -> usize {
        self.acts().iter().filter(|(_, action)| matches!(action, Action::Open(_) | Action::Unlock(_))).count()
    }

    pub(super) fn answer(&mut self, act: ActId, result: Result<Done, Fault>) {
        self.put(Input::Acted { act, result });
        self.write();
    }

    pub(super) fn seen(&mut self, how: How, state: DoorState) {
        let sight = Sight { state: Some(state), ..Sight::new(how) };
        let report = Report::Seen { external: "AA".into(), sight };
        self.put(Input::Report { account: "cloud".parse().unwrap(), report });
        self.write();
    }

    pub(super) fn polled(&self, state: DoorState) -> Done {
        Done { sight: Some(Sight { state: Some(state), ..Sight::new(How::Polled { requested: self.now.mono }) }), ..Done::default() }
    }

    /// Answers every look with this state until the time is over.
    pub(super) fn looks(&mut self, state: DoorState, span: Duration) {
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
    pub(super) fn accepted(&mut self, number: u128, action: ActionWord) -> AttemptId {
        let id = self.command(number, action);
        self.write();
        let acts = self.acts();
        assert_eq!(acts.len(), 1);
        self.answer(acts[0].0, Ok(Done::default()));
        id
    }

    pub(super) fn last(&self, id: AttemptId) -> Attempt {
        let attempts = self.out.iter().rev().filter_map(|output| match output {
            Output::Publish(Notice::Attempt(attempt)) | Output::Reply { attempt: Ok(attempt), .. } => Some(attempt),
            _ => None,
        });
        attempts.into_iter().find(|attempt| attempt.id == id).expect("the attempt was told").clone()
    }

    pub(super) fn door(&self) -> Door {
        let doors = self.out.iter().rev().filter_map(|output| match output {
            Output::Publish(Notice::Door(door)) => Some(door),
            _ => None,
        });
        doors.into_iter().next().expect("the door was told").clone()
    }

    pub(super) fn kinds(&self) -> Vec<EventKind> {
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

pub(super) fn end(house: &House, id: AttemptId) -> (AttemptState, Option<Reason>) {
    let attempt = house.last(id);
    (attempt.state, attempt.reason)
}
