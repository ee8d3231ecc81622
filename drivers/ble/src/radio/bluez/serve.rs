//! Serving: objects of ours that `BlueZ` calls when somebody reads or writes.

mod peers;

use super::{
    link::{Link, lock},
    names::{BLUEZ, CHARACTERISTIC, GATT, PROPERTIES, SERVICE},
};
use crate::{
    dbus::{Message, Value, dict, strings},
    radio::{
        Address, AttError, Can, Characteristic, Incoming, MOST_REQUESTS, MOST_VALUE, Peer, PeerId, RadioError, Reply, Server, Service,
    },
};
use doorward_core::driver::BoxFuture;
use peers::Peers;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, atomic::Ordering},
};
use tokio::{sync::mpsc, time::timeout};
use uuid::Uuid;

/// Words that are kept free in the queue for who is gone: they are never refused.
const MOST_GONE: usize = 2 * MOST_REQUESTS;

/// Services that are registered.
pub(super) struct Served {
    path: String,
    services: Vec<Service>,
    queue: Mutex<Option<mpsc::Sender<Incoming>>>,
    peers: Mutex<Peers>,
}

/// Lets others read and write until the server is dropped.
pub(super) async fn serve(link: Arc<Link>, services: Vec<Service>) -> Result<Box<dyn Server>, RadioError> {
    let mut seen = HashSet::new();
    if services.iter().flat_map(|service| &service.characteristics).any(|own| !seen.insert(own.uuid)) {
        return Err(RadioError::Refused("a characteristic stands twice".into()));
    }
    let (sender, queue) = mpsc::channel(MOST_REQUESTS + MOST_GONE);
    let path = link.path("services");
    let own = Arc::new(Served { path, services, queue: Mutex::new(Some(sender)), peers: Mutex::default() });
    {
        let mut served = lock(&link.served);
        if served.is_some() {
            return Err(RadioError::Busy("services are served already".into()));
        }
        *served = Some(Arc::clone(&own));
    }
    // From here on what is dropped is taken back, whether or not BlueZ had it.
    let handle = Handle { link, own, queue: tokio::sync::Mutex::new(queue) };
    let object = vec![Value::path(&handle.own.path), dict([])];
    handle.link.adapter(GATT, "RegisterApplication", object).await?;
    if handle.link.is_over() {
        return Err(RadioError::Gone("just now".into()));
    }
    Ok(Box::new(handle))
}

/// What a call is about.
struct Asked {
    characteristic: Characteristic,
    device: String,
    address: Address,
    offset: usize,
    mtu: Option<u16>,
}

impl Served {
    /// Whether an object is one of these.
    pub(super) fn has(&self, path: &str) -> bool {
        path.strip_prefix(&self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    pub(super) fn end(&self) {
        lock(&self.queue).take();
    }

    pub(super) fn devices(&self) -> Vec<String> {
        lock(&self.peers).devices()
    }

    pub(super) fn connected(&self, device: &str, address: Address) {
        lock(&self.peers).connected(device, address);
    }

    pub(super) fn disconnected(&self, device: &str) {
        let Some(id) = lock(&self.peers).disconnected(device) else { return };
        if self.queue().is_none_or(|queue| queue.try_send(Incoming::Gone(id)).is_err()) {
            tracing::debug!(?id, "nobody is told that it is gone");
        }
    }

    fn queue(&self) -> Option<mpsc::Sender<Incoming>> {
        lock(&self.queue).clone()
    }

    /// Somebody called one of the objects.
    pub(super) fn called(self: Arc<Self>, link: &Arc<Link>, call: Message) {
        match (call.member.as_str(), call.body.as_slice()) {
            ("GetManagedObjects", []) if call.path == self.path => link.bus.answer(&call, Ok(vec![self.objects()])),
            ("GetAll", [Value::Text(interface)]) => match self.properties(&call.path, interface) {
                Some(all) => link.bus.answer(&call, Ok(vec![all])),
                None => link.bus.answer(&call, Err(("org.freedesktop.DBus.Error.UnknownInterface", "no such interface"))),
            },
            ("StartNotify", []) => self.subscribed(link, &call, true),
            ("StopNotify", []) => self.subscribed(link, &call, false),
            ("ReadValue", [options]) => match self.asked(link, &call.path, options) {
                Some(asked) => self.read(link, call, asked),
                None => refuse(link, &call, AttError::Unlikely),
            },
            ("WriteValue", [Value::Bytes(value), options]) => match self.asked(link, &call.path, options) {
                Some(asked) => {
                    let (value, command) = (value.clone(), options.at("type").and_then(Value::as_text) == Some("command"));
                    self.write(link, call, &asked, value, command);
                }
                None => refuse(link, &call, AttError::Unlikely),
            },
            // An indication was received, which is nothing to us; BlueZ takes the services back, which tells nobody anything new.
            ("Confirm" | "Release", _) => link.bus.answer(&call, Ok(vec![])),
            _ => link.bus.answer(&call, Err(("org.freedesktop.DBus.Error.UnknownMethod", "no such method"))),
        }
    }

    fn read(self: Arc<Self>, link: &Arc<Link>, call: Message, asked: Asked) {
        if !asked.characteristic.can.read {
            return refuse(link, &call, AttError::NotPermitted);
        }
        let uuid = asked.characteristic.uuid;
        if asked.offset > 0 {
            // The rest of what was read before, which must not be another value.
            let rest = lock(&self.peers).rest(&asked.device, uuid, asked.offset);
            return match rest {
                Some(rest) => link.bus.answer(&call, Ok(vec![Value::Bytes(rest)])),
                None => link.bus.answer(&call, Err(("org.bluez.Error.InvalidOffset", "there is nothing"))),
            };
        }
        let (reply, answer) = Reply::new();
        let Some(peer) = self.peer(link, &asked) else { return refuse(link, &call, AttError::Unlikely) };
        if !self.ask(Incoming::Read { peer, characteristic: uuid, reply }) {
            return refuse(link, &call, AttError::Unlikely);
        }
        let link = Arc::clone(link);
        tokio::spawn(async move {
            let answer = timeout(link.waits.gatt, answer).await;
            match answer.ok().and_then(Result::ok).unwrap_or(Err(AttError::Unlikely)) {
                Ok(value) if value.len() <= MOST_VALUE => {
                    lock(&self.peers).remember(&asked.device, peer.id, uuid, &value);
                    link.bus.answer(&call, Ok(vec![Value::Bytes(value)]));
                }
                Ok(_) => refuse(&link, &call, AttError::Unlikely),
                Err(error) => refuse(&link, &call, error),
            }
        });
    }

    fn write(self: Arc<Self>, link: &Arc<Link>, call: Message, asked: &Asked, value: Vec<u8>, command: bool) {
        let can = asked.characteristic.can;
        if !(if command { can.write_without_response } else { can.write }) {
            return refuse(link, &call, AttError::NotPermitted);
        }
        // BlueZ puts a write in parts together itself; a part alone is none of ours.
        if asked.offset > 0 || value.len() > MOST_VALUE {
            return refuse(link, &call, AttError::InvalidLength);
        }
        let Some(peer) = self.peer(link, asked) else { return refuse(link, &call, AttError::Unlikely) };
        let characteristic = asked.characteristic.uuid;
        if command {
            self.ask(Incoming::Write { peer, characteristic, value, reply: Reply::nobody() });
            return link.bus.answer(&call, Ok(vec![]));
        }
        let (reply, answer) = Reply::new();
        if !self.ask(Incoming::Write { peer, characteristic, value, reply }) {
            return refuse(link, &call, AttError::Unlikely);
        }
        let link = Arc::clone(link);
        tokio::spawn(async move {
            let answer = timeout(link.waits.gatt, answer).await;
            match answer.ok().and_then(Result::ok).unwrap_or(Err(AttError::Unlikely)) {
                Ok(()) => link.bus.answer(&call, Ok(vec![])),
                Err(error) => refuse(&link, &call, error),
            }
        });
    }

    /// `BlueZ` says when the first subscribes and when the last one does not any more, and never who.
    fn subscribed(&self, link: &Link, call: &Message, on: bool) {
        let Some(own) = self.characteristic(&call.path).filter(|own| own.can.notify) else {
            return link.bus.answer(call, Err(("org.bluez.Error.NotSupported", "it tells of nothing")));
        };
        let peer = lock(&self.peers).only(|| PeerId(link.peers.fetch_add(1, Ordering::Relaxed)));
        if let Some(peer) = peer {
            self.ask(Incoming::Subscribed { peer, characteristic: own.uuid, on });
        }
        link.bus.answer(call, Ok(vec![]));
    }

    /// Puts a request into the queue, if there is room.
    fn ask(&self, incoming: Incoming) -> bool {
        self.queue().is_some_and(|queue| queue.capacity() > MOST_GONE && queue.try_send(incoming).is_ok())
    }

    fn peer(&self, link: &Link, asked: &Asked) -> Option<Peer> {
        let id = || PeerId(link.peers.fetch_add(1, Ordering::Relaxed));
        lock(&self.peers).asks(&asked.device, asked.address, asked.mtu, id)
    }

    fn asked(&self, link: &Link, path: &str, options: &Value) -> Option<Asked> {
        let device = options.at("device")?.as_text()?;
        let (_, address, _) = super::names::of_device(&link.adapter, device).filter(|(_, _, rest)| rest.is_empty())?;
        let number = |name| options.at(name).and_then(Value::as_u16);
        let offset = number("offset").unwrap_or_default().into();
        Some(Asked { characteristic: self.characteristic(path)?, device: device.into(), address, offset, mtu: number("mtu") })
    }

    /// Objects and their characteristics, by path. Services have paths of their own above.
    fn characteristics(&self) -> impl Iterator<Item = (String, String, Characteristic)> {
        self.services.iter().enumerate().flat_map(move |(at, service)| {
            let above = format!("{}/service{at}", self.path);
            let characteristics = service.characteristics.iter().enumerate();
            characteristics.map(move |(at, own)| (format!("{above}/char{at}"), above.clone(), *own))
        })
    }

    fn characteristic(&self, path: &str) -> Option<Characteristic> {
        self.characteristics().find(|(own, ..)| own == path).map(|(_, _, own)| own)
    }

    fn path_of(&self, uuid: Uuid) -> Option<String> {
        self.characteristics().find(|(_, _, own)| own.uuid == uuid).map(|(path, ..)| path)
    }

    fn properties(&self, path: &str, interface: &str) -> Option<Value> {
        let services = || self.services.iter().enumerate().map(|(at, service)| (format!("{}/service{at}", self.path), service));
        match interface {
            SERVICE => services()
                .find(|(own, _)| own == path)
                .map(|(_, service)| dict([("UUID", Value::Text(service.uuid.to_string())), ("Primary", Value::Bool(true))])),
            CHARACTERISTIC => self.characteristics().find(|(own, ..)| own == path).map(|(_, above, own)| {
                dict([("UUID", Value::Text(own.uuid.to_string())), ("Service", Value::Path(above)), ("Flags", strings(flags(own.can)))])
            }),
            _ => None,
        }
    }

    /// `a{oa{sa{sv}}}`
    fn objects(&self) -> Value {
        let services = (0..self.services.len()).map(|at| (format!("{}/service{at}", self.path), SERVICE));
        let characteristics = self.characteristics().map(|(path, ..)| (path, CHARACTERISTIC));
        let object = |(path, interface): (String, &str)| {
            let all = self.properties(&path, interface).unwrap_or_else(|| dict([]));
            let interface = Value::Pair(Box::new(Value::text(interface)), Box::new(all));
            Value::Pair(Box::new(Value::Path(path)), Box::new(Value::Array("{sa{sv}}".into(), vec![interface])))
        };
        Value::Array("{oa{sa{sv}}}".into(), services.chain(characteristics).map(object).collect())
    }
}

fn flags(can: Can) -> impl Iterator<Item = &'static str> {
    let all = [(can.read, "read"), (can.write, "write"), (can.write_without_response, "write-without-response"), (can.notify, "notify")];
    all.into_iter().filter_map(|(can, flag)| can.then_some(flag))
}

fn refuse(link: &Link, call: &Message, error: AttError) {
    let name = match error {
        AttError::NotPermitted => "org.bluez.Error.NotPermitted",
        AttError::InvalidLength => "org.bluez.Error.InvalidValueLength",
        AttError::Unlikely => "org.bluez.Error.Failed",
    };
    link.bus.answer(call, Err((name, "refused")));
}

struct Handle {
    link: Arc<Link>,
    own: Arc<Served>,
    queue: tokio::sync::Mutex<mpsc::Receiver<Incoming>>,
}

impl Server for Handle {
    fn next(&self) -> BoxFuture<'_, Option<Incoming>> {
        Box::pin(async { self.queue.lock().await.recv().await })
    }

    fn notify<'a>(&'a self, peer: PeerId, characteristic: Uuid, value: &'a [u8]) -> BoxFuture<'a, Result<(), RadioError>> {
        Box::pin(async move {
            if self.link.is_over() {
                return Err(RadioError::Gone("the adapter was away since it was served".into()));
            }
            let path = self.own.path_of(characteristic).ok_or_else(|| RadioError::NotFound(characteristic.to_string()))?;
            let known = lock(&self.own.peers).find(peer);
            let most = usize::from(known.ok_or_else(|| RadioError::Disconnected(format!("{peer:?}")))?.mtu.saturating_sub(3));
            if value.len() > most {
                return Err(RadioError::TooLong { what: "a notification", have: value.len(), most });
            }
            let changed = vec![Value::text(CHARACTERISTIC), dict([("Value", Value::Bytes(value.into()))]), strings([])];
            Ok(self.link.bus.emit(&path, PROPERTIES, "PropertiesChanged", changed)?)
        })
    }

    fn tells_one(&self) -> bool {
        false
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        lock(&self.link.served).take_if(|own| Arc::ptr_eq(own, &self.own));
        self.link.bus.tell(BLUEZ, &self.link.adapter, GATT, "UnregisterApplication", vec![Value::path(&self.own.path)]);
    }
}
