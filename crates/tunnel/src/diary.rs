//! What keys asked for and were refused, for people: the last of it in memory, and refusals in the audit.

use doorward_core::{Mono, record::NewEvent};
use doorward_engine::Handle;
use doorward_wire::{
    Time,
    attempt::{Actor, ActorKind, Reason},
    event::EventKind,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Entries of a key.
const ENTRIES: usize = 50;
/// Letters of what was asked for.
const LETTERS: usize = 200;
/// The same refusal of the same key is in the audit once in this time; it is counted each time.
const TOLD_AGAIN: Duration = Duration::from_mins(1);

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub time: Time,
    /// `jeedom`, `http`, `mqtt`, `doors` or `stream`.
    pub service: &'static str,
    /// What it was about: a topic, a door, a server. Never what was said.
    pub what: String,
    /// The status that it was answered with.
    pub status: u16,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// From where, if anybody knows.
    pub source: Option<IpAddr>,
}

/// What keys asked for.
#[derive(Default)]
pub(crate) struct Diary {
    entries: Mutex<HashMap<String, VecDeque<Entry>>>,
    /// When a refusal was last written down.
    told: Mutex<BTreeMap<(String, Reason), Mono>>,
}

impl Diary {
    pub(crate) fn note(&self, key: &str, mut entry: Entry) {
        if entry.what.len() > LETTERS || entry.what.contains(char::is_control) {
            entry.what = entry.what.chars().filter(|letter| !letter.is_control()).take(LETTERS).collect();
        }
        let mut entries = lock(&self.entries);
        if !entries.contains_key(key) {
            entries.insert(key.to_owned(), VecDeque::with_capacity(ENTRIES));
        }
        let Some(of_key) = entries.get_mut(key) else { return };
        if of_key.len() >= ENTRIES {
            of_key.pop_back();
        }
        of_key.push_front(entry);
    }

    /// What a key asked for, newest first.
    pub(crate) fn of(&self, key: &str) -> Vec<Entry> {
        lock(&self.entries).get(key).map(|entries| entries.iter().cloned().collect()).unwrap_or_default()
    }

    /// Forgets keys that are gone.
    pub(crate) fn keep(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.entries).retain(|key, _| is_there(key));
        lock(&self.told).retain(|(key, _), _| is_there(key));
    }

    /// Writes a refusal down, unless the same one was a moment ago.
    pub(crate) fn refused(&self, house: &Handle, key: &str, reason: Reason, what: &str, source: Option<IpAddr>) {
        let now = house.now();
        {
            let mut told = lock(&self.told);
            if told.get(&(key.to_owned(), reason)).is_some_and(|at| now.mono.since(*at) < TOLD_AGAIN) {
                return;
            }
            told.insert((key.to_owned(), reason), now.mono);
        }
        let actor = Actor { kind: ActorKind::Tunnel, id: key.into(), name: Some(key.into()) };
        let data = json!({ "what": what, "source": source });
        let event = NewEvent::new(now.utc, EventKind::TunnelRefused).actor(&actor).reason(Some(reason)).data(data);
        let house = house.clone();
        tokio::spawn(async move {
            if let Err(error) = house.record(vec![event]).await {
                tracing::error!(%error, "a refusal of the tunnel could not be written down");
            }
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
