//! What ends at a time is renewed before it.

use super::{
    super::*,
    house::{House, SECOND},
};
use crate::driver::Lease;
use doorward_wire::event::EventKind;

fn lease(house: &mut House, hours: u64, fresh: bool) {
    let not_after = Some(house.now.utc.plus(Duration::from_hours(hours)));
    let lease = Lease { id: "oauth".into(), kind: "oauth_token", not_after, margin: Some(300 * SECOND), made: None, fresh };
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
        let lease = Lease { id: "oauth".into(), kind: "oauth_token", not_after, margin: Some(300 * SECOND), made: None, fresh: true };
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
