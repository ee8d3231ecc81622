//! Whom the account believes, and who believes it.

use crate::{
    account::{Account, GATE},
    support::until,
};
use doorward_core::{
    Secret,
    driver::{Family, Report},
};
use doorward_sim::legrand::{Fault, Faults};
use doorward_wire::attempt::Reason;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_certificate_or_an_authority_that_cannot_be_used_needs_a_person() {
    let account = Account::registered().await;
    let good: Value = serde_json::from_slice(account.bench.store()["registration"].reveal()).unwrap();
    let mut mixed = good.clone();
    mixed["gateways"]["gw-1234"]["certificate"]["key"] = good["gateways"]["gw-5678"]["certificate"]["key"].clone();
    let mut damaged = good;
    damaged["authorities"] = json!(["AAAA"]);
    let mut account = account;
    for kept in [damaged, mixed] {
        account.bench.put("registration", Secret::new(kept.to_string().into_bytes()));
        account = account.restarted();
        let watch = account.watch();
        account.reports_until("a person is asked", |report| matches!(report, Report::NeedsPerson(Some(_)))).await;
        assert_eq!(account.stage("connection:gw-1234").await["state"], "failed");
        let fault = account.open(GATE).await.unwrap_err();
        assert_eq!((fault.family, fault.reason), (Family::Refused, Some(Reason::NeedsSignIn)));
        watch.stop().await;
    }
    account.step("register", &json!({ "plants": ["plant-1"], "certificate": true })).await.unwrap();
    account.open(GATE).await.unwrap();
}

#[tokio::test]
async fn a_refused_certificate_is_replaced_by_registering_again() {
    let account = Account::registered().await;
    account.sim.set_faults(Faults { certificate_refused: Some(Fault::default()), ..Faults::default() });
    let _watch = account.watch();
    account.reports_until("a person is asked", |report| matches!(report, Report::NeedsPerson(Some(_)))).await;
    until("both were refused", || account.bench.next_wake().is_some() && account.sim.counters().connect >= 2).await;
    assert_eq!(account.open(GATE).await.unwrap_err().family, Family::Refused);
    account.sim.set_faults(Faults::default());
    let made = account.sim.counters().client_certs;
    account.step("register", &json!({ "plants": ["plant-1"] })).await.unwrap();
    assert_eq!(account.sim.counters().client_certs, made + 1, "by its dates the old one was good");
    until("it is connected", || !account.sim.registered().is_empty()).await;
    account.open(GATE).await.unwrap();
    account.step("register", &json!({ "plants": ["plant-1"] })).await.unwrap();
    assert_eq!(account.sim.counters().client_certs, made + 1, "once is enough");
}

#[tokio::test]
async fn a_new_authority_is_trusted_when_a_person_has_compared_it() {
    let account = Account::registered().await;
    let _watch = account.connected().await;
    account.sim.set_faults(Faults { new_authority: true, ..Faults::default() });
    account.sim.close_connections();
    until("they are gone", || account.sim.registered().is_empty()).await;
    account.bench.advance(Duration::from_secs(2));
    account.reports_until("a person is asked", |report| matches!(report, Report::NeedsPerson(Some(_)))).await;
    let mut listed = json!(null);
    for _ in 0..200 {
        listed = account.step("plants", &json!({})).await.unwrap();
        if listed["offered"][0].is_string() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let offered = listed["offered"][0].as_str().expect("the vendor names another one").to_owned();
    assert_ne!(listed["authorities"][0], offered.as_str());
    let stage = account.stage("authority").await;
    assert!(stage["state"] == "failed" && stage["detail"].as_str().unwrap().contains(&offered), "{stage}");
    for wrong in [listed["authorities"][0].as_str().unwrap(), "", "00"] {
        assert_eq!(account.step("trust", &json!({ "sha256": wrong })).await.unwrap_err().reason, Some(Reason::BadRequest), "{wrong}");
    }
    assert_eq!(account.open(GATE).await.unwrap_err().family, Family::Refused, "nothing is sent meanwhile");
    account.step("trust", &json!({ "sha256": offered })).await.unwrap();
    until("both are back", || account.sim.registered().len() == 2).await;
    account.open(GATE).await.unwrap();
    assert_eq!(account.stage("authority").await["state"], "done");
}

#[tokio::test]
async fn a_server_that_is_not_the_pinned_one_needs_a_person_with_its_fingerprint() {
    let account = Account::registered().await;
    account.sim.set_faults(Faults { foreign_certificate: true, ..Faults::default() });
    let _watch = account.watch();
    let reports = account.reports_until("a person is asked", |report| matches!(report, Report::NeedsPerson(Some(_)))).await;
    let asked =
        reports.iter().find_map(|report| if let Report::NeedsPerson(Some(fault)) = report { Some(fault.person.clone()) } else { None });
    assert!(asked.unwrap().contains("SHA-256"));
    assert_eq!(account.stage("connection:gw-1234").await["state"], "failed");
    assert_eq!(account.open(GATE).await.unwrap_err().family, Family::Refused);
    account.sim.set_faults(Faults::default());
    account.pass(Duration::from_mins(8)).await;
    until("it is connected", || account.sim.registered().len() == 2).await;
}
