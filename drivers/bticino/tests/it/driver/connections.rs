//! Connections: made once, made again, handed over, and not made without end where a person is needed.

use crate::{
    account::{Account, GATE},
    support::until,
};
use doorward_core::driver::{Action, Family, Report, Target};
use doorward_sim::legrand::{Dead, Fault, Faults, On, Refusal};
use doorward_wire::attempt::Reason;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_wrong_sip_password_is_asked_once_and_mended_by_registering() {
    let account = Account::registered().await;
    account.sim.set_faults(Faults { wrong_password: Some(Fault::with(Refusal::ChallengeAgain).on(On::Register)), ..Faults::default() });
    let watch = account.watch();
    account.reports_until("a person is asked", |report| matches!(report, Report::NeedsPerson(Some(_)))).await;
    until("both were refused", || account.sim.counters().wrong_passwords == 2).await;
    account.pass(Duration::from_mins(20)).await;
    assert_eq!(account.sim.counters().wrong_passwords, 2, "no lock-out storm");
    assert_eq!(account.stage("connection:gw-1234").await["state"], "failed");
    let fault = account.open(GATE).await.unwrap_err();
    assert_eq!((fault.family, fault.reason), (Family::Refused, Some(Reason::NeedsSignIn)));
    account.sim.set_faults(Faults::default());
    account.step("register", &json!({})).await.unwrap();
    until("it works again", || account.sim.registered().len() == 2).await;
    account.reports_until("nobody is needed", |report| matches!(report, Report::NeedsPerson(None))).await;
    account.open(GATE).await.unwrap();
    watch.stop().await;
}

#[tokio::test]
async fn a_sip_password_that_opens_nothing_is_tried_once_until_the_account_is_registered_again() {
    for watched in [false, true] {
        let account = Account::registered().await;
        let watch = if watched { Some(account.connected().await) } else { None };
        account.bench.reports();
        account.sim.set_faults(Faults { wrong_password: Some(Fault::with(Refusal::ChallengeAgain).on(On::Message)), ..Faults::default() });
        account.open(GATE).await.unwrap_err();
        let asked = account.sim.counters();
        let fault = account.open(GATE).await.unwrap_err();
        assert_eq!((fault.family, fault.reason), (Family::Refused, Some(Reason::NeedsSignIn)));
        assert_eq!(account.stage("connection:gw-1234").await["state"], "failed");
        if watched {
            account.reports_until("a person is asked", |report| matches!(report, Report::NeedsPerson(Some(_)))).await;
            account.pass(Duration::from_mins(20)).await;
        }
        let after = account.sim.counters();
        assert_eq!((after.message, after.wrong_passwords), (asked.message, asked.wrong_passwords), "no lock-out storm");
        account.sim.set_faults(Faults::default());
        account.step("register", &json!({})).await.unwrap();
        account.open(GATE).await.unwrap();
        if let Some(watch) = watch {
            watch.stop().await;
        }
    }
}

#[tokio::test]
async fn a_server_that_restarts_is_connected_again_within_two_seconds() {
    let account = Account::registered().await;
    let _watch = account.connected().await;
    account.sim.close_connections();
    until("they are gone", || account.sim.registered().is_empty()).await;
    until("somebody waits", || account.bench.next_wake().is_some()).await;
    for _ in 0..20 {
        account.bench.advance(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until("both are back", || account.sim.registered().len() == 2).await;
}

#[tokio::test]
async fn a_renewed_certificate_is_handed_over_without_a_gap() {
    let account = Account::registered().await;
    let _watch = account.connected().await;
    let before = account.sim.counters();
    account.act(&Target::Account, Action::Renew("certificate:gw-1234".into())).await.unwrap();
    until("the new one is registered", || account.sim.counters().connect > before.connect).await;
    for _ in 0..20 {
        account.open(GATE).await.unwrap();
        assert!(!account.sim.registered().is_empty());
    }
    until("the old one is gone", || account.sim.connections() == 2).await;
    assert_eq!(account.sim.registered().len(), 2);
    let leases = account.bench.reports();
    assert!(leases.iter().any(|report| matches!(report, Report::Lease(lease) if lease.id == "certificate:gw-1234" && lease.fresh)));
}

#[tokio::test]
async fn a_hand_over_that_fails_changes_nothing_and_is_tried_again() {
    let account = Account::registered().await;
    let _watch = account.connected().await;
    for faults in [
        Faults { certificate_refused: Some(Fault::default().on(On::Connect).times(1)), ..Faults::default() },
        Faults { dead: Some(Fault::with(Dead::Close).on(On::Register).times(1)), ..Faults::default() },
        Faults { status: Some(Fault::with(503).on(On::Register).times(1)), ..Faults::default() },
    ] {
        let before = account.sim.counters();
        account.bench.reports();
        account.sim.set_faults(faults.clone());
        account.act(&Target::Account, Action::Renew("certificate:gw-1234".into())).await.unwrap();
        until("a new one is tried", || account.sim.counters().connect > before.connect && account.sim.faults() != faults).await;
        account.open(GATE).await.unwrap();
        assert_eq!(account.stage("connection:gw-1234").await["state"], "done", "the old one goes on");
        let registered = account.sim.registered().len();
        account.pass(Duration::from_mins(6)).await;
        until("another one is registered, and the old one is gone", || {
            account.sim.counters().connect >= before.connect + 2 && account.sim.connections() == 2 && account.sim.registered().len() == 2
        })
        .await;
        assert_eq!(registered, 2);
        assert_eq!(account.stage("connection:gw-1234").await["state"], "done");
    }
}

#[tokio::test]
async fn one_connection_is_made_at_a_start() {
    let account = Account::registered().await.restarted();
    let _watch = account.connected().await;
    account.pass(Duration::from_mins(11)).await;
    assert_eq!((account.sim.counters().connect, account.sim.connections()), (2, 2));
}
