//! The two tasks of a connection, and what they and its callers share.

use super::{
    Answer, Bus, BusError, Kind, Message, Patience, Value,
    message::{Frame, MOST_HEADER, PREFIX, decode, header},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::unix::{OwnedReadHalf, OwnedWriteHalf},
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

/// The bus itself, as a service on it: name and interface.
pub(super) const BUS: &str = "org.freedesktop.DBus";

/// Calls that wait for their answers, by number.
type Waiting = HashMap<u32, oneshot::Sender<Result<Answer, BusError>>>;

/// Who has the name that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// The bus was not asked yet.
    Unknown,
    /// Nobody.
    Nobody,
    /// This connection.
    Is(String),
}

impl Owner {
    pub(super) fn of(name: &str) -> Self {
        if name.is_empty() { Self::Nobody } else { Self::Is(name.into()) }
    }

    pub(super) fn name(&self) -> Option<&str> {
        if let Self::Is(name) = self { Some(name) } else { None }
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    /// Who waits for which answer; `None` when the connection is over.
    waiting: Mutex<Option<Waiting>>,
    serial: AtomicU32,
    /// The name that is followed.
    pub(super) followed: String,
    pub(super) owner: watch::Sender<Owner>,
    closed: watch::Sender<bool>,
    given: AtomicU64,
    /// Calls that wait in the inbox.
    pub(super) calls: AtomicUsize,
    pub(super) dropped: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl Shared {
    pub(super) fn new(followed: &str) -> Self {
        Self {
            waiting: Mutex::new(Some(HashMap::new())),
            serial: AtomicU32::new(0),
            followed: followed.into(),
            owner: watch::Sender::new(Owner::Unknown),
            closed: watch::Sender::new(false),
            given: AtomicU64::new(0),
            calls: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    pub(super) fn next(&self) -> u32 {
        // 0 is no number.
        self.serial.fetch_add(1, Ordering::Relaxed).checked_add(1).unwrap_or_else(|| self.next())
    }

    /// Waits for the answer to this call, until what comes back with it is dropped.
    pub(super) fn expect(&self, serial: u32) -> Result<(oneshot::Receiver<Result<Answer, BusError>>, Expected<'_>), BusError> {
        let (sender, receiver) = oneshot::channel();
        self.waiting().as_mut().ok_or(BusError::Lost)?.insert(serial, sender);
        Ok((receiver, Expected { shared: self, serial }))
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, reply_to: Option<u32>, answer: Result<Answer, BusError>) {
        let waits = reply_to.and_then(|serial| self.waiting().as_mut()?.remove(&serial));
        if let Some(waits) = waits {
            // Who called may have given up.
            let _ = waits.send(answer);
        }
    }

    pub(super) fn close(&self) {
        self.closed.send_replace(true);
        self.owner.send_replace(Owner::Nobody);
        // Everybody who waits learns it, and nobody waits any more.
        self.waiting().take();
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    pub(super) async fn until_closed(&self) {
        // The sender lives as long as we do.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }
}

/// A call whose answer is waited for.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    shared: &'a Shared,
    serial: u32,
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.shared.waiting().as_mut() {
            waiting.remove(&self.serial);
        }
    }
}

/// The task that writes.
pub(super) async fn write(mut writer: OwnedWriteHalf, mut queue: mpsc::Receiver<Vec<u8>>, shared: Arc<Shared>, patience: Duration) {
    loop {
        let next = tokio::select! {
            biased;
            next = queue.recv() => next,
            () = shared.until_closed() => None,
        };
        let Some(bytes) = next else { break };
        if !matches!(timeout(patience, writer.write_all(&bytes)).await, Ok(Ok(()))) {
            break;
        }
    }
    shared.close();
}

/// The task that reads.
pub(super) struct Read {
    /// Calls and signals in one queue, so that what came first is known first. The places that calls may take are theirs alone.
    pub(super) inbox: mpsc::Sender<Message>,
    pub(super) most_calls: usize,
    /// The connection ends with the last [`Bus`], whether or not we read.
    pub(super) out: mpsc::WeakSender<Vec<u8>>,
    pub(super) shared: Arc<Shared>,
}

impl Read {
    pub(super) async fn run(self, mut reader: BufReader<OwnedReadHalf>) {
        let ended = tokio::select! {
            ended = self.read(&mut reader) => ended,
            () = self.shared.until_closed() => Ok(()),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "the connection to D-Bus ends");
        }
        self.shared.close();
    }

    async fn read(&self, reader: &mut BufReader<OwnedReadHalf>) -> Result<(), BusError> {
        let mut bytes = Vec::new();
        loop {
            let mut prefix = [0; PREFIX];
            reader.read_exact(&mut prefix).await.map_err(|_| BusError::Lost)?;
            let frame = Frame::of(prefix)?;
            let kept = if frame.readable { frame.total } else { frame.header.min(MOST_HEADER) };
            bytes.clear();
            bytes.extend(prefix);
            bytes.resize(kept, 0);
            reader.read_exact(bytes.get_mut(PREFIX..).unwrap_or_default()).await.map_err(|_| BusError::Lost)?;
            skip(reader, frame.total - kept).await?;
            let message = if frame.readable { decode(&bytes) } else { Err(BusError::TooLong(frame.total)) };
            match message {
                Ok(message) => self.route(message),
                Err(error) => self.refuse(&bytes, error),
            }
        }
    }

    /// Leaves out a message. Who waits for it learns that.
    fn refuse(&self, bytes: &[u8], error: BusError) {
        self.shared.refused.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%error, "a message of D-Bus is left out");
        if let Ok((message, ..)) = header(bytes) {
            self.shared.settle(message.reply_to, Err(error));
        }
    }

    fn route(&self, message: Message) {
        match message.kind {
            Kind::Return => {
                let after = self.shared.given.load(Ordering::Relaxed);
                self.shared.settle(message.reply_to, Ok(Answer { body: message.body, after }));
            }
            Kind::Error => {
                let text = message.body.first().and_then(Value::as_text).unwrap_or_default().to_owned();
                self.shared.settle(message.reply_to, Err(BusError::Refused { name: message.error, text }));
            }
            Kind::Signal if message.sender == BUS => self.followed(&message),
            Kind::Signal | Kind::Call if self.shared.owner.borrow().name() != Some(&message.sender) => {
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                self.deny(&message, "org.freedesktop.DBus.Error.AccessDenied", "this is for another service");
            }
            Kind::Signal => {
                let room = self.inbox.capacity() > self.most_calls.saturating_sub(self.shared.calls.load(Ordering::Relaxed));
                let given = room && self.inbox.try_send(message).is_ok();
                let count = if given { &self.shared.given } else { &self.shared.dropped };
                count.fetch_add(1, Ordering::Relaxed);
            }
            Kind::Call => self.called(message),
        }
    }

    fn called(&self, call: Message) {
        let refused = if self.shared.calls.load(Ordering::Relaxed) < self.most_calls {
            self.shared.calls.fetch_add(1, Ordering::Relaxed);
            let Err(error) = self.inbox.try_send(call) else { return };
            self.shared.calls.fetch_sub(1, Ordering::Relaxed);
            error.into_inner()
        } else {
            call
        };
        self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        self.deny(&refused, "org.freedesktop.DBus.Error.LimitsExceeded", "too many calls");
    }

    fn deny(&self, message: &Message, name: &str, text: &str) {
        let Some(out) = self.out.upgrade().filter(|_| message.kind == Kind::Call) else { return };
        let bus = Bus { out, shared: Arc::clone(&self.shared), patience: Patience::default() };
        bus.answer(message, Err((name, text)));
    }

    fn followed(&self, message: &Message) {
        if let ("NameOwnerChanged", [Value::Text(name), _, Value::Text(new)]) = (message.member.as_str(), message.body.as_slice())
            && *name == self.shared.followed
        {
            self.shared.owner.send_replace(Owner::of(new));
        }
    }
}

/// Reads over what is too long to be kept.
async fn skip(reader: &mut BufReader<OwnedReadHalf>, mut left: usize) -> Result<(), BusError> {
    let mut waste = [0; 4096];
    while left > 0 {
        let piece = left.min(waste.len());
        let place = waste.get_mut(..piece).unwrap_or_default();
        left -= reader.read(place).await.ok().filter(|read| *read > 0).ok_or(BusError::Lost)?;
    }
    Ok(())
}
