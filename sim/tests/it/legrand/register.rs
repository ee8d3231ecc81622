//! REGISTER, and who may.

use std::time::Duration;

use doorward_sim::legrand::{Challenge, Faults, Qop, Refusal};

use super::phone::Phone;
use super::{GATEWAY, start};

#[tokio::test]
async fn a_client_registers_as_the_original_does() {
    let (sim, clock) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    let answer = phone.prove(|phone| phone.register(600)).await;
    assert_eq!(answer.what(), "200");
    let contact = format!("<sip:{}@192.0.2.10:5060;transport=tls>;expires=600", phone.who.user);
    assert_eq!(answer.header("Contact"), contact);
    assert!(answer.header("Via").contains(";rport=40000;received=127.0.0.1"));
    assert!(answer.header("To").contains(";tag="));
    let registered = sim.registered();
    assert_eq!(registered.len(), 1);
    assert_eq!(registered[0].address, format!("{}@gw-1234.bs.iotleg.com", phone.who.user));
    clock.advance(Duration::from_secs(599));
    assert_eq!(sim.registered().len(), 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(sim.registered().len(), 0, "it was not refreshed");
    let counters = sim.counters();
    assert_eq!((counters.register, counters.challenged, counters.registered), (2, 1, 1));
}

#[tokio::test]
async fn digest_sent_ahead_needs_one_round_trip_and_a_count_that_rises() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    phone.registered().await;
    for _ in 0..20 {
        let request = phone.register(600);
        assert_eq!(phone.ask(&request).await.what(), "200");
    }
    assert_eq!(sim.counters().challenged, 1);
    phone.challenge.as_mut().expect("a challenge").count -= 1;
    let request = phone.register(600);
    let stale = phone.ask(&request).await;
    assert_eq!(stale.what(), "407");
    assert!(stale.header("Proxy-Authenticate").ends_with(", stale=true"));
    assert_eq!(sim.counters().stale, 1);
}

#[tokio::test]
async fn a_nonce_grows_old() {
    let (sim, clock) = start(|config| config.nonce_lives_ms = 20_000).await;
    let mut phone = Phone::new(&sim).await;
    phone.registered().await;
    clock.advance(Duration::from_secs(20));
    let request = phone.register(600);
    let stale = phone.ask(&request).await;
    assert!(stale.header("Proxy-Authenticate").contains("stale=true"));
    assert!(phone.challenged(&stale));
    let request = phone.register(600);
    assert_eq!(phone.ask(&request).await.what(), "200");
    sim.forget_nonces();
    let request = phone.register(600);
    assert_eq!(phone.ask(&request).await.what(), "407");
}

#[tokio::test]
async fn challenges_come_in_all_shapes() {
    for challenge in [Challenge::Proxy, Challenge::Www] {
        for qop in [Qop::Auth, Qop::List, Qop::Absent] {
            let (sim, _) = start(|_| {}).await;
            let realm = Some("iotleg.com".to_owned());
            sim.set_faults(Faults { challenge, qop, no_opaque: true, realm, ..Faults::default() });
            let mut phone = Phone::new(&sim).await;
            phone.registered().await;
            let request = phone.register(600);
            assert_eq!(phone.ask(&request).await.what(), "200", "{challenge:?} {qop:?}");
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_in_either_way() {
    let (sim, _) = start(|_| {}).await;
    let mut who = sim.enrol(GATEWAY);
    "wrong".clone_into(&mut who.password);
    for (refusal, status) in [(Refusal::ChallengeAgain, "407"), (Refusal::Forbidden, "403")] {
        sim.set_faults(Faults { refusal, ..Faults::default() });
        let mut phone = Phone::connect(&sim, &who).await.expect("a connection");
        let answer = phone.prove(|phone| phone.register(600)).await;
        assert_eq!(answer.what(), status);
        assert!(!answer.header("Proxy-Authenticate").contains("stale"));
    }
    assert_eq!(sim.counters().wrong_passwords, 2);
    assert!(sim.registered().is_empty());
}

#[tokio::test]
async fn a_certificate_is_good_for_its_own_client_only() {
    let (sim, _) = start(|_| {}).await;
    let mut who = sim.enrol(GATEWAY);
    let other = sim.enrol(GATEWAY);
    who.certificate = other.certificate;
    who.key = other.key;
    let mut phone = Phone::connect(&sim, &who).await.expect("a connection");
    let answer = phone.prove(|phone| phone.register(600)).await;
    assert_eq!(answer.what(), "403");
    assert!(answer.header("Warning").contains("certificate"));
}

#[tokio::test]
async fn a_registration_can_be_too_short_too_long_and_taken_back() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    let short = phone.prove(|phone| phone.register(30)).await;
    assert_eq!((short.what(), short.header("Min-Expires")), ("423", "60"));
    let request = phone.register(5_184_000);
    assert!(phone.ask(&request).await.header("Contact").ends_with(";expires=600"));
    let request = phone.register(0);
    let gone = phone.ask(&request).await;
    assert_eq!((gone.what(), gone.header("Contact")), ("200", ""));
    assert!(sim.registered().is_empty());
}

#[tokio::test]
async fn a_new_connection_registers_before_the_old_one_closes() {
    let (sim, _) = start(|_| {}).await;
    let mut old = Phone::new(&sim).await;
    old.registered().await;
    let mut new = Phone::connect(&sim, &old.who).await.expect("a connection");
    let elsewhere =
        |phone: &mut Phone| phone.register(600).replace("192.0.2.10:5060;transport", "192.0.2.10:5061;transport").replace("call-", "new-");
    assert_eq!(new.prove(elsewhere).await.what(), "200");
    assert_eq!(sim.registered().len(), 2);
    drop(old);
    crate::until("the old one to go", || sim.registered().len() == 1).await;
    assert!(sim.registered()[0].contact.contains(":5061"));
}

#[tokio::test]
async fn what_is_written_wrongly_is_told_so() {
    let (sim, _) = start(|_| {}).await;
    let mut phone = Phone::new(&sim).await;
    phone.registered().await;
    let replacements = [
        ("SIP/2.0/TLS 192", "SIP/2.0/UDP 192"),
        ("branch=z9hG4bK.", "branch=1."),
        (";tag=aaaaaaaaaaaaaaaa", ""),
        ("\r\nMax-Forwards: 70", ""),
        ("\r\nContact: <sip:", "\r\nContact: <sip:not-"),
        ("transport=tls>", "transport=tcp>"),
        ("nc=0", "nc="),
        ("algorithm=MD5", "algorithm=SHA-256"),
        (", uri=\"sip:gw", ", uri=\"sip:diy@gw"),
        (" REGISTER\r\nContact", " MESSAGE\r\nContact"),
    ];
    for (old, new) in replacements {
        let right = phone.register(600);
        assert!(right.contains(old), "{old}");
        let answer = phone.ask(&right.replacen(old, new, 1)).await;
        assert_eq!(answer.what(), "400", "{new}");
        assert!(answer.header("Warning").starts_with("399 sim "), "{new}");
    }
    let request = phone.register(600);
    assert_eq!(phone.ask(&request).await.what(), "200");
    assert!(phone.ask(&request).await.header("Proxy-Authenticate").contains("stale=true"), "word for word the same");
    assert_eq!(sim.counters().sip_malformed, 10);
}
