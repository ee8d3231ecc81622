//! Bells: at which door they ring, and how they end.

use crate::{
    account::{Account, GATE},
    support::until,
};
use doorward_bticino::{Config, sip::Patience};
use doorward_core::driver::{Action, Report, Settings, Target};
use doorward_sim::legrand::{Fault, Faults, On};
use doorward_wire::{attempt::Reason, ring::RingState};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_bell_rings_at_its_door_and_says_how_it_ended() {
    let account = Account::registered().await;
    let _watch = account.connected().await;
    account.reports_until("the doors are known", |report| matches!(report, Report::Found(_))).await;
    let ring = account.sim.ring("20").remove(0);
    account
        .reports_until("it rings", |report| {
            matches!(report, Report::Ring { external, call, from } if external == GATE && *call == ring && from.as_deref() == Some("Street"))
        })
        .await;
    account.sim.answer_elsewhere(&ring);
    account
        .reports_until(
            "it is over",
            |report| matches!(report, Report::RingEnded { call, end: RingState::AnsweredElsewhere } if *call == ring),
        )
        .await;
    let ring = account.sim.ring("30").remove(0);
    account.reports_until("it rings", |report| matches!(report, Report::Ring { external, .. } if external == "gw-5678/30#1")).await;
    account.act(&Target::Account, Action::EndRing { call: ring.clone(), end: RingState::Rejected }).await.unwrap();
    until("it was told", || account.sim.ring_view(&ring).legs[0].statuses == [180, 486]).await;
}

#[tokio::test]
async fn a_bell_rings_after_a_start_although_the_api_is_away() {
    let account = Account::registered().await.restarted();
    account.sim.set_faults(Faults { status: Some(Fault::with(503).on(On::Http)), ..Faults::default() });
    let _watch = account.connected().await;
    account.sim.ring("20");
    account.reports_until("it rings", |report| matches!(report, Report::Ring { external, .. } if external == GATE)).await;
    account.open(GATE).await.unwrap();
}

#[tokio::test]
async fn a_bell_that_rings_during_a_hand_over_is_not_cut_off() {
    let account = Account::registered().await;
    let _watch = account.connected().await;
    account.reports_until("the doors are known", |report| matches!(report, Report::Found(_))).await;
    for end in [RingState::AnsweredElsewhere, RingState::Rejected] {
        let ring = account.sim.ring("20").remove(0);
        account.reports_until("it rings", |report| matches!(report, Report::Ring { call, .. } if *call == ring)).await;
        let before = account.sim.counters();
        account.act(&Target::Account, Action::Renew("certificate:gw-1234".into())).await.unwrap();
        until("the new one is registered", || account.sim.counters().registered > before.registered).await;
        until("the old one is not", || account.sim.registered().len() == 2).await;
        assert_eq!(account.sim.connections(), 3, "the old one is there for the bell");
        if end == RingState::Rejected {
            account.act(&Target::Account, Action::EndRing { call: ring.clone(), end }).await.unwrap();
            until("it was told", || account.sim.ring_view(&ring).legs[0].statuses == [180, 486]).await;
        } else {
            account.sim.answer_elsewhere(&ring);
            account
                .reports_until(
                    "it is over",
                    |report| matches!(report, Report::RingEnded { call, end: told } if *call == ring && *told == end),
                )
                .await;
        }
        until("the old one is gone", || account.sim.connections() == 2).await;
    }
}

#[tokio::test]
async fn a_bell_that_is_told_busy_after_a_moment_goes_on_ringing_in_the_house() {
    for (busy_after, rings, status, ends) in [(0, 60, 480, true), (2, 2, 486, false)] {
        let account = Account::registered().await.set("busy_after_seconds", json!(busy_after));
        let _watch = account.connected().await;
        account.reports_until("the doors are known", |report| matches!(report, Report::Found(_))).await;
        let ring = account.sim.ring("20").remove(0);
        let statuses = || account.sim.ring_view(&ring).legs[0].statuses.clone();
        account.reports_until("it rings", |report| matches!(report, Report::Ring { call, .. } if *call == ring)).await;
        until("it is told so", || statuses() == [180]).await;
        account.pass(Duration::from_secs(rings - 1)).await;
        account.open(GATE).await.unwrap();
        assert_eq!(statuses(), [180], "not before its time");
        account.pass(Duration::from_secs(1)).await;
        until("it is told", || statuses() == [180, status]).await;
        // What happened on the connection before this was told before.
        account.open(GATE).await.unwrap();
        let ended = account.bench.reports().into_iter().any(|report| {
            let Report::RingEnded { call, end } = report else { return false };
            assert_eq!((call, end), (ring.clone(), RingState::Timeout));
            true
        });
        assert_eq!(ended, ends, "busy after {busy_after} s");
    }
}

#[tokio::test]
async fn a_bell_that_would_be_told_busy_can_end_before() {
    let account = Account::registered().await.set("busy_after_seconds", json!(2));
    let _watch = account.connected().await;
    account.reports_until("the doors are known", |report| matches!(report, Report::Found(_))).await;
    let ring = account.sim.ring("20").remove(0);
    account.reports_until("it rings", |report| matches!(report, Report::Ring { call, .. } if *call == ring)).await;
    account.sim.cancel(&ring);
    account
        .reports_until("it is over", |report| matches!(report, Report::RingEnded { call, end: RingState::Cancelled } if *call == ring))
        .await;
    let ended = Action::EndRing { call: ring, end: RingState::Rejected };
    assert_eq!(account.act(&Target::Account, ended).await.unwrap_err().reason, Some(Reason::BadRequest), "nothing rings any more");
}

#[test]
fn after_how_long_a_bell_is_told_busy_is_a_setting() {
    let parsed = |value: Value| {
        let mut settings = Settings::default();
        settings.secrets.insert("subscription_key".into(), "key".into());
        settings.values.insert("busy_after_seconds".into(), value);
        Config::parse(&settings).map(|config| config.patience)
    };
    let busy = |seconds| Patience { rings: Duration::from_secs(seconds), status: 486 };
    for (value, patience) in [(json!(0), Patience::default()), (json!(1), busy(1)), (json!("2"), busy(2)), (json!(60), busy(60))] {
        assert_eq!(parsed(value.clone()), Ok(patience), "{value}");
    }
    for value in [json!(61), json!(-1), json!(1.5), json!("soon")] {
        let mistakes = parsed(value.clone()).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.key.as_str()).collect::<Vec<_>>(), ["busy_after_seconds"], "{value}");
    }
}
