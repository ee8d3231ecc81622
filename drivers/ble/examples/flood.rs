//! Measures what a flood of advertisements costs a lock with ten thousand sessions: `cargo run --release --example flood`.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on panics")]
#![expect(clippy::disallowed_methods, reason = "what is measured here is the time of this machine")]
#![expect(clippy::print_stdout, reason = "this is what it is for")]

use doorward_ble::{
    lock::{Config, Input, Keys, Lock, Output},
    radio::{Address, Manufacturer, Scan, Sighting, sightings},
};
use doorward_core::Now;
use doorward_wire::{
    Time,
    ble::{
        COMPANY,
        token::{SessionKey, SlotLength, Tokens},
        v2::{self, Given, LockSession, Ways},
    },
};
use std::time::{Duration, Instant};

const SESSIONS: u32 = 10_000;
const ROUNDS: u32 = 1_000_000;
const START: u64 = 1_795_352_250;

fn main() {
    let (mut lock, mut now, tokens) = lock();
    println!("resident with {SESSIONS} sessions: {} MiB", resident() >> 20);
    let foreign = Manufacturer::new(0x004C, &[0x10, 5, 1, 2, 3, 4, 5]).unwrap();
    measure("a foreign advertisement", &mut lock, now, |_| foreign);
    measure("a token of nobody", &mut lock, now, |round| stranger(u64::from(round)));
    let near = Manufacturer::new(COMPANY, tokens[0].at(START / 3).as_bytes()).unwrap();
    measure("a token of whoever is at the door", &mut lock, now, |_| near);
    ticks(&mut lock, &mut now);
    stream(&mut lock, now, &tokens[1]);
}

/// A lock with its sessions, and their tokens.
fn lock() -> (Lock, Now, Vec<Tokens>) {
    let (issuer, key) = (v2::Issuer::from_seeds(&[1; 32], &[2; 32]), v2::Lock::from_seed(&[3; 32]));
    let (id, public) = ("lock_01".parse().unwrap(), *key.key());
    let now = Now { utc: Time::from_seconds(START.cast_signed()), ..Now::default() };
    let config = Config::new("lock_01".parse().unwrap(), Keys { v1: None, v2: Some((key, *issuer.identity())) });
    let mut lock = Lock::restore(config, [], true, now).lock;
    let mut all = Vec::new();
    for number in 0..SESSIONS {
        let mut nonce = [0; 8];
        nonce[4..].copy_from_slice(&number.to_be_bytes());
        let (key, slot) = (SessionKey::new([7; 32]), SlotLength::default());
        let given = Given { key, nonce, expiry: START + 3_000, clock_offset: 0, slot, ways: Ways::TOKEN };
        all.push(Tokens::new(&given.key, given.nonce().as_str()));
        let message = v2::seal_session(&LockSession { given, fingerprint: [0; 10] }, &id, &public, &issuer, [6; 32]).unwrap();
        lock.handle(Input::Session(&message), now);
        drain(&mut lock, now);
    }
    assert_eq!(lock.counters().sessions, SESSIONS as usize);
    (lock, now, all)
}

/// Everything is kept at once. How many were let in.
fn drain(lock: &mut Lock, now: Now) -> usize {
    let mut opened = 0;
    while let Some(output) = lock.poll() {
        match output {
            Output::Keep { ticket, .. } | Output::Forget { ticket, .. } => lock.handle(Input::Kept { ticket, durable: true }, now),
            Output::Present(_) => opened += 1,
            Output::Refuse(_) | Output::Failed(..) | Output::Tell { .. } => {}
        }
    }
    opened
}

fn stranger(number: u64) -> Manufacturer {
    let bytes = [number.to_be_bytes(), number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()].concat();
    Manufacturer::new(COMPANY, &bytes).unwrap()
}

fn sighting(manufacturer: Manufacturer, now: Now) -> Sighting {
    Sighting { address: Address([1; 6]), rssi: Some(-50), manufacturer: Some(manufacturer), at: now.mono, ..Sighting::default() }
}

fn measure(what: &str, lock: &mut Lock, now: Now, manufacturer: impl Fn(u32) -> Manufacturer) {
    let start = Instant::now();
    for round in 0..ROUNDS {
        lock.handle(Input::Sighting(&sighting(manufacturer(round), now)), now);
        drain(lock, now);
    }
    println!("{what}: {} ns", start.elapsed().as_nanos() / u128::from(ROUNDS));
}

/// A new slot for every session at the same moment.
fn ticks(lock: &mut Lock, now: &mut Now) {
    *now = now.plus(Duration::from_secs(3));
    let (mut number, mut longest, start) = (0, Duration::ZERO, Instant::now());
    while lock.deadline() <= now.mono.plus(Duration::from_millis(5)) {
        *now = now.plus(Duration::from_millis(5));
        let tick = Instant::now();
        lock.handle(Input::Tick, *now);
        longest = longest.max(tick.elapsed());
        number += 1;
        drain(lock, *now);
    }
    let all = start.elapsed();
    println!("a slot of {SESSIONS} sessions: {number} ticks, {all:?} in all, {longest:?} at the most");
}

/// As the lock's loop has it: a queue, and one reader, on one thread.
fn stream(lock: &mut Lock, now: Now, tokens: &Tokens) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (hearer, mut heard) = sightings(Scan::default());
    let good = Manufacturer::new(COMPANY, tokens.at(START / 3 + 1).as_bytes()).unwrap();
    let start = Instant::now();
    let (batch, mut opened) = (1_000, None);
    runtime.block_on(async {
        let mut many = Vec::new();
        for round in 0..ROUNDS / batch {
            for number in 0..batch {
                // Half of the strangers look like tokens.
                let strange = if number % 2 == 0 {
                    stranger(u64::from(round * batch + number))
                } else {
                    Manufacturer::new(0x004C, &[1; 20]).unwrap()
                };
                let manufacturer = if (round, number) == (500, 500) { good } else { strange };
                hearer.hear(sighting(manufacturer, now)).unwrap();
            }
            heard.next_many(&mut many, usize::MAX).await;
            for sighting in many.drain(..) {
                lock.handle(Input::Sighting(&sighting), now);
                if drain(lock, now) > 0 {
                    opened = Some(round);
                }
            }
        }
    });
    let all = start.elapsed();
    println!("through the queue: {} a second, {} dropped", u128::from(ROUNDS) * 1_000_000_000 / all.as_nanos(), heard.dropped());
    assert_eq!(opened, Some(500), "whoever comes amid the flood is let in");
    println!("resident at the end: {} MiB", resident() >> 20);
}

/// Bytes of memory.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
