//! A false system bus with a false `BlueZ` on it, which does as it is told.

pub(crate) mod bytes;

use bytes::{Raw, body};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

/// The connection that `BlueZ` has.
pub(crate) const DAEMON: &str = ":1.7";
pub(crate) const BUS: &str = "org.freedesktop.DBus";
/// How long anything may take, on a computer that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What comes back to a call.
pub(crate) enum Back {
    /// A signature and a body.
    Values(&'static str, Vec<u8>),
    /// A name and a text.
    Error(&'static str, &'static str),
    /// Nothing, ever.
    Silence,
    /// These bytes, whatever they are, with the serial of the call in four places of them.
    Bytes(Box<dyn Fn(u32) -> Vec<u8> + Send>),
}

impl Back {
    pub(crate) fn nothing() -> Self {
        Self::Values("", vec![])
    }
}

type On = Box<dyn FnMut(&Raw) -> Back + Send>;

pub(crate) struct Fake {
    pub(crate) address: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    _folder: TempDir,
}

struct Shared {
    state: Mutex<State>,
    /// Counts up with each message that came.
    came: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    owner: Option<String>,
    /// Adapters, and whether they are on.
    adapters: BTreeMap<String, bool>,
    welcome: Option<&'static str>,
    on: HashMap<String, On>,
    heard: Vec<Raw>,
    lines: Vec<mpsc::UnboundedSender<Vec<u8>>>,
    connections: u32,
    serial: u32,
}

impl Fake {
    /// With `hci0`, which is on.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bus");
        let listener = UnixListener::bind(&path).unwrap();
        let state = State { owner: Some(DAEMON.into()), adapters: [("hci0".into(), true)].into(), ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), came: watch::Sender::new(0) });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address: format!("unix:path={}", path.display()), shared, task, _folder: folder }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// What it says instead of `OK`.
    pub(crate) fn welcome(&self, line: &'static str) {
        self.state().welcome = Some(line);
    }

    /// It lets everybody in.
    pub(crate) fn welcome_all(&self) {
        self.state().welcome = None;
    }

    /// What comes back to a method is the usual again.
    pub(crate) fn usual(&self, member: &str) {
        self.state().on.remove(member);
    }

    /// What comes back to a method from now on.
    pub(crate) fn on(&self, member: &str, back: impl FnMut(&Raw) -> Back + Send + 'static) {
        self.state().on.insert(member.into(), Box::new(back));
    }

    /// Switches an adapter, and tells of it.
    pub(crate) fn switch(&self, adapter: &str, on: bool) {
        let before = self.state().adapters.insert(adapter.into(), on);
        let path = format!("/org/bluez/{adapter}");
        if before.is_some() {
            self.changed(&path, "org.bluez.Adapter1", |out| _ = out.pair("Powered", "b", |out| _ = out.u32(on.into())));
        } else {
            let body = body(|out| {
                out.text(&path).array(8, |out| {
                    out.align(8).text("org.bluez.Adapter1").dict(|out| _ = out.pair("Powered", "b", |out| _ = out.u32(on.into())));
                });
            });
            self.signal("/", "org.freedesktop.DBus.ObjectManager", "InterfacesAdded", "oa{sa{sv}}", body);
        }
    }

    /// Nobody tells of an adapter that is pulled out but `BlueZ`.
    pub(crate) fn unplug(&self, adapter: &str) {
        self.state().adapters.remove(adapter);
        self.removed(&format!("/org/bluez/{adapter}"), "org.bluez.Adapter1");
    }

    pub(crate) fn removed(&self, path: &str, interface: &str) {
        let body = body(|out| _ = out.text(path).texts(&["org.freedesktop.DBus.Introspectable", interface]));
        self.signal("/", "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved", "oas", body);
    }

    pub(crate) fn changed(&self, path: &str, interface: &str, write: impl FnOnce(&mut bytes::Out)) {
        let body = body(|out| _ = out.text(interface).dict(write).texts(&[]));
        self.signal(path, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", body);
    }

    /// A device that `BlueZ` knows now.
    pub(crate) fn appeared(&self, path: &str, write: impl FnOnce(&mut bytes::Out)) {
        let body = body(|out| {
            out.text(path).array(8, |out| _ = out.align(8).text("org.bluez.Device1").dict(write));
        });
        self.signal("/", "org.freedesktop.DBus.ObjectManager", "InterfacesAdded", "oa{sa{sv}}", body);
    }

    /// `bluetoothd` ends, or is there again under another name.
    pub(crate) fn owner(&self, owner: Option<&str>) {
        let old = std::mem::replace(&mut self.state().owner, owner.map(ToOwned::to_owned)).unwrap_or_default();
        let body = body(|out| _ = out.text("org.bluez").text(&old).text(owner.unwrap_or_default()));
        let path = "/org/freedesktop/DBus";
        let signal = raw(4, path, BUS, "NameOwnerChanged");
        self.send(Raw { sender: BUS.into(), signature: "sss".into(), body, ..signal });
    }

    /// A signal of `BlueZ`.
    pub(crate) fn signal(&self, path: &str, interface: &str, member: &str, signature: &str, body: Vec<u8>) {
        let sender = self.state().owner.clone().unwrap_or_default();
        self.send(Raw { sender, signature: signature.into(), body, ..raw(4, path, interface, member) });
    }

    /// `BlueZ` calls an object of the client; its answer.
    pub(crate) async fn call(&self, path: &str, interface: &str, member: &str, signature: &str, body: Vec<u8>) -> Raw {
        self.call_from(DAEMON, path, interface, member, signature, body).await
    }

    pub(crate) async fn call_from(&self, from: &str, path: &str, interface: &str, member: &str, signature: &str, body: Vec<u8>) -> Raw {
        let call = Raw { sender: from.into(), signature: signature.into(), body, ..raw(1, path, interface, member) };
        let serial = self.send(call);
        self.until("an answer", |heard| heard.iter().find(|raw| raw.reply_to == serial).cloned()).await
    }

    /// Sends a message to all connections, and says its number.
    pub(crate) fn send(&self, raw: Raw) -> u32 {
        let serial = {
            let mut state = self.state();
            state.serial += 1;
            state.serial
        };
        self.send_bytes(&Raw { serial, ..raw }.bytes());
        serial
    }

    pub(crate) fn send_bytes(&self, bytes: &[u8]) {
        self.state().lines.retain(|line| line.send(bytes.to_vec()).is_ok());
    }

    /// Ends all connections.
    pub(crate) fn hang_up(&self) {
        self.state().lines.clear();
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> u32 {
        self.state().connections
    }

    /// Calls of this method, so far.
    pub(crate) fn called(&self, member: &str) -> Vec<Raw> {
        self.state().heard.iter().filter(|raw| raw.kind == 1 && raw.member == member).cloned().collect()
    }

    /// Waits until a method was called so many times.
    pub(crate) async fn until_called(&self, member: &str, times: usize) -> Vec<Raw> {
        self.until(member, |heard| {
            let calls: Vec<Raw> = heard.iter().filter(|raw| raw.kind == 1 && raw.member == member).cloned().collect();
            (calls.len() >= times).then_some(calls)
        })
        .await
    }

    /// Waits until what came has something.
    pub(crate) async fn until<T>(&self, what: &str, find: impl Fn(&[Raw]) -> Option<T>) -> T {
        let mut came = self.shared.came.subscribe();
        let found = timeout(PATIENCE, async {
            loop {
                came.mark_unchanged();
                if let Some(found) = find(&self.state().heard) {
                    return found;
                }
                came.changed().await.unwrap();
            }
        });
        found.await.unwrap_or_else(|_| panic!("{what} did not come; there were {:?}", members(&self.state().heard)))
    }
}

fn members(heard: &[Raw]) -> Vec<String> {
    heard.iter().map(|raw| format!("{} {} {}", raw.kind, raw.path, raw.member)).collect()
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A message without a body.
pub(crate) fn raw(kind: u8, path: &str, interface: &str, member: &str) -> Raw {
    Raw { kind, path: path.into(), interface: interface.into(), member: member.into(), ..Raw::default() }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    let mut tasks = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        tasks.spawn(serve(socket, Arc::clone(&shared)));
    }
}

/// One connection: the welcome, and then messages.
async fn serve(socket: UnixStream, shared: Arc<Shared>) {
    let (reader, mut writer) = socket.into_split();
    let mut reader = BufReader::new(reader);
    let (mut line, mut lines) = (String::new(), Vec::new());
    while lines.len() < 2 {
        reader.read_line(&mut line).await.unwrap();
        lines.push(std::mem::take(&mut line));
    }
    assert_eq!(lines, ["\0AUTH EXTERNAL\r\n", "DATA\r\n"]);
    let welcome = shared.state.lock().unwrap().welcome;
    let _ = writer.write_all(welcome.unwrap_or("DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n").as_bytes()).await;
    if welcome.is_some() {
        return;
    }
    reader.read_line(&mut line).await.unwrap();
    assert_eq!(line, "BEGIN\r\n");
    let (sender, mut queue) = mpsc::unbounded_channel::<Vec<u8>>();
    let weak = sender.downgrade();
    {
        let mut state = shared.state.lock().unwrap();
        state.connections += 1;
        state.lines.push(sender);
    }
    let read = async {
        while let Some(raw) = next(&mut reader).await {
            let back = if raw.kind == 1 { shared.state.lock().unwrap().back(&raw) } else { None };
            shared.state.lock().unwrap().heard.push(raw);
            shared.came.send_modify(|came| *came += 1);
            if let (Some(back), Some(line)) = (back, weak.upgrade()) {
                let _ = line.send(back);
            }
        }
    };
    let write = async {
        while let Some(bytes) = queue.recv().await {
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
}

async fn next(reader: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<Raw> {
    let mut bytes = vec![0; 16];
    reader.read_exact(&mut bytes).await.ok()?;
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let total = (16 + number(12)).next_multiple_of(8) + number(4);
    bytes.resize(total, 0);
    reader.read_exact(&mut bytes[16..]).await.ok()?;
    Some(Raw::read(&bytes))
}

impl State {
    /// What comes back to a call, in bytes.
    fn back(&mut self, call: &Raw) -> Option<Vec<u8>> {
        let back = match self.on.get_mut(&call.member) {
            Some(on) => on(call),
            None => self.usually(call),
        };
        self.serial += 1;
        let sender = if call.destination == BUS { BUS.into() } else { self.owner.clone().unwrap_or_else(|| BUS.into()) };
        let to = Raw { serial: self.serial, reply_to: call.serial, sender, flags: 1, ..Raw::default() };
        Some(match back {
            _ if call.flags & 1 != 0 => return None,
            Back::Values(signature, body) => Raw { kind: 2, signature: signature.into(), body, ..to }.bytes(),
            Back::Error(name, text) => {
                Raw { kind: 3, error: name.into(), signature: "s".into(), body: body(|out| _ = out.text(text)), ..to }.bytes()
            }
            Back::Silence => return None,
            Back::Bytes(bytes) => bytes(call.serial),
        })
    }

    fn usually(&self, call: &Raw) -> Back {
        let name = call.path.strip_prefix("/org/bluez/").unwrap_or_default();
        match (call.member.as_str(), &self.owner) {
            ("Hello", _) => Back::Values("s", body(|out| _ = out.text(":1.99"))),
            ("GetNameOwner", Some(owner)) => Back::Values("s", body(|out| _ = out.text(owner))),
            ("GetNameOwner", None) => Back::Error("org.freedesktop.DBus.Error.NameHasNoOwner", "no such name"),
            _ if call.destination == BUS => Back::nothing(),
            (_, None) => Back::Error("org.freedesktop.DBus.Error.ServiceUnknown", "it was not provided"),
            ("GetAll", _) if call.says("org.bluez.Adapter1") => match self.adapters.get(name) {
                Some(on) => {
                    Back::Values("a{sv}", body(|out| _ = out.dict(|out| _ = out.pair("Powered", "b", |out| _ = out.u32((*on).into())))))
                }
                None => Back::Error("org.freedesktop.DBus.Error.UnknownObject", "there is none"),
            },
            ("GetManagedObjects", _) => Back::Values("a{oa{sa{sv}}}", body(|out| _ = out.array(8, |_| {}))),
            _ => Back::nothing(),
        }
    }
}
