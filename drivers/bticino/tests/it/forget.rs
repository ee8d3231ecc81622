//! A gateway that is gone at the vendor, or not wanted any more.

use crate::{
    account::{Account, GATE, Watch},
    support::until,
};
use doorward_core::driver::{Milestone, Report};
use doorward_wire::attempt::Reason;
use serde_json::json;

const OTHER: &str = "gw-5678/30#1";

/// An account at whose second plant nothing is any more.
async fn with_one_deleted() -> (Account, Watch) {
    let account = Account::registered().await;
    let watch = account.connected().await;
    account.sim.delete_plant("plant-2", true);
    let listed = account.step("plants", &json!({})).await.unwrap();
    assert_eq!(listed["unlisted"][0]["id"], "gw-5678", "{listed}");
    (account, watch)
}

#[tokio::test]
async fn a_gateway_that_the_vendor_does_not_list_any_more_is_shown_and_forgotten() {
    let (account, watch) = with_one_deleted().await;
    let stage = account.stage("registration:gw-5678").await;
    assert_eq!(stage["state"], "failed");
    assert!(stage["detail"].as_str().unwrap().contains("forget it"), "{stage}");
    assert_eq!(account.stage("registration:gw-1234").await["state"], "done");
    account.bench.reports();
    let left = account.step("forget", &json!({ "gateway": "gw-5678" })).await.unwrap();
    assert_eq!(left["gateways"], json!(["gw-1234"]));
    until("its connection is gone", || account.sim.registered().len() == 1).await;
    let reports = account.bench.reports();
    let told = |is: &dyn Fn(&Report) -> bool| reports.iter().any(is);
    assert!(told(&|report| matches!(report, Report::LeaseForgotten(lease) if lease == "certificate:gw-5678")));
    assert!(told(&|report| matches!(report, Report::Milestone { what: Milestone::Unregistered, data } if data["gateway"] == "gw-5678")));
    assert!(told(&|report| matches!(report, Report::Found(found) if found.len() == 2)));
    assert_eq!(account.stage("registration").await["state"], "done", "one alone has no name of its own");
    let fault = account.open(OTHER).await.unwrap_err();
    assert_eq!(fault.reason, Some(Reason::NeedsSignIn));
    account.open(GATE).await.unwrap();
    watch.stop().await;
    let account = account.restarted();
    assert_eq!(account.step("plants", &json!({})).await.unwrap()["unlisted"], json!([]), "it stays forgotten");
}

#[tokio::test]
async fn a_gateway_that_was_forgotten_is_registered_again() {
    let (account, _watch) = with_one_deleted().await;
    account.step("forget", &json!({ "gateway": "gw-5678" })).await.unwrap();
    until("its connection is gone", || account.sim.registered().len() == 1).await;
    account.sim.delete_plant("plant-2", false);
    account.step("register", &json!({})).await.unwrap();
    until("it is connected again", || account.sim.registered().len() == 2).await;
    account.open(OTHER).await.unwrap();
}

#[tokio::test]
async fn what_is_not_registered_is_not_forgotten() {
    let account = Account::registered().await;
    for unknown in [json!({ "gateway": "gw-0" }), json!({}), json!({ "gateway": 1 })] {
        assert_eq!(account.step("forget", &unknown).await.unwrap_err().reason, Some(Reason::BadRequest));
    }
    account.open(OTHER).await.unwrap();
}
