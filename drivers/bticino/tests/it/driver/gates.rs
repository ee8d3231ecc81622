//! Gates: each opened once, over the connection that there is.

use crate::{
    account::{Account, GATE},
    support::until,
};
use doorward_core::driver::{Family, Report};
use doorward_sim::legrand::{Dead, Fault, Faults, JsonRpc, On};
use doorward_wire::attempt::Reason;
use serde_json::json;
use std::time::Duration;

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
