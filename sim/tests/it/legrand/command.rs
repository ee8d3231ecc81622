//! MESSAGE: gates that open, and what is said about it afterwards.

use std::time::Duration;

use doorward_sim::legrand::{Behaviour, Fault, Faults, JsonRpc, Position};
use serde_json::{Value, json};

use super::phone::Phone;
use super::{GATE, STRIKE, set, start};

#[tokio::test]
async fn a_gate_opens_without_a_registration_as_the_original_does_it() {
    let (sim, clock) = start(|_| {}).await;
    let mut contacts = sim.contacts();
    let mut phone = Phone::new(&sim).await;
    let answer = phone.prove(|phone| phone.command(GATE)).await;
    assert_eq!(answer.what(), "200", "{answer:?}");
    let accepted = sim.opener(GATE);
    assert_eq!((accepted.position, accepted.commands_received, accepted.times_opened), (Position::Shut, 1, 0));
    assert_eq!(contacts.borrow_and_update().get(GATE), Some(&false));
    clock.advance(Duration::from_millis(300));
    crate::within("the contact", contacts.changed()).await.expect("it runs");
    assert_eq!(contacts.borrow_and_update().get(GATE), Some(&true));
    assert_eq!(contacts.borrow().get(STRIKE), None, "it has no contact");
    clock.advance(Duration::from_secs(18));
    crate::within("the contact", contacts.changed()).await.expect("it runs");
    let shut = sim.opener(GATE);
    assert_eq!((shut.position, shut.contact_open, shut.times_opened), (Position::Shut, Some(false), 1));
    let counters = sim.counters();
    assert_eq!((counters.message, counters.challenged, counters.commands_accepted, counters.sip_malformed), (2, 1, 1, 0));
}

#[tokio::test]
async fn many_commands_in_one_write_are_answered_in_order() {
    let (sim, clock) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    phone.registered().await;
    let all: String = (0..100).map(|nth| phone.command(if nth % 2 == 0 { GATE } else { STRIKE })).collect();
    phone.write(&all).await;
    for nth in 0..100 {
        let answer = phone.next().await;
        assert_eq!(answer.what(), "200");
        assert_eq!(answer.header("CSeq"), format!("{} MESSAGE", nth + 3));
    }
    clock.advance(Duration::from_secs(1));
    for id in [GATE, STRIKE] {
        let opener = sim.opener(id);
        assert_eq!((opener.commands_received, opener.times_opened), (50, 1));
    }
    assert_eq!(sim.counters().repeated_json_ids, 0);
}

#[tokio::test]
async fn a_stuck_gate_accepts_and_stays_where_it_is() {
    let (sim, clock) = start(|_| {}).await;
    sim.set_behaviour(GATE, Behaviour::Stuck);
    let mut phone = Phone::new(&sim).await;
    assert_eq!(phone.prove(|phone| phone.command(GATE)).await.what(), "200");
    clock.advance(Duration::from_mins(1));
    let gate = sim.opener(GATE);
    assert_eq!((gate.position, gate.commands_received, gate.times_opened), (Position::Shut, 1, 0));
}

#[tokio::test]
async fn a_gate_that_is_gone_is_not_found() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    assert_eq!(phone.prove(|phone| phone.command("99#9")).await.what(), "404");
    let request = phone.command("30#1");
    assert_eq!(phone.ask(&request).await.what(), "404", "it hangs on another gateway");
    sim.delete_opener(GATE, true);
    let request = phone.command(GATE);
    assert_eq!(phone.ask(&request).await.what(), "404");
    sim.delete_opener(GATE, false);
    sim.delete_plant("plant-1", true);
    let request = phone.command(GATE);
    assert_eq!(phone.ask(&request).await.what(), "404");
    assert_eq!((sim.counters().commands_refused, sim.opener(GATE).commands_received), (4, 0));
}

#[tokio::test]
async fn the_gateway_may_say_afterwards_that_it_opened() {
    let (sim, clock) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    let json_rpc = JsonRpc::Ok;
    sim.set_faults(Faults { json_rpc, json_rpc_delay_ms: 2000, json_rpc_number_id: true, ..Faults::default() });
    let answer = phone.prove(|phone| phone.command(GATE)).await;
    assert_eq!(answer.what(), "200");
    clock.advance(Duration::from_secs(2));
    let said = phone.next().await;
    assert_eq!((said.what(), said.header("Content-Type")), ("MESSAGE", "text/plain"));
    let body: Value = serde_json::from_str(said.body()).expect("JSON");
    assert_eq!(body, json!({ "id": 10_000_001, "jsonrpc": "2.0", "result": true }));
    phone.answer(&said, "200 OK").await;
    let call_id = said.header("Call-ID").to_owned();
    crate::until("the answer", || sim.answers(&call_id) == [200]).await;
    assert_eq!(sim.counters().stray_responses, 0);
}

#[tokio::test]
async fn the_gateway_may_say_afterwards_that_it_did_not() {
    let (sim, clock) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    sim.set_faults(Faults { json_rpc: JsonRpc::Error, ..Faults::default() });
    assert_eq!(phone.prove(|phone| phone.command(GATE)).await.what(), "200");
    let body: Value = serde_json::from_str(phone.next().await.body()).expect("JSON");
    assert_eq!((&body["id"], &body["error"]["code"]), (&json!("10000001"), &json!(-32000)));
    clock.advance(Duration::from_secs(5));
    assert_eq!(sim.opener(GATE).times_opened, 0);
}

#[tokio::test]
async fn a_command_is_read_to_the_letter() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    phone.registered().await;
    let replacements = [
        ("To: sip:diy@gw-1234.bs.iotleg.com", "To: <sip:diy@gw-1234.bs.iotleg.com>"),
        ("sip.example.test;transport", "sip.example.test:5228;transport"),
        ("Supported: replaces, outbound, gruu, path", "Supported: replaces,outbound,gruu,path"),
        ("Date: Tue, 11 Nov 2025 10:00:00 GMT", "Date: 2025-11-11T10:00:00Z"),
        ("Content-Type: text/plain", "Content-Type: application/json"),
        ("Max-Forwards: 70\r\n", "Max-Forwards: 70\r\nContact: <sip:a@192.0.2.10;transport=tls>\r\n"),
        ("\"jsonrpc\":\"2.0\"", "\"jsonrpc\":\"2.1\""),
        ("\"status\":\"open\"", "\"status\":\"shut\""),
        ("},\"id\":null}", "},\"ID\":null}"),
        ("{\"id\":\"1", "{\"id\":\"x"),
    ];
    for (old, new) in replacements {
        let right = phone.command(GATE);
        assert!(right.contains(old), "{old}");
        let answer = phone.ask(&right.replacen(old, new, 1)).await;
        assert_eq!(answer.what(), "400", "{new}");
    }
    assert_eq!((sim.opener(GATE).commands_received, sim.counters().sip_malformed), (0, 10));
    set(&sim, |faults| faults.lenient = true);
    let request = phone.command(GATE).replace("To: sip:diy@gw-1234.bs.iotleg.com", "To: <sip:diy@gw-1234.bs.iotleg.com>");
    assert_eq!(phone.ask(&request).await.what(), "200");
}

#[tokio::test]
async fn a_json_id_that_is_used_again_is_noticed() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    phone.registered().await;
    for _ in 0..2 {
        let request = phone.command(GATE);
        let json_id = request.split("{\"id\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an id").to_owned();
        assert_eq!(phone.ask(&request.replace(&json_id, "12345678")).await.what(), "200");
    }
    assert_eq!(sim.counters().repeated_json_ids, 1);
}

#[tokio::test]
async fn faults_of_a_command_strike_it_and_not_its_challenge() {
    let (sim, clock) = start(|_| {}).await;
    set(&sim, |faults| faults.no_movement = Some(Fault::default().times(1)));
    let mut phone = Phone::new(&sim).await;
    assert_eq!(phone.prove(|phone| phone.command(GATE)).await.what(), "200");
    clock.advance(Duration::from_secs(1));
    assert_eq!((sim.opener(GATE).commands_received, sim.counters().commands_accepted), (0, 1));
    assert_eq!(sim.faults(), Faults::default(), "it is used up");
    let request = phone.command(GATE);
    assert_eq!(phone.ask(&request).await.what(), "200");
    assert_eq!(sim.opener(GATE).commands_received, 1);
}
