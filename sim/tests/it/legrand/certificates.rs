//! The authority: what it signs, and what it refuses.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use doorward_sim::legrand::{CaShape, Enrolment, Faults};
use serde_json::{Value, json};

use super::phone::Phone;
use super::{Caller, certificate_request, der, start, vectors};

/// The private key of the vectors.
fn key() -> Vec<u8> {
    let vectors = vectors();
    let pem = vectors["csr"]["private_key_pem"].as_str().expect("a text");
    BASE64_STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).expect("base64")
}

/// The request of the vectors with some of its bytes replaced, signed anew.
fn signed(replace: &[(&[u8], &[u8])]) -> Value {
    let whole = der(&vectors()["csr"]["csr_base64_der"]);
    // Sequence, information with four bytes of header, algorithm with twelve, signature.
    let length = 4 + usize::from(u16::from_be_bytes([whole[6], whole[7]]));
    let mut info = whole[4..4 + length].to_vec();
    for (old, new) in replace {
        assert_eq!(old.len(), new.len());
        let at = info.windows(old.len()).position(|part| part == *old).expect("the bytes are there");
        info[at..at + old.len()].copy_from_slice(new);
    }
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key()).expect("a key");
    let signature = key.sign(&SystemRandom::new(), &info).expect("a signature");
    let mut rest = whole[4 + length..4 + length + 12].to_vec();
    rest.extend([0x03, u8::try_from(signature.as_ref().len() + 1).expect("short"), 0]);
    rest.extend(signature.as_ref());
    let mut request = vec![0x30, 0x82];
    request.extend(u16::try_from(info.len() + rest.len()).expect("short").to_be_bytes());
    request.extend(info);
    request.extend(rest);
    let mut body = certificate_request();
    body["csr"] = json!(BASE64_STANDARD.encode(request));
    body
}

#[tokio::test]
async fn the_request_of_the_original_is_signed_and_opens_the_registrar() {
    let (sim, _) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    let account = caller.register().await.json();
    let answer = caller.certificate(&certificate_request()).await;
    assert_eq!(answer.status, 201, "{}", answer.json());
    let body = answer.json();
    assert_eq!((&body["receiver"]["system"], &body["receiver"]["plant"]["id"]), (&json!("information"), &json!("plant-1")));
    let who = Enrolment {
        client_id: super::CLIENT.to_owned(),
        user: format!("{}_{}", super::OID, super::CLIENT),
        domain: "gw-1234.bs.iotleg.com".to_owned(),
        password: account["sipPassword"].as_str().expect("a password").to_owned(),
        certificate: der(&body["cert"]),
        key: key(),
    };
    let mut phone = Phone::connect(&sim, &who).await.expect("a connection");
    phone.registered().await;
    assert_eq!((sim.counters().certificates_issued, sim.counters().registered), (1, 1));
}

#[tokio::test]
async fn a_request_that_is_signed_anew_is_as_good() {
    let (sim, _) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    caller.register().await;
    assert_eq!(caller.certificate(&signed(&[])).await.status, 201);
}

#[tokio::test]
async fn a_request_that_the_apps_would_not_write_is_refused_with_a_reason() {
    let (sim, _) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    caller.register().await;
    let email: &[u8] = b"\x13\x10user@example.com";
    let replacements: [(&[u8], &[u8], &str); 9] = [
        (email, b"\x16\x10user@example.com", "emailAddress: tag 0x16"),
        (b"\x13\x03DIY", b"\x0c\x03DIY", "OU: tag 0x0c"),
        (b"\x13\x03DIY", b"\x13\x03DIX", "OU is"),
        (b"LEGRAND", b"LEGRANT", "O is"),
        (b"\x55\x04\x0b", b"\x55\x04\x0a", "OU is another one"),
        (b"user@example.com", b"user@example.org", "emailAddress is not the owner's"),
        (b"sip:be372a9a", b"sip:be372a9b", "no client of that plant"),
        (b"\x2a\x86\x48\xce\x3d\x03\x01\x07", b"\x2a\x86\x48\xce\x3d\x03\x01\x06", "curve"),
        (b"\x55\x1d\x11", b"\x55\x1d\x12", "subjectAltName is another one"),
    ];
    for (old, new, reason) in replacements {
        let answer = caller.certificate(&signed(&[(old, new)])).await;
        let message = answer.json()["message"].clone();
        assert_eq!(answer.status, 400, "{reason}");
        assert!(message.as_str().is_some_and(|message| message.contains(reason)), "{message} instead of {reason}");
    }
    assert_eq!(sim.counters().certificates_refused, 9);
    assert_eq!(sim.counters().certificates_issued, 0);
}

#[tokio::test]
async fn a_signature_by_another_key_is_refused() {
    let (sim, _) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    caller.register().await;
    let mut csr = der(&vectors()["csr"]["csr_base64_der"]);
    let last = csr.last_mut().expect("bytes");
    *last ^= 1;
    let mut body = certificate_request();
    body["csr"] = json!(BASE64_STANDARD.encode(&csr));
    let answer = caller.certificate(&body).await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["message"].as_str().is_some_and(|message| message.contains("signature")));
    csr.pop();
    body["csr"] = json!(BASE64_STANDARD.encode(&csr));
    assert_eq!(caller.certificate(&body).await.status, 400, "cut off");
}

#[tokio::test]
async fn the_body_around_the_request_is_looked_at_too() {
    let (sim, _) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    assert_eq!(caller.certificate(&certificate_request()).await.status, 400, "the client is not registered");
    caller.register().await;
    let spoil = |pointer: &str, value: Value| {
        let mut body = certificate_request();
        *body.pointer_mut(pointer).expect("a place") = value;
        body
    };
    let wrong = [
        spoil("/template", json!("sipuser")),
        spoil("/csr", json!("no base64!")),
        spoil("/sender/system", json!("x")),
        spoil("/sender/plant/id", json!("plant-2")),
        spoil("/sender/plant/_gatewayDbIdx", json!(0)),
        spoil("/sender/plant/country", json!("fr")),
        spoil("/sender/plant/ownerEmail", json!("x@example.com")),
        spoil("/sender/plant", Value::Null),
    ];
    for body in &wrong {
        assert_eq!(caller.certificate(body).await.status, 400, "{body}");
    }
    assert_eq!(caller.certificate(&certificate_request()).await.status, 201);
}

#[tokio::test]
async fn ca_certificates_come_in_several_shapes() {
    let (sim, _) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    let path = "/certificate/api/v1.0/ca/information/CACerts";
    let ca = sim.server_ca();
    assert_eq!(der(&caller.get(path).await.json()["chain"][0]), ca);
    sim.set_faults(Faults { ca_shape: CaShape::ChainOfPem, ..Faults::default() });
    let pem = caller.get(path).await.json()["chain"].as_str().expect("a text").to_owned();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n") && pem.ends_with("-----END CERTIFICATE-----\n"));
    assert_eq!(BASE64_STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).expect("base64"), ca);
    sim.set_faults(Faults { ca_shape: CaShape::OneDer, ..Faults::default() });
    assert_eq!(der(&caller.get(path).await.json()["cert"]), ca);
}

#[tokio::test]
async fn a_certificate_ends_when_it_was_said_to() {
    let (sim, clock) = start(|config| config.certificate_lives = Duration::from_hours(24)).await;
    let who = sim.enrol(super::GATEWAY);
    clock.advance(Duration::from_hours(23));
    Phone::connect(&sim, &who).await.expect("a connection").registered().await;
    clock.advance(Duration::from_hours(2));
    let mut late = Phone::connect(&sim, &who).await;
    if let Ok(phone) = &mut late {
        // With TLS 1.3 the client is told after its own handshake.
        assert!(phone.read_some().await.is_none());
    }
    crate::until("the refusal", || sim.counters().handshakes_failed == 1).await;
}
