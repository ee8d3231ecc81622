//! The other side of a lock is a Python program with Debian's `cryptography`, which shares no line with this crate.

use doorward_wire::{
    Time,
    attempt::ActionWord,
    ble::{
        LockId,
        compat::{self, Bits, KeyError, PrivateKey, PublicKey},
        order::Command,
        request::Response,
        session::Session,
        token::{Nonce, SessionKey, SlotLength},
        v2::{
            Answer, Ask, Challenge, Given, Guest, Hello, Issuer, Lock, LockSession, Ways, Why, open_request, open_session,
            pass::{Actions, Pass, prove},
            respond, seal_session,
        },
    },
};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    io::Write as _,
    process::{Command as Process, Stdio},
};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

fn python(asked: &Value) -> Value {
    let mut process = Process::new("/usr/bin/python3");
    process.arg(format!("{HERE}/tests/it/python.py"));
    process.env("PYTHONPATH", format!("{HERE}/../../docs/wire")).env("PYTHONDONTWRITEBYTECODE", "1");
    let mut child =
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("`make test` installs Python");
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn id() -> LockId {
    "lock_01".parse().unwrap()
}

fn session() -> Session {
    Session {
        key: SessionKey::new([9; 32]),
        expiry: 2_000_000_000,
        nonce: Nonce::new([0xff; 8]),
        phone_mac: Some("aa-bb-cc-dd-ee-ff".parse().unwrap()),
        clock_offset: Some(-7),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn python_opens_the_rsa_sessions_that_doorward_issues_and_the_other_way_round() {
    let [issuer, lock, guest] = [Bits::Rsa2048, Bits::Rsa2048, Bits::Rsa3072].map(|bits| PrivateKey::generate(bits).unwrap());
    let message = compat::issue(&session(), &id(), lock.public(), &issuer).unwrap().write();
    let response = Response::Sealed(compat::answer(&session(), None, guest.public(), &issuer).unwrap()).write();
    let opened = python(&json!({
        "what": "open_1", "message": message, "response": response, "issuer": issuer.public().to_pem(),
        "lock": *lock.to_pem().unwrap(), "guest": *guest.to_pem().unwrap(),
    }));
    assert_eq!(opened["session_key"], hex(&[9; 32]));
    assert_eq!(opened["guest_json"], **session().guest_json());

    let made = python(&json!({
        "what": "issue_1", "device_id": "lock_01", "issuer": *issuer.to_pem().unwrap(),
        "lock": lock.public().to_pem(), "guest": guest.public().to_pem(),
    }));
    let message = made["message"].as_str().unwrap();
    let seen = compat::open(message.as_bytes(), &lock, issuer.public(), &id(), Time::from_seconds(0)).unwrap();
    assert_eq!(seen.key.expose()[..], (0..32).collect::<Vec<_>>());
    assert_eq!((seen.clock_offset, seen.phone_mac), (Some(-7), session().phone_mac));
    let Some(Response::Sealed(sealed)) = Response::read(made["response"].as_str().unwrap().as_bytes()) else { panic!() };
    assert_eq!(compat::open_answer(&sealed, &guest, issuer.public()), Ok(seen));

    let command = Command { id: "tür".into(), action: ActionWord::Open, not_after: 10 };
    let order = command.issue(&id(), &issuer).unwrap();
    let read = python(&json!({"what": "order", "message": order, "lock_id": "lock_01", "issuer": issuer.public().to_pem()}));
    assert_eq!(read, json!({"alg": "RSA-PSS-SHA256", "action": "open"}));
}

#[test]
fn keys_that_python_wrote_are_read_and_short_ones_refused() {
    let keys = python(&json!({"what": "keys_1"}));
    let text = |name: &str| keys[name].as_str().unwrap();
    let key = PrivateKey::from_pem(text("pkcs8")).unwrap();
    assert_eq!(PrivateKey::from_pem(text("pkcs1")).unwrap().public(), key.public());
    assert_eq!(PublicKey::from_pem(text("public")).as_ref(), Ok(key.public()));
    assert_eq!(*key.to_pem().unwrap(), text("pkcs8"));
    let odd = PrivateKey::from_pem(text("odd")).unwrap();
    assert_eq!(odd.public().bits(), 2056);
    let message = compat::issue(&session(), &id(), odd.public(), &odd).unwrap().write();
    assert_eq!(compat::open(message.as_bytes(), &odd, odd.public(), &id(), Time::from_seconds(0)), Ok(session()));
    assert_eq!(PrivateKey::from_pem(text("short")).unwrap_err(), KeyError::Size);
    assert_eq!(PublicKey::from_pem(text("short_public")).unwrap_err(), KeyError::Size);
}

#[test]
fn python_opens_what_doorward_seals_in_version_2_and_the_other_way_round() {
    let (issuer, guest, lock) = (Issuer::from_seeds(&[1; 32], &[2; 32]), Guest::from_seed(&[3; 32]), Lock::from_seed(&[4; 32]));
    let identity = issuer.identity();
    let (challenge, lock_id) = ([6; 16], hex(b"lock_01"));
    let hello = Hello { key_id: identity.key_id(), challenge };
    let ask = Ask { lock: id(), client_time: Some(7), invite: "abc".into() };
    let (request, asked) = ask.seal(&hello, identity, &guest, [7; 32]).unwrap();
    let given = Given {
        key: SessionKey::new([9; 32]),
        nonce: [8; 8],
        expiry: 2_000_000_000,
        clock_offset: -7,
        slot: SlotLength::default(),
        ways: Ways::CHALLENGE,
    };
    let session = LockSession { given: given.clone(), fingerprint: guest.key().fingerprint() };
    let asks = Challenge { knows_time: true, takes_passes: true, bytes: challenge, lock: id() };
    let pass = Pass {
        key_id: identity.key_id(),
        serial: [5; 8],
        epoch: 1,
        guest: guest.key(),
        not_before: 0,
        not_after: 2_000_000_000,
        actions: Actions::new(&[ActionWord::Open]).unwrap(),
        doors: vec![id()],
        zone: String::new(),
        hours: Vec::new(),
    };
    let pass = pass.issue(&issuer).unwrap();
    let opened = python(&json!({
        "what": "open_2", "identity": hex(&identity.to_bytes()), "challenge": hex(&challenge), "request": hex(&request),
        "sealing_seed": hex(&[2; 32]), "lock_seed": hex(&[4; 32]), "lock_id": lock_id,
        "session": hex(&seal_session(&session, &id(), lock.key(), &issuer, [10; 32]).unwrap()),
        "response": hex(&respond(&asks, &id(), &given, ActionWord::Open).unwrap()),
        "pass": hex(&pass), "proof": hex(&prove(&pass, &id(), &challenge, ActionWord::Open, &guest).unwrap()),
    }));
    assert_eq!((opened["guest"].as_str().unwrap(), opened["lock_id"].as_str().unwrap()), (hex(guest.key().as_bytes()).as_str(), "lock_01"));
    assert!(opened["session"].as_str().unwrap().starts_with(&hex(&[9; 32])));
    assert_eq!(asked.open(&bytes(&opened["answer"])), Ok(Answer::Refused(Why::NoGrant)));

    let own = json!({
        "what": "issue_2", "identity": hex(&identity.to_bytes()), "challenge": hex(&challenge), "lock_id": lock_id,
        "lock": hex(lock.key().as_bytes()), "guest_seed": hex(&[3; 32]), "signing_seed": hex(&[1; 32]), "seed": hex(&[11; 32]),
    });
    let made = python(&own);
    let request = open_request(&bytes(&made["request"]), &challenge, &issuer).unwrap();
    assert_eq!((request.ask.clone(), request.guest), (ask, guest.key()));
    let seen = open_session(&bytes(&made["session"]), &id(), &lock, identity, Time::from_seconds(0)).unwrap();
    assert_eq!(seen.given.key.expose()[..], (0..32).collect::<Vec<_>>());
    let answer = request.answer(&Answer::Given(given), [12; 16]).unwrap();
    let read = python(&json!({
        "what": "answer_2", "identity": own["identity"], "challenge": own["challenge"], "seed": own["seed"], "answer": hex(&answer),
    }));
    assert!(read["plain"].as_str().unwrap().starts_with(&format!("00{}", hex(&[9; 32]))));
}
