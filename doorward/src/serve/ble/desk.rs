//! Sessions on their way to locks: kept before they are published, said again after a restart, taken back when a right ends.

use super::{
    key_v2, read_keys,
    registry::{Denied, name},
};
use crate::{config::Config, radio::Clock};
use doorward_ble::{
    driver::LockSpec,
    issuer::{
        Ask, AskedBy, Issuer, Recipient, Registry as _,
        pace::{Deliveries, Delivery, PaceError},
    },
    keys::{Contents, Folder, Role},
    radio::Address,
};
use doorward_core::{
    Now,
    driver::{BoxFuture, Heard, Message},
    keeper::Notice,
};
use doorward_engine::{Handle, Part};
use doorward_store::{BleSession, PhoneKey, PhoneOf, Store, StoreError};
use doorward_web::bluetooth::{Bluetooth, NotGiven, Offline, RadioLock};
use doorward_wire::{
    Time,
    attempt::Reason,
    ble::{
        LockId,
        order::{Revoked, RevokedSession},
        token::{Nonce, SlotLength},
        topic::{LockTopic, TopicNonce},
        v2::Given,
    },
    door::DoorId,
    event::EventKind,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::broadcast::error::RecvError;

/// How often it is looked what is due.
const TICK: Duration = Duration::from_secs(5);
/// How many ticks go by until rights are looked at anyhow: periods and hours end without anybody saying so.
const REVIEW: u32 = 3;

/// A lock that this house gives sessions for.
#[derive(Debug)]
pub(super) struct LockAt {
    pub(super) door: DoorId,
    pub(super) lock: Recipient,
    pub(super) slot: SlotLength,
    pub(super) secure: bool,
    /// It asks the house before it opens.
    pub(super) asks: bool,
}

/// Keeps sessions and brings them to the locks.
pub(super) struct Desk {
    handle: Handle,
    issuer: Issuer,
    locks: BTreeMap<LockId, LockAt>,
    /// The pass of those who have no key.
    plain: Option<String>,
    page_life: Duration,
    advertises: bool,
    part: Part,
    /// Of locks with keys of version 1, and of version 2: each takes orders that are signed in its own.
    deliveries: [Mutex<Deliveries>; 2],
    /// What is retained of sessions that ended while the program did not run.
    ended: Mutex<Vec<Message>>,
}

impl Desk {
    /// Reads the keys and what was kept, or says what is wrong.
    pub(super) async fn open(config: &Config, specs: &[LockSpec], handle: &Handle) -> Result<Self, String> {
        let (keys, mut contents) = read_keys(&Folder::new(&config.ble.keys))?;
        let mut locks = BTreeMap::new();
        for spec in specs.iter().filter(|spec| !spec.other_issuer) {
            let (id, lock) = lock_at(spec, &mut contents)?;
            locks.insert(id, lock);
        }
        let (store, now) = (handle.store(), handle.now());
        let desk = Self {
            handle: handle.clone(),
            issuer: Issuer::new(config.ble.options.clone(), keys),
            locks,
            plain: config.ble.plain.clone(),
            page_life: config.ble.page_life,
            advertises: config.ble.issuer.is_some(),
            part: handle
                .exchange()
                .part("locks: issuer", LockTopic::every_report()[..1].iter().filter_map(|hello| hello.parse().ok()).collect()),
            deliveries: Default::default(),
            ended: Mutex::default(),
        };
        desk.restore(store, now).await.map_err(|error| error.to_string())?;
        Ok(desk)
    }

    async fn restore(&self, store: &Store, now: Now) -> Result<(), StoreError> {
        let mut lists: [Vec<(LockId, Revoked)>; 2] = Default::default();
        for (lock, list) in store.ble_revoked().await? {
            let (Ok(lock), Some(list)) = (lock.parse::<LockId>(), Kept::read(&list)) else { continue };
            lists[self.version(&lock)].push((lock, list));
        }
        let mut live: [Vec<Delivery>; 2] = Default::default();
        // Those that have ended too: what is retained of them ends now.
        for session in store.ble_sessions(None, Time::default()).await? {
            let Some(delivery) = delivery(&session) else { continue };
            if session.expires > now.utc && session.revoked.is_none() && self.locks.contains_key(&delivery.lock) {
                live[self.version(&delivery.lock)].push(delivery);
            } else if let Some(message) = end(&delivery) {
                lock(&self.ended).push(message);
            }
        }
        for ((deliveries, live), lists) in self.deliveries.iter().zip(live).zip(lists) {
            *lock(deliveries) = Deliveries::restore(live, lists, now);
        }
        store.purge_ble(now.utc).await.map(drop)
    }

    pub(super) const fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(super) const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    pub(super) fn clock(&self) -> Clock {
        Clock::of(self.handle.clock())
    }

    pub(super) fn lock(&self, id: &LockId) -> Option<&LockAt> {
        self.locks.get(id)
    }

    pub(super) fn plain(&self) -> Option<&str> {
        self.plain.as_deref()
    }

    /// The lock of a door.
    pub(super) fn at(&self, door: &DoorId) -> Option<(&LockId, &LockAt)> {
        self.locks.iter().find(|(_, at)| at.door == *door)
    }

    pub(super) fn deliveries(&self, id: &LockId) -> &Mutex<Deliveries> {
        &self.deliveries[self.version(id)]
    }

    /// Passes that were signed for a lower one are over at this lock.
    pub(super) fn epoch(&self, id: &LockId) -> u32 {
        lock(self.deliveries(id)).lists().find(|(known, _)| *known == id).and_then(|(_, list)| list.epoch).unwrap_or(0)
    }

    /// Whether a lock is told that this is taken back.
    pub(super) fn is_listed(&self, id: &LockId, nonce: &Nonce) -> bool {
        let deliveries = lock(self.deliveries(id));
        let mut lists = deliveries.lists().filter(|(known, _)| *known == id);
        lists.any(|(_, list)| list.revoked.iter().any(|revoked| revoked.nonce == *nonce))
    }

    /// Keeps what a lock is told of what is taken back.
    pub(super) async fn keep_list(&self, id: &LockId) -> Result<(), StoreError> {
        let list = lock(self.deliveries(id)).lists().find(|(known, _)| *known == id).map(|(_, list)| Kept::write(list));
        match list {
            Some(list) => self.handle.store().put_ble_revoked(id.as_str(), &list).await,
            None => Ok(()),
        }
    }

    /// Where deliveries of a lock are.
    fn version(&self, id: &LockId) -> usize {
        usize::from(self.locks.get(id).is_some_and(|lock| matches!(lock.lock, Recipient::Own(_))))
    }

    /// Brings a session that is kept to its lock. When it does not get there, nobody is to have it.
    pub(super) async fn deliver(&self, delivery: Delivery, now: Now) -> Result<(), String> {
        let (id, nonce) = (delivery.lock.clone(), delivery.nonce.clone());
        let deliveries = self.deliveries(&id);
        let message = lock(deliveries).issue(delivery, now).map_err(|why| why.to_string());
        let published = match message {
            Ok(message) => self.part.publish(message).await.map_err(|fault| fault.log),
            Err(why) => Err(why),
        };
        metrics::counter!("doorward_ble_sessions_total", "result" => if published.is_ok() { "given" } else { "failed" }).increment(1);
        if let Err(why) = published {
            lock(deliveries).withdraw(&id, &nonce);
            if let Err(error) = self.handle.store().revoke_ble_session(nonce.as_str(), now.utc).await {
                tracing::error!(%error, "a session that nobody has could not be taken back");
            }
            return Err(format!("the session does not get to the lock {id}: {why}"));
        }
        Ok(())
    }

    /// Keeps locks up to date for as long as the program runs.
    pub(super) async fn run(self: Arc<Self>) {
        let mut notices = self.handle.subscribe();
        let (mut due, mut ticks) = (self.handle.now().mono, 0);
        loop {
            tokio::select! {
                heard = self.part.hear() => self.heard(heard).await,
                () = self.handle.clock().sleep_until(due) => {
                    due = self.handle.now().mono.plus(TICK);
                    ticks += 1;
                    self.tick().await;
                    if ticks % REVIEW == 0 {
                        self.review_all().await;
                    }
                }
                notice = notices.recv() => match notice {
                    Ok(notice) if concerns(&notice) => self.review_all().await,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => self.review_all().await,
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    async fn heard(&self, heard: Heard) {
        let now = self.handle.now();
        match heard {
            Heard::Connected(true) => {
                let mut messages = std::mem::take(&mut *lock(&self.ended));
                let keys = self.issuer.keys();
                let [v1, v2] = &self.deliveries;
                let again = keys.v1.as_ref().map(|key| lock(v1).connected(now, key));
                let again = again.into_iter().chain(keys.v2.as_ref().map(|key| lock(v2).connected(now, key)));
                for told in again {
                    match told {
                        Ok(told) => messages.extend(told),
                        Err(error) => tracing::error!(%error, "what is taken back could not be signed"),
                    }
                }
                self.publish(messages).await;
            }
            Heard::Connected(false) => {}
            Heard::Message { topic, kept, .. } => {
                // A hello that the broker had kept tells nothing: nobody came back just now.
                let Some(LockTopic::Hello(id)) = LockTopic::of(&topic).filter(|_| !kept) else { return };
                if self.locks.contains_key(&id) {
                    let messages = lock(self.deliveries(&id)).hello(&id, now);
                    self.publish(messages).await;
                }
            }
        }
    }

    async fn tick(&self) {
        let now = self.handle.now();
        for deliveries in &self.deliveries {
            let messages = lock(deliveries).tick(now);
            self.publish(messages).await;
        }
        let live: u32 = self.deliveries.iter().map(|deliveries| u32::try_from(lock(deliveries).live().count()).unwrap_or(u32::MAX)).sum();
        metrics::gauge!("doorward_ble_sessions").set(f64::from(live));
    }

    pub(super) async fn publish(&self, messages: Vec<Message>) {
        for message in messages {
            let topic = message.topic.clone();
            if let Err(fault) = self.part.publish(message).await {
                // It is said again when the broker is back.
                tracing::debug!(topic, fault = fault.log, "a lock could not be told");
            }
        }
    }

    /// Takes back the sessions of those who may not open any more.
    async fn review_all(&self) {
        let all: Vec<Delivery> =
            self.deliveries.iter().flat_map(|deliveries| lock(deliveries).live().cloned().collect::<Vec<_>>()).collect();
        let mut known: BTreeMap<(PhoneOf, DoorId), bool> = BTreeMap::new();
        for delivery in all {
            match self.holds(&delivery, &mut known).await {
                Ok(true) => {}
                Ok(false) => self.take_back(&delivery).await,
                Err(error) => {
                    tracing::warn!(%error, "whether sessions still hold could not be looked up");
                    return;
                }
            }
        }
        if let Err(error) = self.review_offline().await {
            tracing::warn!(%error, "whether passes still hold could not be looked up");
        }
    }

    async fn holds(&self, delivery: &Delivery, known: &mut BTreeMap<(PhoneOf, DoorId), bool>) -> Result<bool, StoreError> {
        let session = self.handle.store().ble_session(delivery.nonce.as_str()).await?;
        let Some(session) = session.filter(|session| session.revoked.is_none()) else { return Ok(false) };
        let Some(at) = self.locks.get(&delivery.lock) else { return Ok(false) };
        let key = (session.of, at.door.clone());
        if let Some(holds) = known.get(&key) {
            return Ok(*holds);
        }
        let holds = match self.leave_for(&key.0, at, self.handle.now().utc, Duration::ZERO).await {
            Ok(_) => true,
            Err(Denied::No(_)) => false,
            Err(Denied::Store(error)) => return Err(error),
        };
        known.insert(key, holds);
        Ok(holds)
    }

    async fn take_back(&self, delivery: &Delivery) {
        let now = self.handle.now();
        let Delivery { lock: id, nonce, expiry, .. } = delivery;
        if let Err(error) = self.handle.store().revoke_ble_session(nonce.as_str(), now.utc).await {
            tracing::error!(%error, lock = %id, "a session could not be taken back; it is tried again");
            return;
        }
        match self.revoke(id, nonce, *expiry, now) {
            Ok(messages) => {
                if let Err(error) = self.keep_list(id).await {
                    tracing::error!(%error, lock = %id, "what the lock is told could not be kept");
                }
                tracing::info!(lock = %id, %nonce, "session taken back");
                self.publish(messages).await;
            }
            Err(PaceError::Original) => {
                tracing::warn!(lock = %id, %nonce, "a lock of the original system takes no session back: it ends at {expiry}");
            }
            Err(error) => tracing::error!(lock = %id, %nonce, "a session could not be taken back: {error}"),
        }
    }

    /// What a lock is told.
    pub(super) fn revoke(&self, id: &LockId, nonce: &Nonce, expiry: u64, now: Now) -> Result<Vec<Message>, PaceError> {
        let keys = self.issuer.keys();
        let mut deliveries = lock(self.deliveries(id));
        match (self.version(id), &keys.v1, &keys.v2) {
            (0, Some(key), _) => deliveries.revoke(id, nonce, expiry, key, now),
            (1, _, Some(key)) => deliveries.revoke(id, nonce, expiry, key, now),
            _ => Err(PaceError::Original),
        }
    }

    async fn give_to(&self, door: &DoorId, of: &PhoneOf) -> Result<Given, NotGiven> {
        let (id, at) = self.at(door).ok_or(NotGiven::Denied(Reason::NotCapable))?;
        let now = self.handle.now();
        let leave = self.leave_for(of, at, now.utc, self.page_life).await.map_err(|why| match why {
            Denied::No(reason) => NotGiven::Denied(reason),
            Denied::Store(error) => {
                tracing::error!(%error, "a session could not be made");
                NotGiven::Unreachable
            }
        })?;
        let ask = Ask {
            lock: id.clone(),
            by: AskedBy::House,
            client_id: Some("page".into()),
            invite: None,
            phone_mac: None,
            client_time: None,
            peer: Address::default(),
            at: now,
        };
        let failed = |refused: doorward_ble::issuer::Refused| {
            tracing::warn!(lock = %id, "the page of {} gets no session: {}", name(of), refused.log);
            NotGiven::Unreachable
        };
        let (given, issued) = self.issuer.make(&ask, &leave, self.page_life, &self.clock()).map_err(failed)?;
        self.issued(&issued).await.map_err(failed)?;
        Ok(given)
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("locks", &self.locks.len()).finish_non_exhaustive()
    }
}

impl Bluetooth for Desk {
    fn lock(&self, door: &DoorId) -> Option<RadioLock> {
        let (id, at) = self.at(door)?;
        let answers = matches!(at.lock, Recipient::Own(_));
        Some(RadioLock { lock: id.to_string(), answers, secure: at.secure, asks: at.asks })
    }

    fn beacon(&self) -> Option<&str> {
        self.advertises.then(|| self.issuer.config().name.as_str())
    }

    fn issuer(&self) -> Option<[u8; 64]> {
        self.issuer.keys().v2.as_ref().map(|issuer| issuer.identity().to_bytes())
    }

    fn review(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.review_all())
    }

    fn sign<'a>(&'a self, door: &'a DoorId, phone: &'a PhoneKey, until: Time) -> BoxFuture<'a, Result<Offline, NotGiven>> {
        Box::pin(self.sign_for(door, phone, until))
    }

    fn end_offline<'a>(&'a self, door: &'a DoorId) -> BoxFuture<'a, Result<usize, NotGiven>> {
        Box::pin(self.end_all(door))
    }

    fn give<'a>(&'a self, door: &'a DoorId, of: &'a PhoneOf) -> BoxFuture<'a, Result<Given, NotGiven>> {
        Box::pin(self.give_to(door, of))
    }
}

fn lock_at(spec: &LockSpec, contents: &mut Contents) -> Result<(LockId, LockAt), String> {
    let id: LockId = spec.lock_id.as_ref().unwrap_or(&spec.id).parse().map_err(|_| format!("{}: no name of a lock", spec.id))?;
    let role = Role::Lock(id.clone());
    let v1 = contents.v1.remove(&role).map(|key| Arc::new(key.public));
    let is_original = spec.runs.as_deref() == Some("original");
    let recipient = if is_original {
        v1.map(Recipient::Original)
    } else {
        key_v2(contents, &role).map(Recipient::Own).or_else(|| v1.map(Recipient::OwnV1))
    };
    let lock = recipient.ok_or_else(|| format!("there is no public key of the lock {id}: doorward ble keys create lock {id}"))?;
    let door = spec.id.parse().map_err(|_| format!("{}: no id of a door", spec.id))?;
    let slot = spec.slot.and_then(|slot| SlotLength::new(slot).ok()).unwrap_or_default();
    let asks = spec.runs.as_deref().is_none_or(|runs| runs == "here");
    Ok((id, LockAt { door, lock, slot, secure: spec.secure, asks }))
}

/// What is told of things that may end a right.
fn concerns(notice: &Notice) -> bool {
    let Notice::Event(event) = notice else { return false };
    matches!(
        event.kind,
        EventKind::PassChanged | EventKind::PassUsed | EventKind::PassRevoked | EventKind::GrantChanged | EventKind::DoorRemoved
    ) || event.kind.as_str().starts_with("person.")
}

/// What a lock is told of a session; nothing of a pass, which it is shown.
fn delivery(session: &BleSession) -> Option<Delivery> {
    if session.told.message.is_empty() {
        return None;
    }
    let expiry = u64::try_from(session.expires.as_micros()).unwrap_or(0) / 1_000_000;
    let (lock, nonce) = (session.told.lock.parse().ok()?, session.nonce.parse().ok()?);
    Some(Delivery { lock, own: session.told.own, nonce, expiry, message: session.told.message.clone() })
}

fn end(delivery: &Delivery) -> Option<Message> {
    let topic = TopicNonce::new(delivery.nonce.clone()).filter(|_| delivery.own)?;
    let topic = LockTopic::Sessions(delivery.lock.clone(), topic).to_string();
    Some(Message { topic, payload: Vec::new(), retain: true, fresh_for: None })
}

/// A list of what is taken back, as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    seq: u64,
    epoch: Option<u32>,
    revoked: Vec<RevokedSession>,
}

impl Kept {
    fn write(list: &Revoked) -> String {
        let kept = Self { seq: list.seq, epoch: list.epoch, revoked: list.revoked.clone() };
        serde_json::to_string(&kept).unwrap_or_default()
    }

    fn read(text: &str) -> Option<Revoked> {
        let Self { seq, epoch, revoked } = serde_json::from_str(text).ok()?;
        Some(Revoked { seq, revoked, epoch })
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in it is right after any of its steps.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
