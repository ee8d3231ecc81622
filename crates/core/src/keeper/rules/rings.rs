//! What comes of a ring: it ends once, as somebody or nobody ended it, and strangers who ring fill nothing.

use super::{
    super::*,
    house::{House, SECOND, StoreMood},
};
use crate::{
    driver::{CALL_MAX, How},
    setup::DoorSetup,
};
use doorward_wire::{
    attempt::ActorKind,
    door::{Capability, DoorKind, DoorState},
    event::EventKind,
    grant::Means,
};
use std::collections::BTreeMap;

/// A gate that is opened for a moment.
fn gate() -> House {
    House::with(|door: &mut DoorSetup| {
        door.kind = DoorKind::Strike;
        door.capabilities = vec![Capability::Open, Capability::Ring];
    })
}

fn ada() -> Actor {
    Actor { kind: ActorKind::Person, id: "ada".into(), name: None }
}

impl House {
    fn rings(&mut self, call: &str) {
        self.rings_from(call, None);
    }

    fn rings_from(&mut self, call: &str, from: Option<&str>) {
        let report = Report::Ring { external: "AA".into(), call: call.into(), from: from.map(Into::into) };
        self.put(Input::Report { account: "cloud".parse().unwrap(), report });
        self.write();
    }

    fn over(&mut self, call: &str, end: RingState) {
        self.put(Input::Report { account: "cloud".parse().unwrap(), report: Report::RingEnded { call: call.into(), end } });
        self.write();
    }

    fn does(&mut self, id: RingId, end: RingEnd) {
        self.put(Input::Ring(RingCommand { id, end, actor: ada() }));
        self.write();
    }

    /// Every ring as it was told last, in the order of their beginnings.
    fn all_rings(&self) -> Vec<Ring> {
        let mut rings: Vec<Ring> = Vec::new();
        for output in &self.out {
            let Output::Publish(Notice::Ring(ring)) = output else { continue };
            match rings.iter_mut().find(|known| known.id == ring.id) {
                Some(known) => known.clone_from(ring),
                None => rings.push(ring.clone()),
            }
        }
        rings
    }

    fn ring(&self) -> Ring {
        self.all_rings().pop().expect("a ring was told")
    }

    fn states(&self) -> Vec<RingState> {
        self.all_rings().iter().map(|ring| ring.state).collect()
    }

    /// The calls that the driver was told to end.
    fn ended_calls(&mut self) -> Vec<(String, RingState)> {
        let calls = self.acts().into_iter().filter_map(|(_, action)| match action {
            Action::EndRing { call, end } => Some((call, end)),
            _ => None,
        });
        calls.collect()
    }

    fn count(&self, kind: EventKind) -> usize {
        self.told.iter().filter(|event| event.kind == kind).count()
    }
}

#[test]
fn a_ring_ends_as_its_vendor_says() {
    for end in RingState::ALL.iter().copied().filter(|end| end.is_final()) {
        let mut house = gate();
        house.rings_from("call-1", Some("Main entrance"));
        let ring = house.ring();
        assert_eq!((ring.state, ring.from.as_deref(), ring.since), (RingState::Ringing, Some("Main entrance"), house.now.utc));
        house.pass(7 * SECOND);
        house.over("call-1", end);
        let over = house.ring();
        assert_eq!((over.id, over.state, over.ended, over.by), (ring.id, end, Some(house.now.utc), None));
        assert_eq!(house.kinds(), [EventKind::DoorRing, EventKind::DoorRingEnded]);
        assert_eq!(house.told[0].data, serde_json::json!({ "ring": ring.id, "from": "Main entrance" }));
        assert_eq!(house.told[1].data, serde_json::json!({ "ring": ring.id, "state": end }));
        assert!(house.ended_calls().is_empty(), "the vendor knows");
        house.over("call-1", RingState::Timeout);
        house.pass(300 * SECOND);
        assert_eq!((house.states(), house.told.len()), (vec![end], 2), "it ends once");
    }
}

#[test]
fn every_ring_ends_whatever_the_driver_forgets() {
    for (call, seconds) in [("call-1", 90), ("", 60)] {
        let mut house = gate();
        house.rings(call);
        house.over("another", RingState::Cancelled);
        house.over(call, RingState::Ringing);
        house.pass((seconds - 1) * SECOND);
        assert_eq!(house.states(), [RingState::Ringing]);
        house.pass(SECOND);
        assert_eq!(house.states(), [RingState::Timeout]);
    }
    let mut house = gate();
    house.rings(&"x".repeat(CALL_MAX + 1));
    house.pass(60 * SECOND);
    assert_eq!(house.states(), [RingState::Timeout], "a key that is too long is none");
}

#[test]
fn a_bell_that_is_pressed_again_is_the_same_ring_and_is_told_again() {
    let mut house = gate();
    for _ in 0..5 {
        house.rings("");
        house.pass(25 * SECOND);
    }
    let rings = house.all_rings();
    assert_eq!(rings.len(), 2, "no ring is longer than ninety seconds");
    assert_eq!(rings[0].ended.map(|ended| ended.since(rings[0].since)), Some(90 * SECOND));
    assert_eq!(house.count(EventKind::DoorRing), 5);
}

#[test]
fn a_second_call_of_the_same_press_belongs_to_the_first() {
    let mut house = gate();
    for call in ["one", "two", "one"] {
        house.rings(call);
    }
    assert_eq!((house.states(), house.count(EventKind::DoorRing)), (vec![RingState::Ringing], 1));
    house.over("one", RingState::Cancelled);
    assert_eq!(house.states(), [RingState::Ringing], "another handset still rings");
    house.over("two", RingState::AnsweredElsewhere);
    assert_eq!(house.states(), [RingState::AnsweredElsewhere]);

    house.pass(3 * SECOND);
    house.rings("three");
    house.rings("four");
    house.does(house.ring().id, RingEnd::Rejected);
    assert_eq!(house.ended_calls(), [("three".into(), RingState::Rejected), ("four".into(), RingState::Rejected)]);
}

#[test]
fn whoever_gives_up_and_rings_anew_is_heard() {
    let mut house = gate();
    house.rings("one");
    house.over("one", RingState::Cancelled);
    house.rings("two");
    assert_eq!(house.states(), [RingState::Cancelled, RingState::Ringing]);
    house.pass(3 * SECOND);
    house.rings("three");
    assert_eq!(house.states(), [RingState::Cancelled, RingState::Ringing, RingState::Ringing], "a second person rings");
}

#[test]
fn a_person_ends_a_ring_once() {
    for (end, state) in [(RingEnd::Rejected, RingState::Rejected), (RingEnd::Answered, RingState::Answered)] {
        let mut house = gate();
        house.rings("call-1");
        let id = house.ring().id;
        house.does(id, end);
        assert_eq!((house.ring().state, house.ring().by), (state, Some(ada())));
        assert_eq!(house.told.last().and_then(|event| event.actor.clone()), Some(ada()));
        let acts = house.acts();
        assert!(matches!(&acts[..], [(_, Action::EndRing { call, end })] if call == "call-1" && *end == state), "{acts:?}");
        house.answer(acts[0].0, Err(Fault::refused("There is no such call.", "gone")));
        house.does(id, RingEnd::Answered);
        house.over("call-1", RingState::Cancelled);
        assert_eq!((house.states(), house.told.len(), house.acts().len()), (vec![state], 2, 0), "nothing more comes of it");
    }
    let mut house = gate();
    house.rings("");
    house.does(house.ring().id, RingEnd::Rejected);
    assert!(house.acts().is_empty(), "there is no call to end");
    house.does(uuid::Uuid::from_u128(9), RingEnd::Rejected);
    assert_eq!(house.told.len(), 2, "what never rang cannot be ignored");
}

#[test]
fn a_ring_is_over_when_the_door_was_opened_for_it() {
    let mut house = gate();
    house.rings("call-1");
    let id = house.accepted(1, ActionWord::Open);
    assert_eq!(house.states(), [RingState::Ringing], "that the vendor took it is not yet known to open anything");
    house.pass(6 * SECOND);
    let ring = house.ring();
    assert_eq!((ring.state, ring.attempt), (RingState::Opened, Some(id)));
    assert_eq!(ring.by.map(|by| by.id).as_deref(), Some("anna"));
    assert_eq!(house.ended_calls(), [("call-1".into(), RingState::Opened)]);
    let told = house.told.iter().find(|event| event.kind == EventKind::DoorRingEnded).unwrap();
    assert_eq!((told.attempt, told.data["state"].as_str()), (Some(id), Some("opened")));
}

#[test]
fn an_opening_counts_although_the_bell_falls_silent_first() {
    let mut house = gate();
    house.rings("call-1");
    house.accepted(1, ActionWord::Open);
    house.over("call-1", RingState::Cancelled);
    house.pass(6 * SECOND);
    assert_eq!(house.states(), [RingState::Opened]);

    let mut house = House::new();
    house.rings("call-1");
    house.accepted(1, ActionWord::Unlock);
    house.over("call-1", RingState::Cancelled);
    house.looks(DoorState::Locked, 50 * SECOND);
    assert_eq!(house.states(), [RingState::Cancelled], "the door was seen to stay locked");
    assert_eq!(house.ring().by, None);
}

#[test]
fn a_ring_goes_on_when_the_door_was_not_opened_for_it() {
    let mut house = gate();
    house.rings("call-1");
    house.command(1, ActionWord::Open);
    house.write();
    let act = house.acts()[0].0;
    house.answer(act, Err(Fault::refused("No.", "no")));
    assert_eq!(house.states(), [RingState::Ringing], "the vendor said no");
    house.command(2, ActionWord::Open);
    house.write();
    let act = house.acts()[0].0;
    house.answer(act, Err(Fault::timeout("Nobody knows.", "silence")));
    assert_eq!(house.states(), [RingState::Ringing], "nobody knows whether it was taken");

    let mut house = House::new();
    house.seen(How::Pushed, DoorState::Unlocked);
    house.rings("call-1");
    house.accepted(1, ActionWord::Lock);
    house.seen(How::Pushed, DoorState::Locked);
    assert_eq!(house.states(), [RingState::Ringing], "a door that is locked lets nobody in");
    house.seen(How::Pushed, DoorState::Unlocked);
    assert_eq!(house.states(), [RingState::Ringing], "somebody else came or went");
}

#[test]
fn what_doorward_does_by_itself_answers_no_ring() {
    for kind in [ActorKind::System, ActorKind::Device] {
        let mut house = gate();
        house.rings("call-1");
        let actor = Actor { kind, id: "x".into(), name: None };
        let (id, rights) = (uuid::Uuid::from_u128(1), Rights::administrator());
        let door = "front".parse().unwrap();
        house.put(Input::Command(Box::new(Command {
            id,
            door,
            action: ActionWord::Open,
            actor,
            rights,
            not_after: None,
            means: Means::Remote,
        })));
        house.write();
        let act = house.acts()[0].0;
        house.answer(act, Ok(Done::default()));
        house.pass(6 * SECOND);
        assert_eq!(house.states(), [RingState::Ringing]);
    }
}

#[test]
fn an_opening_before_the_ring_does_not_answer_it() {
    let mut house = gate();
    house.accepted(1, ActionWord::Open);
    house.rings("call-1");
    house.pass(6 * SECOND);
    assert_eq!(house.states(), [RingState::Ringing]);
}

#[test]
fn a_ring_at_a_door_that_is_gone_is_over() {
    let mut house = gate();
    house.rings("call-1");
    house.put(Input::Changed(Change::DoorRemoved("front".parse().unwrap())));
    house.write();
    assert_eq!(house.states(), [RingState::Timeout]);
    house.rings("call-2");
    assert_eq!(house.states().len(), 1, "nobody hears a door that is not there");
}

#[test]
fn what_rang_when_doorward_stopped_is_over_when_it_starts() {
    let mut before = gate();
    before.rings("call-1");
    let ring = before.ring();
    let mut after = gate();
    after.put(Input::Boot { accounts: Vec::new(), doors: Vec::new(), intents: Vec::new(), rings: vec![ring.clone()] });
    after.write();
    assert_eq!((after.ring().id, after.ring().state), (ring.id, RingState::Timeout));
    assert_eq!(after.kinds(), [EventKind::DoorRingEnded]);
}

#[test]
fn rule_4_how_a_ring_ended_is_written_later_when_it_could_not_be_written() {
    let mut house = gate();
    house.rings("call-1");
    house.store = StoreMood::Fails;
    house.over("call-1", RingState::Cancelled);
    assert_eq!(house.states(), [RingState::Cancelled]);
    house.store = StoreMood::Writes;
    house.pass(60 * SECOND);
    assert_eq!(house.kinds(), [EventKind::DoorRing, EventKind::DoorRingEnded]);
}

#[test]
fn what_the_vendor_calls_whoever_rings_is_short_and_clean() {
    let long = "ä".repeat(500);
    for (from, shown) in
        [(" Main\r\nentrance\u{0} ", Some("Mainentrance")), ("", None), (" \t ", None), (long.as_str(), Some(&long[..128]))]
    {
        let mut house = gate();
        house.rings_from("call-1", Some(from));
        assert_eq!(house.ring().from.as_deref(), shown, "{from:?}");
    }
}

#[test]
fn attack_a_ring_storm_fills_neither_audit_nor_memory() {
    // Calls that are never ended.
    let mut house = gate();
    for number in 0..2000 {
        house.rings(&format!("call-{number}"));
        house.pass(3 * SECOND / 100);
    }
    let ringing = house.states().iter().filter(|state| !state.is_final()).count();
    assert!(ringing <= 16, "{ringing} ring at once");
    house.pass(120 * SECOND);
    assert!(house.states().iter().all(|state| state.is_final()));
    assert!(house.told.len() <= 2 * 17 + 2, "a minute of it is {} events", house.told.len());
    let dropped: Vec<&Event> = house.told.iter().filter(|event| event.kind == EventKind::DoorRingsDropped).collect();
    let counted: u64 = dropped.iter().filter_map(|event| event.data["count"].as_u64()).sum();
    assert!(counted > 0 && dropped.len() <= 2, "{dropped:?}");

    // Calls that are given up at once.
    let mut house = gate();
    for number in 0..3000 {
        house.rings(&format!("call-{number}"));
        house.over(&format!("call-{number}"), RingState::Cancelled);
        house.pass(SECOND / 10);
    }
    house.pass(120 * SECOND);
    assert!(house.told.len() <= 6 * (2 * 32 + 1), "five minutes of it are {} events", house.told.len());
    let rings = house.count(EventKind::DoorRing) as u64;
    let dropped = house.told.iter().filter(|event| event.kind == EventKind::DoorRingsDropped);
    assert_eq!(rings + dropped.filter_map(|event| event.data["count"].as_u64()).sum::<u64>(), 3000, "each is told or counted");
}

#[test]
fn another_account_is_heard_through_a_ring_storm() {
    let mut house = gate();
    let account = AccountSetup { id: "other".parse().unwrap(), verify: Vec::new(), stale_after: 60 * SECOND, signs_in: false };
    house.put(Input::Changed(Change::Account(account)));
    let found = crate::driver::Found {
        external: "BB".into(),
        name: "Back".into(),
        kind: DoorKind::Strike,
        capabilities: vec![Capability::Open],
        raw: serde_json::Value::Null,
    };
    house.put(Input::Report { account: "other".parse().unwrap(), report: Report::Found(vec![found]) });
    for number in 0..500 {
        house.rings(&format!("call-{number}"));
    }
    let report = Report::Ring { external: "BB".into(), call: "mine".into(), from: None };
    house.put(Input::Report { account: "other".parse().unwrap(), report });
    assert_eq!(house.ring().door.as_str(), "back");
}

#[derive(Debug, Clone)]
enum Step {
    Rings(u8),
    Over(u8, usize),
    Does(RingEnd),
    Opens,
    Passes(u32),
}

fn step() -> impl proptest::strategy::Strategy<Value = Step> {
    use proptest::prelude::*;
    prop_oneof![
        (0..4_u8).prop_map(Step::Rings),
        (0..4_u8, 0..RingState::ALL.len()).prop_map(|(call, end)| Step::Over(call, end)),
        prop_oneof![Just(RingEnd::Answered), Just(RingEnd::Rejected)].prop_map(Step::Does),
        Just(Step::Opens),
        (0..40_u32).prop_map(Step::Passes),
    ]
}

proptest::proptest! {
    #[test]
    fn whatever_happens_every_ring_ends_once_and_in_time(steps in proptest::collection::vec(step(), 1..40)) {
        let mut house = gate();
        let call = |number: u8| if number == 0 { String::new() } else { format!("call-{number}") };
        for (number, step) in (1..).zip(steps) {
            match step {
                Step::Rings(number) => house.rings(&call(number)),
                Step::Over(number, end) => house.over(&call(number), RingState::ALL[end]),
                Step::Does(end) => if let Some(ring) = house.all_rings().pop() { house.does(ring.id, end) },
                Step::Opens => {
                    house.command(number, ActionWord::Open);
                    house.write();
                }
                Step::Passes(seconds) => house.pass(seconds * SECOND),
            }
            for (act, _) in house.acts() {
                house.answer(act, Ok(Done::default()));
            }
        }
        house.pass(120 * SECOND);
        let mut ends = BTreeMap::new();
        for event in house.told.iter().filter(|event| event.kind == EventKind::DoorRingEnded) {
            *ends.entry(event.data["ring"].as_str().unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
        for ring in house.all_rings() {
            proptest::prop_assert!(ring.state.is_final());
            proptest::prop_assert!(ring.ended.is_some_and(|ended| ended.since(ring.since) <= 90 * SECOND));
            proptest::prop_assert_eq!(ends.get(&ring.id.to_string()), Some(&1));
            proptest::prop_assert_eq!(ring.attempt.is_some(), ring.state == RingState::Opened && ring.by.is_some());
        }
    }
}
