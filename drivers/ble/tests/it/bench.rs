//! A lock, its issuer and its guests, without any radio: time is pushed by hand, the disk is a map.

use doorward_ble::{
    lock::{Config, Failure, Input, Keys, Lock, Output, Presented, Refused, Ticket},
    radio::{Address, Manufacturer, PeerId, Sighting},
};
use doorward_core::{Now, Secret};
use doorward_wire::{
    Time,
    ble::{
        COMPANY, LockId,
        compat::{self, Bits, PrivateKey, PublicKey},
        order::Refusal,
        session::Session,
        token::{Nonce, SessionKey, SlotLength, Tokens, slot_at},
        v2::{self, Advertised, Given, Hints, LockSession, Ways, challenge::Outcome},
    },
};
use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

/// Seconds since 1970 at the start of a test, and of a slot of 3 s.
pub(crate) const START: u64 = 1_795_352_250;
/// A signal that is good enough.
pub(crate) const NEAR: i8 = -50;

/// Keys of version 1 take a second to make.
pub(crate) static RSA: LazyLock<(PrivateKey, PrivateKey)> =
    LazyLock::new(|| (PrivateKey::generate(Bits::Rsa2048).unwrap(), PrivateKey::generate(Bits::Rsa2048).unwrap()));

pub(crate) fn issuer() -> v2::Issuer {
    v2::Issuer::from_seeds(&[1; 32], &[2; 32])
}

pub(crate) fn lock_key() -> v2::Lock {
    v2::Lock::from_seed(&[3; 32])
}

pub(crate) fn id(name: &str) -> LockId {
    name.parse().unwrap()
}

/// Both versions' keys.
pub(crate) fn keys() -> Keys {
    let (lock, issuer) = &*RSA;
    let lock = PrivateKey::from_pem(&lock.to_pem().unwrap()).unwrap();
    Keys { v1: Some((lock, PublicKey::from_pem(&issuer.public().to_pem()).unwrap())), ..keys_of_v2() }
}

pub(crate) fn keys_of_v2() -> Keys {
    Keys { v1: None, v2: Some((lock_key(), *issuer().identity())) }
}

/// What comes out that matters to a test.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Opened(Presented),
    Refused(Refused),
    Failed(Presented, Failure),
    Told(PeerId, Outcome),
}

/// A lock on a bench.
pub(crate) struct Bench {
    pub(crate) lock: Lock,
    pub(crate) now: Now,
    /// What is durable.
    pub(crate) disk: BTreeMap<String, Vec<u8>>,
    /// Writings are not answered, and what they bring waits here.
    pub(crate) slow: bool,
    pub(crate) waiting: Vec<(Ticket, String, Option<Vec<u8>>)>,
    /// Every writing fails.
    pub(crate) broken: bool,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Config::new(id("lock_01"), keys_of_v2()))
    }

    pub(crate) fn with(config: Config) -> Self {
        let now = Now { utc: Time::from_seconds(START.cast_signed()), ..Now::default() };
        let lock = Lock::restore(config, [], true, now).lock;
        Self { lock, now, disk: BTreeMap::new(), slow: false, waiting: Vec::new(), broken: false }
    }

    /// The process is killed, and starts again after so long.
    pub(crate) fn killed(&mut self, config: Config, gone: Duration) {
        self.now = Now { utc: self.now.utc.plus(gone), mono: self.now.mono.plus(gone) };
        let read = |key: String| self.disk.get(&key).cloned().map(|value| (key, Secret::new(value)));
        let kept: Vec<_> = Lock::keys(&config.id).filter_map(read).collect();
        let restored = Lock::restore(config, kept, true, self.now);
        assert_eq!(restored.unreadable, Vec::<String>::new());
        self.lock = restored.lock;
        self.waiting.clear();
    }

    /// Time goes by, with a tick each time that the lock wants one.
    pub(crate) fn pass(&mut self, span: Duration) -> Vec<Seen> {
        let (end, mut seen) = (self.now.plus(span), Vec::new());
        loop {
            let next = self.lock.deadline();
            if next >= end.mono {
                break;
            }
            self.now = self.now.plus(next.since(self.now.mono));
            seen.extend(self.give(Input::Tick));
        }
        self.now = end;
        seen.extend(self.give(Input::Tick));
        seen
    }

    pub(crate) fn secs(&mut self, seconds: u64) -> Vec<Seen> {
        self.pass(Duration::from_secs(seconds))
    }

    pub(crate) fn give(&mut self, input: Input<'_>) -> Vec<Seen> {
        self.lock.handle(input, self.now);
        self.drain()
    }

    fn drain(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        while let Some(output) = self.lock.poll() {
            match output {
                Output::Keep { ticket, key, value } => self.keep(ticket, key, Some(value.reveal().clone())),
                Output::Forget { ticket, key } => self.keep(ticket, key, None),
                Output::Present(presented) => seen.push(Seen::Opened(*presented)),
                Output::Refuse(refused) => seen.push(Seen::Refused(*refused)),
                Output::Failed(presented, why) => seen.push(Seen::Failed(*presented, why)),
                Output::Tell { connection, outcome } => seen.push(Seen::Told(connection, outcome)),
            }
        }
        seen
    }

    fn keep(&mut self, ticket: Ticket, key: String, value: Option<Vec<u8>>) {
        if self.slow {
            self.waiting.push((ticket, key, value));
        } else {
            self.write(ticket, key, value);
        }
    }

    fn write(&mut self, ticket: Ticket, key: String, value: Option<Vec<u8>>) {
        if !self.broken {
            self.persist(key, value);
        }
        self.lock.handle(Input::Kept { ticket, durable: !self.broken }, self.now);
    }

    /// A value is durable, and the lock does not know yet.
    pub(crate) fn persist(&mut self, key: String, value: Option<Vec<u8>>) {
        match value {
            Some(value) => self.disk.insert(key, value),
            None => self.disk.remove(&key),
        };
    }

    /// The disk catches up.
    pub(crate) fn catch_up(&mut self) -> Vec<Seen> {
        self.slow = false;
        for (ticket, key, value) in std::mem::take(&mut self.waiting) {
            self.write(ticket, key, value);
        }
        self.drain()
    }

    pub(crate) fn hear(&mut self, data: &[u8], rssi: Option<i8>) -> Vec<Seen> {
        self.hear_from(data, rssi, PHONE)
    }

    pub(crate) fn hear_from(&mut self, data: &[u8], rssi: Option<i8>, address: Address) -> Vec<Seen> {
        let sighting = sighting(data, rssi, address, self.now);
        self.give(Input::Sighting(&sighting))
    }

    /// The guest gets a session, and so does the lock.
    pub(crate) fn guest(&mut self, number: u8) -> Guest {
        let guest = Guest::new(number, self.seconds() + 300);
        assert_eq!(self.give(Input::Session(&guest.message())), []);
        guest
    }

    pub(crate) fn seconds(&self) -> u64 {
        u64::try_from(self.now.utc.as_micros()).unwrap() / 1_000_000
    }

    /// What a guest shows now.
    pub(crate) fn token(&self, guest: &Guest) -> [u8; 16] {
        guest.token(guest.slot(self.now.utc))
    }

    /// The guest shows its token near the door.
    pub(crate) fn show(&mut self, guest: &Guest) -> Vec<Seen> {
        let token = self.token(guest);
        self.hear(&token, Some(NEAR))
    }
}

pub(crate) const PHONE: Address = Address([0xC0, 1, 2, 3, 4, 5]);

pub(crate) fn sighting(data: &[u8], rssi: Option<i8>, address: Address, now: Now) -> Sighting {
    Sighting { address, rssi, manufacturer: Manufacturer::new(COMPANY, data), at: now.mono, ..Sighting::default() }
}

/// A guest with a session of version 2.
pub(crate) struct Guest {
    pub(crate) given: Given,
    pub(crate) tokens: Tokens,
    pub(crate) lock: LockId,
}

impl Guest {
    pub(crate) fn new(number: u8, expiry: u64) -> Self {
        Self::of(u32::from(number), expiry, Ways::TOKEN)
    }

    pub(crate) fn of(number: u32, expiry: u64, ways: Ways) -> Self {
        let mut key = [9; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        let mut nonce = [0; 8];
        nonce[4..].copy_from_slice(&number.to_be_bytes());
        let given = Given { key: SessionKey::new(key), nonce, expiry, clock_offset: 0, slot: SlotLength::default(), ways };
        Self { tokens: Tokens::new(&given.key, given.nonce().as_str()), given, lock: id("lock_01") }
    }

    pub(crate) fn message(&self) -> Vec<u8> {
        let session = LockSession { given: self.given.clone(), fingerprint: [5; 10] };
        v2::seal_session(&session, &self.lock, lock_key().key(), &issuer(), [6; 32]).unwrap()
    }

    pub(crate) fn nonce(&self) -> Nonce {
        self.given.nonce()
    }

    pub(crate) fn slot(&self, now: Time) -> u64 {
        slot_at(now, self.given.clock_offset.into(), self.given.slot).unwrap()
    }

    pub(crate) fn token(&self, slot: u64) -> [u8; 16] {
        *self.tokens.at(slot).as_bytes()
    }

    pub(crate) fn hinted(&self, slot: u64) -> [u8; 24] {
        Advertised::data(&self.tokens.at(slot), Hints::new(&self.given.key).at(slot))
    }
}

/// A message of version 1.
pub(crate) fn message_of_v1(session: &Session, lock: &str) -> String {
    let (lock_key, issuer) = &*RSA;
    compat::issue(session, &id(lock), lock_key.public(), issuer).unwrap().write()
}

/// How many were let in.
pub(crate) fn opened(seen: &[Seen]) -> usize {
    seen.iter().filter(|seen| matches!(seen, Seen::Opened(_))).count()
}

/// Why somebody was not let in.
pub(crate) fn reasons(seen: &[Seen]) -> Vec<Refusal> {
    seen.iter()
        .filter_map(|seen| match seen {
            Seen::Refused(refused) => Some(refused.reason),
            Seen::Opened(_) | Seen::Failed(..) | Seen::Told(..) => None,
        })
        .collect()
}
