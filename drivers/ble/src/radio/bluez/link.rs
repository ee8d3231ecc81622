//! One generation: an adapter from when it is there until it is not.

use super::{
    Clock, Waits,
    advertise::Advertised,
    names::{self, ADAPTER, BLUEZ, CHARACTERISTIC, DEVICE, PROPERTIES},
    remote::Remotes,
    scan::Scans,
    serve::Served,
};
use crate::{
    dbus::{Answer, Bus, BusError, Inbox, Kind, Message, Value},
    radio::{Address, Down, RadioError},
};
use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::timeout};

/// An adapter that is there, and all that was started on it.
pub(super) struct Link {
    pub(super) bus: Bus,
    pub(super) adapter: String,
    pub(super) waits: Waits,
    pub(super) clock: Clock,
    pub(super) peers: Arc<AtomicU64>,
    pub(super) scans: Scans,
    pub(super) advertised: Mutex<Vec<Arc<Advertised>>>,
    pub(super) served: Mutex<Option<Arc<Served>>>,
    pub(super) remotes: Remotes,
    over: watch::Sender<bool>,
    /// Signals that were read.
    read: watch::Sender<u64>,
    objects: AtomicU64,
}

impl Link {
    pub(super) fn new(bus: Bus, adapter: String, waits: Waits, clock: Clock, peers: Arc<AtomicU64>) -> Self {
        Self {
            bus,
            adapter,
            waits,
            clock,
            peers,
            scans: Scans::default(),
            advertised: Mutex::default(),
            served: Mutex::default(),
            remotes: Remotes::default(),
            over: watch::Sender::new(false),
            read: watch::Sender::new(0),
            objects: AtomicU64::new(0),
        }
    }

    /// Calls the adapter.
    pub(super) async fn adapter(&self, interface: &str, member: &str, body: Vec<Value>) -> Result<Answer, BusError> {
        self.bus.call(BLUEZ, &self.adapter, interface, member, body).await
    }

    /// All properties of an object of `BlueZ`.
    pub(super) async fn properties(&self, path: &str, interface: &str) -> Result<(Value, u64), BusError> {
        let answer = self.bus.call(BLUEZ, path, PROPERTIES, "GetAll", vec![Value::text(interface)]).await?;
        let all = answer.body.into_iter().next().ok_or(BusError::Malformed("no properties"))?;
        Ok((all, answer.after))
    }

    /// The path of an object that is registered next. No two are the same, so that what goes never hides what comes.
    pub(super) fn path(&self, what: &str) -> String {
        format!("{}/{what}{}", names::OURS, self.objects.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits until so many signals were read as had come when something was answered.
    pub(super) async fn caught_up(&self, after: u64) {
        // The queue is short, and what it drops is not counted: this waits for no more than the task's turn.
        let _ = timeout(Duration::from_secs(1), self.read.subscribe().wait_for(|read| *read >= after)).await;
    }

    /// Waits until it is over.
    pub(super) async fn until_over(&self) {
        // The sender lives as long as we do.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    pub(super) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Ends all that was started.
    pub(super) fn end(&self) {
        self.over.send_replace(true);
        self.scans.end();
        lock(&self.advertised).clear();
        if let Some(served) = lock(&self.served).take() {
            served.end();
        }
        self.remotes.end();
    }

    /// Reads what comes until it is over, and says why.
    pub(super) async fn run(self: &Arc<Self>, inbox: &mut Inbox, owner: &str) -> RadioError {
        let mut gone = pin!(self.bus.owner_changed(Some(owner)));
        let mut dropped = inbox.dropped();
        loop {
            let message = tokio::select! {
                biased;
                _ = &mut gone => None,
                message = inbox.next() => message,
            };
            let Some(message) = message else {
                let gone = if self.bus.is_over() { Down::NoBus } else { Down::NoDaemon };
                return RadioError::Down(gone, "it was there until now".into());
            };
            if message.kind == Kind::Call {
                self.called(message);
                continue;
            }
            let over = self.told(&message);
            self.read.send_modify(|read| *read += 1);
            if let Some(why) = over {
                return why;
            }
            if inbox.dropped() != dropped {
                dropped = inbox.dropped();
                self.look_again();
            }
        }
    }

    /// Somebody called an object of ours.
    fn called(self: &Arc<Self>, call: Message) {
        let advertised = lock(&self.advertised).iter().find(|own| own.path == call.path).cloned();
        let served = lock(&self.served).clone().filter(|own| own.has(&call.path));
        if let Some(advertised) = advertised {
            advertised.called(self, &call);
        } else if let Some(served) = served {
            served.called(self, call);
        } else {
            self.bus.answer(&call, Err(("org.freedesktop.DBus.Error.UnknownObject", "it is gone")));
        }
    }

    /// Something happened. Says why it is over, if it is.
    fn told(&self, signal: &Message) -> Option<RadioError> {
        match (signal.member.as_str(), signal.body.as_slice()) {
            ("PropertiesChanged", [Value::Text(interface), changed, ..]) => return self.changed(&signal.path, interface, changed),
            ("InterfacesAdded", [Value::Path(path), interfaces]) => {
                if let (Some((device, address, "")), Some(all)) = (self.device(path), interfaces.at(DEVICE)) {
                    self.scans.appeared(self, device, address, all);
                    self.remotes.appeared(device);
                }
            }
            ("InterfacesRemoved", [Value::Path(path), interfaces]) => {
                let has = |name: &str| interfaces.items().iter().any(|own| own.as_text() == Some(name));
                if *path == self.adapter && has(ADAPTER) {
                    return Some(RadioError::Down(Down::NoAdapter, format!("{path} was there until now")));
                }
                if let (Some((device, _, "")), true) = (self.device(path), has(DEVICE)) {
                    self.scans.forget(device);
                    self.disconnected(device);
                }
            }
            _ => {}
        }
        None
    }

    fn changed(&self, path: &str, interface: &str, changed: &Value) -> Option<RadioError> {
        let truth = |name| changed.at(name).and_then(Value::as_bool);
        match (interface, self.device(path)) {
            (ADAPTER, _) if path == self.adapter => {
                if truth("Powered") == Some(false) {
                    return Some(RadioError::Down(Down::NotPowered, format!("{path} was switched off")));
                }
                if truth("Discovering") == Some(false) {
                    self.scans.stopped();
                }
            }
            (DEVICE, Some((device, address, ""))) => {
                self.scans.changed(self, device, address, changed);
                match truth("Connected") {
                    Some(true) => self.connected(device, address),
                    Some(false) => self.disconnected(device),
                    None => {}
                }
                if truth("ServicesResolved") == Some(true) {
                    self.remotes.resolved(device);
                }
            }
            (CHARACTERISTIC, Some((device, ..))) => {
                if let Some(value) = changed.at("Value").and_then(Value::as_bytes) {
                    self.remotes.told(self, device, path, value);
                }
            }
            _ => {}
        }
        None
    }

    fn device<'a>(&self, path: &'a str) -> Option<(&'a str, Address, &'a str)> {
        names::of_device(&self.adapter, path)
    }

    fn connected(&self, device: &str, address: Address) {
        if let Some(served) = lock(&self.served).as_ref() {
            served.connected(device, address);
        }
    }

    fn disconnected(&self, device: &str) {
        if let Some(served) = lock(&self.served).as_ref() {
            served.disconnected(device);
        }
        self.remotes.disconnected(device);
    }

    /// Signals were dropped, and the end of a connection may have been among them.
    fn look_again(self: &Arc<Self>) {
        let mut devices = self.remotes.devices();
        devices.extend(lock(&self.served).iter().flat_map(|served| served.devices()));
        if devices.is_empty() || !self.remotes.begin_look() {
            return;
        }
        let link = Arc::clone(self);
        tokio::spawn(async move {
            for device in devices {
                match link.properties(&device, DEVICE).await {
                    Ok((all, _)) if all.at("Connected").and_then(Value::as_bool) == Some(true) => {}
                    Ok(_) | Err(BusError::Refused { .. }) => link.disconnected(&device),
                    Err(error) => tracing::debug!(%error, device, "nobody knows whether it is connected"),
                }
            }
            link.remotes.end_look();
        });
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for something that must not last for ever.
pub(super) async fn within<T>(span: Duration, what: &str, future: impl Future<Output = Result<T, RadioError>>) -> Result<T, RadioError> {
    timeout(span, future).await.unwrap_or_else(|_| Err(RadioError::Timeout(what.into())))
}
