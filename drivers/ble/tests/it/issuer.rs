//! An issuer and those who ask it, good and bad.

use crate::{bench::id, book::*, ether::TestClock};
use doorward_ble::{
    clock::Clock as _,
    guest::{Enrolment, Guest, GuestError},
    issuer::{Config, Counters, Issuer, Keys, Rate, Rates, Recipient},
    radio::RadioError,
};
use doorward_wire::{
    Time,
    ble::{
        compat::{self, Bits, PrivateKey},
        framing::Reassembly,
        request::{Response, Trouble},
        v2::{self, Ways, open_session},
    },
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

#[tokio::test(start_paused = true)]
async fn a_guest_of_version_1_gets_the_session_that_its_lock_gets() {
    let stage = Stage::new(Book::new());
    let held = stage.session(&Stage::v1()).await.unwrap();
    let [issued] = stage.issued().try_into().unwrap();
    let message = &issued.delivery.message;
    let at_lock = compat::open(message, &private("lock_01"), &public("backend"), &id("lock_01"), stage.clock.now().utc).unwrap();
    assert_eq!(at_lock, held.session);
    assert_eq!(held.session.phone_mac.unwrap().to_string(), stage.phone.address.to_string(), "as the adapter knows it");
    assert!((295..=300).contains(&(held.session.expiry - stage.clock.seconds())));
    assert_eq!((issued.delivery.own, held.ways), (false, Ways::TOKEN));
    assert_eq!(stage.issuer.counters(), Counters { asked: 1, issued: 1, ..Counters::default() });
}

#[tokio::test(start_paused = true)]
async fn a_guest_of_version_2_gets_the_session_that_its_lock_gets() {
    let stage = Stage::new(Book::own());
    let held = stage.session(&Stage::v2()).await.unwrap();
    let [issued] = stage.issued().try_into().unwrap();
    let message = &issued.delivery.message;
    let at_lock = open_session(message, &id("lock_01"), &lock_v2(), issuer_v2().identity(), stage.clock.now().utc).unwrap();
    assert_eq!(Some(&at_lock.given), held.given.as_ref());
    assert_eq!(at_lock.fingerprint, guest_v2().key().fingerprint());
    assert_eq!(held.ways, Ways::TOKEN.and(Ways::CHALLENGE));
}

#[tokio::test(start_paused = true)]
async fn versions_meet_where_they_can_and_a_secure_door_gives_nothing_to_version_1() {
    let stage = Stage::new(Book::own());
    let held = stage.session(&Stage::v1()).await.unwrap();
    let message = &stage.issued()[0].delivery.message;
    let at_lock = open_session(message, &id("lock_01"), &lock_v2(), issuer_v2().identity(), stage.clock.now().utc).unwrap();
    assert_eq!((at_lock.given.key, at_lock.given.ways), (held.session.key, Ways::TOKEN), "a new lock, an old guest");
    let stage = Stage::new(Book::new());
    let held = stage.session(&Stage::v2()).await.unwrap();
    let message = &stage.issued()[0].delivery.message;
    let at_lock = compat::open(message, &private("lock_01"), &public("backend"), &id("lock_01"), stage.clock.now().utc).unwrap();
    assert_eq!((at_lock.key, held.ways), (held.session.key, Ways::TOKEN), "an old lock, a new guest");
    let secure = Stage::new(Book { ways: Ways::CHALLENGE, ..Book::own() });
    assert_eq!(secure.session(&Stage::v1()).await.unwrap_err(), GuestError::Refused("no_grant".into()));
    assert_eq!(secure.session(&Stage::v2()).await.unwrap().ways, Ways::CHALLENGE);
}

#[tokio::test(start_paused = true)]
async fn the_request_of_the_original_is_answered_in_pieces_30_ms_apart() {
    let ahead = 1_762_944_000 - crate::bench::START.cast_signed();
    let stage = Stage::at(ahead, Book::new(), Config::default());
    let mut caller = stage.caller(9).await;
    for piece in VECTORS["gatt"]["request_writes"].as_array().unwrap() {
        caller.write(piece.as_str().unwrap()).await.unwrap();
    }
    let (mut at, mut all) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        all.push(caller.told.next().await.unwrap());
        at.push(tokio::time::Instant::now());
    }
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(30)), "{at:?}");
    assert_eq!(caller.connection.read(request()).await.unwrap(), all[7], "a read returns the last fragment");
    assert!(all[7].starts_with(br#"{"chunk_index":7,"total_chunks":8,"#));
    let mut pieces = Reassembly::default();
    let whole = all.iter().find_map(|piece| pieces.take(piece, Time::from_micros(0)).unwrap()).unwrap();
    let Some(Response::Sealed(sealed)) = Response::read(&whole) else { panic!() };
    let session = compat::open_answer(&sealed, &private("unlocker"), &public("backend")).unwrap();
    assert_eq!((session.clock_offset, stage.issued()[0].delivery.nonce.clone()), (Some(0), session.nonce));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_more_than_a_day_off_is_refused() {
    let stage = Stage::new(Book::new());
    let phone = TestClock::new(-90_000);
    let error = Stage::v1().session(&*stage.phone, &*phone, &|_| {}).await.unwrap_err();
    assert_eq!((error, stage.issued().len()), (GuestError::Refused("invalid_request".into()), 0));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_not_enrolled_gets_nothing() {
    let stage = Stage::new(Book { enrolled: Vec::new(), ..Book::new() });
    assert_eq!(stage.session(&Stage::v1()).await.unwrap_err(), GuestError::Refused("not_enrolled".into()));
    assert_eq!(stage.session(&Stage::v2()).await.unwrap_err(), GuestError::Refused("not_enrolled".into()));
    assert_eq!((stage.issued().len(), stage.issuer.counters().refused), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_client_id_that_says_it_is_somebody_else_gives_no_rights() {
    let stage = Stage::new(Book::new());
    let mut caller = stage.caller(9).await;
    let other = PrivateKey::generate(Bits::Rsa2048).unwrap();
    let mine = body("lock_01", other.public());
    let claimed = mine.replace('}', &format!(",\"client_id\":\"{}\"}}", public("unlocker").fingerprint()));
    for piece in pieces(&claimed) {
        caller.write(&piece).await.unwrap();
    }
    assert_eq!(caller.answer().await, Some(word(Trouble::NotEnrolled)));
}

#[tokio::test(start_paused = true)]
async fn a_key_of_1024_bits_or_none_at_all_is_no_key() {
    let stage = Stage::new(Book::new());
    let mut caller = stage.caller(9).await;
    let small = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDE3yyFvGL54y7VSNhPAMozN0fF
9Y0q0MHOGp522gJ08XJkt/UHXjC3KyJ8kcwIf/35kXr3ppR9JvJIVb5f6lboGZ01
oaUthua0UdXYM5g/oX+VmimEA+e08nE/7NSFKEDJcMd3UaZLoxbYQJZpI5q6VVdz
wNefL/DGOTgc7tTCgwIDAQAB
-----END PUBLIC KEY-----
";
    for key in [small, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
        let body = serde_json::json!({ "lock_id": "lock_01", "unlocker_public_key": key }).to_string();
        for piece in pieces(&body) {
            caller.write(&piece).await.unwrap();
        }
        assert_eq!(caller.answer().await, Some(word(Trouble::InvalidRequest)));
    }
    assert_eq!(caller.ask(r#"{"lock_id":"lock_01"}"#).await, word(Trouble::MissingUnlockerPublicKey), "the plain variant is off");
    assert_eq!(caller.ask("{}").await, word(Trouble::MissingLockId));
    assert_eq!(stage.book.asked.lock().unwrap().len(), 0, "nobody was asked about these");
}

#[tokio::test(start_paused = true)]
async fn an_invite_is_good_once() {
    let book = Book { enrolled: Vec::new(), ..Book::own() };
    book.invites.lock().unwrap().insert("welcome".into(), None);
    let stage = Stage::new(book);
    let config = || doorward_ble::guest::Config { invite: Some("welcome".into()), ..Stage::config() };
    let first = Guest::new(config(), Enrolment::V2 { key: guest_v2(), issuer: *issuer_v2().identity() });
    stage.session(&first).await.unwrap();
    let second = Guest::new(config(), Enrolment::V2 { key: v2::Guest::from_seed(&[9; 32]), issuer: *issuer_v2().identity() });
    assert_eq!(stage.session(&second).await.unwrap_err(), GuestError::Refused("invite_refused".into()));
    let old = Guest::new(config(), Enrolment::V1 { key: private("unlocker"), issuer: public("backend") });
    assert_eq!(stage.session(&old).await.unwrap_err(), GuestError::Refused("invite_refused".into()));
    assert_eq!(stage.issued().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_who_use_an_invite_at_the_same_moment_get_one_session() {
    let book = Book { enrolled: Vec::new(), slow: Duration::from_secs(1), ..Book::new() };
    book.invites.lock().unwrap().insert("welcome".into(), None);
    let stage = Stage::new(book);
    let (mut one, mut other) = (stage.caller(8).await, stage.caller(9).await);
    let with_invite = |whose: &str| body("lock_01", &public(whose)).replace('}', r#","invite":"welcome"}"#);
    for (a, b) in pieces(&with_invite("unlocker")).iter().zip(&pieces(&with_invite("lock_02"))) {
        one.write(a).await.unwrap();
        other.write(b).await.unwrap();
    }
    let answers = [one.answer().await.unwrap(), other.answer().await.unwrap()];
    assert_eq!(answers.iter().filter(|answer| **answer == word(Trouble::InviteRefused)).count(), 1, "{answers:?}");
    assert_eq!((stage.issued().len(), stage.book.asked.lock().unwrap().len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_door_that_the_grant_does_not_cover_is_refused() {
    let stage = Stage::new(Book::new());
    let mut caller = stage.caller(9).await;
    for piece in pieces(&body("lock_02", &public("unlocker"))) {
        caller.write(&piece).await.unwrap();
    }
    assert_eq!(caller.answer().await, Some(word(Trouble::NoGrant)));
}

#[tokio::test(start_paused = true)]
async fn a_session_never_outlives_the_grant() {
    let start = crate::bench::START;
    let stage = Stage::new(Book { until: Time::from_seconds((start + 60).cast_signed()), ..Book::new() });
    assert_eq!(stage.session(&Stage::v1()).await.unwrap().session.expiry, start + 60);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(stage.session(&Stage::v1()).await.unwrap_err(), GuestError::Refused("no_grant".into()));
    assert_eq!(stage.issued().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_pieces_are_refused_at_the_first() {
    let stage = Stage::new(Book::new());
    let mut caller = stage.caller(9).await;
    assert_eq!(caller.ask(r#"{"chunk_index":0,"total_chunks":1000,"data":"AAAA"}"#).await, word(Trouble::InvalidChunk));
    let mut taken = 1;
    for index in 1..1000 {
        taken += u64::from(caller.write(&format!(r#"{{"chunk_index":{index},"total_chunks":1000,"data":"AAAA"}}"#)).await.is_ok());
    }
    assert!(stage.issuer.counters().refused <= taken);
    assert_eq!(stage.book.asked.lock().unwrap().len(), 0);
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert!(stage.session(&Stage::v1()).await.is_ok(), "others are served as before");
}

#[tokio::test(start_paused = true)]
async fn pieces_that_are_missing_for_30_s_are_forgotten() {
    let stage = Stage::new(Book::new());
    let mut caller = stage.caller(9).await;
    let pieces = pieces(&body("lock_01", &public("unlocker")));
    let (last, first) = pieces.split_last().unwrap();
    for piece in first {
        caller.write(piece).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(31)).await;
    caller.write(last).await.unwrap();
    assert_eq!(caller.answer().await, None);
    for piece in first {
        caller.write(piece).await.unwrap();
    }
    assert!(caller.answer().await.is_none(), "the last one is a minute old by now as well");
    caller.write(last).await.unwrap();
    for piece in first {
        caller.write(piece).await.unwrap();
    }
    assert!(matches!(caller.answer().await, Some(Response::Sealed(_))));
}

#[tokio::test(start_paused = true)]
async fn pieces_of_two_phones_are_not_mixed() {
    let stage = Stage::new(Book { enrolled: vec![public("unlocker").fingerprint(), public("lock_02").fingerprint()], ..Book::new() });
    let (mut one, mut other) = (stage.caller(8).await, stage.caller(9).await);
    for (a, b) in pieces(&body("lock_01", &public("unlocker"))).iter().zip(&pieces(&body("lock_01", &public("lock_02")))) {
        one.write(a).await.unwrap();
        other.write(b).await.unwrap();
    }
    let (Some(Response::Sealed(a)), Some(Response::Sealed(b))) = (one.answer().await, other.answer().await) else { panic!() };
    let issuer = public("backend");
    assert!(compat::open_answer(&a, &private("unlocker"), &issuer).is_ok());
    assert!(compat::open_answer(&b, &private("lock_02"), &issuer).is_ok());
    assert!(compat::open_answer(&a, &private("lock_02"), &issuer).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_guest_may_begin_again_with_smaller_pieces() {
    let stage = Stage::new(Book::new());
    let mut caller = stage.caller(9).await;
    let body = body("lock_01", &public("unlocker"));
    for piece in &pieces(&body)[..3] {
        caller.write(piece).await.unwrap();
    }
    for piece in doorward_wire::ble::framing::split(body.as_bytes(), 60.try_into().unwrap()).unwrap() {
        caller.write(&piece).await.unwrap();
    }
    assert!(matches!(caller.answer().await, Some(Response::Sealed(_))));
}

#[tokio::test(start_paused = true)]
async fn what_a_guest_wrote_that_disconnects_halfway_is_gone() {
    let stage = Stage::new(Book::new());
    let pieces = pieces(&body("lock_01", &public("unlocker")));
    let (last, first) = pieces.split_last().unwrap();
    let caller = stage.caller(9).await;
    for piece in first {
        caller.write(piece).await.unwrap();
    }
    drop(caller);
    let mut again = stage.caller(9).await;
    again.write(last).await.unwrap();
    assert_eq!(again.answer().await, None);
    assert_eq!(stage.book.asked.lock().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_disconnects_before_its_answer_holds_nobody_up() {
    let stage = Stage::new(Book { slow: Duration::from_secs(5), ..Book::new() });
    let caller = stage.caller(9).await;
    for piece in pieces(&body("lock_01", &public("unlocker"))) {
        caller.write(&piece).await.unwrap();
    }
    drop(caller);
    let begun = tokio::time::Instant::now();
    stage.session(&Stage::v1()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(7), "both are decided on at the same time");
}

#[tokio::test(start_paused = true)]
async fn who_asks_too_often_is_told_so_and_counted() {
    let rates = Rates { peer: Rate::new(2, Duration::from_mins(1)), adapter: Rate::new(3, Duration::from_mins(1)) };
    let stage = Stage::with(Book::own(), Config { rates, ..Config::default() });
    let limited = GuestError::Refused("rate_limited".into());
    stage.session(&Stage::v1()).await.unwrap();
    stage.session(&Stage::v2()).await.unwrap();
    assert_eq!(stage.session(&Stage::v1()).await.unwrap_err(), limited);
    assert_eq!(stage.session(&Stage::v2()).await.unwrap_err(), limited);
    let mut other = stage.caller(9).await;
    assert_eq!(other.ask("{}").await, word(Trouble::MissingLockId), "another address");
    assert_eq!(other.ask("{}").await, word(Trouble::RateLimited), "which is the last of the adapter's three");
    assert_eq!(stage.issuer.counters().rate_limited, 3);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(stage.session(&Stage::v1()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_few_may_be_connected_and_no_more_until_one_is_idle() {
    let stage = Stage::with(Book::new(), Config { most_peers: 2, ..Config::default() });
    let (mut one, other, third) = (stage.caller(7).await, stage.caller(8).await, stage.caller(9).await);
    one.ask("{}").await;
    other.write(&pieces(&body("lock_01", &public("unlocker")))[0]).await.unwrap();
    assert!(matches!(third.write("{}").await, Err(RadioError::Refused(_))));
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(third.write("{}").await.is_ok(), "the one that was silent the longest gives way");
}

#[tokio::test(start_paused = true)]
async fn without_a_broker_a_guest_gets_no_session_that_no_lock_will_know() {
    let stage = Stage::new(Book::own());
    stage.book.broker.store(false, Ordering::Relaxed);
    assert_eq!(stage.session(&Stage::v1()).await.unwrap_err(), GuestError::Refused("internal_error".into()));
    assert_eq!(stage.session(&Stage::v2()).await.unwrap_err(), GuestError::Refused("internal_error".into()));
    assert_eq!((stage.issued().len(), stage.issuer.counters().internal), (0, 2));
    stage.book.broker.store(true, Ordering::Relaxed);
    assert!(stage.session(&Stage::v1()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_plain_variant_is_answered_where_it_is_allowed_and_nowhere_where_all_would_hear() {
    let config = || Config { plain: true, ..Config::default() };
    let stage = Stage::with(Book { plain: true, ..Book::new() }, config());
    let plain = Guest::new(Stage::config(), Enrolment::Plain);
    let held = stage.session(&plain).await.unwrap();
    let message = &stage.issued()[0].delivery.message;
    let at_lock = compat::open(message, &private("lock_01"), &public("backend"), &id("lock_01"), stage.clock.now().utc).unwrap();
    assert_eq!(at_lock, held.session);
    let unlisted = Stage::with(Book::new(), config());
    let refused = unlisted.session(&Guest::new(Stage::config(), Enrolment::Plain)).await.unwrap_err();
    assert_eq!(refused, GuestError::Refused("not_enrolled".into()), "the registry still decides");
    let keys = Keys { v1: Some(private("backend")), v2: None };
    let loud = Stage::keyed(Book { plain: true, ..Book::new() }, config(), keys, false);
    let refused = loud.session(&Guest::new(Stage::config(), Enrolment::Plain)).await.unwrap_err();
    assert_eq!(refused, GuestError::Refused("missing_unlocker_public_key".into()));
}

#[tokio::test(start_paused = true)]
async fn where_all_are_told_what_one_is_told_two_guests_still_get_their_own() {
    let keys = Keys { v1: Some(private("backend")), v2: Some(issuer_v2()) };
    let book = Book { slow: Duration::from_secs(1), ..Book::own() };
    let stage = Stage::keyed(book, Config::default(), keys, false);
    let (one, other) = (Stage::v1(), Stage::v2());
    let phone = stage.ether.radio(3);
    let tell = stage.tell();
    let (one, other) = tokio::join!(stage.session(&one), other.session(&*phone, &*stage.clock, &tell));
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_goes_on_when_its_adapter_is_back() {
    let stage = Stage::new(Book::new());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(stage.tower.is_advertising());
    stage.tower.unplug();
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(stage.session(&Stage::v1()).await.unwrap_err(), GuestError::NotFound);
    stage.tower.plug();
    assert!(stage.session(&Stage::v1()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_request_of_version_2_that_was_recorded_is_worth_nothing() {
    let stage = Stage::new(Book::own());
    let caller = stage.caller(9).await;
    let provision = v2::PROVISION_CHARACTERISTIC.parse().unwrap();
    let hello = v2::Hello::read(&caller.connection.read(provision).await.unwrap()).unwrap();
    let ask = v2::Ask { lock: id("lock_01"), client_time: None, invite: String::new() };
    let (frame, _) = ask.seal(&hello, issuer_v2().identity(), &guest_v2(), [4; 32]).unwrap();
    caller.connection.write(provision, &frame).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(caller.connection.write(provision, &frame).await.is_err(), "the challenge was used");
    caller.connection.read(provision).await.unwrap();
    assert!(caller.connection.write(provision, &frame).await.is_err(), "and there is another one");
    let hello = v2::Hello::read(&caller.connection.read(provision).await.unwrap()).unwrap();
    let (late, _) = ask.seal(&hello, issuer_v2().identity(), &guest_v2(), [4; 32]).unwrap();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(caller.connection.write(provision, &late).await.is_err(), "or it is too old");
    assert_eq!(stage.issued().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_it_advertises_is_what_guests_in_the_field_look_for() {
    let stage = Stage::new(Book::new());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let shown = stage.ether.shown_by(&stage.tower);
    let [(_, beacon)] = shown.as_slice() else { panic!("{shown:?}") };
    assert_eq!(beacon.data.name.as_deref(), Some("IssuerBeacon"));
    assert_eq!(beacon.data.manufacturer, Some((0xFFFF, vec![1, 0])));
    assert_eq!((beacon.data.appearance, beacon.connectable), (Some(0x0340), true));
    let long = Config { name: "An issuer with a long name".into(), ..Config::default() };
    let issuer = Issuer::new(long, Keys::default());
    let end = issuer.run(&*stage.tower, &*stage.book, &*stage.clock, Box::pin(std::future::pending())).await;
    assert!(matches!(end, Err(RadioError::TooLong { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_lock_whose_kind_of_key_the_issuer_has_not_is_an_internal_error() {
    let book = Book { lock: Recipient::Original(Arc::new(public("lock_01"))), ..Book::new() };
    let stage = Stage::keyed(book, Config::default(), Keys { v1: None, v2: Some(issuer_v2()) }, true);
    assert_eq!(stage.session(&Stage::v2()).await.unwrap_err(), GuestError::Refused("internal_error".into()));
    assert_eq!(stage.session(&Stage::v1()).await.unwrap_err(), GuestError::NoIssuer(1));
}
