//! Signing in, and taking over what the older client was given.

use crate::{account::Account, account::GATE, support::until};
use doorward_bticino::files;
use doorward_sim::legrand::{Fault, Faults, On};
use doorward_wire::attempt::Reason;
use serde_json::json;

#[tokio::test]
async fn a_401_is_answered_by_one_renewal_and_one_repeat() {
    let account = Account::registered().await;
    let before = account.sim.counters();
    account.sim.expire_access_tokens();
    account.step("plants", &json!({})).await.unwrap();
    let after = account.sim.counters();
    assert_eq!((after.token - before.token, after.unauthorized - before.unauthorized), (1, 1));
    account.sim.set_faults(Faults { unauthorized: Some(Fault::default().on(On::Plants)), ..Faults::default() });
    let fault = account.step("plants", &json!({})).await.unwrap_err();
    assert_eq!((fault.status, account.sim.counters().token - after.token), (Some(401), 1), "no second renewal");
}

#[tokio::test]
async fn the_three_files_of_the_older_client_are_taken_over_and_given_back() {
    let account = Account::registered().await;
    let files = account.step("export", &json!({ "gateway": "gw-1234" })).await.unwrap();
    let moved = Account::at(account.sim, crate::support::bench());
    let before = moved.sim.counters();
    let taken = moved.step("import", &files).await.unwrap();
    assert_eq!(taken["gateway"], "gw-1234");
    let watch = moved.watch();
    until("it is registered", || moved.sim.registered().len() == 1).await;
    moved.open(GATE).await.unwrap();
    assert_eq!(moved.sim.counters().accounts_made, before.accounts_made, "nothing was registered anew");
    let given = moved.step("export", &json!({})).await.unwrap();
    for name in [files::ACCOUNT, files::CERTIFICATE] {
        assert_eq!(given[name], files[name], "{name}");
    }
    watch.stop().await;
    for wrong in [json!({}), json!({ "sip_account": {} }), json!({ "client_certs": files[files::CERTIFICATE] }), json!({ "other": 1 })] {
        assert_eq!(moved.step("import", &wrong).await.unwrap_err().reason, Some(Reason::BadRequest), "{wrong}");
    }
}

#[tokio::test]
async fn of_files_that_cannot_all_be_used_none_is_taken() {
    let account = Account::registered().await;
    let files = account.step("export", &json!({ "gateway": "gw-1234" })).await.unwrap();
    let others = account.step("export", &json!({ "gateway": "gw-5678" })).await.unwrap();
    let moved = Account::at(account.sim, crate::support::bench());
    let mut foreign = files.clone();
    foreign[files::ACCOUNT]["sipUri"] = json!("oid_1@gw-1234.example.com");
    let mut mixed = files.clone();
    mixed[files::CERTIFICATE]["key"] = others[files::CERTIFICATE]["key"].clone();
    let mut damaged = files.clone();
    damaged[files::CERTIFICATE]["key"] = json!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    for wrong in [foreign, mixed, damaged] {
        assert_eq!(moved.step("import", &wrong).await.unwrap_err().reason, Some(Reason::BadRequest), "{wrong}");
        assert!(moved.bench.store().is_empty(), "neither the tokens nor the account");
    }
}

#[tokio::test]
async fn an_account_that_is_imported_again_keeps_its_certificate_and_its_plant() {
    let account = Account::registered().await;
    let before = account.bench.store();
    let files = account.step("export", &json!({ "gateway": "gw-1234" })).await.unwrap();
    let mut alone = json!({ "sip_account": files[files::ACCOUNT] });
    account.step("import", &alone).await.unwrap();
    assert!(account.bench.store()["registration"] == before["registration"], "nothing is lost");
    account.open(GATE).await.unwrap();
    alone["sip_account"]["clientId"] = json!("1");
    account.step("import", &alone).await.unwrap();
    assert_eq!(account.stage("certificate:gw-1234").await["state"], "todo", "the certificate names another number");
}

#[tokio::test]
async fn a_sign_in_needs_its_own_state_and_works_once() {
    let account = Account::new().await;
    let started = account.step("start", &json!({})).await.unwrap();
    let redirected = account.sim.allow(started["authorize_url"].as_str().unwrap()).unwrap();
    let code = redirected.split("code=").nth(1).unwrap().split('&').next().unwrap();
    for wrong in [code.to_owned(), format!("com.legrandgroup.diy://oauth2redirect?state=x&code={code}"), "nonsense".into()] {
        let fault = account.step("exchange", &json!({ "callback_url": wrong })).await.unwrap_err();
        assert_eq!(fault.reason, Some(Reason::BadRequest));
    }
    account.step("exchange", &json!({ "callback_url": redirected })).await.unwrap();
    account.step("exchange", &json!({ "callback_url": redirected })).await.unwrap_err();
    assert_eq!(account.sim.counters().token_ok, 1);
}
