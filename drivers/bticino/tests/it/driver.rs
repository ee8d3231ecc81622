//! What the house sees of an account: signed in, registered, opened, rung.

use crate::{
    account::{Account, GATE, door},
    support::until,
};
use doorward_bticino::files;
use doorward_core::{
    Secret,
    driver::{Action, Family, Milestone, Report, Target},
};
use doorward_sim::legrand::{Dead, Fault, Faults, JsonRpc, On, Refusal};
use doorward_wire::{
    account::StageState,
    attempt::Reason,
    door::{Capability, DoorKind},
    ring::RingState,
};
use serde_json::{Value, json};
use std::time::Duration;

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
        for after_effect in [false, true] {
            let account = Account::new().await;
            account.sign_in().await.unwrap();
            let fault = Fault::with(Dead::Close).on(at).times(1);
            let fault = if after_effect { fault.after_effect() } else { fault };
            account.sim.set_faults(Faults { dead: Some(fault), ..Faults::default() });
            account.step("register", &json!({ "plants": ["plant-1"] })).await.unwrap_err();
            // The program is ended at this very moment.
            let account = account.restarted();
            account.step("register", &json!({ "plants": ["plant-1"] })).await.unwrap();
            assert_eq!(account.sim.counters().accounts_made, 1, "{at:?} {after_effect}");
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

#[tokio::test]
async fn the_answer_of_a_gate_is_told_with_its_key() {
    let account = Account::registered().await;
    let _watch = account.connected().await;
    account.sim.set_faults(Faults { json_rpc: JsonRpc::Ok, ..Faults::default() });
    let done = account.open(GATE).await.unwrap();
    let key = done.key.unwrap();
    account
        .reports_until(
            "the gate answered",
            |report| matches!(report, Report::Answer { external, key: told, outcome: Ok(()) } if external == GATE && *told == key),
        )
        .await;
}

#[tokio::test]
async fn without_a_watch_an_opening_makes_a_connection_of_its_own() {
    let account = Account::registered().await;
    let (one, two) = tokio::join!(account.open(GATE), account.open("gw-1234/21#2"));
    one.unwrap();
    two.unwrap();
    let counters = account.sim.counters();
    assert_eq!((counters.connect, counters.register, counters.commands_accepted), (1, 0, 2), "both went over one, as the originals do");
}

#[tokio::test]
async fn an_opening_that_waited_too_long_for_a_connection_is_over_and_the_next_one_is_not_kept_waiting() {
    let account = Account::registered().await;
    account.sim.set_faults(Faults { dead: Some(Fault::with(Dead::Silent).on(On::Connect)), ..Faults::default() });
    let mut opening = std::pin::pin!(account.open(GATE));
    tokio::select! {
        outcome = &mut opening => panic!("{outcome:?}"),
        () = until("it connects", || account.bench.next_wake().is_some()) => {}
    }
    // Longer than an order waits, and shorter than a connection may take.
    account.bench.advance(Duration::from_secs(6));
    let fault = opening.await.unwrap_err();
    assert_eq!((fault.family, fault.reason), (Family::Offline, Some(Reason::Offline)));
    account.sim.set_faults(Faults::default());
    account.open(GATE).await.unwrap();
    assert_eq!(account.sim.counters().commands_accepted, 1);
}

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
async fn a_gate_opens_while_the_account_is_being_registered() {
    let account = Account::registered().await;
    let _watch = account.connected().await;
    account.sim.set_faults(Faults { dead: Some(Fault::with(Dead::Silent).on(On::SipAccounts)), ..Faults::default() });
    let asked = account.sim.counters().sip_accounts;
    let register = json!({});
    let mut registering = std::pin::pin!(account.step("register", &register));
    tokio::select! {
        outcome = &mut registering => panic!("{outcome:?}"),
        () = until("the vendor is asked", || account.sim.counters().sip_accounts > asked) => {}
    }
    account.open(GATE).await.unwrap();
}

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
async fn a_lost_answer_leaves_the_outcome_unknown_and_sends_nothing_again() {
    let account = Account::registered().await;
    let _watch = account.connected().await;
    account.sim.set_faults(Faults { dead: Some(Fault::with(Dead::Close).on(On::Message).after_effect().times(1)), ..Faults::default() });
    let fault = account.open(GATE).await.unwrap_err();
    assert_eq!((fault.family, fault.reason), (Family::Timeout, Some(Reason::OutcomeUnknown)));
    account.pass(Duration::from_mins(1)).await;
    until("it is connected again", || account.sim.registered().len() == 2).await;
    assert_eq!(account.sim.counters().message, 1);
    account.open(GATE).await.unwrap();
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
async fn one_connection_is_made_at_a_start() {
    let account = Account::registered().await.restarted();
    let _watch = account.connected().await;
    account.pass(Duration::from_mins(11)).await;
    assert_eq!((account.sim.counters().connect, account.sim.connections()), (2, 2));
}

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
