//! The bell: INVITE, and all the ways in which it ends.

use std::time::Duration;

use doorward_sim::legrand::{Fault, RingState, Sim};

use super::phone::{Phone, Text};
use super::{PANEL, set, start};
use crate::{until, within};

async fn registered(sim: &Sim) -> Phone {
    let mut phone = Phone::new(sim).await;
    phone.registered().await;
    phone
}

/// Presses the button; gives what the phone then hears.
async fn rung(sim: &Sim, phone: &mut Phone) -> (String, Text) {
    let ring = sim.ring(PANEL).remove(0);
    let invite = phone.next().await;
    assert_eq!((invite.what(), invite.header("Call-ID")), ("INVITE", ring.as_str()));
    (ring, invite)
}

fn statuses(sim: &Sim, ring: &str) -> Vec<u16> {
    sim.ring_view(ring).legs[0].statuses.clone()
}

#[tokio::test]
async fn whoever_is_registered_is_invited_and_may_be_busy() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = registered(&sim).await;
    let (ring, invite) = rung(&sim, &mut phone).await;
    assert!(invite.0.starts_with(&format!("INVITE sip:{}@192.0.2.10:5060;transport=tls SIP/2.0\r\n", phone.who.user)));
    assert!(invite.header("From").starts_with("\"Street\" <sip:c100x@gw-1234.bs.iotleg.com>;tag="));
    assert_eq!((invite.header("CSeq"), invite.header("Content-Length")), ("102 INVITE", "0"));
    phone.answer(&invite, "180 Ringing").await;
    phone.answer(&invite, "486 Busy Here").await;
    let ack = phone.next().await;
    assert_eq!((ack.what(), ack.header("CSeq")), ("ACK", "102 ACK"));
    assert!(ack.header("To").ends_with(";tag=dddddddddddddddd"));
    let branch = |text: &Text| text.header("Via").split("branch=").nth(1).expect("a branch").to_owned();
    assert_eq!(branch(&ack), branch(&invite), "of the same transaction");
    let view = sim.ring_view(&ring);
    assert_eq!((view.state, view.legs[0].statuses.as_slice()), (RingState::Refused, [180, 486].as_slice()));
}

#[tokio::test]
async fn the_answers_of_the_original_are_understood() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = registered(&sim).await;
    let (ring, invite) = rung(&sim, &mut phone).await;
    for name in ["ringing", "busy"] {
        let vector = super::vectors()["invite"][name].as_str().expect("a text").to_owned();
        let answer = vector
            .replace("SIP/2.0/TLS 198.51.100.7:5228;branch=z9hG4bKxyz;rport", invite.header("Via"))
            .replace("\"Porta\" <sip:c300x@gw-1234.bs.iotleg.com>;tag=111", invite.header("From"))
            .replace("ring-1", &ring);
        phone.write(&answer).await;
    }
    assert_eq!(phone.next().await.what(), "ACK");
    assert_eq!(statuses(&sim, &ring), [180, 486]);
}

#[tokio::test]
async fn whoever_rang_goes_away() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = registered(&sim).await;
    let (ring, invite) = rung(&sim, &mut phone).await;
    phone.answer(&invite, "180 Ringing").await;
    until("it rings", || statuses(&sim, &ring) == [180]).await;
    assert!(sim.cancel(&ring));
    let cancel = phone.next().await;
    assert_eq!((cancel.what(), cancel.header("CSeq"), cancel.header("Reason")), ("CANCEL", "102 CANCEL", ""));
    phone.answer(&cancel, "200 OK").await;
    phone.answer(&invite, "487 Request Terminated").await;
    assert_eq!(phone.next().await.what(), "ACK");
    let view = sim.ring_view(&ring);
    assert_eq!((view.state, view.legs[0].cancel_status), (RingState::Cancelled, Some(200)));
    assert_eq!(view.legs[0].statuses, [180, 487]);
    assert!(!sim.cancel(&ring), "it rings no more");
}

#[tokio::test]
async fn a_panel_gives_up_after_its_time() {
    let (sim, clock) = start(|_| {}).await;
    let mut phone = registered(&sim).await;
    let (ring, invite) = rung(&sim, &mut phone).await;
    phone.answer(&invite, "180 Ringing").await;
    clock.advance(Duration::from_secs(30));
    assert_eq!(phone.next().await.what(), "CANCEL");
    assert_eq!(sim.ring_view(&ring).state, RingState::TimedOut);
}

#[tokio::test]
async fn the_call_is_taken_and_hung_up() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = registered(&sim).await;
    set(&sim, |faults| faults.invite_with_sdp = true);
    let (ring, invite) = rung(&sim, &mut phone).await;
    assert_eq!(invite.header("Content-Type"), "application/sdp");
    assert!(invite.body().starts_with("v=0\r\n"));
    phone.answer(&invite, "200 OK").await;
    let ack = phone.next().await;
    assert_eq!((ack.what(), sim.ring_view(&ring).state), ("ACK", RingState::Answered));
    assert!(sim.hang_up(&ring));
    let bye = phone.next().await;
    assert_eq!((bye.what(), bye.header("CSeq")), ("BYE", "103 BYE"));
    phone.answer(&bye, "200 OK").await;
    until("the answer", || sim.ring_view(&ring).legs[0].bye_status == Some(200)).await;
    assert_eq!(sim.ring_view(&ring).state, RingState::HungUp);
}

#[tokio::test]
async fn what_one_answers_rings_no_longer_at_the_others() {
    let (sim, _) = start(|_| {}).await;
    let mut first = registered(&sim).await;
    let mut second = registered(&sim).await;
    let ring = sim.ring(PANEL).remove(0);
    let (invite, other) = (first.next().await, second.next().await);
    second.answer(&other, "180 Ringing").await;
    first.answer(&invite, "200 OK").await;
    let cancel = second.next().await;
    assert_eq!(cancel.what(), "CANCEL");
    assert!(cancel.header("Reason").contains("completed elsewhere"));
    assert_eq!(sim.ring_view(&ring).state, RingState::Answered);

    let ring = sim.ring(PANEL).remove(0);
    assert!(sim.answer_elsewhere(&ring));
    assert_eq!(second.next().await.what(), "INVITE");
    assert!(second.next().await.header("Reason").contains("completed elsewhere"));
}

#[tokio::test]
async fn whoever_answers_too_late_is_hung_up_on() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = registered(&sim).await;
    let (ring, invite) = rung(&sim, &mut phone).await;
    sim.cancel(&ring);
    assert_eq!(phone.next().await.what(), "CANCEL");
    phone.answer(&invite, "200 OK").await;
    assert_eq!(phone.next().await.what(), "ACK");
    assert_eq!(phone.next().await.what(), "BYE");
    assert_eq!(sim.ring_view(&ring).state, RingState::Cancelled);
}

#[tokio::test]
async fn a_storm_rings_many_times_at_once() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = registered(&sim).await;
    set(&sim, |faults| faults.ring_storm = Some(Fault::with(50).times(1)));
    let rings = sim.ring(PANEL);
    assert_eq!(rings.len(), 50);
    for ring in &rings {
        assert_eq!(phone.next().await.header("Call-ID"), ring);
    }
    assert_eq!(sim.ring(PANEL).len(), 1);
}

#[tokio::test]
async fn a_bell_rings_at_its_own_gateway_only() {
    let (sim, _) = start(|_| {}).await;
    let _phone = registered(&sim).await;
    let ring = sim.ring("30").remove(0);
    assert_eq!(sim.ring_view(&ring).state, RingState::Nobody);
    assert_eq!(sim.counters().rings, 1);
}

#[tokio::test]
async fn anything_can_be_sent_to_a_client() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = registered(&sim).await;
    for (method, status) in [("OPTIONS", 200), ("BYE", 481), ("NONSENSE", 405)] {
        let call_id = sim.send(method, None).remove(0);
        let request = phone.next().await;
        assert_eq!((request.what(), request.header("Call-ID")), (method, call_id.as_str()));
        phone.answer(&request, &format!("{status} So")).await;
        until("the answer", || sim.answers(&call_id) == [status]).await;
    }
    sim.send("MESSAGE", Some("{}"));
    assert_eq!(phone.next().await.body(), "{}");
    sim.send_raw(b"garbage");
    assert_eq!(within("bytes", phone.read_some()).await.as_deref(), Some(b"garbage".as_slice()));
    phone.write("SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS x\r\nCall-ID: unknown\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n").await;
    until("the stray one", || sim.counters().stray_responses == 1).await;
}
