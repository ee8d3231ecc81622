//! Connections to the registrar: who may come, how they are cut, and how they end.

use std::time::Duration;

use doorward_sim::legrand::{Fault, HeaderForm, On, Sim, Writing};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::phone::{Phone, tls};
use super::{GATE, GATEWAY, PANEL, set, start};
use crate::{until, within};

/// Whether a client gets through its first request.
async fn lets_in(sim: &Sim) -> bool {
    let who = sim.enrol(GATEWAY);
    let Ok(mut phone) = Phone::connect(sim, &who).await else {
        return false;
    };
    // With TLS 1.3 a refusal comes after the client's own handshake.
    phone.write("\r\n\r\n").await;
    phone.read_some().await.is_some()
}

#[tokio::test]
async fn a_ping_is_answered() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    phone.write("\r\n\r\n").await;
    assert_eq!(phone.read_some().await.as_deref(), Some(b"\r\n".as_slice()));
    assert_eq!(sim.counters().pings, 1);
}

#[tokio::test]
async fn without_a_certificate_of_the_authority_nobody_comes_in() {
    let (sim, _) = start(|_| {}).await;
    let connect = async |who| {
        let stream = TcpStream::connect(sim.sip_addr()).await.expect("a connection");
        let mut stream = tls(sim.server_ca(), who).connect("localhost".try_into().expect("a name"), stream).await?;
        stream.read_u8().await
    };
    assert!(connect(None).await.is_err());
    let (stranger, _) = start(|_| {}).await;
    let foreign = stranger.enrol(GATEWAY);
    assert!(connect(Some(&foreign)).await.is_err());
    until("both refused", || sim.counters().handshakes_failed == 2).await;
    assert!(lets_in(&sim).await);
}

#[tokio::test]
async fn the_registrar_may_show_another_certificate() {
    let (sim, _) = start(|_| {}).await;
    set(&sim, |faults| faults.foreign_certificate = true);
    let who = sim.enrol(GATEWAY);
    let refused = Phone::connect(&sim, &who).await.err().expect("no trust");
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
}

#[tokio::test]
async fn a_right_certificate_may_be_taken_for_a_wrong_one() {
    let (sim, _) = start(|_| {}).await;
    set(&sim, |faults| faults.certificate_expired = Some(Fault::default().times(1)));
    assert!(!lets_in(&sim).await);
    set(&sim, |faults| faults.certificate_refused = Some(Fault::default().times(1)));
    assert!(!lets_in(&sim).await);
    assert!(lets_in(&sim).await);
    set(&sim, |faults| {
        faults.tls12_only = true;
        faults.certificate_refused = Some(Fault::default().times(1));
    });
    assert!(Phone::connect(&sim, &sim.enrol(GATEWAY)).await.is_err(), "before TLS 1.3 the handshake itself fails");
    assert!(lets_in(&sim).await);
}

#[tokio::test]
async fn unknown_methods_are_refused_and_options_answered() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    for (method, status) in [("OPTIONS", "200"), ("SUBSCRIBE", "405"), ("INVITE", "405"), ("BYE", "481"), ("CANCEL", "481")] {
        let request = super::vectors()["register"].as_str().expect("a text").replace("REGISTER", method);
        phone.write(&request.replace(method, "ACK")).await;
        let answer = phone.ask(&request).await;
        assert_eq!(answer.what(), status, "{method}");
        if status != "481" {
            assert!(answer.header("Allow").contains("MESSAGE"));
        }
    }
}

#[tokio::test]
async fn what_is_no_sip_ends_the_connection() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    phone.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(phone.read().await.is_none());
    assert_eq!(sim.counters().sip_malformed, 1);
    until("it is gone", || sim.connections() == 0).await;
}

#[tokio::test]
async fn half_messages_and_several_in_one_write_are_understood_alike() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    phone.registered().await;
    let request = phone.command(GATE);
    for byte in request.as_bytes().chunks(7) {
        phone.write(std::str::from_utf8(byte).expect("ASCII")).await;
    }
    assert_eq!(phone.next().await.what(), "200");

    set(&sim, |faults| faults.writing = Writing::Halves);
    let request = phone.command(GATE);
    phone.write(&request).await;
    let first = phone.read_some().await.expect("the first half");
    assert!(!String::from_utf8_lossy(&first).contains("\r\n\r\n"));
    let second = phone.read_some().await.expect("the second half");
    assert!(second.ends_with(b"\r\n\r\n"));

    set(&sim, |faults| faults.writing = Writing::Bytes);
    let request = phone.command(GATE);
    assert_eq!(phone.ask(&request).await.what(), "200");

    set(&sim, |faults| faults.writing = Writing::Merged);
    let request = phone.command(GATE);
    phone.write(&request).await;
    let both = String::from_utf8(phone.read_some().await.expect("both")).expect("a text");
    assert!(both.starts_with("\r\nSIP/2.0 200 OK\r\n") && both.contains("\r\n\r\nOPTIONS sip:client.invalid SIP/2.0\r\n"), "{both}");
    assert_eq!(sim.opener(GATE).commands_received, 4);
}

#[tokio::test]
async fn header_names_come_in_several_forms() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    phone.registered().await;
    for (form, sign) in
        [(HeaderForm::Compact, "\r\nf:\"Street\""), (HeaderForm::Small, "\r\nfrom : \""), (HeaderForm::Folded, "\r\nFrom:\r\n  \"")]
    {
        set(&sim, |faults| faults.header_form = form);
        sim.ring(PANEL);
        let invite = phone.next().await;
        assert!(invite.0.contains(sign), "{invite:?}");
    }
}

#[tokio::test]
async fn a_registrar_that_restarts_closes_every_connection() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    phone.registered().await;
    sim.close_connections();
    assert!(phone.read().await.is_none());
    until("it is gone", || sim.connections() == 0 && sim.registered().is_empty()).await;
    let mut again = Phone::connect(&sim, &phone.who).await.expect("a connection");
    again.registered().await;
}

#[tokio::test]
async fn a_connection_that_was_forgotten_on_the_way_stays_silent() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    phone.registered().await;
    sim.freeze_connections();
    phone.write("\r\n\r\n").await;
    let silent = tokio::spawn(async move { phone.read_some().await });
    let mut other = Phone::new(&sim).await;
    other.registered().await;
    assert!(!silent.is_finished());
    assert_eq!((sim.counters().pings, sim.registered().len()), (0, 2), "nobody was told");
    sim.stop().await;
    assert!(within("the end", silent).await.expect("no panic").is_none());
}

#[tokio::test]
async fn a_nat_forgets_who_says_nothing() {
    let (sim, clock) = start(|_| {}).await;
    set(&sim, |faults| faults.idle_forgotten_ms = Some(120_000));
    let mut talks = Phone::new(&sim).await;
    let mut quiet = Phone::new(&sim).await;
    for _ in 0..3 {
        clock.advance(Duration::from_mins(1));
        talks.write("\r\n\r\n").await;
        assert_eq!(talks.read_some().await.as_deref(), Some(b"\r\n".as_slice()));
    }
    quiet.write("\r\n\r\n").await;
    let silent = tokio::spawn(async move { quiet.read_some().await });
    talks.registered().await;
    assert!(!silent.is_finished());
    assert_eq!((sim.counters().pings, sim.connections()), (3, 2), "nobody was told");
}

#[tokio::test]
async fn the_registrar_may_be_dead_in_several_ways() {
    use doorward_sim::legrand::Dead;
    let (sim, _) = start(|_| {}).await;
    set(&sim, |faults| faults.dead = Some(Fault::with(Dead::Close).on(On::Connect)));
    assert!(!lets_in(&sim).await);
    set(&sim, |faults| faults.dead = Some(Fault::with(Dead::Close).on(On::Connect).after_effect()));
    assert!(!lets_in(&sim).await);
    for after_effect in [false, true] {
        set(&sim, |faults| faults.dead = Some(Fault { after_effect, ..Fault::with(Dead::Silent).on(On::Connect).times(1) }));
        let before = sim.counters().connect;
        let who = sim.enrol(GATEWAY);
        let addr = sim.sip_addr();
        let ca = sim.server_ca();
        let waiting = tokio::spawn(async move {
            let stream = TcpStream::connect(addr).await?;
            let mut stream = tls(ca, Some(&who)).connect("localhost".try_into().expect("a name"), stream).await?;
            stream.read_u8().await
        });
        until("the connection", || sim.counters().connect == before + 1).await;
        assert!(lets_in(&sim).await, "others are served");
        assert!(!waiting.is_finished());
        waiting.abort();
    }
}
