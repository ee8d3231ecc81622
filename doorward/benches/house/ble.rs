//! Locks over Bluetooth: what a foreign advertisement costs, how many are heard, how fast sessions are made and doors open, and what
//! a lock takes of a small machine.

mod stage;

use super::{Figure, told};
use doorward_ble::{
    clock::Clock as _,
    issuer::{self, Ask, AskedBy, Issued, Issuer, Leave, Recipient},
    lock::{Config, Input, Keys, Lock, Output},
    radio::{Address, Manufacturer, Scan, Sighting, sightings},
};
use doorward_core::Now;
use doorward_wire::{
    Time,
    ble::{
        LockId,
        compat::{self, Bits, PrivateKey, PublicKey},
        request::Request,
        session::Session,
        sign::Sign,
        token::{SessionKey, SlotLength},
        v2::{self, Answer, Given, Guest, LockSession, Ways, open_request},
    },
};
use stage::Dice;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Sessions that the lock has.
const SESSIONS: u32 = 10_000;
/// Advertisements of one figure.
const HEARD: u32 = 1_000_000;
/// Sessions that each core makes in version 2, and in version 1.
const MADE: [u32; 2] = [5_000, 400];
const CORES: u32 = 2;
const START: u64 = 1_795_352_250;
/// The key of each session that is made for a lock here.
const SESSION_KEY: [u8; 32] = [7; 32];
/// Signatures in a session of version 1: for the lock, and for the guest.
const SIGNATURES: u32 = 2;

pub(super) async fn figures() -> Vec<Figure> {
    let (mut lock, now) = lock();
    let mut figures = vec![told(foreign(&mut lock, now)), told(stream(&mut lock, now)), told(sessions_of_v2()), told(sessions_of_v1())];
    // A task of its own: the thread that waits for everything would be one more to wake at each step.
    figures.push(told(tokio::spawn(stage::opening()).await.unwrap()));
    figures.push(told(stage::memory().await));
    figures
}

/// A session of this number.
fn given(number: u32, expiry: u64) -> Given {
    let mut nonce = [0; 8];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    let (key, slot) = (SessionKey::new(SESSION_KEY), SlotLength::default());
    Given { key, nonce, expiry, clock_offset: 0, slot, ways: Ways::TOKEN }
}

fn id() -> LockId {
    "lock_01".parse().unwrap()
}

fn issuer() -> v2::Issuer {
    v2::Issuer::from_seeds(&[1; 32], &[2; 32])
}

fn lock() -> (Lock, Now) {
    let (issuer, key) = (issuer(), v2::Lock::from_seed(&[3; 32]));
    let public = *key.key();
    let now = Now { utc: Time::from_seconds(START.cast_signed()), ..Now::default() };
    let config = Config::new(id(), Keys { v1: None, v2: Some((key, *issuer.identity())) });
    let mut lock = Lock::restore(config, [], true, now).lock;
    for number in 0..SESSIONS {
        let session = LockSession { given: given(number, START + 3_000), fingerprint: [0; 10] };
        let message = v2::seal_session(&session, &id(), &public, &issuer, [6; 32]).unwrap();
        lock.handle(Input::Session(&message), now);
        drain(&mut lock, now);
    }
    assert_eq!(lock.counters().sessions, SESSIONS as usize);
    (lock, now)
}

/// Everything is kept at once.
fn drain(lock: &mut Lock, now: Now) {
    while let Some(output) = lock.poll() {
        match output {
            Output::Keep { ticket, .. } | Output::Forget { ticket, .. } => lock.handle(Input::Kept { ticket, durable: true }, now),
            Output::Present(_) | Output::Refuse(_) | Output::Failed(..) | Output::Tell { .. } => {}
        }
    }
}

/// Somebody else's, of the kind that phones send all day.
fn sighting(now: Now) -> Sighting {
    let manufacturer = Manufacturer::new(0x004C, &[0x10, 5, 1, 2, 3, 4, 5]);
    Sighting { address: Address([1; 6]), rssi: Some(-50), manufacturer, at: now.mono, ..Sighting::default() }
}

fn foreign(lock: &mut Lock, now: Now) -> Figure {
    let sighting = sighting(now);
    let began = Instant::now();
    for _ in 0..HEARD {
        lock.handle(Input::Sighting(&sighting), now);
        drain(lock, now);
    }
    let each = began.elapsed() / HEARD;
    let what = "Bluetooth, a foreign advertisement with 10,000 sessions";
    let ratio = each.as_secs_f64() / Duration::from_micros(1).as_secs_f64();
    Figure { what, measured: format!("{} ns", each.as_nanos()), limit: "1 µs".into(), ratio }
}

/// As the lock's loop has it: the queue of a radio and one reader, on one thread.
fn stream(lock: &mut Lock, now: Now) -> Figure {
    let (hearer, mut heard) = sightings(Scan::default());
    let began = Instant::now();
    let read = async {
        let mut many = Vec::new();
        for _ in 0..HEARD / 1_000 {
            for _ in 0..1_000 {
                hearer.hear(sighting(now)).unwrap();
            }
            heard.next_many(&mut many, usize::MAX).await;
            for sighting in many.drain(..) {
                lock.handle(Input::Sighting(&sighting), now);
                drain(lock, now);
            }
        }
    };
    // A thread of its own: this one is in a runtime already.
    let run = || tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(read);
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap();
    let rate = f64::from(HEARD) / began.elapsed().as_secs_f64();
    assert_eq!(heard.dropped(), 0);
    let what = "Bluetooth, advertisements on one core, from the radio on";
    Figure { what, measured: format!("{rate:.0}/s"), limit: "100,000/s".into(), ratio: 100_000.0 / rate }
}

/// How many a second, on each core at the same time.
fn on_all_cores(each: u32, work: impl Fn(u32) + Sync) -> f64 {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for core in 0..CORES {
            let work = &work;
            scope.spawn(move || (0..each).for_each(|number| work(core * each + number)));
        }
    });
    f64::from(CORES * each) / began.elapsed().as_secs_f64()
}

/// What a guest asks the issuer for, by this key.
fn ask(by: AskedBy, dice: &Dice) -> Ask {
    let peer = Address([0xC0, 0, 0, 0, 0, 1]);
    Ask { lock: id(), by, client_id: None, invite: None, phone_mac: None, client_time: None, peer, at: dice.now() }
}

/// The issuer makes a session for this lock.
fn make(issuer: &Issuer, ask: &Ask, lock: Recipient, dice: &Dice) -> (Given, Issued) {
    let until = ask.at.utc.plus(Duration::from_hours(1));
    let leave = Leave { until, who: "person".into(), lock, slot: SlotLength::default(), ways: Ways::TOKEN };
    issuer.make(ask, &leave, Duration::from_mins(5), dice).unwrap()
}

/// Opens a request, makes the session, seals it for the lock, and the answer for the guest.
fn sessions_of_v2() -> Figure {
    let (keys, guest, lock) = (issuer(), Guest::from_seed(&[4; 32]), *v2::Lock::from_seed(&[3; 32]).key());
    let (challenge, identity, dice) = ([5; 16], *keys.identity(), Dice::new());
    let hello = v2::Hello { key_id: identity.key_id(), challenge };
    let request = v2::Ask { lock: id(), client_time: None, invite: String::new() };
    let (frame, _) = request.seal(&hello, &identity, &guest, [8; 32]).unwrap();
    let own = Issuer::new(issuer::Config::default(), issuer::Keys { v1: None, v2: Some(keys) });
    let rate = on_all_cores(MADE[0], |_| {
        let opened = open_request(&frame, &challenge, own.keys().v2.as_ref().unwrap()).unwrap();
        let (given, _) = make(&own, &ask(AskedBy::V2(opened.guest), &dice), Recipient::Own(lock), &dice);
        opened.answer(&Answer::Given(given), [9; 16]).unwrap();
    });
    let what = "Bluetooth, sessions of version 2 on two cores";
    Figure { what, measured: format!("{rate:.0}/s"), limit: "1,000/s".into(), ratio: 1_000.0 / rate }
}

/// Everything that a session of version 1 is made of, from the guest's request on, beside the bare signatures in it.
fn sessions_of_v1() -> Figure {
    let [keys, lock, guest] = [0; 3].map(|_| PrivateKey::generate(Bits::Rsa2048).unwrap());
    let bare = on_all_cores(MADE[1] * SIGNATURES, |_| drop(keys.sign(&[7; 200]).unwrap())) / f64::from(SIGNATURES);
    let (lock, dice) = (Arc::new(PublicKey::from_pem(&lock.public().to_pem()).unwrap()), Dice::new());
    let key = Some(guest.public().to_pem());
    let body = Request { lock: id(), public_key: key, client_id: None, client_time: None, phone_mac: None, invite: None }.write();
    let own = Issuer::new(issuer::Config::default(), issuer::Keys { v1: Some(keys), v2: None });
    let rate = on_all_cores(MADE[1], |_| {
        let request = Request::read(body.as_bytes()).unwrap();
        let guest = Arc::new(PublicKey::from_pem(request.key().unwrap()).unwrap());
        let (given, _) = make(&own, &ask(AskedBy::V1(Arc::clone(&guest)), &dice), Recipient::OwnV1(Arc::clone(&lock)), &dice);
        let Given { ref key, expiry, .. } = given;
        let session = Session { key: key.clone(), expiry, nonce: given.nonce(), phone_mac: None, clock_offset: None };
        compat::answer(&session, None, &guest, own.keys().v1.as_ref().unwrap()).unwrap();
    });
    let what = "Bluetooth, sessions of version 1 on two cores";
    let limit = format!("0.9 × {bare:.0}/s, as their bare signatures");
    Figure { what, measured: format!("{rate:.0}/s"), limit, ratio: 0.9 * bare / rate }
}
