//! A guest: whom it believes, what it shows, and when it stops.

use crate::{
    bench::{Bench, Seen, id, keys_of_v2},
    book::*,
    ether::{Ether, TestClock},
};
use doorward_ble::{
    clock::Clock as _,
    guest::{Config, Enrolment, Find, Guest, GuestError, Progress},
    issuer::{Config as IssuerConfig, Keys},
    lock::{self, Input},
    radio::{Address, Advertisement, Can, Characteristic, Fields, Incoming, Manufacturer, Radio as _, Service, Sighting, uuid16},
};
use doorward_wire::{
    attempt::ActionWord,
    ble::{
        session::OpenError,
        token::{SlotLength, Tokens, slot_at},
        v2::{
            self, CHALLENGE_CHARACTERISTIC, LOCK_SERVICE, RESPONSE_CHARACTERISTIC, Ways,
            challenge::Outcome,
            pass::{Actions, Pass},
        },
    },
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

#[test]
fn an_issuer_is_found_by_address_or_name_or_data() {
    let sighting = |name: Option<&str>, data: &[u8]| Sighting {
        address: Address([1; 6]),
        name: name.map(Into::into),
        manufacturer: Manufacturer::new(0xFFFF, data),
        ..Sighting::default()
    };
    let find = Find::default();
    assert!(find.is(&sighting(Some("IssuerBeacon"), &[7; 16])) && find.is(&sighting(None, &[1, 0])));
    assert!(!find.is(&sighting(Some("Unlocker"), &[7; 16])), "another guest");
    assert!(!find.is(&Sighting::default()));
    let known = Find { address: Some(Address([1; 6])), name: None, manufacturer: None };
    assert!(known.is(&sighting(None, &[7; 16])) && !known.is(&Sighting::default()));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_another_issuer_signed_is_refused() {
    let stage = Stage::new(Book::own());
    let other = Guest::new(Stage::config(), Enrolment::V1 { key: private("unlocker"), issuer: public("lock_02") });
    let error = stage.session(&other).await.unwrap_err();
    assert_eq!(error, GuestError::Answer(OpenError::SignatureWrong));
    assert!(error.person().contains("not from the issuer"), "{}", error.person());
    let foreign = *v2::Issuer::from_seeds(&[5; 32], &[6; 32]).identity();
    let other = Guest::new(Stage::config(), Enrolment::V2 { key: guest_v2(), issuer: foreign });
    assert!(matches!(stage.session(&other).await.unwrap_err(), GuestError::Frame(v2::FrameError::OtherKey)));
    assert_eq!(stage.issued().len(), 1, "in version 2 it does not even ask");
}

#[tokio::test(start_paused = true)]
async fn an_impostor_beside_the_issuer_keeps_nobody_out() {
    let stage = Stage::new(Book::own());
    let impostor = stage.ether.radio(0);
    let own = (Arc::clone(&impostor), Arc::clone(&stage.clock), Arc::new(Book::own()));
    let keys = Keys { v1: Some(private("lock_02")), v2: Some(v2::Issuer::from_seeds(&[5; 32], &[6; 32])) };
    let issuer = doorward_ble::issuer::Issuer::new(IssuerConfig::default(), keys);
    tokio::spawn(async move { issuer.run(&*own.0, &*own.2, &*own.1, Box::pin(std::future::pending())).await });
    assert!(stage.session(&Stage::v1()).await.is_ok());
    assert!(stage.session(&Stage::v2()).await.is_ok());
    assert!(stage.told.lock().unwrap().iter().any(|progress| matches!(progress, Progress::Passed(_))));
}

#[tokio::test(start_paused = true)]
async fn a_guest_of_version_2_never_asks_in_version_1() {
    let stage = Stage::keyed(Book::own(), IssuerConfig::default(), Keys { v1: Some(private("backend")), v2: None }, true);
    let error = stage.session(&Stage::v2()).await.unwrap_err();
    assert_eq!(error, GuestError::NoIssuer(2));
    assert_eq!(stage.issuer.counters().asked, 0);
}

#[tokio::test(start_paused = true)]
async fn a_guest_whose_clock_is_minutes_off_opens_all_the_same() {
    for ahead in [-420, 300] {
        let stage = Stage::new(Book::own());
        let phone = TestClock::new(ahead);
        for guest in [Stage::v1(), Stage::v2()] {
            let held = guest.session(&*stage.phone, &*phone, &stage.tell()).await.unwrap();
            let offset = held.session.clock_offset.unwrap();
            assert!((offset - ahead).abs() <= 1, "{offset}");
            let own = slot_at(phone.now().utc, 0, held.slot).unwrap();
            let lock = slot_at(stage.clock.now().utc, offset, held.slot).unwrap();
            assert!(own.abs_diff(lock) <= 1);
            let left = held.end().since(phone.now().utc);
            assert!(left > Duration::from_secs(290) && left <= Duration::from_secs(301), "{left:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_shows_a_token_for_each_slot_and_stops_at_the_expiry() {
    let stage = Stage::new(Book::new());
    let held = stage.session(&Stage::v1()).await.unwrap();
    Stage::v1().show(&held, &*stage.phone, &*stage.clock, &stage.tell()).await.unwrap();
    assert!(held.end() <= stage.clock.now().utc && stage.clock.now().utc.since(held.end()) < Duration::from_millis(5));
    assert!(!stage.phone.is_advertising());
    let shown = stage.ether.shown_by(&stage.phone);
    assert!((99..=102).contains(&shown.len()), "{}", shown.len());
    let tokens = Tokens::new(&held.session.key, held.session.nonce.as_str());
    let first = slot_at(held.end(), 0, SlotLength::default()).unwrap() - 100;
    let all: Vec<_> = (first..first + 101).map(|slot| tokens.at(slot).as_bytes().to_vec()).collect();
    for (_, advertisement) in &shown {
        let (company, data) = advertisement.data.manufacturer.clone().unwrap();
        assert!(company == 0xFFFF && all.contains(&data));
        assert_eq!(advertisement.data.services, [uuid16(0x180D)]);
        assert_eq!(advertisement.response.name.as_deref(), Some("Unlocker"));
    }
    let told = stage.told.lock().unwrap();
    assert!(matches!(told[..4], [Progress::Looking, Progress::Found { .. }, Progress::Asking(1), Progress::Session(_)]), "{told:?}");
    assert!(matches!(told[4], Progress::Advertising { token: 1, .. }));
    assert_eq!(told.last(), Some(&Progress::Ended));
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_showing_when_its_adapter_is_back_and_ends_without_one() {
    let stage = Stage::new(Book::new());
    let held = stage.session(&Stage::v1()).await.unwrap();
    let (phone, guest, clock, tell) = (Arc::clone(&stage.phone), Stage::v1(), Arc::clone(&stage.clock), stage.tell());
    let shows = tokio::spawn(async move { guest.show(&held, &*phone, &*clock, &tell).await });
    tokio::time::sleep(Duration::from_secs(10)).await;
    stage.phone.unplug();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let before = stage.ether.shown_by(&stage.phone).len();
    stage.phone.plug();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(stage.ether.shown_by(&stage.phone).len() >= before + 3);
    stage.phone.unplug();
    assert_eq!(shows.await.unwrap(), Ok(()));
    assert_eq!(stage.told.lock().unwrap().last(), Some(&Progress::Ended));
}

#[tokio::test(start_paused = true)]
async fn a_hinted_session_fills_its_advertisement_and_a_secure_one_shows_nothing() {
    let stage = Stage::new(Book { ways: Ways::TOKEN.and(Ways::HINTED), ..Book::own() });
    let held = stage.session(&Stage::v2()).await.unwrap();
    Stage::v2().show(&held, &*stage.phone, &*stage.clock, &stage.tell()).await.unwrap();
    let shown = stage.ether.shown_by(&stage.phone);
    assert!(shown.iter().all(|(_, shown)| shown.data.bytes() == 28 && shown.check().is_ok()));
    let secure = Stage::new(Book { ways: Ways::CHALLENGE, ..Book::own() });
    assert_eq!(Stage::v2().run(&*secure.phone, &*secure.clock, &secure.tell()).await, Err(GuestError::NeedsGesture));
}

#[tokio::test(start_paused = true)]
async fn without_an_issuer_or_an_adapter_it_says_what_a_person_can_do() {
    let (ether, clock) = (Ether::default(), TestClock::new(0));
    let phone = ether.radio(2);
    let guest = Guest::new(Config::new(id("lock_01")), Enrolment::V2 { key: guest_v2(), issuer: *issuer_v2().identity() });
    let error = guest.session(&*phone, &*clock, &|_| {}).await.unwrap_err();
    assert_eq!((&error, clock.now().mono.0.as_secs()), (&GuestError::NotFound, 30));
    assert!(error.person().contains("Go closer"));
    phone.unplug();
    let error = guest.session(&*phone, &*clock, &|_| {}).await.unwrap_err();
    assert!(error.person().contains("no Bluetooth adapter"), "{error:?}");
}

/// A lock of the bench on the air: it serves its challenge.
fn lock_on_air(ether: &Ether, clock: &Arc<TestClock>, config: lock::Config, sessions: Vec<Vec<u8>>) -> Arc<Mutex<Vec<Seen>>> {
    let (radio, clock, seen) = (ether.radio(5), Arc::clone(clock), Arc::new(Mutex::new(Vec::new())));
    let (challenge, response) = (CHALLENGE_CHARACTERISTIC.parse().unwrap(), RESPONSE_CHARACTERISTIC.parse().unwrap());
    let can = |read, write| Can { read, write, notify: true, ..Can::default() };
    let characteristics =
        vec![Characteristic { uuid: challenge, can: can(true, false) }, Characteristic { uuid: response, can: can(false, true) }];
    let service = Service { uuid: LOCK_SERVICE.parse().unwrap(), characteristics };
    let told = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut bench = Bench::with(config);
        bench.now = clock.now();
        for message in &sessions {
            assert_eq!(bench.give(Input::Session(message)), []);
        }
        let server = radio.serve(vec![service.clone()]).await.unwrap();
        let beacon = Advertisement::new(Fields::new().service(service.uuid)).connectable();
        let _advertising = radio.advertise(beacon).await.unwrap();
        while let Some(incoming) = server.next().await {
            bench.now = clock.now();
            match incoming {
                Incoming::Read { peer, reply, .. } => {
                    let random = challenge_bytes(&clock);
                    reply.give(Ok(bench.lock.challenge(peer.id, random, bench.now).unwrap()));
                }
                Incoming::Write { peer, value, reply, .. } => {
                    reply.give(Ok(()));
                    for seen in bench.give(Input::Written { connection: peer.id, value: &value }) {
                        let outcome = match &seen {
                            Seen::Opened(_) => Outcome::Done,
                            Seen::Told(_, outcome) => *outcome,
                            Seen::Refused(_) | Seen::Failed(..) => continue,
                        };
                        server.notify(peer.id, response, &outcome.write()).await.unwrap();
                        told.lock().unwrap().push(seen);
                    }
                }
                Incoming::Gone(peer) => assert_eq!(bench.give(Input::Gone(peer)), []),
                Incoming::Subscribed { .. } => {}
            }
        }
    });
    seen
}

fn challenge_bytes(clock: &TestClock) -> [u8; 16] {
    let mut bytes = [0; 16];
    clock.fill(&mut bytes);
    bytes
}

fn yes(_: &doorward_wire::ble::LockId, _: ActionWord) -> doorward_core::driver::BoxFuture<'static, bool> {
    // A person takes longer than a challenge lasts.
    Box::pin(async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        true
    })
}

#[tokio::test(start_paused = true)]
async fn a_secure_door_opens_by_a_gesture_and_not_without() {
    let stage = Stage::new(Book { ways: Ways::CHALLENGE, ..Book::own() });
    let guest = Stage::v2();
    let held = stage.session(&guest).await.unwrap();
    let message = stage.issued()[0].delivery.message.clone();
    let config = lock::Config { secure: true, ..lock::Config::new(id("lock_01"), keys_of_v2()) };
    let seen = lock_on_air(&stage.ether, &stage.clock, config, vec![message]);
    let no = |_: &doorward_wire::ble::LockId, _| -> doorward_core::driver::BoxFuture<'static, bool> { Box::pin(async { false }) };
    let declined = guest.open(&held, ActionWord::Open, &*stage.phone, &*stage.clock, &no, &stage.tell()).await;
    assert_eq!((declined, seen.lock().unwrap().len()), (Err(GuestError::Declined), 0));
    guest.open(&held, ActionWord::Open, &*stage.phone, &*stage.clock, &yes, &stage.tell()).await.unwrap();
    assert!(matches!(seen.lock().unwrap().as_slice(), [Seen::Opened(_)]));
    let told = stage.told.lock().unwrap().clone();
    assert!(told.ends_with(&[Progress::Gesture, Progress::Told(Outcome::Done)]), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_is_answered_at_its_own_lock_alone() {
    let stage = Stage::new(Book::own());
    let guest = Stage::v2();
    let held = stage.session(&guest).await.unwrap();
    let seen = lock_on_air(&stage.ether, &stage.clock, lock::Config::new(id("lock_02"), keys_of_v2()), Vec::new());
    let error = guest.open(&held, ActionWord::Open, &*stage.phone, &*stage.clock, &yes, &stage.tell()).await.unwrap_err();
    assert_eq!((error, seen.lock().unwrap().len()), (GuestError::OtherLock("lock_02".into()), 0));
    let tokens_only = stage.session(&Stage::v1()).await.unwrap();
    let none = Stage::v1().open(&tokens_only, ActionWord::Open, &*stage.phone, &*stage.clock, &yes, &stage.tell()).await;
    assert_eq!(none, Err(GuestError::NoGesture));
}

#[tokio::test(start_paused = true)]
async fn a_pass_opens_a_lock_that_has_never_heard_of_the_guest() {
    let stage = Stage::new(Book::own());
    let seen = lock_on_air(&stage.ether, &stage.clock, lock::Config::new(id("lock_01"), keys_of_v2()), Vec::new());
    let start = crate::bench::START;
    let pass = Pass {
        key_id: issuer_v2().identity().key_id(),
        serial: [1; 8],
        epoch: 0,
        guest: guest_v2().key(),
        not_before: start - 60,
        not_after: start + 3600,
        actions: Actions::new(&[ActionWord::Open]).unwrap(),
        doors: std::iter::once("lock_01".to_owned())
            .chain((0..7).map(|n| format!("a_lock_with_a_name_that_is_long_{n}")))
            .map(|door| id(&door))
            .collect(),
        zone: String::new(),
        hours: Vec::new(),
    };
    let frame = pass.issue(&issuer_v2()).unwrap();
    assert!(frame.len() > v2::WRITE, "in parts");
    let guest = Stage::v2();
    guest.present(&frame, ActionWord::Open, &*stage.phone, &*stage.clock, &yes, &stage.tell()).await.unwrap();
    let refused = guest.present(&frame, ActionWord::Lock, &*stage.phone, &*stage.clock, &yes, &stage.tell()).await;
    assert_eq!(refused, Err(GuestError::Lock(Outcome::Refused)));
    assert!(matches!(seen.lock().unwrap().as_slice(), [Seen::Opened(_), Seen::Told(..)]));
}
