//! What a lock tells people who look: whether it hears, what it counted, and the tokens that it heard last.

use crate::lock::{Heard, Lock, What};
use doorward_wire::{Time, ble::LockId};
use serde::Serialize;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The news of one lock.
#[derive(Debug, Default)]
pub(super) struct News(Mutex<Told>);

/// As they are told.
#[derive(Debug, Default, Clone, Serialize)]
pub(super) struct Told {
    door: String,
    /// What it is called on the air.
    lock: String,
    /// It hears its radio.
    up: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    threshold: Option<i8>,
    secure: bool,
    sessions: usize,
    counters: Counted,
    heard: Vec<HeardTold>,
}

#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Counted {
    heard: u64,
    foreign: u64,
    repeats: u64,
    unknown: u64,
    replays: u64,
    presented: u64,
    refused: u64,
    hushed: u64,
}

#[derive(Debug, Clone, Serialize)]
struct HeardTold {
    at: Time,
    rssi: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    what: &'static str,
}

impl News {
    /// Those of a lock that has not begun.
    pub(super) fn of(door: &str, lock: &LockId, threshold: Option<i8>, secure: bool) -> Self {
        Self(Mutex::new(Told { door: door.into(), lock: lock.to_string(), threshold, secure, ..Told::default() }))
    }

    /// It hears its radio, or does not, and why.
    pub(super) fn hears(&self, trouble: Option<String>) {
        let mut told = self.lock();
        (told.up, told.trouble) = (trouble.is_none(), trouble);
    }

    /// What it counted and heard until now.
    pub(super) fn note(&self, lock: &Lock) {
        let counters = lock.counters();
        let mut told = self.lock();
        told.sessions = counters.sessions;
        told.counters = Counted {
            heard: counters.heard,
            foreign: counters.foreign,
            repeats: counters.repeats,
            unknown: counters.unknown,
            replays: counters.replays,
            presented: counters.presented,
            refused: counters.refused,
            hushed: counters.hushed,
        };
        told.heard.clear();
        told.heard.extend(lock.heard().map(heard));
    }

    /// As they are now.
    pub(super) fn told(&self) -> Told {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        // What is in it is right after any of its steps.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn heard(heard: &Heard) -> HeardTold {
    let what = match heard.what {
        What::Open => "open",
        What::Repeat => "repeat",
        What::Refused(reason) => reason.as_str(),
    };
    HeardTold { at: heard.at, rssi: heard.rssi, session: heard.nonce.as_ref().map(ToString::to_string), what }
}
