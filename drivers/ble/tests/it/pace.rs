//! How sessions reach locks.

use crate::bench::{START, id, issuer};
use doorward_ble::issuer::pace::{Deliveries, Delivery, MOST_AT_LOCK, PaceError};
use doorward_core::{Now, driver::Message};
use doorward_wire::{
    Time,
    ble::{order::Revoked, token::Nonce},
};
use std::time::Duration;

fn now() -> Now {
    Now { utc: Time::from_seconds(START.cast_signed()), ..Now::default() }
}

fn after(seconds: u64) -> Now {
    now().plus(Duration::from_secs(seconds))
}

fn delivery(number: u16, own: bool) -> Delivery {
    let [high, low] = number.to_be_bytes();
    let nonce = Nonce::new([0, 0, 0, 0, 0, 0, high, low]);
    Delivery { lock: id(if own { "own" } else { "old" }), own, nonce, expiry: START + 300, message: vec![2, 4, low] }
}

fn short(messages: &[Message]) -> Vec<(&str, usize, bool)> {
    messages.iter().map(|message| (message.topic.as_str(), message.payload.len(), message.retain)).collect()
}

#[test]
fn a_lock_of_the_original_hears_a_session_again_each_minute_and_when_it_is_back() {
    let mut deliveries = Deliveries::default();
    let first = deliveries.issue(delivery(1, false), now()).unwrap();
    let said = [("locks/old/session", 3, false)];
    assert_eq!(short(&[first]), said);
    assert_eq!(deliveries.due(now()), Some(after(60).mono));
    assert!(deliveries.tick(after(59)).is_empty());
    assert_eq!(short(&deliveries.tick(after(60))), said);
    assert_eq!(short(&deliveries.hello(&id("old"), after(70))), said);
    assert!(deliveries.hello(&id("old"), after(72)).is_empty(), "a lock that is back all the time");
    assert!(deliveries.tick(after(120)).is_empty(), "a minute after it was said last");
    assert_eq!(short(&deliveries.tick(after(130))), said);
    assert!(deliveries.tick(after(300)).is_empty(), "it is over");
    assert_eq!((deliveries.live().count(), deliveries.due(after(300))), (0, None));
}

#[test]
fn an_own_lock_finds_a_session_until_it_is_over() {
    let mut deliveries = Deliveries::default();
    let first = deliveries.issue(delivery(1, true), now()).unwrap();
    assert_eq!(short(&[first]), [("locks/own/sessions/AAAAAAAAAAE=", 3, true)]);
    assert!(deliveries.tick(after(120)).is_empty() && deliveries.hello(&id("own"), after(120)).is_empty());
    assert_eq!(deliveries.due(after(120)), Some(after(300).mono));
    assert_eq!(short(&deliveries.tick(after(300))), [("locks/own/sessions/AAAAAAAAAAE=", 0, true)]);
    assert!(deliveries.tick(after(301)).is_empty());
}

#[test]
fn what_was_taken_back_is_a_signed_list_whose_number_rises() {
    let (mut deliveries, key) = (Deliveries::default(), issuer());
    let session = delivery(1, true);
    deliveries.issue(session.clone(), now()).unwrap();
    let list = |messages: &[Message], known| Revoked::open(&messages[0].payload, &id("own"), key.identity(), known).unwrap();
    let first = deliveries.revoke(&session.lock, &session.nonce, session.expiry, &key, after(1)).unwrap();
    assert_eq!(short(&first[1..]), [("locks/own/sessions/AAAAAAAAAAE=", 0, true)], "what is retained goes");
    assert!(first[0].retain && first[0].topic == "locks/own/revoked");
    let one = list(&first, None);
    assert_eq!((one.revoked.len(), one.revoked[0].nonce.clone()), (1, session.nonce.clone()));
    let second = deliveries.revoke(&session.lock, &delivery(2, true).nonce, session.expiry, &key, after(1)).unwrap();
    let two = list(&second, Some(one.seq + 1));
    assert_eq!((two.revoked.len(), two.seq), (2, one.seq + 1));
    let later = deliveries.revoke(&session.lock, &delivery(3, true).nonce, START + 900, &key, after(400)).unwrap();
    assert_eq!(list(&later, Some(two.seq)).revoked.len(), 1, "those that are over are not told any more");
    let epoch = deliveries.epoch(&session.lock, 7, &key, after(401)).unwrap();
    assert_eq!(list(&[epoch], Some(two.seq)).epoch, Some(7));
    let anew = Deliveries::default().revoke(&session.lock, &session.nonce, START + 900, &key, after(500)).unwrap();
    assert!(list(&anew, Some(two.seq)).seq > two.seq, "even if the disk was lost");
}

#[test]
fn a_lock_of_the_original_takes_nothing_back_but_hears_it_no_more() {
    let (mut deliveries, key) = (Deliveries::default(), issuer());
    let session = delivery(1, false);
    deliveries.issue(session.clone(), now()).unwrap();
    assert_eq!(deliveries.revoke(&session.lock, &session.nonce, session.expiry, &key, after(1)), Err(PaceError::Original));
    assert!(deliveries.tick(after(61)).is_empty());
}

#[test]
fn everything_is_said_again_to_a_broker_that_is_back_and_after_a_restart() {
    let (mut deliveries, key) = (Deliveries::default(), issuer());
    for session in [delivery(1, true), delivery(2, false), delivery(3, true)] {
        deliveries.issue(session, now()).unwrap();
    }
    deliveries.revoke(&id("own"), &delivery(3, true).nonce, START + 300, &key, now()).unwrap();
    let lists: Vec<_> = deliveries.lists().map(|(lock, list)| (lock.clone(), list.clone())).collect();
    let mut again = Deliveries::restore(deliveries.live().cloned().collect::<Vec<_>>(), lists, after(10));
    let said = again.connected(after(10), &key).unwrap();
    let topics: Vec<_> = said.iter().map(|message| message.topic.as_str()).collect();
    assert_eq!(topics, ["locks/own/revoked", "locks/old/session", "locks/own/sessions/AAAAAAAAAAE="]);
    assert_eq!(deliveries.connected(after(10), &key).unwrap(), said);
    let late = again.connected(after(300), &key).unwrap();
    assert_eq!(short(&late).len(), 1, "what is over is not said");
}

#[test]
fn a_lock_has_room_for_so_many_sessions_and_others_are_not_held_up() {
    let mut deliveries = Deliveries::default();
    for number in 0..u16::try_from(MOST_AT_LOCK).unwrap() {
        deliveries.issue(delivery(number, true), now()).unwrap();
    }
    assert_eq!(deliveries.issue(delivery(60_000, true), now()), Err(PaceError::Full));
    assert!(deliveries.issue(delivery(1, true), now()).is_ok(), "the same once more");
    assert!(deliveries.issue(delivery(60_000, false), now()).is_ok());
    let strange = Delivery { nonce: "a/b".parse().unwrap(), ..delivery(1, true) };
    assert_eq!(Deliveries::default().issue(strange, now()), Err(PaceError::Nonce));
}
