//! What a gate says to a command, later than the server and on whatever connection.

use crate::{
    account::{Account, GATE},
    support::until,
};
use doorward_core::driver::{Family, Report};
use doorward_sim::legrand::{Dead, Fault, Faults, On};
use doorward_wire::attempt::Reason;
use serde_json::json;
use std::time::Duration;

impl Account {
    /// The server restarts, and both gateways come back.
    async fn reconnected(&self) {
        self.sim.close_connections();
        until("every connection is gone", || self.sim.registered().is_empty()).await;
        until("they come back", || {
            self.bench.advance(Duration::from_secs(1));
            self.sim.registered().len() == 2
        })
        .await;
    }

    /// The gate answers by this key on every connection.
    async fn gate_says(&self, key: &str) {
        let body = json!({ "id": key, "jsonrpc": "2.0", "result": true }).to_string();
        self.sim.send("MESSAGE", Some(&body));
        let is =
            |report: &Report| matches!(report, Report::Answer { external, key: told, outcome: Ok(()) } if external == GATE && told == key);
        let reports = self.reports_until("the gate answered", is).await;
        assert_eq!(reports.iter().filter(|report| is(report)).count(), 1, "an answer is believed once");
    }
}

#[tokio::test]
async fn an_answer_that_comes_over_the_next_connection_belongs_to_its_command() {
    let account = Account::registered().await;
    let _watch = account.connected().await;
    let key = account.open(GATE).await.unwrap().key.unwrap();
    account.reconnected().await;
    account.gate_says(&key).await;
}

#[tokio::test]
async fn a_gate_answers_although_the_servers_answer_was_lost() {
    let account = Account::registered().await;
    let _watch = account.connected().await;
    account.sim.set_faults(Faults { dead: Some(Fault::with(Dead::Silent).on(On::Message).after_effect().times(1)), ..Faults::default() });
    let mut opening = std::pin::pin!(account.open(GATE));
    tokio::select! {
        outcome = &mut opening => panic!("{outcome:?}"),
        () = until("it was sent", || account.sim.opener("20#2").commands_received == 1) => {}
    }
    account.bench.advance(Duration::from_secs(21));
    let fault = opening.await.unwrap_err();
    assert_eq!((fault.family, fault.reason), (Family::Timeout, Some(Reason::OutcomeUnknown)));
    account.reconnected().await;
    account.gate_says(&fault.key.unwrap()).await;
    assert_eq!(account.sim.opener("20#2").commands_received, 1, "never a second one");
}
