//! What the issuer says over MQTT.

use crate::bench::*;
use doorward_ble::lock::{Config, Input, Way};
use doorward_wire::{
    attempt::ActionWord,
    ble::order::{Command, Refusal, Revoked, RevokedSession},
};
use std::time::Duration;

pub(crate) fn revoked(seq: u64, guests: &[&Guest]) -> String {
    let revoked = guests.iter().map(|guest| RevokedSession { nonce: guest.nonce(), expiry: guest.given.expiry }).collect();
    Revoked { seq, revoked, epoch: None }.issue(&id("lock_01"), &issuer()).unwrap()
}

fn command(id_: &str, action: ActionWord, not_after: u64) -> String {
    Command { id: id_.into(), action, not_after }.issue(&id("lock_01"), &issuer()).unwrap()
}

#[test]
fn a_session_that_is_taken_back_opens_nothing() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    assert_eq!(bench.give(Input::Revoked(revoked(1, &[&guest]).as_bytes())), []);
    assert_eq!(reasons(&bench.show(&guest)), [Refusal::Revoked]);
}

#[test]
fn a_session_that_is_taken_back_while_its_token_is_in_the_air_opens_nothing() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let token = bench.token(&guest);
    bench.slow = true;
    assert_eq!(bench.hear(&token, Some(NEAR)), [], "it is being kept");
    bench.give(Input::Revoked(revoked(1, &[&guest]).as_bytes()));
    assert_eq!(reasons(&bench.catch_up()), [Refusal::Revoked]);
}

#[test]
fn a_session_that_was_taken_back_before_it_came_opens_nothing() {
    let mut bench = Bench::new();
    let guest = Guest::new(1, START + 300);
    bench.give(Input::Revoked(revoked(1, &[&guest]).as_bytes()));
    bench.give(Input::Session(&guest.message()));
    assert_eq!(reasons(&bench.show(&guest)), [Refusal::Revoked]);
}

#[test]
fn an_older_list_is_refused_and_a_newer_one_takes_nothing_back() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    bench.give(Input::Revoked(revoked(5, &[&guest]).as_bytes()));
    assert_eq!(reasons(&bench.give(Input::Revoked(revoked(4, &[]).as_bytes()))), [Refusal::Replay]);
    assert_eq!(bench.give(Input::Revoked(revoked(5, &[]).as_bytes())), []);
    assert_eq!(bench.give(Input::Revoked(revoked(6, &[]).as_bytes())), []);
    assert_eq!(bench.lock.hello().seq, Some(6));
    assert_eq!(reasons(&bench.show(&guest)), [Refusal::Revoked], "a nonce is remembered until it is over");
}

#[test]
fn a_list_that_the_issuer_did_not_sign_is_refused() {
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let message = revoked(5, &[&guest]).replace("\"seq\":5", "\"seq\":6");
    assert_eq!(reasons(&bench.give(Input::Revoked(message.as_bytes()))), [Refusal::Signature]);
    assert_eq!(opened(&bench.show(&guest)), 1);
}

#[test]
fn an_order_under_rsa_is_followed_where_the_lock_has_that_key() {
    let list = Revoked { seq: 3, revoked: Vec::new(), epoch: Some(2) }.issue(&id("lock_01"), &RSA.1).unwrap();
    let mut bench = Bench::with(Config::new(id("lock_01"), keys()));
    assert_eq!(bench.give(Input::Revoked(list.as_bytes())), []);
    assert_eq!(bench.lock.hello().epoch, Some(2));
    let mut bench = Bench::new();
    assert_eq!(reasons(&bench.give(Input::Revoked(list.as_bytes()))), [Refusal::Signature]);
}

#[test]
fn a_command_is_done_once_and_in_time() {
    let mut bench = Bench::new();
    let open = command("a", ActionWord::Open, START + 10);
    let seen = bench.give(Input::Command(open.as_bytes()));
    let [Seen::Opened(presented)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((presented.way, presented.client.as_deref(), presented.action), (Way::Command, Some("a"), ActionWord::Open));
    assert_eq!(reasons(&bench.give(Input::Command(open.as_bytes()))), [Refusal::Replay]);
    bench.killed(Config::new(id("lock_01"), keys_of_v2()), Duration::from_secs(1));
    assert_eq!(reasons(&bench.give(Input::Command(open.as_bytes()))), [Refusal::Replay], "nor after a restart");
    let early = command("b", ActionWord::Open, START + 60);
    assert_eq!(reasons(&bench.give(Input::Command(early.as_bytes()))), [Refusal::NotAllowed]);
    let late = command("c", ActionWord::Open, START);
    assert_eq!(reasons(&bench.give(Input::Command(late.as_bytes()))), [Refusal::Expired]);
    let refresh = command("d", ActionWord::Refresh, START + 5);
    assert_eq!(reasons(&bench.give(Input::Command(refresh.as_bytes()))), [Refusal::Malformed]);
}

#[test]
fn a_command_that_is_kept_too_late_is_not_done() {
    let mut bench = Bench::new();
    bench.slow = true;
    bench.give(Input::Command(command("a", ActionWord::Open, START + 2).as_bytes()));
    bench.secs(4);
    assert_eq!(opened(&bench.catch_up()), 0);
}
