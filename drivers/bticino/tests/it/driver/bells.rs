//! Bells: at which door they ring, and how they end.

use crate::{
    account::{Account, GATE},
    support::until,
};
use doorward_core::driver::{Action, Report, Target};
use doorward_sim::legrand::{Fault, Faults, On};
use doorward_wire::ring::RingState;

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
