//! The vectors of version 2, which were made without this code, and what must not open.

use super::{
    challenge::{Challenges, LIFE, MOST, Outcome, Response},
    pass::{Actions, Hours, NotAdmitted, Parts, Pass, Proof, WallClock, parts, prove},
    *,
};
use crate::{
    Time,
    ble::{
        order::{Command, OrderError, Revoked, RevokedSession},
        testing::{array, bytes, hex, vectors_of_v2},
        token::{SessionKey, SlotLength, token},
    },
};
use alloc::{format, string::String, vec, vec::Vec};
use core::time::Duration;
use proptest::prelude::*;
use serde_json::Value;

fn issuer() -> Issuer {
    Issuer::from_seeds(&[0x11; 32], &[0x22; 32])
}

fn guest() -> Guest {
    Guest::from_seed(&[0x33; 32])
}

fn lock() -> Lock {
    Lock::from_seed(&[0x44; 32])
}

fn id(text: &str) -> LockId {
    text.parse().unwrap()
}

fn at(seconds: i64) -> Time {
    Time::from_seconds(seconds)
}

fn given(vector: &Value) -> Given {
    Given {
        key: SessionKey::new(array(&vector["session_key"])),
        nonce: array(&vector["nonce"]),
        expiry: vector["expiry"].as_u64().unwrap(),
        clock_offset: vector["clock_offset"].as_i64().unwrap().try_into().unwrap(),
        slot: SlotLength::new(vector["slot_seconds"].as_u64().unwrap().try_into().unwrap()).unwrap(),
        ways: Ways::read(vector["ways"].as_u64().unwrap().try_into().unwrap()).unwrap(),
    }
}

fn session() -> LockSession {
    LockSession { given: given(&vectors_of_v2()["session"]), fingerprint: guest().key().fingerprint() }
}

fn ask() -> Ask {
    Ask { lock: id("lock_01"), client_time: Some(7), invite: String::new() }
}

fn hello() -> Hello {
    Hello { key_id: issuer().identity().key_id(), challenge: [5; 16] }
}

fn pass_of(vector: &Value) -> Pass {
    let number = |name: &str| vector[name].as_u64().unwrap();
    let actions = [(1, ActionWord::Open), (2, ActionWord::Unlock), (4, ActionWord::Lock)];
    let actions: Vec<_> = actions.into_iter().filter(|(bit, _)| number("actions") & bit != 0).map(|(_, action)| action).collect();
    let hours = vector["hours"].as_array().unwrap().iter().map(|hours| {
        let at = |index: usize| u16::try_from(hours[index].as_u64().unwrap()).unwrap();
        Hours { days: at(0).try_into().unwrap(), from: at(1), until: at(2) }
    });
    Pass {
        key_id: issuer().identity().key_id(),
        serial: array(&vector["serial"]),
        epoch: number("epoch").try_into().unwrap(),
        guest: guest().key(),
        not_before: number("not_before"),
        not_after: number("not_after"),
        actions: Actions::new(&actions).unwrap(),
        doors: vector["doors"].as_array().unwrap().iter().map(|door| id(door.as_str().unwrap())).collect(),
        zone: vector["zone"].as_str().unwrap().into(),
        hours: hours.collect(),
    }
}

#[test]
fn keys_are_those_of_the_vectors() {
    let vectors = vectors_of_v2();
    assert_eq!(hex(&issuer().identity().to_bytes()), vectors["issuer"]["identity"]);
    assert_eq!(hex(&issuer().identity().key_id()), vectors["issuer"]["key_id"]);
    assert_eq!(hex(guest().key().as_bytes()), vectors["guest"]["public"]);
    assert_eq!(hex(&guest().key().fingerprint()), vectors["guest"]["fingerprint"]);
    assert_eq!(hex(lock().key().as_bytes()), vectors["lock"]["public"]);
    let identity = Identity::from_bytes(&array(&vectors["issuer"]["identity"])).unwrap();
    assert_eq!(identity, *issuer().identity());
    assert_eq!(Identity::from_bytes(&[0; 64]), None, "a key of small order");
    assert_eq!(GuestKey::from_bytes(&[0; 32]), None);
    let shown = format!("{:?} {:?} {:?}", issuer(), guest(), lock());
    assert!(!shown.contains("17, 17") && !shown.contains("51, 51") && !shown.contains("68, 68"), "no seed is printed");
}

#[test]
fn requests_and_answers_are_those_of_the_vectors() {
    for vector in vectors_of_v2()["requests"].as_array().unwrap() {
        let hello = Hello::read(&bytes(&vector["hello"])).unwrap();
        assert_eq!(hex(&hello.write()), vector["hello"]);
        assert_eq!(hex(&hello.challenge), vector["challenge"]);
        let asks = Ask {
            lock: id(vector["lock_id"].as_str().unwrap()),
            client_time: vector["client_time"].as_u64().filter(|time| *time > 0),
            invite: vector["invite"].as_str().unwrap().into(),
        };
        let (frame, asked) = asks.seal(&hello, issuer().identity(), &guest(), array(&vector["ephemeral_seed"])).unwrap();
        assert_eq!(hex(&frame), vector["frame"]);
        assert!(frame.len() <= WRITE);
        let opened = open_request(&frame, &hello.challenge, &issuer()).unwrap();
        assert_eq!((&opened.ask, opened.guest), (&asks, guest().key()));
        for answer in vector["answers"].as_array().unwrap() {
            let says = if answer["refused"].is_null() { Answer::Given(given(answer)) } else { Answer::Refused(Why::NoGrant) };
            let frame = opened.answer(&says, array(&answer["random"])).unwrap();
            assert_eq!(hex(&frame), answer["frame"]);
            assert_eq!(asked.open(&frame), Ok(says));
        }
    }
}

#[test]
fn sessions_are_those_of_the_vectors() {
    let vector = &vectors_of_v2()["session"];
    let frame = seal_session(&session(), &id("lock_01"), lock().key(), &issuer(), array(&vector["ephemeral_seed"])).unwrap();
    assert_eq!(hex(&frame), vector["frame"]);
    let open = |frame: &[u8], name: &str, second| open_session(frame, &id(name), &lock(), issuer().identity(), at(second));
    assert_eq!(open(&frame, "lock_01", 0), Ok(session()));
    assert_eq!(open(&frame, "lock_02", 0), Err(FrameError::Signature), "a session for another lock");
    assert_eq!(open(&frame, "lock_01", 1_795_352_553), Err(FrameError::Expired));
    let other = Issuer::from_seeds(&[1; 32], &[0x22; 32]);
    assert_eq!(open_session(&frame, &id("lock_01"), &lock(), other.identity(), at(0)), Err(FrameError::Signature));
    assert_eq!(open_session(&frame, &id("lock_01"), &Lock::from_seed(&[1; 32]), issuer().identity(), at(0)), Err(FrameError::Signature));
    for at in 0..frame.len() {
        let mut changed = frame.clone();
        changed[at] ^= 1;
        assert!(open(&changed, "lock_01", 0).is_err(), "byte {at}");
        assert!(open(&frame[..at], "lock_01", 0).is_err());
    }
}

#[test]
fn challenges_and_responses_are_those_of_the_vectors() {
    let vectors = vectors_of_v2();
    let vector = &vectors["challenge"];
    let challenge = Challenge::read(&bytes(&vector["frame"])).unwrap();
    let expected = Challenge { knows_time: true, takes_passes: true, bytes: array(&vector["challenge"]), lock: id("lock_01") };
    assert_eq!(challenge, expected);
    assert_eq!(hex(&challenge.write().unwrap()), vector["frame"]);
    let given = session().given;
    for vector in vectors["responses"].as_array().unwrap() {
        let action: ActionWord = vector["action"].as_str().unwrap().parse().unwrap();
        let frame = respond(&challenge, &id("lock_01"), &given, action).unwrap();
        assert_eq!(hex(&frame), vector["frame"]);
        let response = Response::read(&frame).unwrap();
        assert_eq!((response.nonce, response.action), (given.nonce, action));
        assert!(response.is_right(&given.key, &id("lock_01"), &challenge.bytes));
        assert!(!response.is_right(&given.key, &id("lock_02"), &challenge.bytes), "another lock");
        assert!(!response.is_right(&given.key, &id("lock_01"), &[0; 16]), "another challenge");
        assert!(!response.is_right(&SessionKey::new([0; 32]), &id("lock_01"), &challenge.bytes), "another session");
    }
    let open = respond(&challenge, &id("lock_01"), &given, ActionWord::Open).unwrap();
    let swapped = Response::read(&[&open[..11], b"lock", &open[15..]].concat()).unwrap();
    assert!(!swapped.is_right(&given.key, &id("lock_01"), &challenge.bytes), "another action");
    assert_eq!(respond(&challenge, &id("lock_02"), &given, ActionWord::Open), Err(FrameError::OtherKey), "a lock that asks for another");
    let by_token = Given { ways: Ways::TOKEN, ..given.clone() };
    assert_eq!(respond(&challenge, &id("lock_01"), &by_token, ActionWord::Open), Err(FrameError::Malformed));
    assert_eq!(respond(&challenge, &id("lock_01"), &given, ActionWord::Refresh), Err(FrameError::Malformed));
}

#[test]
fn passes_are_those_of_the_vectors() {
    let vectors = vectors_of_v2();
    let challenge = array(&vectors["challenge"]["challenge"]);
    for (vector, action) in vectors["passes"].as_array().unwrap().iter().zip([ActionWord::Open, ActionWord::Unlock]) {
        let pass = pass_of(vector);
        let frame = pass.issue(&issuer()).unwrap();
        assert_eq!(hex(&frame), vector["frame"]);
        assert_eq!(Pass::open(&frame, issuer().identity()), Ok(pass.clone()));
        let proof = prove(&frame, &id("lock_01"), &challenge, action, &guest()).unwrap();
        assert_eq!(hex(&proof), vector["proof"]);
        let proof = Proof::read(&proof).unwrap();
        assert!(proof.is_right(&pass, &frame, &id("lock_01"), &challenge));
        assert!(!proof.is_right(&pass, &frame, &id("lock_02"), &challenge), "another lock");
        assert!(!proof.is_right(&pass, &frame, &id("lock_01"), &[0; 16]), "another challenge");
        let thief = prove(&frame, &id("lock_01"), &challenge, action, &Guest::from_seed(&[1; 32])).unwrap();
        assert!(!Proof::read(&thief).unwrap().is_right(&pass, &frame, &id("lock_01"), &challenge), "another guest");
        let writes = parts(&frame);
        if frame.len() > WRITE {
            assert_eq!(writes.iter().map(|part| hex(part)).collect::<Vec<_>>(), vector["parts"].as_array().unwrap().clone());
        }
        let mut taken = Parts::default();
        let whole: Vec<_> = writes.iter().filter_map(|write| taken.take(write, at(0)).unwrap()).collect();
        assert_eq!(whole, core::slice::from_ref(&frame));
        for at in 0..frame.len() {
            let mut changed = frame.clone();
            changed[at] ^= 1;
            assert!(Pass::open(&changed, issuer().identity()).is_err(), "byte {at}");
        }
    }
}

#[test]
fn advertisements_are_those_of_the_vectors() {
    let given = session().given;
    let hints = Hints::new(&given.key);
    for vector in vectors_of_v2()["advertisements"].as_array().unwrap() {
        let slot = vector["slot"].as_u64().unwrap();
        let token = token(&given.key, given.nonce().as_str(), slot);
        assert_eq!(hex(token.as_bytes()), vector["token"]);
        assert_eq!(hex(&hints.at(slot)), vector["hint"]);
        let data = Advertised::data(&token, hints.at(slot));
        assert_eq!(hex(&data), vector["data"]);
        assert_eq!(Advertised::read(&data), Some(Advertised { token, hint: Some(hints.at(slot)) }));
    }
    for wrong in [&[2; 15][..], &[2; 17], &[2; 24], &[0; 24], &[0; 25], &[]] {
        assert_eq!(Advertised::read(wrong), None);
    }
}

#[test]
fn orders_are_those_of_the_vectors() {
    let orders = &vectors_of_v2()["orders"];
    let command = Command { id: "c-1 é".into(), action: ActionWord::Open, not_after: 1_795_352_263 };
    let message = orders["command"]["message"].as_str().unwrap();
    assert_eq!(command.issue(&id("lock_01"), &issuer()).unwrap(), message);
    let open = |lock: &str, second| Command::open(message.as_bytes(), &id(lock), issuer().identity(), at(second));
    assert_eq!(open("lock_01", 1_795_352_253), Ok(command.clone()));
    assert_eq!(open("lock_01", 1_795_352_263), Ok(command));
    assert_eq!(open("lock_01", 1_795_352_264), Err(OrderError::Late));
    assert_eq!(open("lock_01", 1_795_352_252), Err(OrderError::Early));
    assert_eq!(open("lock_02", 1_795_352_253), Err(OrderError::Signature));
    let revoked =
        Revoked { seq: 4, revoked: vec![RevokedSession { nonce: session().given.nonce(), expiry: 1_795_352_553 }], epoch: Some(8) };
    let list = orders["revoked"]["message"].as_str().unwrap();
    assert_eq!(revoked.issue(&id("lock_01"), &issuer()).unwrap(), list);
    let open = |known| Revoked::open(list.as_bytes(), &id("lock_01"), issuer().identity(), known);
    assert_eq!((open(None), open(Some(4)), open(Some(5))), (Ok(revoked.clone()), Ok(revoked), Err(OrderError::Old)));
    let stretched = list.replace("\"seq\":4", "\"seq\":5");
    assert_eq!(Revoked::open(stretched.as_bytes(), &id("lock_01"), issuer().identity(), None), Err(OrderError::Signature));
    let without = list.replace(",\"epoch\":8", "");
    assert_eq!(Revoked::open(without.as_bytes(), &id("lock_01"), issuer().identity(), None), Err(OrderError::Signature));
    assert_eq!(Revoked::open(b"{}", &id("lock_01"), issuer().identity(), None), Err(OrderError::Malformed));
}

#[test]
fn a_request_opens_for_its_challenge_and_its_issuer_alone() {
    let (frame, asked) = ask().seal(&hello(), issuer().identity(), &guest(), [1; 32]).unwrap();
    let refused = |frame: &[u8], challenge, issuer: &Issuer| open_request(frame, challenge, issuer).map(|_| ()).unwrap_err();
    assert!(open_request(&frame, &[5; 16], &issuer()).is_ok());
    assert_eq!(refused(&frame, &[6; 16], &issuer()), FrameError::Sealed, "a recorded request");
    let other = Issuer::from_seeds(&[1; 32], &[2; 32]);
    assert_eq!(refused(&frame, &[5; 16], &other), FrameError::OtherKey);
    assert_eq!(ask().seal(&hello(), other.identity(), &guest(), [1; 32]).map(|_| ()), Err(FrameError::OtherKey));
    for at in 0..frame.len() {
        let mut changed = frame.clone();
        changed[at] ^= 1;
        refused(&changed, &[5; 16], &issuer());
        refused(&frame[..at], &[5; 16], &issuer());
    }
    let opened = open_request(&frame, &[5; 16], &issuer()).unwrap();
    let answer = opened.answer(&Answer::Refused(Why::RateLimited), [8; 16]).unwrap();
    assert_eq!(answer.len(), 35);
    let (_, other_asked) = ask().seal(&self::hello(), issuer().identity(), &guest(), [2; 32]).unwrap();
    assert_eq!(asked.open(&answer), Ok(Answer::Refused(Why::RateLimited)));
    assert_eq!(other_asked.open(&answer), Err(FrameError::Sealed), "the answer to another request");
}

#[test]
fn an_issuer_cannot_hand_a_request_on_as_its_own() {
    let other = Issuer::from_seeds(&[1; 32], &[2; 32]);
    let to_other = Hello { key_id: other.identity().key_id(), ..hello() };
    let (frame, _) = ask().seal(&to_other, other.identity(), &guest(), [1; 32]).unwrap();
    let info = |issuer: &Issuer| frame::domain("request", &[&issuer.identity().to_bytes(), &[5; 16]]);
    let plain = other.opening(frame[6..38].try_into().unwrap(), &info(&other)).unwrap().open(&frame[38..], &frame[..6]).unwrap();
    let head = [&[2, 2][..], &hello().key_id].concat();
    let (enc, mut context) = key::sealing(issuer().identity().sealing(), &info(&issuer()), [1; 32]).unwrap();
    let forwarded = [&head[..], &enc, &context.seal(&plain, &head).unwrap()].concat();
    assert_eq!(open_request(&forwarded, &[5; 16], &issuer()).map(|_| ()), Err(FrameError::Signature));
}

#[test]
fn what_does_not_fit_is_not_written() {
    let long = Ask { lock: id(&"x".repeat(41)), ..ask() };
    assert_eq!(long.seal(&hello(), issuer().identity(), &guest(), [1; 32]).map(|_| ()), Err(FrameError::TooLong));
    let long = Ask { invite: "x".repeat(41), ..ask() };
    assert_eq!(long.seal(&hello(), issuer().identity(), &guest(), [1; 32]).map(|_| ()), Err(FrameError::TooLong));
    let mut far = session();
    far.given.clock_offset = 86_401;
    assert_eq!(seal_session(&far, &id("a"), lock().key(), &issuer(), [1; 32]), Err(FrameError::Malformed));
    assert_eq!(seal_session(&session(), &id("a"), &LockKey::from_bytes([0; 32]), &issuer(), [1; 32]), Err(FrameError::Sealed));
}

#[test]
fn a_challenge_is_good_for_two_seconds_and_one_try() {
    let mut challenges = Challenges::default();
    challenges.give(1, [1; 16], at(10));
    challenges.give(2, [2; 16], at(10));
    assert_eq!(challenges.take(&1, at(12)), Some([1; 16]));
    assert_eq!(challenges.take(&1, at(12)), None, "once");
    assert_eq!(challenges.take(&2, at(12).plus(Duration::from_micros(1))), None, "too late");
    challenges.give(3, [3; 16], at(10));
    challenges.give(3, [4; 16], at(10));
    assert_eq!(challenges.take(&3, at(10)), Some([4; 16]), "the newer one");
    challenges.give(4, [5; 16], at(10));
    assert_eq!(challenges.take(&4, at(9)), None, "the clock was set back");
    challenges.give(5, [5; 16], at(10));
    challenges.forget(&5);
    assert_eq!(challenges.take(&5, at(10)), None);
    for connection in 0..100 {
        challenges.give(connection, [7; 16], at(20));
    }
    let left = (0..100).filter(|connection| challenges.take(connection, at(20)).is_some());
    assert_eq!(left.collect::<Vec<_>>(), (100 - i32::try_from(MOST).unwrap()..100).collect::<Vec<_>>());
    assert_eq!(LIFE, Duration::from_secs(2));
    for outcome in [Outcome::Done, Outcome::Refused, Outcome::Again, Outcome::NoTime] {
        assert_eq!(Outcome::read(&outcome.write()), Ok(outcome));
    }
    assert_eq!(Outcome::read(&[2, 10, 4]), Err(FrameError::Malformed));
}

#[test]
fn a_pass_is_good_for_its_doors_actions_and_hours() {
    let vectors = vectors_of_v2();
    let pass = pass_of(&vectors["passes"][1]);
    let noon = Some(WallClock { weekday: 0, minute: 720 });
    let admits = |door: &str, action, epoch, second, wall| pass.admits(&id(door), action, epoch, second, wall);
    let (first, last) = (pass.not_before, pass.not_after - 1);
    assert_eq!(admits("lock_01", ActionWord::Open, 8, first, noon), Ok(()));
    assert_eq!(admits("lock_01", ActionWord::Lock, 0, last, noon), Ok(()));
    assert_eq!(admits("lock_01", ActionWord::Open, 9, first, noon), Err(NotAdmitted::Epoch));
    assert_eq!(admits("lock_01", ActionWord::Open, 8, first - 1, noon), Err(NotAdmitted::Early));
    assert_eq!(admits("lock_01", ActionWord::Open, 8, last + 1, noon), Err(NotAdmitted::Late));
    assert_eq!(admits("lock_02", ActionWord::Open, 8, first, noon), Err(NotAdmitted::Door));
    assert_eq!(admits("lock_01", ActionWord::Refresh, 8, first, noon), Err(NotAdmitted::Action));
    assert_eq!(admits("lock_01", ActionWord::Open, 8, first, None), Err(NotAdmitted::Hours), "a lock without zones");
    // Weekdays 7:00 to 18:00; Saturday and Sunday 22:00 to 2:00 of the day after.
    for (weekday, minute, good) in [
        (0, 419, false),
        (0, 420, true),
        (4, 1079, true),
        (4, 1080, false),
        (5, 720, false),
        (5, 1320, true),
        (6, 119, true),
        (6, 120, false),
        (0, 119, true),
        (1, 119, false),
        (5, 60, false),
    ] {
        let wall = Some(WallClock { weekday, minute });
        assert_eq!(admits("lock_01", ActionWord::Open, 8, first, wall).is_ok(), good, "{weekday} {minute}");
    }
    let always = pass_of(&vectors["passes"][0]);
    assert_eq!(always.admits(&id("lock_01"), ActionWord::Open, 7, always.not_before, None), Ok(()));
    assert_eq!(always.admits(&id("lock_01"), ActionWord::Unlock, 7, always.not_before, None), Err(NotAdmitted::Action));
}

#[test]
fn a_pass_that_makes_no_sense_is_not_issued() {
    type Change = fn(&mut Pass);
    let good = pass_of(&vectors_of_v2()["passes"][1]);
    let hours = good.hours[0];
    let wrong: [(Change, FrameError); 9] = [
        (|pass| pass.key_id = [0; 4], FrameError::OtherKey),
        (|pass| pass.not_after = pass.not_before, FrameError::Malformed),
        (|pass| pass.doors.clear(), FrameError::TooLong),
        (|pass| pass.doors.push(id("ninth")), FrameError::TooLong),
        (|pass| pass.doors[0] = id(&"x".repeat(41)), FrameError::TooLong),
        (|pass| pass.zone = String::new(), FrameError::Malformed),
        (|pass| pass.zone = "Europe/Köln".into(), FrameError::Malformed),
        (|pass| pass.hours = vec![pass.hours[0]; 9], FrameError::TooLong),
        (|pass| pass.not_after = u64::MAX, FrameError::Malformed),
    ];
    for (change, expected) in wrong {
        let mut pass = good.clone();
        change(&mut pass);
        assert_eq!(pass.issue(&issuer()), Err(expected));
    }
    for wrong in [Hours { days: 0, ..hours }, Hours { days: 128, ..hours }, Hours { from: 1440, ..hours }, Hours { until: 1441, ..hours }] {
        let pass = Pass { hours: vec![wrong], ..good.clone() };
        assert_eq!(pass.issue(&issuer()), Err(FrameError::Malformed));
    }
    assert_eq!((Actions::new(&[]), Actions::new(&[ActionWord::Refresh])), (None, None));
}

#[test]
fn parts_come_in_their_order() {
    let mut longest = pass_of(&vectors_of_v2()["passes"][1]);
    longest.doors[0] = id(&"x".repeat(40));
    longest.zone = "z".repeat(40);
    longest.hours = vec![longest.hours[0]; 8];
    let frame = longest.issue(&issuer()).unwrap();
    assert_eq!(frame.len(), pass::MOST);
    let writes = parts(&frame);
    assert!(writes.len() == 3 && writes.iter().all(|part| part.len() <= WRITE));
    let mut taken = Parts::default();
    let mut take = |index: usize, seconds| taken.take(&writes[index], at(seconds));
    assert_eq!(take(1, 0), Err(FrameError::Malformed));
    assert_eq!((take(0, 0), take(2, 0)), (Ok(None), Err(FrameError::Malformed)), "one is missing");
    assert_eq!((take(0, 0), take(1, 0), take(2, 11)), (Ok(None), Ok(None), Err(FrameError::Malformed)), "too slow");
    assert_eq!((take(0, 0), take(1, 0), take(0, 20), take(1, 20), take(2, 30)), (Ok(None), Ok(None), Ok(None), Ok(None), Ok(Some(frame))));
    for wrong in [&[2, 9][..], &[2, 9, 0, 0, 1], &[2, 9, 0, 4, 1], &[2, 9, 1, 1, 1], &[2, 9, 0, 1], &[2, 9, 0, 3, 7].repeat(100)] {
        assert_eq!(Parts::default().take(wrong, at(0)), Err(FrameError::Malformed));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(kind in 0u8..12, tail in proptest::collection::vec(any::<u8>(), 0..600)) {
        let frame = [&[2, kind][..], &tail].concat();
        let _ = (Hello::read(&frame), Challenge::read(&frame), Response::read(&frame), Outcome::read(&frame), Proof::read(&frame));
        let _ = (Advertised::read(&frame), Pass::open(&frame, issuer().identity()), Parts::default().take(&frame, at(0)));
        let _ = open_session(&frame, &id("a"), &lock(), issuer().identity(), at(0));
        prop_assert!(open_request(&frame, &[0; 16], &issuer()).is_err());
    }

    #[test]
    fn any_session_opens_as_it_was_sealed(
        key in any::<[u8; 32]>(), nonce in any::<[u8; 8]>(), expiry in 1u64..=253_402_300_799, clock_offset in -86_400i32..=86_400,
        slot in 1u8..=60, ways in 1u8..=7, random in any::<[u8; 32]>(), lock_id in "[A-Za-z0-9_.-]{1,40}",
    ) {
        let slot = SlotLength::new(slot).unwrap();
        let given = Given { key: SessionKey::new(key), nonce, expiry, clock_offset, slot, ways: Ways::read(ways).unwrap() };
        let session = LockSession { given: given.clone(), fingerprint: guest().key().fingerprint() };
        let lock_id = id(&lock_id);
        let frame = seal_session(&session, &lock_id, lock().key(), &issuer(), random).unwrap();
        prop_assert_eq!(frame.len(), 178);
        prop_assert_eq!(open_session(&frame, &lock_id, &lock(), issuer().identity(), at(0)), Ok(session));
        let asks = Ask { lock: lock_id, client_time: Some(expiry), invite: "x".into() };
        let (frame, asked) = asks.seal(&hello(), issuer().identity(), &guest(), random).unwrap();
        let opened = open_request(&frame, &[5; 16], &issuer()).unwrap();
        prop_assert_eq!(&opened.ask, &asks);
        let answer = opened.answer(&Answer::Given(given.clone()), nonce.repeat(2).try_into().unwrap()).unwrap();
        prop_assert_eq!(answer.len(), 89);
        prop_assert_eq!(asked.open(&answer), Ok(Answer::Given(given)));
    }

    #[test]
    fn any_pass_opens_as_it_was_issued(
        serial in any::<[u8; 8]>(), epoch in any::<u32>(), from in 0u64..253_402_300_000, life in 1u64..700,
        doors in proptest::collection::vec("[A-Za-z0-9_.-]{1,40}", 1..=8), zone in "[!-~]{1,40}",
        hours in proptest::collection::vec((1u8..=127, 0u16..1440, 0u16..=1440), 0..=8),
    ) {
        let hours = hours.into_iter().filter(|(_, from, until)| from != until);
        let pass = Pass {
            key_id: issuer().identity().key_id(),
            serial,
            epoch,
            guest: guest().key(),
            not_before: from,
            not_after: from + life,
            actions: Actions::new(&[ActionWord::Open]).unwrap(),
            doors: doors.iter().map(|door| id(door)).collect(),
            zone,
            hours: hours.map(|(days, from, until)| Hours { days, from, until }).collect(),
        };
        let frame = pass.issue(&issuer()).unwrap();
        let mut taken = Parts::default();
        let whole: Vec<_> = parts(&frame).iter().filter_map(|write| taken.take(write, at(0)).unwrap()).collect();
        prop_assert_eq!(whole.as_slice(), &[frame]);
        prop_assert_eq!(Pass::open(&whole[0], issuer().identity()), Ok(pass));
    }
}
