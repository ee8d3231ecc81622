//! The account's tokens when the program or the vendor is cut off around a rotation: nothing is lost that could be kept,
//! nobody is asked again and again, and gates open all the same.

use crate::{
    account::{Account, GATE},
    support::until,
};
use doorward_core::driver::{Action, Done, Family, Fault as Refused, Report, Target};
use doorward_sim::legrand::{Config, Fault, Faults, On, Rotation};
use doorward_wire::attempt::Reason;
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than a test takes.
const LONG: u64 = 3_600_000;
const ROTATIONS: [Rotation; 4] = [Rotation::AtOnce, Rotation::After(60_000), Rotation::WhenNewIsUsed, Rotation::Never];

async fn rotating(rotation: Rotation) -> Account {
    Account::registered_with(Config { rotation, ..Config::default() }).await
}

async fn renew(account: &Account) -> Result<Done, Refused> {
    account.act(&Target::Account, Action::Renew("oauth".into())).await
}

fn kept(account: &Account) -> Value {
    serde_json::from_slice(account.bench.store()["tokens"].reveal()).unwrap()
}

/// Begins a renewal, ends the program when the vendor is so far, and starts it again.
async fn cut_when(account: Account, faults: Faults, so: impl Fn(&Account) -> bool) -> Account {
    account.sim.set_faults(faults);
    tokio::select! {
        outcome = renew(&account) => panic!("{outcome:?}"),
        () = until("the vendor is so far", || so(&account)) => {}
    }
    account.sim.set_faults(Faults::default());
    account.restarted()
}

#[tokio::test]
async fn cut_before_the_vendors_rotation_no_account_is_lost() {
    for rotation in ROTATIONS {
        let account = rotating(rotation).await;
        let arrived = account.sim.counters().token;
        let faults = Faults { pause_before_rotation_ms: Some(Fault::with(LONG).times(1)), ..Faults::default() };
        let account = cut_when(account, faults, |account| account.sim.counters().token > arrived).await;
        renew(&account).await.unwrap();
        assert_eq!(account.sim.counters().token_refused, 0, "{rotation:?}");
    }
}

#[tokio::test]
async fn cut_between_the_vendors_rotation_and_our_save() {
    for rotation in ROTATIONS {
        let account = rotating(rotation).await;
        let rotated = account.sim.counters().token_ok;
        let faults = Faults { pause_after_rotation_ms: Some(Fault::with(LONG).times(1)), ..Faults::default() };
        let account = cut_when(account, faults, |account| account.sim.counters().token_ok > rotated).await;
        if rotation != Rotation::AtOnce {
            renew(&account).await.unwrap();
            assert_eq!(account.sim.counters().token_refused, 0, "{rotation:?}: the old token still works");
            continue;
        }
        // Nothing can save it: that is said, after one refusal and in each later run, and not asked again.
        let mut account = account;
        for _ in 0..2 {
            for _ in 0..2 {
                let fault = renew(&account).await.unwrap_err();
                assert_eq!((fault.family, fault.reason), (Family::Auth, Some(Reason::NeedsSignIn)));
            }
            assert_eq!(account.sim.counters().token_refused, 1);
            assert_eq!(account.stage("sign_in").await["state"], "failed");
            account = account.restarted();
        }
        gates_go_on_without_a_sign_in(&account).await;
        account.sign_in().await.unwrap();
        account.step("register", &json!({})).await.unwrap();
        assert_eq!(account.sim.counters().accounts_made, 2, "the registration was never lost");
    }
}

/// Gates and bells need certificate and SIP password alone.
async fn gates_go_on_without_a_sign_in(account: &Account) {
    let watch = account.connected().await;
    account.reports_until("a person is asked", |report| matches!(report, Report::NeedsPerson(Some(_)))).await;
    account.open(GATE).await.unwrap();
    let ring = account.sim.ring("20").remove(0);
    let is_it = |report: &Report| matches!(report, Report::Ring { external, call, .. } if external == GATE && *call == ring);
    account.reports_until("it rings at its door", is_it).await;
    watch.stop().await;
}

#[tokio::test]
async fn a_token_that_is_not_on_disk_is_not_used_and_not_lost() {
    let account = rotating(Rotation::AtOnce).await;
    let (before, old) = (account.sim.counters(), kept(&account));
    account.sim.expire_access_tokens();
    account.bench.break_store(true);
    for tries in 1..=3 {
        assert_eq!(account.step("plants", &json!({})).await.unwrap_err().family, Family::Offline);
        let now = account.sim.counters();
        assert_eq!((now.token - before.token, now.unauthorized - before.unauthorized), (1, tries), "the old one alone is used");
    }
    assert_eq!(kept(&account), old);
    account.bench.break_store(false);
    account.step("plants", &json!({})).await.unwrap();
    assert_eq!(account.sim.counters().token - before.token, 1, "the renewal that was paid for is used");
    let account = account.restarted();
    renew(&account).await.unwrap();
    assert_eq!(account.sim.counters().token_refused, 0);
}

#[tokio::test]
async fn trouble_with_the_renewal_keeps_the_old_tokens_and_is_tried_again() {
    let once = || Some(Fault::default().on(On::Token).times(1));
    let (offline, protocol, timeout) = (Family::Offline, Family::Protocol, Family::Timeout);
    for (faults, family) in [
        (Faults { too_many: Some(Fault::with(7).on(On::Token).times(1)), ..Faults::default() }, offline),
        (Faults { status: Some(Fault::with(503).on(On::Token).times(1)), ..Faults::default() }, offline),
        (Faults { half_answer: once(), ..Faults::default() }, timeout),
        (Faults { truncated: once(), ..Faults::default() }, protocol),
        (Faults { garbage: once(), ..Faults::default() }, protocol),
    ] {
        let account = Account::registered().await;
        let old = kept(&account);
        account.sim.set_faults(faults.clone());
        let fault = renew(&account).await.unwrap_err();
        assert_eq!((fault.family, fault.retry_after), (family, faults.too_many.as_ref().map(|_| Duration::from_secs(7))), "{faults:?}");
        assert_eq!(kept(&account), old, "{faults:?}");
        renew(&account).await.unwrap();
        assert_ne!(kept(&account), old);
        assert_eq!(account.sim.counters().token_refused, 0, "{faults:?}");
    }
}

#[tokio::test]
async fn without_a_new_refresh_token_the_old_one_goes_on_and_without_any_a_person_signs_in() {
    let account = rotating(Rotation::Never).await;
    let old = kept(&account);
    account.sim.set_faults(Faults { no_refresh_token: true, ..Faults::default() });
    for _ in 0..2 {
        renew(&account).await.unwrap();
    }
    assert_eq!(kept(&account)["refresh_token"], old["refresh_token"]);
    account.sign_in().await.unwrap();
    assert_eq!(kept(&account)["refresh_token"], Value::Null, "another sign-in's token is not this one's");
    let asked = account.sim.counters().token;
    assert_eq!(renew(&account).await.unwrap_err().family, Family::Auth);
    assert_eq!(account.sim.counters().token, asked, "there is nothing to ask with");
    account.open(GATE).await.unwrap();
}

#[tokio::test]
async fn a_watch_that_is_stopped_in_a_renewal_brings_it_to_its_end() {
    let account = rotating(Rotation::AtOnce).await;
    let watch = account.connected().await;
    account.reports_until("the doors are known", |report| matches!(report, Report::Found(_))).await;
    let (old, arrived) = (kept(&account), account.sim.counters().token);
    account.sim.set_faults(Faults { pause_before_rotation_ms: Some(Fault::with(300).times(1)), ..Faults::default() });
    account.bench.advance(Duration::from_hours(1));
    until("it asked", || account.sim.counters().token > arrived).await;
    assert_eq!(kept(&account), old, "it is under way");
    watch.stop().await;
    assert_ne!(kept(&account), old);
    renew(&account.restarted()).await.unwrap();
}
