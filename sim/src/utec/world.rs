//! Everything that the simulated cloud knows, behind one lock, and kept on disk.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use super::faults::{Faults, On};
use super::locks::{Lock, LockSpec, Works};
use super::passage::Plan;
use super::push::Registration;
use super::tokens::{Book, Rotation};
use crate::clock::Clock;
use crate::dice::Dice;
use crate::disk;

/// How many requests `/sim/requests` shows, and how many message ids are remembered.
const REMEMBERED: usize = 500;
/// The name of the file in the folder of the configuration.
const FILE: &str = "utec.json";

/// How often things happened since this start.
///
/// `token` to `other` count requests on arrival, whatever became of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Counters {
    /// Requests to `/token`.
    pub token: u64,
    /// Lock and unlock, in either style.
    pub command: u64,
    /// `Query`.
    pub query: u64,
    /// `Discovery`.
    pub discovery: u64,
    /// `Command` with `st.lockUser`.
    pub users: u64,
    /// Everything else at `/action`.
    pub other: u64,
    /// Codes exchanged and refreshes done.
    pub token_ok: u64,
    /// Codes and refresh tokens refused with `invalid_grant`.
    pub token_refused: u64,
    /// Lock and unlock requests that were passed on to a lock.
    pub command_accepted: u64,
    /// Lock and unlock requests that were refused: the style, the device, the device is offline.
    pub command_refused: u64,
    /// Answers with 401, real and by fault.
    pub unauthorized: u64,
    /// Requests that no real cloud would take: a header is missing, the body has another shape.
    pub malformed: u64,
    /// Requests with a message id that was used before.
    pub repeated_message_ids: u64,
    /// Requests that a fault struck.
    pub faults: u64,
    /// Pushes that the client took (status below 300).
    pub push_delivered: u64,
    /// Pushes that the client refused, or that did not reach it.
    pub push_failed: u64,
    /// Pushes not sent because the registered address is not on this machine.
    pub push_refused: u64,
}

/// One line of `/sim/requests`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    id: u64,
    /// Milliseconds since 1970.
    time: u64,
    method: &'static str,
    path: &'static str,
    /// Namespace and name, or the grant type.
    what: Option<String>,
    /// Absent until it is answered.
    status: Option<u16>,
}

/// Names a line of the request log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogId(u64);

/// The cloud.
pub(crate) struct World {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) rotation: Rotation,
    pub(crate) expires_in: u64,
    pub(crate) port: u16,
    state: Mutex<State>,
    /// Something happened after which the next deadline may be another one.
    pub(crate) changed: Notify,
    /// Pushes wait in the queue.
    pub(crate) pushes: Notify,
    stopped: watch::Sender<bool>,
    file: Option<PathBuf>,
    /// The version of the state that is on disk. Held while writing, so that writers do not overtake.
    on_disk: Mutex<u64>,
}

/// What changes.
pub(crate) struct State {
    pub(crate) dice: Dice,
    pub(crate) book: Book,
    pub(crate) locks: Vec<Lock>,
    pub(crate) registration: Option<Registration>,
    pub(crate) silent: bool,
    /// Devices whose state is to be pushed.
    pub(crate) queue: VecDeque<serde_json::Value>,
    pub(crate) faults: Faults,
    pub(crate) counters: Counters,
    log: VecDeque<Line>,
    lines: u64,
    message_ids: VecDeque<String>,
    version: u64,
}

/// What is kept across restarts. How a lock behaves is not: that is configuration.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    pub(crate) port: u16,
    dice: Dice,
    book: Book,
    locks: Vec<(String, Works)>,
    registration: Option<Registration>,
}

impl Saved {
    pub(crate) fn load(folder: &std::path::Path) -> io::Result<Option<Self>> {
        disk::load(&folder.join(FILE))
    }
}

/// What the world is made of.
pub(crate) struct Parts {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) rotation: Rotation,
    pub(crate) expires_in: u64,
    pub(crate) port: u16,
    pub(crate) seed: u64,
    pub(crate) locks: Vec<LockSpec>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) saved: Option<Saved>,
}

impl World {
    /// Builds the world and writes it down once, so that an unwritable folder is found at the start.
    pub(crate) fn new(parts: Parts) -> io::Result<Self> {
        let mut state = State {
            dice: Dice::new(parts.seed),
            book: Book::default(),
            locks: parts.locks.into_iter().map(Lock::new).collect(),
            registration: None,
            silent: false,
            queue: VecDeque::new(),
            faults: Faults::default(),
            counters: Counters::default(),
            log: VecDeque::new(),
            lines: 0,
            message_ids: VecDeque::new(),
            version: 1,
        };
        if let Some(saved) = parts.saved {
            state.dice = saved.dice;
            state.book = saved.book;
            state.registration = saved.registration;
            for (id, works) in saved.locks {
                if let Some(lock) = state.locks.iter_mut().find(|lock| lock.spec.id == id) {
                    lock.works = works;
                }
            }
        }
        let world = Self {
            clock: parts.clock,
            client_id: parts.client_id,
            client_secret: parts.client_secret,
            rotation: parts.rotation,
            expires_in: parts.expires_in,
            port: parts.port,
            state: Mutex::new(state),
            changed: Notify::new(),
            pushes: Notify::new(),
            stopped: watch::Sender::new(false),
            file: parts.folder.map(|folder| folder.join(FILE)),
            on_disk: Mutex::new(0),
        };
        world.save()?;
        Ok(world)
    }

    /// Changes the state, after everything that was due has happened. The change is on disk when this
    /// returns. The time handed in is the real one, not the cloud's skewed one.
    pub(crate) fn edit<R>(&self, change: impl FnOnce(&mut State, u64) -> R) -> R {
        let result = {
            let (mut state, now) = self.settled();
            state.version += 1;
            change(&mut state, now)
        };
        if let Err(error) = self.save() {
            tracing::error!(%error, "the simulator cannot write its state");
        }
        self.changed.notify_one();
        self.pushes.notify_one();
        result
    }

    /// Looks at the state, or changes what is not kept across restarts.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut State, u64) -> R) -> R {
        let (mut state, now) = self.settled();
        let result = look(&mut state, now);
        if !state.queue.is_empty() {
            self.pushes.notify_one();
        }
        result
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Counters)) {
        self.look(|state, _| count(&mut state.counters));
    }

    pub(crate) fn faults(&self) -> Faults {
        self.look(|state, _| state.faults.clone())
    }

    /// Counts a request at `at` and says what will happen to it.
    pub(crate) fn plan(&self, at: On, refresh: bool) -> Plan {
        self.look(|state, now| {
            let counters = &mut state.counters;
            match at {
                On::Token => counters.token += 1,
                On::Command => counters.command += 1,
                On::Query => counters.query += 1,
                On::Discovery => counters.discovery += 1,
                On::Users | On::AddUser => counters.users += 1,
                On::Other | On::All => counters.other += 1,
            }
            let plan = if refresh { state.faults.plan_refresh(now) } else { state.faults.plan(at, now) };
            state.counters.faults += u64::from(plan.faulty());
            plan
        })
    }

    /// Notes that a request has come. Only what is named here is ever written down: no header, no body.
    pub(crate) fn log(&self, method: &'static str, path: &'static str, what: Option<String>) -> LogId {
        self.look(|state, now| {
            state.lines += 1;
            keep(&mut state.log, Line { id: state.lines, time: now, method, path, what, status: None });
            LogId(state.lines)
        })
    }

    /// Notes how a request was answered.
    pub(crate) fn log_status(&self, LogId(id): LogId, status: StatusCode) {
        self.look(|state, _| {
            if let Some(line) = state.log.iter_mut().find(|line| line.id == id) {
                line.status = Some(status.as_u16());
            }
        });
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.look(|state, _| state.log.iter().cloned().collect())
    }

    /// Changes at the end of the simulator.
    pub(crate) fn stopped(&self) -> watch::Receiver<bool> {
        self.stopped.subscribe()
    }

    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    fn settled(&self) -> (MutexGuard<'_, State>, u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now_ms();
        state.settle(now);
        (state, now)
    }

    fn save(&self) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let mut on_disk = self.on_disk.lock().unwrap_or_else(PoisonError::into_inner);
        let (version, saved) = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.version <= *on_disk {
                return Ok(());
            }
            let works = |lock: &Lock| (lock.spec.id.clone(), lock.works.clone());
            let saved = Saved {
                port: self.port,
                dice: state.dice.clone(),
                book: state.book.clone(),
                locks: state.locks.iter().map(works).collect(),
                registration: state.registration.clone(),
            };
            (state.version, saved)
        };
        disk::save(file, &saved)?;
        *on_disk = version;
        Ok(())
    }
}

impl State {
    /// The time as the cloud believes it to be.
    pub(crate) fn cloud_time(&self, now: u64) -> u64 {
        now.saturating_add_signed(self.faults.clock_skew_seconds.saturating_mul(1000))
    }

    pub(crate) fn lock(&self, id: &str) -> Option<&Lock> {
        self.locks.iter().find(|lock| lock.spec.id.eq_ignore_ascii_case(id))
    }

    pub(crate) fn lock_mut(&mut self, id: &str) -> Option<&mut Lock> {
        let mut locks = self.locks.iter_mut();
        locks.find(|lock| lock.spec.id.eq_ignore_ascii_case(id))
    }

    /// When something will happen by itself.
    pub(crate) fn due(&self) -> Option<u64> {
        self.locks.iter().filter_map(Lock::due).min()
    }

    /// Whether this message id is new; remembers it.
    pub(crate) fn first_use(&mut self, message_id: &str) -> bool {
        let new = !self.message_ids.iter().any(|known| known == message_id);
        keep(&mut self.message_ids, message_id.to_owned());
        new
    }

    fn settle(&mut self, now: u64) {
        for index in 0..self.locks.len() {
            if self.locks[index].settle(now) {
                self.announce(index);
            }
        }
    }

    /// Queues a push of what the lock at `index` now reports.
    fn announce(&mut self, index: usize) {
        if self.registration.is_some() && !self.silent {
            let device = super::answer::reported(&self.locks[index], &self.faults);
            self.queue.push_back(device);
        }
    }

    /// Changes a lock from outside and queues a push. False when there is no such lock.
    pub(crate) fn tamper(&mut self, id: &str, change: impl FnOnce(&mut Lock)) -> bool {
        let known = |lock: &Lock| lock.spec.id.eq_ignore_ascii_case(id);
        let Some(index) = self.locks.iter().position(known) else {
            return false;
        };
        change(&mut self.locks[index]);
        self.announce(index);
        true
    }
}

/// Adds to a list that forgets its oldest.
fn keep<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() >= REMEMBERED {
        list.pop_front();
    }
    list.push_back(item);
}
