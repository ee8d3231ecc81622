//! The original's sessions, both ways, and what is refused.

use super::*;
use crate::ble::{
    order::{Command, OrderError},
    request::Response,
    testing::{bytes, vectors},
    token::Nonce,
    v2::Issuer,
};
use alloc::{format, string::String, vec, vec::Vec};
use serde_json::Value;
use std::sync::LazyLock;

extern crate std;

static BEFORE: LazyLock<Time> = LazyLock::new(|| Time::from_seconds(1_795_352_300));

struct Keys {
    backend: PrivateKey,
    lock: PrivateKey,
    other_lock: PrivateKey,
    guest: PrivateKey,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let vectors = vectors();
    let key = |name: &str| PrivateKey::from_pem(vectors["keys"][name]["private_pem"].as_str().unwrap()).unwrap();
    Keys { backend: key("backend"), lock: key("lock_01"), other_lock: key("lock_02"), guest: key("unlocker") }
});

fn id(text: &str) -> LockId {
    text.parse().unwrap()
}

fn at_lock(message: &[u8]) -> Result<Session, OpenError> {
    open(message, &KEYS.lock, KEYS.backend.public(), &id("lock_01"), *BEFORE)
}

fn session() -> Session {
    Session {
        key: SessionKey::new([9; 32]),
        expiry: 1_795_352_553,
        nonce: Nonce::new([1; 8]),
        phone_mac: Some("aa-bb-cc-dd-ee-ff".parse().unwrap()),
        clock_offset: Some(-7),
    }
}

#[test]
fn the_originals_sessions_open_at_the_lock_and_at_the_guest() {
    let vectors = vectors();
    for vector in vectors["sessions"].as_array().unwrap() {
        let seen = at_lock(vector["mqtt_payload"].as_str().unwrap().as_bytes()).unwrap();
        let expected = &vector["lock_sees"];
        assert_eq!(seen.key.expose()[..], bytes(&expected["session_key_hex"]));
        assert_eq!(seen.expiry, expected["expiry"].as_u64().unwrap());
        assert_eq!(seen.nonce.as_str(), expected["nonce"]);
        assert_eq!(seen.clock_offset.unwrap_or(0), expected["offset"].as_i64().unwrap());
        assert_eq!(seen.phone_mac.map(|mac| mac.to_string()).as_deref(), expected["phone_mac"].as_str());
        let Some(Response::Sealed(sealed)) = Response::read(vector["guest_response"].to_string().as_bytes()) else { panic!() };
        let given = open_answer(&sealed, &KEYS.guest, KEYS.backend.public()).unwrap();
        assert_eq!(*given.guest_json(), vector["guest_plaintext"].as_str().unwrap());
        assert_eq!(given, seen);
        assert_eq!(sealed.key_fingerprint, Some(KEYS.guest.public().fingerprint()));
    }
}

#[test]
fn what_doorward_issues_opens_again() {
    let message = issue(&session(), &id("lock_01"), KEYS.lock.public(), &KEYS.backend).unwrap().write();
    assert_eq!(at_lock(message.as_bytes()), Ok(session()));
    let named = answer(&session(), Some("guest-7"), KEYS.guest.public(), &KEYS.backend).unwrap();
    assert_eq!((named.client_id.as_str(), named.key_fingerprint.as_deref()), ("guest-7", Some("ojYUH67aGs8aEQ")));
    assert_eq!(open_answer(&named, &KEYS.guest, KEYS.backend.public()), Ok(session()));
    let unnamed = answer(&session(), None, KEYS.guest.public(), &KEYS.backend).unwrap();
    assert_eq!((unnamed.client_id.as_str(), unnamed.key_fingerprint), ("ojYUH67aGs8aEQ", None));
}

#[test]
fn each_refused_message_is_refused_for_its_own_reason() {
    let vectors = vectors();
    for vector in vectors["refused"].as_array().unwrap() {
        let expected = match vector["name"].as_str().unwrap() {
            "expiry stretched" | "other lock" | "nonce swapped" | "key swapped" | "phone added" => OpenError::SignatureWrong,
            "no signature" => OpenError::SignatureMissing,
            "signature not base64" => OpenError::SignatureMalformed,
            "signed for lock_02, sent to lock_01" => OpenError::OtherLock,
            other => panic!("{other}"),
        };
        assert_eq!(at_lock(vector["payload"].to_string().as_bytes()), Err(expected), "{}", vector["name"]);
    }
}

#[test]
fn another_order_is_accepted_and_a_shorter_salt_is_not() {
    let vectors = vectors();
    let [turned, short] = vectors["accepted"].as_array().unwrap().as_slice() else { panic!() };
    assert!(at_lock(turned["payload"].to_string().as_bytes()).is_ok());
    assert_eq!(short["name"], "32-byte PSS salt");
    assert_eq!(at_lock(short["payload"].to_string().as_bytes()), Err(OpenError::SignatureWrong));
}

#[test]
fn a_session_opens_only_before_its_expiry_and_with_the_keys_that_it_is_for() {
    let message = issue(&session(), &id("lock_01"), KEYS.lock.public(), &KEYS.backend).unwrap().write();
    let open_with = |lock: &PrivateKey, issuer: &PublicKey, name: &str, second| {
        open(message.as_bytes(), lock, issuer, &id(name), Time::from_seconds(second))
    };
    let (lock, backend) = (&KEYS.lock, KEYS.backend.public());
    assert_eq!(open_with(lock, backend, "lock_01", 1_795_352_552), Ok(session()));
    assert_eq!(open_with(lock, backend, "lock_01", 1_795_352_553), Err(OpenError::Expired));
    assert_eq!(open_with(&KEYS.other_lock, backend, "lock_01", 0), Err(OpenError::Undecryptable));
    assert_eq!(open_with(lock, KEYS.guest.public(), "lock_01", 0), Err(OpenError::SignatureWrong));
    assert_eq!(open_with(lock, backend, "lock_02", 0), Err(OpenError::OtherLock));
}

#[test]
fn what_its_issuer_signed_and_should_not_have_is_refused() {
    let signed = |change: &dyn Fn(&mut LockMessage)| {
        let mut message = issue(&session(), &id("lock_01"), KEYS.lock.public(), &KEYS.backend).unwrap();
        change(&mut message);
        message.signature = Some(STANDARD.encode(KEYS.backend.sign_bytes(&message.signed_bytes()).unwrap()));
        at_lock(message.write().as_bytes())
    };
    assert_eq!(signed(&|message| message.clock_offset = Some(86_401)), Err(OpenError::Offset));
    assert_eq!(signed(&|message| message.phone_mac = Some("näh".into())), Err(OpenError::Malformed));
    assert_eq!(signed(&|message| message.session_key = "*".into()), Err(OpenError::Undecryptable));
    assert_eq!(signed(&|message| message.session_key = STANDARD.encode([1; 256])), Err(OpenError::Undecryptable));
    let short = KEYS.lock.public().seal(&[1; 31]).unwrap();
    assert_eq!(signed(&|message| message.session_key = STANDARD.encode(&short)), Err(OpenError::Undecryptable));
    let far = Session { clock_offset: Some(i64::MIN), ..session() };
    assert_eq!(issue(&far, &id("lock_01"), KEYS.lock.public(), &KEYS.backend), Err(SealError));
}

#[test]
fn an_answer_that_was_changed_does_not_open() {
    let good = answer(&session(), None, KEYS.guest.public(), &KEYS.backend).unwrap();
    let changed = |change: &dyn Fn(&mut Sealed)| {
        let mut sealed = good.clone();
        change(&mut sealed);
        open_answer(&sealed, &KEYS.guest, KEYS.backend.public()).unwrap_err()
    };
    assert_eq!(changed(&|sealed| sealed.signature = String::new()), OpenError::SignatureMissing);
    assert_eq!(changed(&|sealed| sealed.signature = "*".into()), OpenError::SignatureMalformed);
    assert_eq!(changed(&|sealed| sealed.signature = STANDARD.encode([7; 256])), OpenError::SignatureWrong);
    assert_eq!(changed(&|sealed| sealed.payload = STANDARD.encode([7; 256])), OpenError::Undecryptable);
    let other = answer(&session(), None, KEYS.guest.public(), &KEYS.lock).unwrap();
    assert_eq!(changed(&|sealed| *sealed = other.clone()), OpenError::SignatureWrong);
}

#[test]
fn keys_go_to_disk_and_come_back() {
    let vectors = vectors();
    for name in ["backend", "lock_01", "lock_02", "unlocker"] {
        let private = vectors["keys"][name]["private_pem"].as_str().unwrap();
        let public = vectors["keys"][name]["public_pem"].as_str().unwrap();
        let key = PrivateKey::from_pem(private).unwrap();
        assert_eq!(*key.to_pem().unwrap(), private, "as Python writes it");
        assert_eq!(key.public().to_pem(), public);
        assert_eq!((PublicKey::from_pem(public).as_ref(), key.public().bits()), (Ok(key.public()), 2048));
        assert!(!format!("{key:?}").contains("BEGIN"));
    }
    let made = PrivateKey::generate(Bits::Rsa3072).unwrap();
    assert_eq!(PrivateKey::from_pem(&made.to_pem().unwrap()).unwrap().public(), made.public());
    assert_eq!(made.public().bits(), 3072);
    let longer = issue(&session(), &id("lock_01"), KEYS.lock.public(), &made).unwrap().write();
    assert_eq!(open(longer.as_bytes(), &KEYS.lock, made.public(), &id("lock_01"), *BEFORE), Ok(session()));
}

#[test]
fn keys_that_everybody_has_are_refused() {
    let vectors = vectors();
    let listed: Vec<_> =
        vectors["published_keys_to_refuse"].as_array().unwrap().iter().map(|key| key["spki_sha256"].as_str().unwrap()).collect();
    assert_eq!(listed, PUBLISHED);
    // The keys themselves are not here; that of a key that is here comes out as it would.
    let public = vectors["keys"]["lock_01"]["public_pem"].as_str().unwrap();
    let der: String = public.lines().filter(|line| !line.starts_with('-')).collect();
    let key = PublicKey::from_der(&STANDARD.decode(der).unwrap()).unwrap();
    assert!(key::is_published(&key, &[&key.spki_sha256()]) && !key::is_published(&key, &PUBLISHED));
}

#[test]
fn what_is_no_rsa_key_of_a_fair_length_is_refused() {
    let public = vectors()["keys"]["backend"]["public_pem"].as_str().unwrap().to_owned();
    let private = vectors()["keys"]["backend"]["private_pem"].as_str().unwrap().to_owned();
    assert_eq!(PublicKey::from_pem("").unwrap_err(), KeyError::Pem("public key"));
    assert_eq!(PublicKey::from_pem(&private).unwrap_err(), KeyError::Pem("public key"));
    assert_eq!(PrivateKey::from_pem(&public).unwrap_err(), KeyError::Pem("private key"));
    assert_eq!(PrivateKey::from_pem(&private.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")).unwrap_err(), KeyError::Encrypted);
    assert_eq!(PublicKey::from_pem(&public.replace("MIIB", "MIIC")).unwrap_err(), KeyError::Rsa);
    assert_eq!(PrivateKey::from_pem(&private.replace("MIIE", "MIIF")).unwrap_err(), KeyError::Rsa);
    assert_eq!(PublicKey::from_der(&ed25519()).unwrap_err(), KeyError::Rsa);
    for (bits, expected) in
        [(1024, Err(KeyError::Size)), (2040, Err(KeyError::Size)), (2048, Ok(())), (8192, Ok(())), (8200, Err(KeyError::Size))]
    {
        assert_eq!(PublicKey::from_der(&spki(bits)).map(|_| ()), expected, "{bits}");
    }
}

#[test]
fn an_order_is_for_one_lock_and_one_kind_of_key() {
    let command = Command { id: "c1".into(), action: crate::attempt::ActionWord::Open, not_after: 1_795_352_310 };
    let message = command.issue(&id("lock_01"), &KEYS.backend).unwrap();
    let open = |lock: &str, now| Command::open(message.as_bytes(), &id(lock), KEYS.backend.public(), now);
    assert_eq!(open("lock_01", *BEFORE), Ok(command.clone()));
    assert_eq!(open("lock_02", *BEFORE), Err(OrderError::Signature));
    let newer = Issuer::from_seeds(&[1; 32], &[2; 32]);
    assert_eq!(Command::open(message.as_bytes(), &id("lock_01"), newer.identity(), *BEFORE), Err(OrderError::Algorithm));
    let other = command.issue(&id("lock_01"), &newer).unwrap();
    assert_eq!(Command::open(other.as_bytes(), &id("lock_01"), KEYS.backend.public(), *BEFORE), Err(OrderError::Algorithm));
    let renamed = other.replace("Ed25519", "RSA-PSS-SHA256");
    assert_eq!(Command::open(renamed.as_bytes(), &id("lock_01"), KEYS.backend.public(), *BEFORE), Err(OrderError::Signature));
    let _: Value = serde_json::from_str(&renamed).unwrap();
}

/// A public key of this many bits, which nobody has the private half of.
fn spki(bits: usize) -> Vec<u8> {
    let mut modulus = vec![0xff; bits / 8];
    modulus.insert(0, 0);
    let numbers = [der(2, &modulus), der(2, &[1, 0, 1])].concat();
    let mut key = vec![0];
    key.extend(der(0x30, &numbers));
    let algorithm = der(0x30, &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0]);
    der(0x30, &[algorithm, der(3, &key)].concat())
}

fn ed25519() -> Vec<u8> {
    let algorithm = der(0x30, &[6, 3, 0x2b, 0x65, 0x70]);
    der(0x30, &[algorithm, der(3, &[0; 33])].concat())
}

fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = match value.len().to_be_bytes() {
        [.., 0, low @ 0..=0x7f] => vec![low],
        [.., 0, low] => vec![0x81, low],
        [.., high, low] => vec![0x82, high, low],
    };
    [&[tag], &length[..], value].concat()
}
