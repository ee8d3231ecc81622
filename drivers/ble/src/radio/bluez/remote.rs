//! Those whom we connected to, as far as signals tell of them.

use super::{
    link::{Link, lock},
    names::{BLUEZ, CHARACTERISTIC, DEVICE},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{mpsc, watch};

/// What a server tells before somebody reads it.
pub(super) const MOST_TOLD: usize = 64;

/// All of them, by path.
#[derive(Default)]
pub(super) struct Remotes {
    all: Mutex<HashMap<String, Arc<Remote>>>,
    looking: AtomicBool,
}

/// One of them.
#[derive(Default)]
pub(super) struct Remote {
    pub(super) state: watch::Sender<State>,
    told: Mutex<HashMap<String, Told>>,
}

/// How a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is told by a signal of its own")]
pub(super) struct State {
    /// `BlueZ` has not heard of the device yet.
    pub(super) unknown: bool,
    /// It just did.
    pub(super) appeared: bool,
    pub(super) connected: bool,
    /// It is known what it has.
    pub(super) resolved: bool,
}

/// A characteristic whose changes are told.
#[derive(Default)]
struct Told {
    queue: Option<mpsc::Sender<Vec<u8>>>,
    /// What came while it is read: `BlueZ` tells of a value that was read as if it had changed.
    held: Option<Vec<Vec<u8>>>,
}

impl Remotes {
    /// Begins to follow a device; `None` when it is followed already.
    pub(super) fn begin(&self, device: &str) -> Option<Arc<Remote>> {
        let mut all = lock(&self.all);
        if all.contains_key(device) {
            return None;
        }
        let remote = Arc::new(Remote::default());
        all.insert(device.into(), Arc::clone(&remote));
        Some(remote)
    }

    pub(super) fn forget(&self, device: &str) {
        lock(&self.all).remove(device);
    }

    pub(super) fn devices(&self) -> Vec<String> {
        lock(&self.all).iter().filter(|(_, remote)| remote.state.borrow().connected).map(|(device, _)| device.clone()).collect()
    }

    /// Ends all of them.
    pub(super) fn end(&self) {
        for remote in lock(&self.all).values() {
            remote.over();
        }
    }

    pub(super) fn appeared(&self, device: &str) {
        self.with(device, |remote| remote.change(|state| (state.unknown, state.appeared) = (false, true)));
    }

    pub(super) fn resolved(&self, device: &str) {
        self.with(device, |remote| remote.change(|state| state.resolved = true));
    }

    pub(super) fn disconnected(&self, device: &str) {
        self.with(device, Remote::over);
    }

    /// A characteristic of a device has another value.
    pub(super) fn told(&self, link: &Link, device: &str, path: &str, value: &[u8]) {
        self.with(device, |remote| remote.told(link, device, path, value));
    }

    fn with(&self, device: &str, act: impl FnOnce(&Remote)) {
        let remote = lock(&self.all).get(device).cloned();
        if let Some(remote) = remote {
            act(&remote);
        }
    }

    /// Whether nobody looks already whether they are still connected.
    pub(super) fn begin_look(&self) -> bool {
        !self.looking.swap(true, Ordering::Relaxed)
    }

    pub(super) fn end_look(&self) {
        self.looking.store(false, Ordering::Relaxed);
    }
}

impl Remote {
    fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    /// The connection is over, and with it all that is told on it.
    fn over(&self) {
        self.change(|state| (state.connected, state.resolved) = (false, false));
        lock(&self.told).clear();
    }

    /// Begins to tell of a characteristic.
    pub(super) fn tell(&self, path: &str) -> mpsc::Receiver<Vec<u8>> {
        let (sender, receiver) = mpsc::channel(MOST_TOLD);
        lock(&self.told).entry(path.into()).or_default().queue = Some(sender);
        receiver
    }

    /// Holds back what is told of a characteristic while it is read.
    pub(super) fn hold(&self, path: &str) {
        if let Some(told) = lock(&self.told).get_mut(path) {
            told.held = Some(Vec::new());
        }
    }

    /// Tells what was held back, except for what was read: the last that is equal to it.
    pub(super) fn release(&self, link: &Link, device: &str, path: &str, read: Option<&[u8]>) {
        let held = lock(&self.told).get_mut(path).and_then(|told| told.held.take());
        let mut held = held.unwrap_or_default();
        if let Some(echo) = held.iter().rposition(|value| Some(value.as_slice()) == read) {
            held.remove(echo);
        }
        for value in held {
            self.told(link, device, path, &value);
        }
    }

    fn told(&self, link: &Link, device: &str, path: &str, value: &[u8]) {
        let full = {
            let mut all = lock(&self.told);
            let Some(told) = all.get_mut(path) else { return };
            let sent = match (&mut told.held, &told.queue) {
                (Some(held), _) if held.len() < MOST_TOLD => {
                    held.push(value.into());
                    Ok(())
                }
                (Some(_), _) => Err(mpsc::error::TrySendError::Full(())),
                (None, Some(queue)) => queue.try_send(value.into()).map_err(|error| match error {
                    mpsc::error::TrySendError::Full(_) => mpsc::error::TrySendError::Full(()),
                    mpsc::error::TrySendError::Closed(_) => mpsc::error::TrySendError::Closed(()),
                }),
                (None, None) => Ok(()),
            };
            if let Err(mpsc::error::TrySendError::Closed(())) = sent {
                all.remove(path);
                link.bus.tell(BLUEZ, path, CHARACTERISTIC, "StopNotify", vec![]);
            }
            matches!(sent, Err(mpsc::error::TrySendError::Full(())))
        };
        // A part that is missing makes the rest worthless.
        if full {
            tracing::warn!(device, "it tells faster than anybody reads: disconnected");
            link.bus.tell(BLUEZ, device, DEVICE, "Disconnect", vec![]);
            self.over();
        }
    }
}
