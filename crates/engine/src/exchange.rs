//! MQTT as the house sees it: what drivers and contacts want to hear, and the line on which it comes.
//!
//! The engine speaks no MQTT. Whoever does joins with a [`Line`], subscribes to [`Exchange::filters`], and hands over
//! what arrives. A driver or a contact that nobody serves hears that it is not connected, and nothing else.

use crate::message::Message as ToLoop;
use doorward_core::{
    driver::{BoxFuture, Fault, Heard, Message},
    keeper::Input,
    setup::Contact,
};
use doorward_wire::{door::DoorId, topic::Filter};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, mpsc, watch};

/// What was published just now and waits for a driver. What is heard is states: the newest ones count.
const LIVE: Bound = Bound { count: 256, bytes: 4 << 20 };
/// What the broker had kept and waits for a driver. All of it comes at once: a lock has a session for each phone.
const KEPT: Bound = Bound { count: 20_000, bytes: 16 << 20 };

/// A way to the broker.
pub trait Line: Send + Sync {
    /// Publishes, and ends when the broker has it.
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<(), Fault>>;
}

/// Where MQTT and the house meet.
pub struct Exchange {
    inner: Mutex<Inner>,
    filters: watch::Sender<BTreeSet<Filter>>,
    inputs: mpsc::UnboundedSender<ToLoop>,
}

#[derive(Default)]
struct Inner {
    line: Option<Arc<dyn Line>>,
    connected: bool,
    /// By the account's name, or that of a part, whose names have other characters.
    accounts: BTreeMap<String, Account>,
    contacts: BTreeMap<DoorId, (Filter, Contact)>,
}

struct Account {
    filters: Vec<Filter>,
    ear: Arc<Ear>,
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
struct Bound {
    count: usize,
    bytes: usize,
}

/// What waits for one driver. What was kept pushes nothing out that was said just now, and the other way round.
#[derive(Default)]
pub(crate) struct Ear {
    waiting: Mutex<Waiting>,
    more: Notify,
}

/// Both kinds, each message with its place in the order in which they came.
#[derive(Default)]
struct Waiting {
    live: Lane,
    kept: Lane,
    next: u64,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<(u64, Heard)>,
    bytes: usize,
}

impl Lane {
    /// Takes one more; the oldest give way to it.
    fn push(&mut self, place: u64, heard: Heard, bound: Bound) {
        let more = bytes(&heard);
        while self.waiting.len() >= bound.count || (self.bytes + more > bound.bytes && !self.waiting.is_empty()) {
            self.pop();
            metrics::counter!("doorward_mqtt_dropped_total", "what" => "driver").increment(1);
        }
        self.bytes += more;
        self.waiting.push_back((place, heard));
    }

    fn pop(&mut self) -> Option<Heard> {
        let (_, heard) = self.waiting.pop_front()?;
        self.bytes -= bytes(&heard);
        Some(heard)
    }

    fn first(&self) -> Option<u64> {
        self.waiting.front().map(|(place, _)| *place)
    }
}

impl Waiting {
    fn push(&mut self, heard: Heard) {
        self.next += 1;
        match heard {
            Heard::Message { kept: true, .. } => self.kept.push(self.next, heard, KEPT),
            Heard::Message { kept: false, .. } | Heard::Connected(_) => self.live.push(self.next, heard, LIVE),
        }
    }

    fn pop(&mut self) -> Option<Heard> {
        let kept_first = match (self.live.first(), self.kept.first()) {
            (Some(live), Some(kept)) => kept < live,
            (live, _) => live.is_none(),
        };
        if kept_first { self.kept.pop() } else { self.live.pop() }
    }
}

fn bytes(heard: &Heard) -> usize {
    match heard {
        Heard::Message { topic, payload, .. } => topic.len() + payload.len(),
        Heard::Connected(_) => 0,
    }
}

impl Ear {
    fn push(&self, heard: Heard) {
        lock(&self.waiting).push(heard);
        self.more.notify_one();
    }

    pub(crate) async fn hear(&self) -> Heard {
        loop {
            if let Some(heard) = lock(&self.waiting).pop() {
                return heard;
            }
            self.more.notified().await;
        }
    }
}

impl Exchange {
    pub(crate) fn new(inputs: mpsc::UnboundedSender<ToLoop>) -> Self {
        Self { inner: Mutex::default(), filters: watch::Sender::default(), inputs }
    }

    /// Serves the house from now on.
    pub fn join(&self, line: Arc<dyn Line>) {
        lock(&self.inner).line = Some(line);
    }

    /// Serves it no more.
    pub fn leave(&self) {
        self.connected(false);
        lock(&self.inner).line = None;
    }

    /// What is to be subscribed to.
    pub fn filters(&self) -> watch::Receiver<BTreeSet<Filter>> {
        self.filters.subscribe()
    }

    /// The broker can be reached, or not any more. What was heard before is then too old to be believed.
    pub fn connected(&self, connected: bool) {
        let mut inner = lock(&self.inner);
        if std::mem::replace(&mut inner.connected, connected) == connected {
            return;
        }
        for account in inner.accounts.values() {
            account.ear.push(Heard::Connected(connected));
        }
        if !connected {
            for door in inner.contacts.keys() {
                self.tell(door, None, false);
            }
        }
    }

    /// Takes what somebody published, if anybody here listens for it. `kept` says that the broker had retained it.
    pub fn arrived(&self, topic: &str, payload: &[u8], kept: bool) {
        let inner = lock(&self.inner);
        for account in inner.accounts.values().filter(|account| account.filters.iter().any(|filter| filter.matches(topic))) {
            account.ear.push(Heard::Message { topic: topic.into(), payload: payload.into(), kept });
        }
        for (door, (filter, contact)) in &inner.contacts {
            // An empty message only clears what was retained.
            if !payload.is_empty() && filter.matches(topic) {
                self.tell(door, contact.read(payload), kept);
            }
        }
    }

    /// Publishes for a driver.
    pub(crate) async fn publish(&self, message: Message) -> Result<(), Fault> {
        let line = {
            let inner = lock(&self.inner);
            inner.line.clone().filter(|_| inner.connected)
        };
        match line {
            Some(line) => line.publish(message).await,
            None => Err(Fault::offline("doorward is not connected to the MQTT broker.", format!("{}: not connected", message.topic))),
        }
    }

    /// A driver starts anew: whatever waited for the one before it is gone.
    pub(crate) fn open(&self, account: &str) -> Arc<Ear> {
        let ear = Arc::new(Ear::default());
        let mut inner = lock(&self.inner);
        ear.push(Heard::Connected(inner.connected));
        inner.accounts.insert(account.to_owned(), Account { filters: Vec::new(), ear: Arc::clone(&ear) });
        self.changed(&inner);
        ear
    }

    pub(crate) fn listen(&self, account: &str, filters: Vec<Filter>) {
        let mut inner = lock(&self.inner);
        if let Some(account) = inner.accounts.get_mut(account) {
            account.filters = filters;
        }
        self.changed(&inner);
    }

    pub(crate) fn close(&self, account: &str) {
        let mut inner = lock(&self.inner);
        inner.accounts.remove(account);
        self.changed(&inner);
    }

    /// The contact of a door is another one now, or there is none.
    pub(crate) fn set_contact(&self, door: &DoorId, contact: Option<&Contact>) {
        let filter = contact.and_then(|contact| Some((contact.mqtt.parse().ok()?, contact.clone())));
        let mut inner = lock(&self.inner);
        let before = match filter {
            Some(new) => inner.contacts.insert(door.clone(), new),
            None => inner.contacts.remove(door),
        };
        if before.is_some_and(|(_, before)| Some(&before) != contact) {
            self.tell(door, None, false);
        }
        self.changed(&inner);
    }

    fn changed(&self, inner: &Inner) {
        let accounts = inner.accounts.values().flat_map(|account| account.filters.iter().cloned());
        let all: BTreeSet<Filter> = accounts.chain(inner.contacts.values().map(|(filter, _)| filter.clone())).collect();
        self.filters.send_if_modified(|before| {
            let changed = *before != all;
            *before = all;
            changed
        });
    }

    fn tell(&self, door: &DoorId, open: Option<bool>, kept: bool) {
        let _ = self.inputs.send(ToLoop::Input(Input::Contact { door: door.clone(), open, kept }));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange() -> (Exchange, mpsc::UnboundedReceiver<ToLoop>) {
        let (inputs, inbox) = mpsc::unbounded_channel();
        (Exchange::new(inputs), inbox)
    }

    fn contacts(inbox: &mut mpsc::UnboundedReceiver<ToLoop>) -> Vec<(String, Option<bool>, bool)> {
        let mut told = Vec::new();
        while let Ok(message) = inbox.try_recv() {
            let ToLoop::Input(Input::Contact { door, open, kept }) = message else { panic!("{message:?}") };
            told.push((door.to_string(), open, kept));
        }
        told
    }

    #[tokio::test]
    async fn a_driver_hears_what_it_listens_for_in_order_and_the_newest_of_too_much() {
        let (exchange, _inbox) = exchange();
        let account = "foreign";
        let ear = exchange.open(account);
        exchange.listen(account, vec!["a/+".parse().unwrap()]);
        assert_eq!(exchange.filters().borrow().len(), 1);
        exchange.connected(true);
        for number in 0..LIVE.count + 10 {
            exchange.arrived("a/x", number.to_string().as_bytes(), false);
            exchange.arrived("b/x", b"for others", false);
        }
        let Heard::Message { payload, .. } = ear.hear().await else { panic!("what waited longest was given up") };
        assert_eq!(payload, b"10");
        exchange.close(account);
        assert!(exchange.filters().borrow().is_empty());
    }

    #[tokio::test]
    async fn a_burst_of_what_was_kept_is_heard_whole_and_pushes_nothing_else_out() {
        let (exchange, _inbox) = exchange();
        let account = "ble";
        let ear = exchange.open(account);
        exchange.listen(account, vec!["locks/#".parse().unwrap()]);
        exchange.connected(true);
        exchange.arrived("locks/front/command", b"first", false);
        for number in 0..10_000 {
            exchange.arrived(&format!("locks/front/sessions/{number}"), &[7; 1000], true);
        }
        exchange.arrived("locks/front/command", b"last", false);
        let mut heard = Vec::new();
        while heard.len() < 10_002 {
            if let Heard::Message { topic, .. } = ear.hear().await {
                heard.push(topic);
            }
        }
        assert_eq!((heard[0].as_str(), heard[10_001].as_str()), ("locks/front/command", "locks/front/command"));
        let sessions = (0..10_000).map(|number| format!("locks/front/sessions/{number}"));
        assert!(sessions.eq(heard[1..10_001].iter().cloned()), "in the order in which they came");
    }

    #[tokio::test]
    async fn what_was_kept_is_bounded_by_its_bytes_and_its_number() {
        for (payload, fit) in [(vec![7; 1 << 20], 15), (Vec::new(), KEPT.count)] {
            let ear = Ear::default();
            ear.push(Heard::Message { topic: "live".into(), payload: Vec::new(), kept: false });
            for _ in 0..fit + 100 {
                ear.push(Heard::Message { topic: "kept".into(), payload: payload.clone(), kept: true });
            }
            assert!(matches!(ear.hear().await, Heard::Message { kept: false, .. }), "what was said just now stays");
            assert_eq!(lock(&ear.waiting).kept.waiting.len(), fit);
        }
    }

    #[test]
    fn a_contact_is_told_while_it_is_set_up_and_forgotten_when_the_line_is_cut() {
        let (exchange, mut inbox) = exchange();
        let door: DoorId = "gate".parse().unwrap();
        let contact = Contact { mqtt: "sensors/gate".into(), json: None, open: "open".into() };
        exchange.set_contact(&door, Some(&contact));
        exchange.connected(true);
        exchange.arrived("sensors/gate", b"open", true);
        exchange.arrived("sensors/gate", b"closed", false);
        exchange.arrived("sensors/gate", b"unavailable", false);
        exchange.arrived("sensors/gate", b"", false);
        exchange.connected(false);
        let gate = |open, kept| ("gate".to_owned(), open, kept);
        assert_eq!(contacts(&mut inbox), [gate(Some(true), true), gate(Some(false), false), gate(None, false), gate(None, false)]);
        exchange.set_contact(&door, None);
        exchange.arrived("sensors/gate", b"open", false);
        assert_eq!(contacts(&mut inbox), [gate(None, false)]);
    }
}
