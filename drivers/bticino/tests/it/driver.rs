//! What the house sees of an account: signed in, registered, opened, rung. Here it is registered.

mod api;
mod bells;
mod connections;
mod gates;
mod oddities;
mod sign_in;
mod tokens;
mod trust;

use crate::{
    account::{Account, GATE},
    support::until,
};
use doorward_core::driver::{Milestone, Report};
use doorward_sim::legrand::{Dead, Fault, Faults, On};
use doorward_wire::{
    account::StageState,
    door::{Capability, DoorKind},
};
use serde_json::json;

#[tokio::test]
async fn an_account_is_signed_in_registered_certified_and_connected() {
    let account = Account::new().await;
    assert_eq!(account.stage("sign_in").await["state"], "todo");
    account.sign_in().await.unwrap();
    let listed = account.step("plants", &json!({})).await.unwrap();
    assert_eq!((&listed["plants"][0]["name"], &listed["plants"][0]["gateways"][0]["registered"]), (&json!("Home"), &json!(false)));
    let registered = account.step("register", &json!({})).await.unwrap();
    assert_eq!(registered["gateways"], json!(["gw-1234", "gw-5678"]));
    let reports = account.bench.reports();
    let milestones: Vec<Milestone> =
        reports.iter().filter_map(|report| if let Report::Milestone { what, .. } = report { Some(*what) } else { None }).collect();
    assert_eq!(milestones, [Milestone::Registered, Milestone::CertificateCreated, Milestone::Registered, Milestone::CertificateCreated]);
    let found = reports.iter().find_map(|report| if let Report::Found(found) = report { Some(found) } else { None }).unwrap();
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|door| door.kind == DoorKind::Strike && door.capabilities.contains(&Capability::Open)));
    assert!(found.iter().any(|door| door.external == GATE && door.capabilities.contains(&Capability::Ring)));

    let watch = account.connected().await;
    account.open(GATE).await.unwrap();
    until("the gate opens", || account.sim.opener("20#2").times_opened == 1).await;
    assert_eq!(account.stage("connection:gw-1234").await["state"], "done");
    watch.stop().await;
    until("it said good-bye", || account.sim.registered().is_empty()).await;
}

#[tokio::test]
async fn registering_twice_changes_nothing() {
    let account = Account::registered().await;
    let before = account.sim.counters();
    account.bench.reports();
    account.step("register", &json!({})).await.unwrap();
    let account = account.restarted();
    account.step("register", &json!({ "plants": ["plant-1"] })).await.unwrap();
    let after = account.sim.counters();
    assert_eq!((after.accounts_made, after.certificates_issued), (before.accounts_made, before.certificates_issued));
    assert!(!account.bench.reports().iter().any(|report| matches!(report, Report::Milestone { .. })));
    account.step("register", &json!({ "plants": ["plant-1"], "certificate": true })).await.unwrap();
    assert_eq!(account.sim.counters().certificates_issued, before.certificates_issued + 1);
}

#[tokio::test]
async fn a_registration_that_broke_off_goes_on_where_it_was() {
    for at in [On::SipAccounts, On::SipAccount, On::CaCerts, On::ClientCerts] {
        let (lost, once) = (|| Fault::with(Dead::Close).on(at).times(1), || Some(Fault::default().on(at).times(1)));
        for faults in [
            Faults { dead: Some(lost()), ..Faults::default() },
            Faults { dead: Some(lost().after_effect()), ..Faults::default() },
            Faults { half_answer: once(), ..Faults::default() },
            Faults { truncated: once(), ..Faults::default() },
            Faults { too_many: Some(Fault::with(1).on(at).times(1)), ..Faults::default() },
        ] {
            let account = Account::new().await;
            account.sign_in().await.unwrap();
            account.sim.set_faults(faults.clone());
            account.step("register", &json!({ "plants": ["plant-1"] })).await.unwrap_err();
            // The program is ended at this very moment.
            let account = account.restarted();
            account.step("register", &json!({ "plants": ["plant-1"] })).await.unwrap();
            assert_eq!(account.sim.counters().accounts_made, 1, "{faults:?}");
            account.open(GATE).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_registration_is_seen_while_it_goes_on_and_where_it_broke_off() {
    let account = Account::new().await;
    account.sign_in().await.unwrap();
    let stages = |reports: Vec<Report>| {
        let told = reports.into_iter().filter_map(|report| if let Report::Stages(stages) = report { Some(stages) } else { None });
        told.map(|stages| stages.into_iter().map(|stage| (stage.name, stage.state)).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    account.sim.set_faults(Faults { status: Some(Fault::with(503).on(On::ClientCerts)), ..Faults::default() });
    let fault = account.step("register", &json!({ "plants": ["plant-1"] })).await.unwrap_err();
    let seen = stages(account.bench.reports());
    let doing = |name: &str| (name.to_owned(), StageState::Doing);
    assert!(seen[0].contains(&doing("registration")), "{seen:?}");
    assert!(seen[1].contains(&("registration".into(), StageState::Done)) && seen[1].contains(&doing("certificate")), "{seen:?}");
    let stage = account.stage("certificate").await;
    assert_eq!((&stage["state"], &stage["detail"]), (&json!("failed"), &json!(fault.person)));
    account.sim.set_faults(Faults::default());
    account.step("register", &json!({})).await.unwrap();
    let seen = stages(account.bench.reports());
    assert!(seen.iter().any(|stages| stages.contains(&doing("registration:gw-5678"))), "the second gateway has no place before: {seen:?}");
    for name in ["registration:gw-1234", "certificate:gw-1234", "registration:gw-5678", "certificate:gw-5678"] {
        assert_eq!(account.stage(name).await["state"], "done", "{name}");
    }
}
