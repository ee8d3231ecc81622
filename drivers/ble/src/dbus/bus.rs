//! The connection: one task reads, one writes, and whoever calls waits for the answer.

use super::{
    BusError, Kind, Message, Value, connect, encode,
    line::{BUS, Owner, Read, Shared, write},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{io::BufReader, net::UnixStream, sync::mpsc, time::timeout};

/// Messages that wait to be sent.
const MOST_OUT: usize = 256;

/// How long is waited, and how much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For an answer, and for the bus to take what is sent.
    pub call: Duration,
    /// Signals that wait for a slow reader, before more are dropped.
    pub signals: usize,
    /// Calls that wait for a slow reader, before more are refused.
    pub calls: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self { call: Duration::from_secs(5), signals: 2048, calls: 64 }
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What it says.
    pub body: Vec<Value>,
    /// How many signals the inbox had been given when it came: after that many, all that happened before it is known.
    pub after: u64,
}

/// A connection to the bus. Its clones are the same connection; it ends with the last one, when it is [closed](Self::close), or
/// when the bus does.
#[derive(Debug, Clone)]
pub struct Bus {
    pub(super) out: mpsc::Sender<Vec<u8>>,
    pub(super) shared: Arc<Shared>,
    pub(super) patience: Patience,
}

/// What the bus gives us by itself.
#[derive(Debug)]
pub struct Inbox {
    queue: mpsc::Receiver<Message>,
    shared: Arc<Shared>,
}

impl Bus {
    /// Connects to the system bus, signs in, and follows who has the name of one service.
    pub async fn system(follow: &str, patience: Patience) -> Result<(Self, Inbox), BusError> {
        Self::connect(&connect::system(), follow, patience).await
    }

    /// Connects to the bus at this address.
    pub async fn connect(address: &str, follow: &str, patience: Patience) -> Result<(Self, Inbox), BusError> {
        let opened = timeout(patience.call, connect::open(address)).await;
        let socket = opened.map_err(|_| BusError::Absent("it does not take connections".into()))??;
        Self::over(socket, follow, patience).await
    }

    /// Signs in over this socket. Signals and calls of the service that is followed are let in; those of others are not, since any
    /// process may send them.
    pub async fn over(socket: UnixStream, follow: &str, patience: Patience) -> Result<(Self, Inbox), BusError> {
        let (reader, mut writer) = socket.into_split();
        let mut reader = BufReader::new(reader);
        let welcome = timeout(patience.call, connect::sign_in(&mut reader, &mut writer)).await;
        welcome.map_err(|_| BusError::Late("our sign-in".into()))??;
        let shared = Arc::new(Shared::new(follow));
        let (out, queue) = mpsc::channel(MOST_OUT);
        let most_calls = patience.calls.max(1);
        let (inbox, waiting) = mpsc::channel(patience.signals.max(1) + most_calls);
        tokio::spawn(write(writer, queue, Arc::clone(&shared), patience.call));
        let read = Read { inbox, most_calls, out: out.downgrade(), shared: Arc::clone(&shared) };
        tokio::spawn(read.run(reader));
        let bus = Self { out, shared: Arc::clone(&shared), patience };
        bus.ask("Hello", vec![]).await?;
        bus.follow().await?;
        Ok((bus, Inbox { queue: waiting, shared }))
    }

    async fn follow(&self) -> Result<(), BusError> {
        let name = &self.shared.followed;
        self.listen(&format!("type='signal',sender='{BUS}',interface='{BUS}',member='NameOwnerChanged',arg0='{name}'")).await?;
        let owner = match self.ask("GetNameOwner", vec![Value::text(name)]).await {
            Ok(answer) => Owner::of(answer.body.first().and_then(Value::as_text).unwrap_or_default()),
            Err(BusError::Refused { .. }) => Owner::Nobody,
            Err(error) => return Err(error),
        };
        // A signal that came since then knows better.
        self.shared.owner.send_if_modified(|known| {
            let unknown = *known == Owner::Unknown;
            if unknown {
                *known = owner;
            }
            unknown
        });
        Ok(())
    }

    async fn ask(&self, member: &str, body: Vec<Value>) -> Result<Answer, BusError> {
        self.call(BUS, "/org/freedesktop/DBus", BUS, member, body).await
    }

    /// Wants signals that this rule matches (section "Match Rules").
    pub async fn listen(&self, rule: &str) -> Result<(), BusError> {
        self.ask("AddMatch", vec![Value::text(rule)]).await.map(drop)
    }

    /// Who has the name that is followed, by the name that the bus gave to that connection.
    pub fn owner(&self) -> Option<String> {
        self.shared.owner.borrow().name().map(ToOwned::to_owned)
    }

    /// Waits until another one than this has the name that is followed, or nobody has. Also when the connection is over.
    pub async fn owner_changed(&self, from: Option<&str>) -> Option<String> {
        let mut owner = self.shared.owner.subscribe();
        let now = owner.wait_for(|owner| *owner != Owner::Unknown && owner.name() != from).await;
        // The sender lives as long as we do.
        now.ok().and_then(|now| now.name().map(ToOwned::to_owned))
    }

    /// Calls, and waits for the answer as long as it is usual.
    pub async fn call(&self, to: &str, path: &str, interface: &str, member: &str, body: Vec<Value>) -> Result<Answer, BusError> {
        self.call_within(self.patience.call, &Message::call(to, path, interface, member, body)).await
    }

    /// Calls, and waits this long for the answer.
    pub async fn call_within(&self, span: Duration, call: &Message) -> Result<Answer, BusError> {
        let serial = self.shared.next();
        let bytes = encode(&Message { serial, ..call.clone() })?;
        let (receiver, _expected) = self.shared.expect(serial)?;
        let answer = async {
            self.out.send(bytes).await.map_err(|_| BusError::Lost)?;
            receiver.await.unwrap_or(Err(BusError::Lost))
        };
        timeout(span, answer).await.unwrap_or_else(|_| Err(BusError::Late(format!("{} of {}", call.member, call.path))))
    }

    /// Calls without waiting for anything: for what ends anyway when it is not heard.
    pub fn tell(&self, to: &str, path: &str, interface: &str, member: &str, body: Vec<Value>) {
        let call = Message { no_reply: true, ..Message::call(to, path, interface, member, body) };
        match self.send(call) {
            // It has ended with the connection.
            Ok(()) | Err(BusError::Lost) => {}
            Err(error) => tracing::debug!(%error, member, path, "not sent"),
        }
    }

    /// Answers a call, unless nobody wants that: with values, or with the name of an error and a text.
    pub fn answer(&self, call: &Message, body: Result<Vec<Value>, (&str, &str)>) {
        if call.no_reply {
            return;
        }
        let to = Message { reply_to: Some(call.serial), destination: call.sender.clone(), no_reply: true, ..Message::default() };
        let answer = match body {
            Ok(body) => Message { kind: Kind::Return, body, ..to },
            Err((name, text)) => Message { kind: Kind::Error, error: name.into(), body: vec![Value::text(text)], ..to },
        };
        if let Err(error) = self.send(answer) {
            tracing::debug!(%error, member = call.member, path = call.path, "not answered");
        }
    }

    /// Tells who listens that something happened to an object of ours.
    pub fn emit(&self, path: &str, interface: &str, member: &str, body: Vec<Value>) -> Result<(), BusError> {
        let signal = Message { kind: Kind::Signal, no_reply: true, ..Message::call("", path, interface, member, body) };
        self.send(signal)
    }

    fn send(&self, message: Message) -> Result<(), BusError> {
        let bytes = encode(&Message { serial: self.shared.next(), ..message })?;
        self.out.try_send(bytes).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => BusError::Late("what we sent before".into()),
            mpsc::error::TrySendError::Closed(_) => BusError::Lost,
        })
    }

    /// Whether the connection is over.
    pub fn is_over(&self) -> bool {
        self.shared.is_closed()
    }

    /// Ends the connection, once what was sent is out. Everything of ours on it is then gone for the others.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl Message {
    /// A call, to be sent.
    pub fn call(to: &str, path: &str, interface: &str, member: &str, body: Vec<Value>) -> Self {
        let [destination, path, interface, member] = [to, path, interface, member].map(ToOwned::to_owned);
        Self { destination, path, interface, member, body, ..Self::default() }
    }
}

impl Inbox {
    /// The next call or signal, in the order in which they came; `None` when the connection is over.
    pub async fn next(&mut self) -> Option<Message> {
        let next = self.queue.recv().await?;
        if next.kind == Kind::Call {
            self.shared.calls.fetch_sub(1, Ordering::Relaxed);
        }
        Some(next)
    }

    /// How many signals and calls were dropped because the reader was slow.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// How many messages were left out because they were too long or not as the specification has it.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}
