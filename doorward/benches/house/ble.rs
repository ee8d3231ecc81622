//! Locks over Bluetooth: what a foreign advertisement costs, how many are heard, and how fast sessions are made.

use super::{Figure, told};
use doorward_ble::{
    lock::{Config, Input, Keys, Lock, Output},
    radio::{Address, Manufacturer, Scan, Sighting, sightings},
};
use doorward_core::Now;
use doorward_wire::{
    Time,
    ble::{
        LockId,
        compat::{self, Bits, PrivateKey},
        session::Session,
        sign::Sign,
        token::{Nonce, SessionKey, SlotLength},
        v2::{self, Answer, Ask, Given, Guest, LockSession, Ways, open_request},
    },
};
use std::time::{Duration, Instant};

/// Sessions that the lock has.
const SESSIONS: u32 = 10_000;
/// Advertisements of one figure.
const HEARD: u32 = 1_000_000;
/// Sessions that each core makes in version 2, and in version 1.
const MADE: [u32; 2] = [5_000, 400];
const CORES: u32 = 2;
const START: u64 = 1_795_352_250;
/// Signatures in a session of version 1: for the lock, and for the guest.
const SIGNATURES: u32 = 2;

pub(super) fn figures() -> Vec<Figure> {
    let (mut lock, now) = lock();
    vec![told(foreign(&mut lock, now)), told(stream(&mut lock, now)), told(sessions_of_v2()), told(sessions_of_v1())]
}

fn given(number: u32) -> Given {
    let mut nonce = [0; 8];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    let (key, slot) = (SessionKey::new([7; 32]), SlotLength::default());
    Given { key, nonce, expiry: START + 3_000, clock_offset: 0, slot, ways: Ways::TOKEN }
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
        let session = LockSession { given: given(number), fingerprint: [0; 10] };
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

/// Opens a request, seals the session for the lock and the answer for the guest.
fn sessions_of_v2() -> Figure {
    let (issuer, guest, lock) = (issuer(), Guest::from_seed(&[4; 32]), *v2::Lock::from_seed(&[3; 32]).key());
    let challenge = [5; 16];
    let hello = v2::Hello { key_id: issuer.identity().key_id(), challenge };
    let request = Ask { lock: id(), client_time: None, invite: String::new() };
    let (frame, _) = request.seal(&hello, issuer.identity(), &guest, [8; 32]).unwrap();
    let rate = on_all_cores(MADE[0], |number| {
        let opened = open_request(&frame, &challenge, &issuer).unwrap();
        let session = LockSession { given: given(number), fingerprint: opened.guest.fingerprint() };
        v2::seal_session(&session, &id(), &lock, &issuer, [6; 32]).unwrap();
        opened.answer(&Answer::Given(session.given), [9; 16]).unwrap();
    });
    let what = "Bluetooth, sessions of version 2 on two cores";
    Figure { what, measured: format!("{rate:.0}/s"), limit: "1,000/s".into(), ratio: 1_000.0 / rate }
}

/// Everything that a session of version 1 is made of, beside the bare signatures in it.
fn sessions_of_v1() -> Figure {
    let [issuer, lock, guest] = [0; 3].map(|_| PrivateKey::generate(Bits::Rsa2048).unwrap());
    let bare = on_all_cores(MADE[1] * SIGNATURES, |_| drop(issuer.sign(&[7; 200]).unwrap())) / f64::from(SIGNATURES);
    let rate = on_all_cores(MADE[1], |number| {
        let (key, nonce) = (SessionKey::new([7; 32]), Nonce::new(given(number).nonce));
        let session = Session { key, expiry: START + 300, nonce, phone_mac: None, clock_offset: None };
        compat::issue(&session, &id(), lock.public(), &issuer).unwrap();
        compat::answer(&session, None, guest.public(), &issuer).unwrap();
    });
    let what = "Bluetooth, sessions of version 1 on two cores";
    let limit = format!("0.9 × {bare:.0}/s, as their bare signatures");
    Figure { what, measured: format!("{rate:.0}/s"), limit, ratio: 0.9 * bare / rate }
}
