//! A house for tests.

use crate::{
    Mono, Now, Secret,
    driver::{BoxFuture, Ctx, Fault, Heard, KeepError, Kept, Message, Once, Presented, Report, Stopwatch},
};
use doorward_wire::{Time, door::DoorId};
use std::{
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

/// A house for tests: its clock is moved by hand, its dice are always the same, its store can be broken.
pub struct Bench(Arc<Mutex<Inside>>);

struct Inside {
    now: Now,
    dice: u64,
    broken: bool,
    kept: BTreeMap<String, Secret<Vec<u8>>>,
    reports: Vec<Report>,
    sleepers: Vec<Sleeper>,
    sleeps: u64,
    /// Whether there is an MQTT broker.
    broker: bool,
    published: Vec<Message>,
    said: VecDeque<Heard>,
    listener: Option<Waker>,
    /// What came of what was presented, until whoever asked takes it.
    answers: Vec<(String, Result<(), Fault>)>,
    asking: Vec<Waker>,
    /// Doors that were opened for others.
    opened: Vec<(String, DoorId)>,
}

impl Bench {
    /// A house at a time, with an empty store.
    pub fn new(utc: Time) -> Self {
        // Any beginning of the monotonic clock is as good as another; nothing is a special case.
        let now = Now { utc, mono: Mono(Duration::from_secs(1000)) };
        Self(Arc::new(Mutex::new(Inside {
            now,
            dice: 1,
            broken: false,
            kept: BTreeMap::new(),
            reports: Vec::new(),
            sleepers: Vec::new(),
            sleeps: 0,
            broker: false,
            published: Vec::new(),
            said: VecDeque::new(),
            listener: None,
            answers: Vec::new(),
            asking: Vec::new(),
            opened: Vec::new(),
        })))
    }

    /// Lets time pass. Whoever sleeps until then wakes.
    pub fn advance(&self, span: Duration) {
        let due: Vec<Sleeper> = {
            let mut inside = lock(&self.0);
            inside.now = inside.now.plus(span);
            let mono = inside.now.mono;
            inside.sleepers.extract_if(.., |sleeper| sleeper.until <= mono).collect()
        };
        for sleeper in due {
            sleeper.waker.wake();
        }
    }

    /// When the next sleeper wakes; `None` while nobody sleeps. A test that lets time pass for somebody who sleeps
    /// looks here first whether he does.
    pub fn next_wake(&self) -> Option<Mono> {
        lock(&self.0).sleepers.iter().map(|sleeper| sleeper.until).min()
    }

    /// Sets the wall clock, as people and time servers do.
    pub fn set_utc(&self, utc: Time) {
        lock(&self.0).now.utc = utc;
    }

    /// Breaks the store, or mends it.
    pub fn break_store(&self, broken: bool) {
        lock(&self.0).broken = broken;
    }

    /// Puts a value into the store, as an earlier run left it.
    pub fn put(&self, key: &str, value: Secret<Vec<u8>>) {
        lock(&self.0).kept.insert(key.into(), value);
    }

    /// The store as it would be found after a restart.
    pub fn store(&self) -> BTreeMap<String, Secret<Vec<u8>>> {
        lock(&self.0).kept.clone()
    }

    /// From now on there is an MQTT broker, which takes everything.
    pub fn join_broker(&self) {
        lock(&self.0).broker = true;
    }

    /// What was published over MQTT since this was last asked.
    pub fn published(&self) -> Vec<Message> {
        std::mem::take(&mut lock(&self.0).published)
    }

    /// Lets the driver hear something over MQTT.
    pub fn say(&self, heard: Heard) {
        let mut inside = lock(&self.0);
        inside.said.push_back(heard);
        if let Some(listener) = inside.listener.take() {
            listener.wake();
        }
    }

    /// Ends when the driver has heard all that was said, and waits for more.
    pub fn heard_all(&self) -> impl Future<Output = ()> {
        poll_fn(|cx| {
            let inside = lock(&self.0);
            if inside.said.is_empty() && inside.listener.is_some() {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// Says what came of a credential that was presented, or will be.
    pub fn answer(&self, credential: &str, outcome: Result<(), Fault>) {
        let asking = {
            let mut inside = lock(&self.0);
            inside.answers.push((credential.into(), outcome));
            std::mem::take(&mut inside.asking)
        };
        for waker in asking {
            waker.wake();
        }
    }

    /// Doors that were opened for others since this was last asked: for which one, and which.
    pub fn opened_for(&self) -> Vec<(String, DoorId)> {
        std::mem::take(&mut lock(&self.0).opened)
    }

    /// What was reported since this was last asked.
    pub fn reports(&self) -> Vec<Report> {
        std::mem::take(&mut lock(&self.0).reports)
    }
}

impl Ctx for Bench {
    fn now(&self) -> Now {
        lock(&self.0).now
    }

    fn stopwatch(&self) -> Stopwatch {
        let inside = Arc::clone(&self.0);
        Arc::new(move || lock(&inside).now.mono)
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        let mut inside = lock(&self.0);
        inside.sleeps += 1;
        Box::pin(Sleep { bench: self, id: inside.sleeps, until: inside.now.mono.plus(span) })
    }

    fn fill(&self, bytes: &mut [u8]) {
        let mut inside = lock(&self.0);
        for byte in bytes {
            // SplitMix64 (Steele, Lea, Flood 2014): different each time, the same in each run.
            inside.dice = inside.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (inside.dice ^ (inside.dice >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            *byte = mixed.to_be_bytes()[0];
        }
    }

    fn keep<'a>(&'a self, key: &'a str, value: Secret<Vec<u8>>) -> BoxFuture<'a, Result<(), KeepError>> {
        Box::pin(async move {
            let mut inside = lock(&self.0);
            if inside.broken {
                return Err(KeepError("broken on purpose".into()));
            }
            inside.kept.insert(key.into(), value);
            Ok(())
        })
    }

    fn kept<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, KeepError>> {
        Box::pin(async move { Ok(lock(&self.0).kept.get(key).cloned()) })
    }

    fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), KeepError>> {
        Box::pin(async move {
            lock(&self.0).kept.remove(key);
            Ok(())
        })
    }

    fn kept_under<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Kept, KeepError>> {
        Box::pin(async move {
            let inner = lock(&self.0);
            let mut found: Vec<_> =
                inner.kept.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(key, value)| (key.clone(), value.clone())).collect();
            found.sort_by(|(a, _), (b, _)| a.cmp(b));
            Ok(found)
        })
    }

    fn report(&self, report: Report) {
        lock(&self.0).reports.push(report);
    }

    fn present(&self, presented: Presented) -> BoxFuture<'_, Result<(), Fault>> {
        let credential = presented.credential.clone();
        self.report(Report::Presented(presented));
        Box::pin(poll_fn(move |cx| {
            let mut inside = lock(&self.0);
            if let Some(at) = inside.answers.iter().position(|(of, _)| *of == credential) {
                return Poll::Ready(inside.answers.remove(at).1);
            }
            inside.asking.push(cx.waker().clone());
            Poll::Pending
        }))
    }

    fn open_for<'a>(&'a self, external: &'a str, door: &'a DoorId, once: Once) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            once.check(self.now())?;
            lock(&self.0).opened.push((external.into(), door.clone()));
            Ok(())
        })
    }

    fn publish(&self, message: Message) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let mut inside = lock(&self.0);
            if !inside.broker {
                return Err(Fault::offline("There is no broker.", "there is no broker"));
            }
            inside.published.push(message);
            Ok(())
        })
    }

    fn hear(&self) -> BoxFuture<'_, Heard> {
        Box::pin(poll_fn(|cx| {
            let mut inside = lock(&self.0);
            if let Some(heard) = inside.said.pop_front() {
                return Poll::Ready(heard);
            }
            inside.listener = Some(cx.waker().clone());
            Poll::Pending
        }))
    }
}

struct Sleeper {
    id: u64,
    until: Mono,
    waker: Waker,
}

/// A sleep. One that is given up is forgotten.
struct Sleep<'a> {
    bench: &'a Bench,
    id: u64,
    until: Mono,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut inside = lock(&self.bench.0);
        if inside.now.mono >= self.until {
            return Poll::Ready(());
        }
        inside.sleepers.retain(|sleeper| sleeper.id != self.id);
        inside.sleepers.push(Sleeper { id: self.id, until: self.until, waker: cx.waker().clone() });
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        lock(&self.bench.0).sleepers.retain(|sleeper| sleeper.id != self.id);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
