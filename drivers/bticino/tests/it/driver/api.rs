//! What the vendor's API says of the account.

use crate::{
    account::{Account, GATE, door},
    support::until,
    upstream::Upstream,
};
use doorward_bticino::files;
use doorward_core::driver::{Action, Family, Report, Target};
use doorward_sim::legrand::{Config, Fault, Faults, GatewaySpec, On, OpenerSpec};
use doorward_wire::attempt::Reason;
use http_body_util::Full;
use hyper::Response;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_door_that_is_deleted_at_the_vendor_is_missing_and_refused() {
    let account = Account::registered().await;
    let _watch = account.connected().await;
    account.sim.delete_opener("20#2", true);
    assert_eq!(account.open(GATE).await.unwrap_err().reason, Some(Reason::VendorRefused));
    assert_eq!(account.act(&door(GATE), Action::Refresh).await.unwrap_err().reason, Some(Reason::VendorRefused));
    account.bench.reports();
    account.act(&Target::Account, Action::Discover).await.unwrap();
    let found = account.bench.reports();
    assert!(found.iter().any(|report| matches!(report, Report::Found(found) if found.len() == 2)));
    account.sim.delete_plant("plant-1", true);
    account.pass(Duration::from_mins(6)).await;
    account.reports_until("its doors are missing", |report| matches!(report, Report::Found(found) if found.len() == 1)).await;
}

#[tokio::test]
async fn support_sees_every_call_without_secrets() {
    let account = Account::registered().await;
    for name in account.driver.about().calls {
        let said = account.act(&Target::Account, Action::Call((*name).into())).await.unwrap().output.to_string();
        assert!(!said.contains("Password\":\"") || said.contains("sipPassword\":\"…\""), "{name}: {said}");
        assert!(said.starts_with(['[', '{']), "{name}");
    }
    account.act(&Target::Account, Action::Call("sip_accounts:gw-5678".into())).await.unwrap();
    account.act(&Target::Account, Action::Call("plant:nowhere".into())).await.unwrap_err();
}

/// What the vendor itself says of the push subscriptions, with their secrets.
async fn subscriptions(account: &Account) -> Value {
    let kept: Value = serde_json::from_slice(account.bench.store()["tokens"].reveal()).unwrap();
    let token = kept["access_token"].as_str().unwrap();
    let request = reqwest::Client::new().get(format!("{}/vde/push/v1.0/devices/gw-1234/subscription", account.sim.base_url()));
    let request = request.bearer_auth(token).header("usertoken", token);
    let answer = request.header("ocp-apim-subscription-key", Config::default().subscription_key).send().await.unwrap();
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_phone_is_subscribed_under_the_number_of_this_installation_and_its_handle_is_shown_to_nobody() {
    let account = Account::new().await;
    account.sign_in().await.unwrap();
    let phone = json!({ "handle": "the handle of a phone", "platform": "fcm", "language": "it" });
    let said = account.step("subscribe", &phone).await.unwrap();
    assert_eq!((&said["handle"], &said["platform"], &said["language"]), (&json!("…"), &json!("fcm"), &json!("it")));
    let sent = subscriptions(&account).await;
    assert_eq!((sent.as_array().unwrap().len(), &sent[0]["handle"]), (1, &phone["handle"]), "the vendor has it whole");

    // Another run registers under the same number, and subscribes anew in the place of the first.
    let account = account.restarted();
    account.step("register", &json!({})).await.unwrap();
    let files = account.step("export", &json!({ "gateway": "gw-1234" })).await.unwrap();
    assert_eq!(sent[0]["deviceUniqueId"], files[files::ACCOUNT]["clientId"]);
    let another = json!({ "handle": "the handle of another", "platform": "apns", "language": "de", "gateway": "gw-1234" });
    account.step("subscribe", &another).await.unwrap();
    let shown = account.act(&Target::Account, Action::Call("subscription".into())).await.unwrap().output;
    assert_eq!(shown.as_array().unwrap().len(), 1, "{shown}");
    assert_eq!((&shown[0]["handle"], &shown[0]["platform"]), (&json!("…"), &json!("apns")));
    assert_eq!(shown[0]["deviceUniqueId"], sent[0]["deviceUniqueId"]);

    for wrong in
        [json!({}), json!({ "handle": "x", "platform": "fcm" }), json!({ "handle": "x", "platform": "fcm", "language": "it", "x": 1 })]
    {
        assert_eq!(account.step("subscribe", &wrong).await.unwrap_err().reason, Some(Reason::BadRequest), "{wrong}");
    }
    let elsewhere = json!({ "handle": "x", "platform": "fcm", "language": "it", "gateway": "../x" });
    assert_eq!(account.step("subscribe", &elsewhere).await.unwrap_err().status, Some(404));
    assert_eq!(subscriptions(&account).await[0]["handle"], another["handle"], "nothing of that was taken");
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_makes_no_sense_loses_no_door() {
    let struck = |at| Some(Fault::default().on(at));
    for at in [On::Plants, On::Modules] {
        for (faults, family) in [
            (Faults { half_answer: struck(at), ..Faults::default() }, Family::Offline),
            (Faults { truncated: struck(at), ..Faults::default() }, Family::Protocol),
            (Faults { garbage: struck(at), ..Faults::default() }, Family::Protocol),
        ] {
            let account = Account::registered().await;
            let known = |what| account.bench.store()[what].clone();
            let before = ["catalogue", "registration"].map(known);
            let watch = account.connected().await;
            account.reports_until("the doors are known", |report| matches!(report, Report::Found(_))).await;
            account.sim.set_faults(faults);
            let fault = account.act(&Target::Account, Action::Discover).await.unwrap_err();
            assert_eq!(fault.family, family, "{fault}");
            assert_eq!(account.act(&door(GATE), Action::Refresh).await.unwrap_err().family, family);
            // Whoever has signed in has the watch look at everything.
            let looks = || if at == On::Plants { account.sim.counters().plants } else { account.sim.counters().modules };
            let looked = looks();
            account.sign_in().await.unwrap();
            until("the watch looks too", || looks() > looked).await;
            account.open(GATE).await.unwrap();
            let ring = account.sim.ring("20").remove(0);
            let is_it = |report: &Report| matches!(report, Report::Ring { external, call, .. } if external == GATE && *call == ring);
            let reports = account.reports_until("it rings at its door", is_it).await;
            let told = |report: &Report| matches!(report, Report::Found(_) | Report::NeedsPerson(Some(_)) | Report::Down(_));
            assert!(!reports.iter().any(told), "{at:?}: {reports:?}");
            watch.stop().await;
            assert!(["catalogue", "registration"].map(known) == before, "what was kept of it stands");
        }
    }
}

#[tokio::test]
async fn a_vendor_that_asks_to_wait_is_not_asked_before() {
    let account = Account::registered().await;
    account.sim.set_faults(Faults { too_many: Some(Fault::with(600).on(On::Plants)), ..Faults::default() });
    let fault = account.step("plants", &json!({})).await.unwrap_err();
    assert_eq!((fault.family, fault.reason, fault.status), (Family::Offline, Some(Reason::RateLimited), Some(429)));
    assert_eq!(fault.retry_after, Some(Duration::from_mins(10)));
    let _watch = account.connected().await;
    until("it has asked", || account.sim.counters().plants == 3).await;
    account.pass(Duration::from_secs(9 * 60 + 55)).await;
    assert_eq!(account.sim.counters().plants, 3, "the registration's, the person's and the watch's own");
    account.sim.set_faults(Faults::default());
    account.bench.reports();
    account.pass(Duration::from_secs(5)).await;
    account.reports_until("the doors are listed", |report| matches!(report, Report::Found(found) if found.len() == 3)).await;
}

/// The vendor's plants, with so many gates at home.
fn plants_with(gates: usize) -> Config {
    let mut config = Config::default();
    let home: &mut GatewaySpec = &mut config.plants[0].gateways[0];
    home.openers = (0..gates).map(|number| OpenerSpec::gate(format!("20#{number}"), format!("Gate {number}"))).collect();
    config
}

#[tokio::test]
async fn a_list_without_end_is_cut_and_one_that_is_too_large_is_not_read() {
    let account = Account::registered_with(plants_with(700)).await;
    let listed = account.bench.reports().into_iter().find_map(|report| if let Report::Found(found) = report { Some(found) } else { None });
    let found = listed.unwrap();
    assert_eq!((found.len(), found[0].external.as_str()), (499, "gw-1234/20#0"), "five hundred things, of which one is the gateway");
    account.open("gw-1234/20#498").await.unwrap();

    let account = Account::with(plants_with(20_000)).await;
    account.sign_in().await.unwrap();
    let fault = account.step("plants", &json!({})).await.unwrap_err();
    assert_eq!((fault.family, fault.log.contains("longer than")), (Family::Offline, true), "{fault}");
}

#[tokio::test]
async fn an_answer_without_a_list_is_not_understood_and_loses_no_door() {
    for body in ["", "null", "{}", r#"{"message":"maintenance"}"#, "7"] {
        let upstream = Upstream::start(move |_| async move { Response::new(Full::from(body)) }).await;
        let account = Account::registered().await.set("api_url", json!(upstream.base()));
        let known = account.bench.store();
        account.bench.reports();
        for target in [Target::Account, door(GATE)] {
            assert_eq!(account.act(&target, Action::Refresh).await.unwrap_err().family, Family::Protocol, "{body}");
        }
        let told = account.bench.reports();
        assert!(!told.iter().any(|report| matches!(report, Report::Found(_))), "{body}: {told:?}");
        assert!(account.bench.store() == known, "{body}");
    }
}
