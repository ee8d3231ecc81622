//! One end of the air's socket: requests that wait for their answers, and what comes by itself.

use super::{
    PATIENCE, Who,
    wire::{Line, MOST_LINE, services, trouble, unhex},
};
use crate::radio::{
    Address, Hearer, Incoming, MOST_MANUFACTURER, MOST_REQUESTS, MOST_VALUE, Manufacturer, Peer, PeerId, RadioError, Reply, Scan, Service,
    Sighting, Standing, StateWatch, rssi,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use uuid::Uuid;

/// Lines that wait to be sent.
const OUTGOING: usize = 256;
/// Notifications that wait for a slow reader.
const NOTIFICATIONS: usize = 64;

type Answer = Result<Value, RadioError>;

pub(super) struct Client {
    who: Who,
    outgoing: mpsc::Sender<String>,
    next: AtomicU64,
    standing: watch::Sender<Standing>,
    open: Mutex<Open>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// Everything that ends with the adapter.
#[derive(Default)]
struct Open {
    /// The socket is closed: nothing is answered any more.
    closed: bool,
    answers: HashMap<u64, oneshot::Sender<Answer>>,
    hearers: Vec<(Scan, Hearer)>,
    /// Which one, and where its requests go.
    server: Option<(u64, mpsc::Sender<Incoming>)>,
    links: HashMap<u64, Link>,
    /// Links of clients that our server was told of.
    peers: HashMap<u64, Peer>,
}

#[derive(Default)]
struct Link {
    closed: watch::Sender<bool>,
    told: HashMap<Uuid, mpsc::Sender<Vec<u8>>>,
}

impl Client {
    pub(super) async fn start(
        reading: impl AsyncRead + Unpin + Send + 'static,
        writing: impl AsyncWrite + Unpin + Send + 'static,
        who: Who,
    ) -> Result<Arc<Self>, RadioError> {
        let (outgoing, lines) = mpsc::channel(OUTGOING);
        let standing = watch::Sender::new(Standing { generation: 1, trouble: None });
        let hello = json!({ "op": "radio", "name": who.name, "address": who.address.to_string(), "place": who.place });
        let (open, tasks) = (Mutex::default(), Mutex::default());
        let client = Arc::new(Self { who, outgoing, next: AtomicU64::new(1), standing, open, tasks });
        let tasks = vec![tokio::spawn(write(writing, lines)), tokio::spawn(read(reading, Arc::downgrade(&client)))];
        *client.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
        client.ask(hello).await?;
        Ok(client)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> StateWatch {
        StateWatch::new(self.standing.subscribe())
    }

    /// Asks the air something, and waits for what it says.
    pub(super) async fn ask(&self, mut line: Value) -> Answer {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        line["id"] = json!(id);
        let (sender, answer) = oneshot::channel();
        let gone = || RadioError::Gone("the air is gone".into());
        {
            let mut open = self.open();
            if open.closed {
                return Err(gone());
            }
            open.answers.insert(id, sender);
        }
        let asked = async {
            self.outgoing.send(line.to_string()).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        self.open().answers.remove(&id);
        answer.unwrap_or_else(|_| Err(RadioError::Timeout("the air does not answer".into())))
    }

    /// Tells the air something of which nothing comes back: what ends, when its handle is dropped.
    pub(super) fn say(&self, line: &Value) {
        // When it does not fit, the socket is stuck, and all of it ends by itself.
        let _ = self.outgoing.try_send(line.to_string());
    }

    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) async fn listen(&self, hearer: Hearer, scan: Scan) -> Result<(), RadioError> {
        let (active, company) = {
            let mut open = self.open();
            open.hearers.push((scan, hearer));
            let wanted = open.hearers.iter().map(|(scan, _)| scan.company).reduce(|a, b| if a == b { a } else { None });
            (open.hearers.iter().any(|(scan, _)| scan.active), wanted.flatten())
        };
        self.ask(json!({ "op": "scan", "active": active, "company": company })).await.map(|_| ())
    }

    pub(super) async fn serve(&self, own: &[Service]) -> Result<(u64, mpsc::Receiver<Incoming>), RadioError> {
        let (sender, receiver) = mpsc::channel(MOST_REQUESTS);
        let number = self.number();
        {
            let mut open = self.open();
            if open.server.is_some() {
                return Err(RadioError::Busy("this radio serves already".into()));
            }
            // What comes right after the answer must find its place.
            open.server = Some((number, sender));
        }
        if let Err(error) = self.ask(json!({ "op": "serve", "services": services(own) })).await {
            self.forget(number);
            return Err(error);
        }
        Ok((number, receiver))
    }

    /// A server is over. One that was ended by the adapter must not end the one after it.
    pub(super) fn unserve(&self, number: u64) {
        if self.forget(number) {
            self.say(&json!({ "op": "unserve" }));
        }
    }

    fn forget(&self, number: u64) -> bool {
        self.open().server.take_if(|(own, _)| *own == number).is_some()
    }

    /// Tells when a link is closed, which it may be already.
    pub(super) fn link(&self, number: u64) -> watch::Receiver<bool> {
        self.open().links.get(&number).map_or_else(|| watch::Sender::new(true).subscribe(), |link| link.closed.subscribe())
    }

    pub(super) fn told(&self, link: u64, uuid: Uuid) -> mpsc::Receiver<Vec<u8>> {
        let (sender, receiver) = mpsc::channel(NOTIFICATIONS);
        if let Some(link) = self.open().links.get_mut(&link) {
            link.told.insert(uuid, sender);
        }
        receiver
    }

    fn hear(&self, line: &Line<'_>) {
        match line.event.as_deref() {
            None => self.answered(line),
            Some("seen") => self.seen(line),
            Some("standing") => self.stand(line),
            Some("notified") => self.notified(line),
            Some("gone") => self.gone(line.link),
            Some(event) => self.wanted(event, line),
        }
    }

    fn answered(&self, line: &Line<'_>) {
        let waiting = line.id.and_then(|id| self.open().answers.remove(&id));
        if let Some(number) = line.ok.as_ref().and_then(|ok| ok.get("link")).and_then(Value::as_u64) {
            // Its end may be the next line.
            self.open().links.entry(number).or_default();
        }
        let error = || line.error.as_deref().map(|error| trouble(error, line.text.as_deref().unwrap_or_default()));
        if let Some(waiting) = waiting {
            // Who asked may have given up.
            let _ = waiting.send(error().map_or_else(|| Ok(line.ok.clone().unwrap_or_default()), Err));
        }
    }

    fn seen(&self, line: &Line<'_>) {
        let mut open = self.open();
        if !open.hearers.iter().any(|(_, hearer)| hearer.is_for(line.company)) {
            return;
        }
        let Some(sighting) = sighting(line, &self.who) else { return };
        open.hearers.retain(|(_, hearer)| hearer.hear(sighting.clone()).is_ok());
        if open.hearers.is_empty() {
            self.say(&json!({ "op": "unscan" }));
        }
    }

    fn stand(&self, line: &Line<'_>) {
        let why = line.why.as_deref().unwrap_or("the adapter is gone").to_owned();
        let trouble = (!line.up).then_some(RadioError::Gone(why));
        self.standing.send_replace(Standing { generation: line.generation, trouble });
        self.end();
    }

    /// All that was started is over.
    fn end(&self) {
        let mut open = self.open();
        // Requests are answered by the air, while it is there.
        open.hearers.clear();
        open.server = None;
        open.peers.clear();
        for (_, link) in open.links.drain() {
            link.closed.send_replace(true);
        }
    }

    fn notified(&self, line: &Line<'_>) {
        let (Some(number), Some(uuid), Some(value)) = (line.link, line.uuid, bytes(line)) else { return };
        let mut open = self.open();
        let Some(own) = open.links.get_mut(&number) else { return };
        let full = own.told.get(&uuid).is_some_and(|told| matches!(told.try_send(value), Err(mpsc::error::TrySendError::Full(_))));
        if full {
            // A part that is missing makes the rest worthless.
            own.told.clear();
            self.say(&json!({ "op": "disconnect", "link": number }));
        }
    }

    fn gone(&self, link: Option<u64>) {
        let Some(number) = link else { return };
        let mut open = self.open();
        if let Some(link) = open.links.remove(&number) {
            link.closed.send_replace(true);
        }
        if open.peers.remove(&number).is_some()
            && let Some((_, server)) = open.server.clone()
        {
            drop(open);
            self.pass_on(&server, Incoming::Gone(PeerId(number)));
        }
    }

    /// Somebody wants something of our server.
    fn wanted(&self, event: &str, line: &Line<'_>) {
        let (Some(number), Some(characteristic)) = (line.link, line.uuid) else { return };
        let address = line.address.as_deref().and_then(|address| address.parse().ok()).unwrap_or_default();
        let peer = Peer { id: PeerId(number), address, mtu: line.mtu.unwrap_or(23) };
        let server = {
            let mut open = self.open();
            open.peers.insert(number, peer);
            open.server.as_ref().map(|(_, server)| server.clone())
        };
        let Some(server) = server else { return self.answer(line.request, Err("unlikely error".into())) };
        let incoming = match event {
            "read" => {
                Incoming::Read { peer, characteristic, reply: self.reply(line.request, |value: Vec<u8>| Some(super::wire::hex(&value))) }
            }
            "write" => match bytes(line) {
                Some(value) => Incoming::Write { peer, characteristic, value, reply: self.reply(line.request, |()| None) },
                None => return self.answer(line.request, Err("invalid length".into())),
            },
            "subscribed" => Incoming::Subscribed { peer, characteristic, on: line.on },
            _ => return,
        };
        self.pass_on(&server, incoming);
    }

    /// A server that does not keep up answers with an error, since what is dropped answers so.
    fn pass_on(&self, server: &mpsc::Sender<Incoming>, incoming: Incoming) {
        if let Err(mpsc::error::TrySendError::Full(Incoming::Gone(peer))) = server.try_send(incoming) {
            // That somebody is gone must not be lost: the server ends instead.
            tracing::warn!(peer = peer.0, "a server in the simulated air does not keep up");
            self.open().server = None;
        }
    }

    fn reply<T: Send + 'static>(&self, request: Option<u64>, value: impl FnOnce(T) -> Option<String> + Send + 'static) -> Reply<T> {
        let Some(request) = request else { return Reply::nobody() };
        let (reply, answer) = Reply::new();
        let outgoing = self.outgoing.clone();
        tokio::spawn(async move {
            let line = match answer.await {
                Ok(Ok(answer)) => json!({ "op": "reply", "request": request, "value": value(answer) }),
                Ok(Err(error)) => json!({ "op": "reply", "request": request, "error": error.to_string() }),
                Err(_) => json!({ "op": "reply", "request": request, "error": "unlikely error" }),
            };
            // Nobody waits when the air is gone.
            let _ = outgoing.send(line.to_string()).await;
        });
        reply
    }

    fn answer(&self, request: Option<u64>, answer: Result<(), String>) {
        if let Some(request) = request {
            self.say(&json!({ "op": "reply", "request": request, "error": answer.err() }));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.drain(..).for_each(|task| task.abort());
    }
}

fn sighting(line: &Line<'_>, who: &Who) -> Option<Sighting> {
    let mut data = [0; MOST_MANUFACTURER];
    let manufacturer = match (line.company, line.bytes.as_deref()) {
        (Some(company), Some(bytes)) => {
            let length = unhex(bytes, &mut data)?;
            Manufacturer::new(company, data.get(..length)?)
        }
        _ => None,
    };
    Some(Sighting {
        address: line.address.as_deref()?.parse::<Address>().ok()?,
        rssi: line.rssi.and_then(rssi),
        manufacturer,
        name: line.name.as_deref().map(Into::into),
        services: line.services.clone(),
        at: (who.clock)(),
    })
}

fn bytes(line: &Line<'_>) -> Option<Vec<u8>> {
    let mut value = vec![0; MOST_VALUE];
    let length = unhex(line.value.as_deref()?, &mut value)?;
    value.truncate(length);
    Some(value)
}

async fn read(reading: impl AsyncRead + Unpin, client: Weak<Client>) {
    let (mut reading, mut line) = (BufReader::new(reading), Vec::new());
    loop {
        line.clear();
        let most = u64::try_from(MOST_LINE).unwrap_or(u64::MAX);
        let length = (&mut reading).take(most).read_until(b'\n', &mut line).await.unwrap_or(0);
        let Some(client) = client.upgrade() else { return };
        if length == 0 || line.last() != Some(&b'\n') {
            let trouble = Some(RadioError::Gone("the socket of the air was closed".into()));
            client.standing.send_modify(|standing| standing.trouble = trouble);
            client.end();
            let mut open = client.open();
            open.closed = true;
            open.answers.clear();
            return;
        }
        match serde_json::from_slice::<Line<'_>>(&line) {
            Ok(line) => client.hear(&line),
            Err(error) => tracing::warn!(%error, "the simulated air said something that makes no sense"),
        }
    }
}

async fn write(mut writing: impl AsyncWrite + Unpin, mut lines: mpsc::Receiver<String>) {
    while let Some(mut line) = lines.recv().await {
        line.push('\n');
        if writing.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}
