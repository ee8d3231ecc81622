//! Whatever comes in whatever order: a token presents once at most.

use crate::bench::*;
use doorward_ble::lock::{Config, Input};
use proptest::prelude::*;
use std::{collections::HashSet, time::Duration};

#[derive(Debug, Clone)]
enum Step {
    Show(u8),
    Replay(u8, u8),
    Session(u8),
    Revoke(u8),
    Wait(u16),
    SetClock(i32),
    ClockKnown(bool),
    Slow,
    CatchUp,
    Broken(bool),
    /// The process is killed, and so many of the writings under way were durable.
    Kill(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3u8).prop_map(Step::Show),
        6 => (0..3u8, 0..8u8).prop_map(|(guest, back)| Step::Replay(guest, back)),
        2 => (0..3u8).prop_map(Step::Session),
        1 => (0..3u8).prop_map(Step::Revoke),
        6 => (0..40u16).prop_map(Step::Wait),
        1 => (-20..20i32).prop_map(Step::SetClock),
        1 => any::<bool>().prop_map(Step::ClockKnown),
        1 => Just(Step::Slow),
        2 => Just(Step::CatchUp),
        1 => any::<bool>().prop_map(Step::Broken),
        1 => (0..4u8).prop_map(Step::Kill),
    ]
}

fn run(steps: Vec<Step>) -> usize {
    let mut bench = Bench::new();
    let guests = [0, 1, 2].map(|number| Guest::new(number, START + 300));
    for guest in &guests {
        bench.give(Input::Session(&guest.message()));
    }
    let (mut presented, mut seq) = (HashSet::new(), 0);
    for step in steps {
        let seen = match step {
            Step::Show(guest) => bench.show(&guests[usize::from(guest)]),
            Step::Replay(guest, back) => {
                let guest = &guests[usize::from(guest)];
                let token = guest.token(guest.slot(bench.now.utc).saturating_sub(back.into()));
                bench.hear(&token, Some(NEAR))
            }
            Step::Session(guest) => bench.give(Input::Session(&guests[usize::from(guest)].message())),
            Step::Revoke(guest) => {
                seq += 1;
                bench.give(Input::Revoked(crate::orders::revoked(seq, &[&guests[usize::from(guest)]]).as_bytes()))
            }
            Step::Wait(seconds) => bench.secs(seconds.into()),
            Step::SetClock(by) => {
                let span = Duration::from_secs(by.unsigned_abs().into());
                bench.now.utc = if by < 0 { bench.now.utc.minus(span) } else { bench.now.utc.plus(span) };
                Vec::new()
            }
            Step::ClockKnown(known) => bench.give(Input::ClockKnown(known)),
            Step::Slow => {
                bench.slow = true;
                Vec::new()
            }
            Step::CatchUp => bench.catch_up(),
            Step::Broken(broken) => {
                bench.broken = broken;
                Vec::new()
            }
            Step::Kill(durable) => {
                for (_, key, value) in std::mem::take(&mut bench.waiting).into_iter().take(durable.into()) {
                    bench.persist(key, value);
                }
                bench.slow = false;
                bench.killed(Config::new(id("lock_01"), keys_of_v2()), Duration::from_secs(1));
                Vec::new()
            }
        };
        for seen in seen {
            if let Seen::Opened(who) = seen {
                assert!(presented.insert((who.nonce.clone(), who.slot)), "presented twice: {who:?}");
            }
        }
    }
    presented.len()
}

proptest! {
    #[test]
    fn a_token_presents_at_most_once_whatever_happens(steps in prop::collection::vec(step(), 1..80)) {
        run(steps);
    }
}

#[test]
fn the_property_is_about_something() {
    assert_eq!(run(vec![Step::Show(0), Step::Replay(0, 0), Step::Wait(35), Step::Show(0), Step::Show(1)]), 3);
}
