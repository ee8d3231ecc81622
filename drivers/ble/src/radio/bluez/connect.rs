//! Connecting to a server: finding it, waiting until it is known what it has, and asking.

mod tree;

use super::{
    link::{Link, within},
    names::{self, BLUEZ, CHARACTERISTIC, DEVICE},
    remote::Remote,
    scan,
    trouble::is_unknown,
};
use crate::{
    dbus::{BusError, Message, Value, dict},
    radio::{Address, Connection, MOST_VALUE, Notifications, RadioError, Scan, Service},
};
use doorward_core::driver::BoxFuture;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tree::Tree;
use uuid::Uuid;

/// Between two tries to connect.
const AGAIN: Duration = Duration::from_millis(300);

/// Connects, and finds out what the other side serves.
pub(super) async fn connect(link: Arc<Link>, address: Address) -> Result<Box<dyn Connection>, RadioError> {
    let device = names::device(&link.adapter, address);
    let remote = link.remotes.begin(&device).ok_or_else(|| RadioError::Busy(format!("{address} is connected to already")))?;
    // From here on what is dropped is disconnected.
    let mut way = Way { link, remote, device, address, tree: Tree::default(), one: tokio::sync::Mutex::default() };
    let span = way.link.waits.connect;
    let found = within(span, "a connection", way.connect()).await;
    match found {
        Ok(tree) => way.tree = tree,
        Err(RadioError::Timeout(_)) if way.remote.state.borrow().unknown => {
            return Err(RadioError::NotFound(format!("nobody with the address {address} is heard")));
        }
        Err(error) => return Err(error),
    }
    Ok(Box::new(way))
}

/// A connection, or the way to one.
struct Way {
    link: Arc<Link>,
    remote: Arc<Remote>,
    device: String,
    address: Address,
    tree: Tree,
    /// One read at a time: see [`Remote::hold`].
    one: tokio::sync::Mutex<()>,
}

impl Way {
    async fn connect(&self) -> Result<Tree, RadioError> {
        loop {
            self.call_up().await?;
            let (all, after) = self.link.properties(&self.device, DEVICE).await?;
            self.link.caught_up(after).await;
            let is = |name| all.at(name).and_then(Value::as_bool) == Some(true);
            if !is("Connected") {
                sleep(AGAIN).await;
                continue;
            }
            self.remote.state.send_modify(|state| {
                state.connected = true;
                state.resolved |= is("ServicesResolved");
            });
            let mut state = self.remote.state.subscribe();
            let state = state.wait_for(|state| state.resolved || !state.connected).await.map(|state| *state);
            if state.is_ok_and(|state| state.resolved) {
                return tree::walk(&self.link, &self.device).await;
            }
            if self.link.is_over() {
                return Err(RadioError::Gone("the adapter went away".into()));
            }
        }
    }

    /// Has `BlueZ` connect. A device that it does not know is looked for.
    async fn call_up(&self) -> Result<(), RadioError> {
        let call = Message::call(BLUEZ, &self.device, DEVICE, "Connect", vec![]);
        let mut looking = None;
        loop {
            self.remote.state.send_modify(|state| state.appeared = false);
            let Err(error) = self.link.bus.call_within(self.link.waits.connect, &call).await else { return Ok(()) };
            match error.name() {
                Some("AlreadyConnected") => return Ok(()),
                Some(name) if is_unknown(name) => {
                    self.remote.state.send_modify(|state| state.unknown = !state.appeared);
                    if looking.is_none() {
                        looking = Some(scan::scan(&self.link, Scan { waiting: 1, ..Scan::default() }).await?);
                        continue;
                    }
                    let mut state = self.remote.state.subscribe();
                    tokio::select! {
                        appeared = state.wait_for(|state| state.appeared) => drop(appeared),
                        () = self.link.until_over() => return Err(RadioError::Gone("the adapter went away".into())),
                    }
                }
                // Somebody else has it connect, or BlueZ lost it again at once: both pass (bleak#1220).
                Some("InProgress" | "Failed") if is_passing(&error) && !self.link.is_over() => {
                    tracing::debug!(%error, device = self.device, "not connected yet");
                    sleep(AGAIN).await;
                }
                _ => return Err(error.into()),
            }
        }
    }

    fn path(&self, characteristic: Uuid) -> Result<&str, RadioError> {
        if !self.remote.state.borrow().connected {
            return Err(RadioError::Disconnected(self.address.to_string()));
        }
        let path = self.tree.paths.get(&characteristic).map(String::as_str);
        path.ok_or_else(|| RadioError::NotFound(format!("{} has no characteristic {characteristic}", self.address)))
    }

    /// Asks something of a characteristic.
    async fn ask(&self, path: &str, member: &str, body: Vec<Value>) -> Result<crate::dbus::Answer, RadioError> {
        let call = Message::call(BLUEZ, path, CHARACTERISTIC, member, body);
        let asked = tokio::select! {
            asked = self.link.bus.call_within(self.link.waits.gatt, &call) => asked,
            () = self.closed() => return Err(RadioError::Disconnected(self.address.to_string())),
        };
        // What it has went with it.
        asked.map_err(|error| if error.name().is_some_and(is_unknown) { RadioError::Disconnected(error.to_string()) } else { error.into() })
    }

    async fn put(&self, characteristic: Uuid, value: &[u8], most: usize, kind: &str) -> Result<(), RadioError> {
        let path = self.path(characteristic)?;
        if value.len() > most {
            return Err(RadioError::TooLong { what: "a value", have: value.len(), most });
        }
        let body = vec![Value::Bytes(value.into()), dict([("type", Value::text(kind))])];
        self.ask(path, "WriteValue", body).await.map(drop)
    }
}

/// Whether an error of connecting is one that passes.
fn is_passing(error: &BusError) -> bool {
    let BusError::Refused { text, .. } = error else { return false };
    error.name() == Some("InProgress") || ["abort-by-local", "nprogress", "busy"].iter().any(|word| text.contains(word))
}

impl Connection for Way {
    fn address(&self) -> Address {
        self.address
    }

    fn mtu(&self) -> u16 {
        self.tree.mtu
    }

    fn services(&self) -> &[Service] {
        &self.tree.services
    }

    fn read(&self, characteristic: Uuid) -> BoxFuture<'_, Result<Vec<u8>, RadioError>> {
        Box::pin(async move {
            let path = self.path(characteristic)?;
            let _one = self.one.lock().await;
            self.remote.hold(path);
            let mut held = Held { way: self, path, read: None };
            let answer = self.ask(path, "ReadValue", vec![dict([])]).await?;
            let value = answer.body.first().and_then(Value::as_bytes).map(<[u8]>::to_vec);
            let value = value.ok_or_else(|| RadioError::Protocol("a value without bytes".into()))?;
            self.link.caught_up(answer.after).await;
            held.read = Some(value.clone());
            Ok(value)
        })
    }

    fn write<'a>(&'a self, characteristic: Uuid, value: &'a [u8]) -> BoxFuture<'a, Result<(), RadioError>> {
        Box::pin(self.put(characteristic, value, MOST_VALUE, "request"))
    }

    fn write_without_response<'a>(&'a self, characteristic: Uuid, value: &'a [u8]) -> BoxFuture<'a, Result<(), RadioError>> {
        Box::pin(self.put(characteristic, value, self.tree.mtu.saturating_sub(3).into(), "command"))
    }

    fn subscribe(&self, characteristic: Uuid) -> BoxFuture<'_, Result<Notifications, RadioError>> {
        Box::pin(async move {
            let path = self.path(characteristic)?;
            // What it tells at once must find somebody.
            let told = self.remote.tell(path);
            self.ask(path, "StartNotify", vec![]).await?;
            Ok(Notifications::new(told))
        })
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // The sender lives as long as we do.
            let _ = self.remote.state.subscribe().wait_for(|state| !state.connected).await;
        })
    }

    fn disconnect(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let ended = async {
                self.link.bus.call(BLUEZ, &self.device, DEVICE, "Disconnect", vec![]).await?;
                self.closed().await;
                Ok(())
            };
            if let Err(error) = within(self.link.waits.call, "a disconnect", ended).await {
                tracing::debug!(%error, device = self.device, "not disconnected");
            }
            self.link.remotes.disconnected(&self.device);
        })
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        let connected = self.remote.state.borrow().connected;
        self.link.remotes.forget(&self.device);
        // Also one that is only on its way. What was told to be over is not ours any more.
        if connected || self.tree.services.is_empty() {
            self.link.bus.tell(BLUEZ, &self.device, DEVICE, "Disconnect", vec![]);
        }
    }
}

/// What is held back while something is read is told also when nobody waits for that any more.
struct Held<'a> {
    way: &'a Way,
    path: &'a str,
    read: Option<Vec<u8>>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.way.remote.release(&self.way.link, &self.way.device, self.path, self.read.as_deref());
    }
}
