//! The core of a lock: what it hears goes in, who is let in comes out. No IO, no clock, no dice.
//!
//! # The run loop
//! 1. [`Lock::restore`] with every value of [`Lock::keys`] that was kept.
//! 2. [`Lock::handle`] an input with the time at which it is handled.
//! 3. [`Lock::poll`] until it is empty; carry each output out, in order.
//! 4. Sleep until [`Lock::deadline`] at the latest, then handle [`Input::Tick`]. Go to 2.
//!
//! **A token is durable as used before it is presented**: [`Output::Present`] comes of the [`Input::Kept`] for its
//! [`Output::Keep`], and no other way. A lock that was killed in between lets nobody in twice; whoever it was waits for half a
//! minute, or comes back.
//!
//! # What a token costs
//! Tokens of the slots of now, before and after, of every session, are in one table, and so are those that opened. An
//! advertisement is one look-up in it, under a hash that nobody outside knows. What is found is looked at once more against the
//! time: the table may be behind, and never decides. A tick computes at most [`ROLL`] sessions, half a slot ahead of their use.
//!
//! Reading on: `token` (what is done with one), `sessions` (the table), `orders` (what comes over MQTT), `gesture` (challenges and
//! passes), `shelf` and `record` (what is kept).
//!
//! ```
//! use doorward_ble::{lock::{Config, Input, Keys, Lock}, radio::Sighting};
//! use doorward_core::Now;
//!
//! let id: doorward_wire::ble::LockId = "lock_01".parse().unwrap();
//! let mut lock = Lock::restore(Config::new(id, Keys::default()), [], true, Now::default()).lock;
//! lock.handle(Input::Sighting(&Sighting::default()), Now::default());
//! assert!(lock.poll().is_none(), "a foreign advertisement is counted, and that is all");
//! assert_eq!(lock.counters().foreign, 1);
//! ```

mod config;
mod diary;
mod gesture;
mod orders;
mod output;
mod record;
mod session;
mod sessions;
mod shelf;
mod sift;
mod token;
mod told;

pub use config::{Config, Keys, Rssi, RssiUnknown};
pub use diary::{Heard, What};
pub use output::{Counters, Failure, Output, Presented, Refused, Way};
pub use sessions::{MOST_SESSIONS, ROLL};
pub use shelf::Ticket;
pub use sift::sift;

use crate::radio::{PeerId, Sighting};
use diary::Diary;
use doorward_core::{Mono, Now, Secret};
use doorward_wire::{
    Time,
    ble::{LockId, order::LockHello},
};
use gesture::Gestures;
use orders::Orders;
use sessions::Sessions;
use shelf::{Drawer, Shelf};
use std::{collections::VecDeque, time::Duration};
use told::Told;

/// A wall clock that moved this much against the monotonic one was set by somebody.
const CLOCK_JUMP: Duration = Duration::from_secs(2);
/// The longest time between two looks at the clock.
const LONGEST_NAP: Duration = Duration::from_secs(1);
/// Between two ticks while sessions wait to be computed: the rest of the time is for what is heard.
const BREATH: Duration = Duration::from_millis(5);
/// How often what is over is forgotten.
const TIDY: Duration = Duration::from_mins(1);

/// What goes in.
#[derive(Debug)]
pub enum Input<'a> {
    /// An advertisement was heard.
    Sighting(&'a Sighting),
    /// A message of a session, of either version, from `locks/<id>/session` or `locks/<id>/sessions/<nonce>`.
    Session(&'a [u8]),
    /// A list of what is taken back, from `locks/<id>/revoked`.
    Revoked(&'a [u8]),
    /// A command, from `locks/<id>/command`. One that a broker had kept does not belong here.
    Command(&'a [u8]),
    /// Whether the wall clock can be believed.
    ClockKnown(bool),
    /// Other limits of the signal strength, from now on.
    Rssi(Rssi),
    /// A write to the characteristic of responses. What came of it is told by [`Output::Tell`] or [`Output::Present`].
    Written {
        /// By whom.
        connection: PeerId,
        /// What.
        value: &'a [u8],
    },
    /// A connection is over.
    Gone(PeerId),
    /// A value is durable, or is not.
    Kept {
        /// Which.
        ticket: Ticket,
        /// Whether it is.
        durable: bool,
    },
    /// Time went by.
    Tick,
}

/// The core of one lock.
#[derive(Debug)]
pub struct Lock {
    config: Config,
    clock_known: bool,
    last: Now,
    sessions: Sessions,
    orders: Orders,
    gestures: Gestures,
    shelf: Shelf,
    told: Told,
    diary: Diary,
    out: VecDeque<Output>,
    counters: Counters,
    tidy_at: Mono,
}

/// A lock that is back.
#[derive(Debug)]
pub struct Restored {
    /// The lock.
    pub lock: Lock,
    /// The keys of values that make no sense. What was in them is gone: its sessions open nothing until they come again.
    pub unreadable: Vec<String>,
}

impl Lock {
    /// A lock with what was kept of its last run.
    ///
    /// Sessions that opened in that run count as seen now: nobody knows whether whoever opened is still there, and a restart must
    /// not open the door for them.
    pub fn restore(config: Config, kept: impl IntoIterator<Item = (String, Secret<Vec<u8>>)>, clock_known: bool, now: Now) -> Restored {
        let (mut sessions, mut orders, mut unreadable) = (Sessions::default(), Orders::default(), Vec::new());
        for (key, value) in kept {
            let value = value.reveal();
            let read = match Drawer::of(&config.id, &key) {
                Some(Drawer::Sessions(_)) => record::sessions(value).map(|all| sessions.restore(all, clock_known, now)),
                Some(Drawer::Orders) => record::orders(value).map(|list| orders.list = list),
                Some(Drawer::Commands) => record::commands(value).map(|done| orders.done = done),
                None => None,
            };
            if read.is_none() {
                unreadable.push(key);
            }
        }
        let lock = Self {
            config,
            clock_known,
            last: now,
            sessions,
            orders,
            gestures: Gestures::default(),
            shelf: Shelf::default(),
            told: Told::default(),
            diary: Diary::default(),
            out: VecDeque::new(),
            counters: Counters::default(),
            tidy_at: now.mono,
        };
        Restored { lock, unreadable }
    }

    /// Every key under which the lock with this id may keep something.
    pub fn keys(id: &LockId) -> impl Iterator<Item = String> + use<'_> {
        Drawer::all().map(move |drawer| drawer.key(id))
    }

    /// Takes an input. `now` is when it is handled, which for what waited is later than when it came.
    pub fn handle(&mut self, input: Input<'_>, now: Now) {
        if now.drift(self.last) > CLOCK_JUMP {
            self.counters.clock_jumps += 1;
            self.sessions.recompute();
        }
        self.last = now;
        match input {
            Input::Sighting(sighting) => self.sighting(sighting, now),
            Input::Session(message) => self.take_session(message, now),
            Input::Revoked(message) => self.take_revoked(message, now),
            Input::Command(message) => self.take_command(message, now),
            // Who says it again and again must not begin each time with the same sessions: the last ones would never be computed.
            Input::ClockKnown(known) => {
                if std::mem::replace(&mut self.clock_known, known) != known {
                    self.sessions.recompute();
                }
            }
            Input::Rssi(rssi) => self.config.rssi = rssi,
            Input::Written { connection, value } => self.written(connection, value, now),
            Input::Gone(connection) => self.gestures.forget(connection),
            Input::Kept { ticket, durable } => self.kept(ticket, durable, now),
            Input::Tick => {
                self.roll(ROLL, now);
                self.tidy(now);
            }
        }
        self.store(now);
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When a tick is due at the latest.
    pub fn deadline(&self) -> Mono {
        let latest = self.last.mono.plus(LONGEST_NAP);
        let due = self.sessions.due().filter(|_| self.clock_known);
        let roll = due.map(|due| self.last.mono_at(due).max(self.last.mono.plus(BREATH)));
        [roll, self.shelf.due()].into_iter().flatten().fold(latest, Mono::min)
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        Counters { sessions: self.sessions.len(), ..self.counters }
    }

    /// The tokens that were heard last, the oldest first.
    pub fn heard(&self) -> impl Iterator<Item = &Heard> {
        self.diary.iter()
    }

    /// What the lock says at `locks/<id>/hello`.
    pub fn hello(&self) -> LockHello {
        let wire = [(1, self.config.keys.v1.is_some()), (2, self.config.keys.v2.is_some())];
        LockHello {
            wire: wire.into_iter().filter(|(_, speaks)| *speaks).map(|(version, _)| version).collect(),
            time: Some(self.clock_known),
            seq: self.orders.list.seq,
            epoch: self.orders.list.epoch,
        }
    }

    /// The time, or the beginning of all times: nothing that comes then is over.
    fn time(&self, now: Now) -> Time {
        if self.clock_known { now.utc } else { Time::from_micros(0) }
    }

    fn roll(&mut self, most: usize, now: Now) {
        if self.clock_known {
            for drawer in self.sessions.roll(most, now) {
                self.shelf.touch(drawer);
            }
        }
    }

    fn tidy(&mut self, now: Now) {
        if now.mono < self.tidy_at {
            return;
        }
        self.tidy_at = now.mono.plus(TIDY);
        self.told.tidy(now.mono);
        self.sessions.tidy(now.mono);
        if self.clock_known {
            self.orders.tidy(now.utc);
        }
    }

    /// Puts out what is to be kept next.
    fn store(&mut self, now: Now) {
        while let Some((ticket, drawer)) = self.shelf.ready(now.mono) {
            let key = drawer.key(&self.config.id);
            let value = match drawer {
                Drawer::Sessions(shard) => record::write_sessions(self.sessions.of_shard(shard)),
                Drawer::Orders => Some(record::write_orders(&self.orders.list)),
                Drawer::Commands => Some(record::write_commands(&self.orders.done)),
            };
            self.out.push_back(match value {
                Some(value) => Output::Keep { ticket, key, value: Secret::new(value) },
                None => Output::Forget { ticket, key },
            });
        }
    }

    fn present(&mut self, presented: Presented) {
        self.counters.presented += 1;
        self.out.push_back(Output::Present(Box::new(presented)));
    }

    fn refuse(&mut self, refused: Refused) {
        self.counters.refused += 1;
        self.out.push_back(Output::Refuse(Box::new(refused)));
    }
}
