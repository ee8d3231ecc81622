//! The sender: one loop that reads events, queues what is to be told, and sends what is due.
//!
//! 1. Read the events that not every channel has looked at, from the store and by their numbers. In one write a channel moves
//!    past them and queues what it is told of.
//! 2. For each channel without a try under way: what is due is claimed and goes out, the oldest event first.
//! 3. Wait for an event, the end of a try, a change, or the time at which something is due.
//!
//! **A channel has one try under way at most, and waits for no other.** Each browser is a channel of its own. A channel is
//! written only as it was read, so copies of doorward on one database do not tell anything twice.

use super::{
    Outcome, desk,
    lane::{Fate, Lane, Waiting},
    mail,
    message::Message,
    ntfy, push,
};
use crate::{
    ApiError, Web,
    caller::{Caller, Via},
};
use doorward_core::{Mono, keeper::Notice, scope::Scope};
use doorward_store::{EventQuery, PushTarget, StoreError};
use doorward_wire::{
    Time,
    event::{Event, EventKind},
    notify::NotifyChannel,
};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use tokio::{
    sync::broadcast::error::RecvError,
    task::{Id, JoinError, JoinSet},
};

/// How often the store is looked at anyhow: another copy of doorward may have written to it.
const LOOK: Duration = Duration::from_secs(10);
/// Events that are read at once.
const PAGE: u32 = 200;
/// Events that are looked at after a long pause; what is older is too late in any case.
const BACKLOG: i64 = 10_000;

/// A channel: ntfy, mail, or one browser.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    Ntfy,
    Mail,
    Push(String),
}

impl Key {
    pub(super) const fn channel(&self) -> NotifyChannel {
        match self {
            Self::Ntfy => NotifyChannel::Ntfy,
            Self::Mail => NotifyChannel::Mail,
            Self::Push(_) => NotifyChannel::Push,
        }
    }

    /// How far it is, as it is written; `None` when nobody wrote it, or the browser is gone.
    pub(super) async fn text(&self, web: &Web) -> Result<Option<String>, StoreError> {
        let store = web.house().store();
        match self {
            Self::Ntfy | Self::Mail => store.note(&self.note()).await,
            Self::Push(id) => store.push_lane(id).await,
        }
    }

    /// Writes how far it is, unless somebody else did meanwhile.
    async fn swap(&self, web: &Web, from: Option<&str>, to: &str) -> Result<bool, StoreError> {
        let store = web.house().store();
        match (self, from) {
            (Self::Ntfy | Self::Mail, _) => store.swap_note(&self.note(), from, to).await,
            (Self::Push(id), Some(from)) => store.swap_push_lane(id, from, to).await,
            (Self::Push(_), None) => Ok(false),
        }
    }

    fn note(&self) -> String {
        format!("notify {}", self.channel())
    }
}

/// Tells people what happens until it is told to stop; then it lets what is under way come to its end.
pub async fn run(web: Web, stop: impl Future<Output = ()>) {
    let mut notices = web.house().subscribe();
    let mut sender = Sender::new(web.clone());
    let mut stop = std::pin::pin!(stop);
    loop {
        let more = sender.round().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "notifications wait: the store cannot be used");
            sender.rest = Some(web.house().now().mono.plus(LOOK));
            false
        });
        let wake = sender.wake();
        tokio::select! {
            () = &mut stop => break,
            Some(ended) = sender.tries.join_next_with_id() => sender.ended(ended),
            notice = notices.recv() => match notice {
                Ok(notice) => sender.behind |= matches!(*notice, Notice::Event(_)),
                Err(RecvError::Lagged(_)) => sender.behind = true,
                Err(RecvError::Closed) => break,
            },
            () = web.notify().changed.notified() => sender.stale = true,
            () = web.house().clock().sleep_until(wake) => sender.look(),
            () = std::future::ready(()), if more => {}
        }
    }
    while sender.tries.join_next().await.is_some() {}
}

struct Sender {
    web: Web,
    lanes: BTreeMap<Key, Known>,
    tries: JoinSet<Result<(), StoreError>>,
    under_way: HashMap<Id, Key>,
    /// The channels may not be as they are known here.
    stale: bool,
    /// There may be events that were not looked at.
    behind: bool,
    look_at: Mono,
    /// Until when the store is left alone.
    rest: Option<Mono>,
}

/// A channel as it was read last.
struct Known {
    /// How it is written.
    text: String,
    lane: Lane,
    /// Where a browser is.
    target: Option<PushTarget>,
    /// Whose it is: they are told of what they may read.
    person: Option<String>,
}

impl Sender {
    fn new(web: Web) -> Self {
        let look_at = web.house().now().mono.plus(LOOK);
        let (lanes, tries, under_way) = (BTreeMap::new(), JoinSet::new(), HashMap::new());
        Self { web, lanes, tries, under_way, stale: true, behind: true, look_at, rest: None }
    }

    /// Does what there is to do, a page of events at a time. Says whether there is more.
    async fn round(&mut self) -> Result<bool, StoreError> {
        if self.rest.is_some_and(|until| self.web.house().now().mono < until) {
            return Ok(false);
        }
        self.rest = None;
        if self.stale {
            self.load().await?;
        }
        let more = if self.behind { self.read_events().await? } else { false };
        self.behind = more;
        self.hand_out().await?;
        Ok(more || self.stale)
    }

    /// When something is due next.
    fn wake(&self) -> Mono {
        let now = self.web.house().now();
        let idle = self.lanes.iter().filter(|(key, _)| !self.is_busy(key));
        let due = idle.filter_map(|(_, known)| known.lane.next()).map(|next| now.mono_at(next)).chain([self.look_at]).min();
        due.unwrap_or(self.look_at).max(self.rest.unwrap_or_default())
    }

    fn look(&mut self) {
        let now = self.web.house().now().mono;
        if now >= self.look_at {
            self.look_at = now.plus(LOOK);
            (self.stale, self.behind) = (true, true);
        }
    }

    fn is_busy(&self, key: &Key) -> bool {
        self.under_way.values().any(|busy| busy == key)
    }

    /// Reads the channels. One that is new is told what happens from now on.
    async fn load(&mut self) -> Result<(), StoreError> {
        let (store, now) = (self.web.house().store(), self.web.house().now().utc);
        let newest = store.last_event_id().await?;
        let settings = &self.web.config().notify;
        let mut found = BTreeMap::new();
        for (key, on) in [(Key::Ntfy, settings.ntfy.is_some()), (Key::Mail, settings.mail.is_some())] {
            if on {
                let text = match key.text(&self.web).await? {
                    Some(text) => text,
                    None => begun(&self.web, &key, newest).await?,
                };
                found.insert(key, (text, None, None));
            }
        }
        for push in store.pushes(now).await? {
            found.insert(Key::Push(push.id), (push.lane, Some(push.target), Some(push.person)));
        }
        let mut before = std::mem::take(&mut self.lanes);
        for (key, (text, target, person)) in found {
            let mut lane = Lane::read(&text).unwrap_or_else(|| Lane::after(newest));
            // What was looked at and is not told is not written down each time.
            let seen = before.remove(&key).map_or(0, |known| known.lane.seen);
            lane.seen = lane.seen.max(seen).max(newest - BACKLOG);
            self.lanes.insert(key, Known { text, lane, target, person });
        }
        self.stale = false;
        Ok(())
    }

    /// Looks at the next events. Says whether there are more.
    async fn read_events(&mut self) -> Result<bool, StoreError> {
        let Some(after) = self.lanes.values().map(|known| known.lane.seen).min() else { return Ok(false) };
        let query = EventQuery { after: Some(after), limit: PAGE, ..EventQuery::default() };
        let events = self.web.house().store().events(&query).await?;
        let mut more = events.len() == PAGE as usize;
        for (key, known) in &mut self.lanes {
            if !known.take(&self.web, key, &events).await? {
                // Somebody else wrote: it is read anew, and looks at these events once more.
                (self.stale, more) = (true, true);
            }
        }
        Ok(more)
    }

    /// Sends what is due.
    async fn hand_out(&mut self) -> Result<(), StoreError> {
        let now = self.web.house().now().utc;
        let due = |known: &Known| known.lane.next().is_some_and(|next| next <= now);
        let due: Vec<Key> = self.lanes.iter().filter(|(key, known)| due(known) && !self.is_busy(key)).map(|(key, _)| key.clone()).collect();
        for key in due {
            let Some(known) = self.lanes.get_mut(&key) else { continue };
            let mut lane = known.lane.clone();
            let (claimed, fates) = lane.claim(&self.web.config().notify, now);
            if !known.write(&self.web, &key, lane).await? {
                self.stale = true;
                continue;
            }
            count(key.channel(), &fates);
            if let Some(waiting) = claimed {
                let task = self.tries.spawn(attempt(self.web.clone(), key.clone(), known.target.clone(), waiting));
                self.under_way.insert(task.id(), key);
            }
        }
        Ok(())
    }

    /// A try has come to its end, one way or another.
    fn ended(&mut self, ended: Result<(Id, Result<(), StoreError>), JoinError>) {
        let task = match ended {
            Ok((task, Ok(()))) => task,
            Ok((task, Err(error))) => {
                tracing::warn!(%error, "how a notification went could not be written down; it is sent again");
                task
            }
            Err(error) => {
                tracing::error!(%error, "a notification ended in a mistake of doorward");
                error.id()
            }
        };
        self.under_way.remove(&task);
        self.stale = true;
    }
}

impl Known {
    /// Looks at events. `false` when the channel is not as it is known here.
    async fn take(&mut self, web: &Web, key: &Key, events: &[Event]) -> Result<bool, StoreError> {
        let mut lane = self.lane.clone();
        let theirs = self.theirs(web, events).await?;
        let fates = lane.take(&theirs, &web.config().notify, web.house().now().utc);
        lane.seen = lane.seen.max(events.last().map_or(0, |event| event.id));
        let written = Lane::read(&self.text).map_or(0, |lane| lane.seen);
        if lane.waiting == self.lane.waiting && lane.seen - written < i64::from(PAGE) {
            // Not worth a commit: after a restart they are looked at once more.
            self.lane = lane;
        } else if !self.write(web, key, lane).await? {
            return Ok(false);
        }
        count(key.channel(), &fates);
        Ok(true)
    }

    /// The events that whoever has this browser may read; everything, where it is nobody's.
    async fn theirs(&self, web: &Web, events: &[Event]) -> Result<Vec<Event>, StoreError> {
        let Some(person) = self.person.as_ref().filter(|_| !events.is_empty()) else { return Ok(events.to_vec()) };
        let caller = match Caller::of_person(web, person, Via::House).await {
            Ok(caller) => caller,
            Err(ApiError::Store(error)) => return Err(error),
            Err(_) => None,
        };
        let Some(caller) = caller.filter(|caller| caller.has(&Scope::EventsRead)) else { return Ok(Vec::new()) };
        // Whoever is forced must not be given away by their own phone.
        let gives_away =
            |event: &Event| event.kind == EventKind::DoorDuress && event.actor.as_ref().is_some_and(|actor| actor.id == *person);
        Ok(events.iter().filter(|event| caller.reads(web, event) && !gives_away(event)).cloned().collect())
    }

    async fn write(&mut self, web: &Web, key: &Key, lane: Lane) -> Result<bool, StoreError> {
        let text = lane.write();
        let written = text == self.text || key.swap(web, Some(&self.text), &text).await?;
        if written {
            (self.text, self.lane) = (text, lane);
        }
        Ok(written)
    }
}

/// The first word about a channel; of two who write it the first decides.
async fn begun(web: &Web, key: &Key, newest: i64) -> Result<String, StoreError> {
    let text = Lane::after(newest).write();
    if key.swap(web, None, &text).await? {
        return Ok(text);
    }
    Ok(key.text(web).await?.unwrap_or(text))
}

/// Sends a message once, and writes down how that went.
async fn attempt(web: Web, key: Key, target: Option<PushTarget>, waiting: Waiting) -> Result<(), StoreError> {
    let outcome = match message(&web, waiting.event).await? {
        Some(message) => send(&web, &key, target.as_ref(), &message).await?,
        None => Outcome::Never("the event was removed before it could be told".into()),
    };
    let fate = written(&web, &key, waiting.event, &outcome).await?;
    if let Some(fate) = fate {
        count(key.channel(), &[fate]);
        let (channel, event, error) = (key.channel(), waiting.event, outcome.error().unwrap_or_default());
        match fate {
            Fate::Sent => tracing::debug!(%channel, event, "a notification was taken"),
            Fate::Retried => tracing::info!(%channel, event, error, "a notification was not taken yet"),
            Fate::Failed | Fate::Late | Fate::Quiet => tracing::warn!(%channel, event, error, "a notification was given up"),
        }
    }
    if let (Outcome::Gone, Key::Push(id)) = (&outcome, &key) {
        desk::gone(&web, id).await?;
    }
    web.notify().tries.send_modify(|tries| *tries += 1);
    Ok(())
}

async fn message(web: &Web, event: i64) -> Result<Option<Message>, StoreError> {
    let Some(event) = web.house().store().event(event).await? else { return Ok(None) };
    match Message::of(web, &event).await {
        Ok(message) => Ok(message),
        Err(ApiError::Store(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Sends a message by one channel.
pub(super) async fn send(web: &Web, key: &Key, target: Option<&PushTarget>, message: &Message) -> Result<Outcome, StoreError> {
    let settings = &web.config().notify;
    Ok(match (key, &settings.ntfy, &settings.mail, target) {
        (Key::Ntfy, Some(ntfy), ..) => ntfy::send(web, ntfy, message).await,
        (Key::Mail, _, Some(mail), _) => mail::send(web, mail, message).await,
        (Key::Push(_), _, _, Some(target)) => push::send(web, target, message).await?,
        (Key::Ntfy | Key::Mail | Key::Push(_), ..) => Outcome::Never("it is not set up".into()),
    })
}

/// Writes down how a try went, however often somebody else writes in between.
async fn written(web: &Web, key: &Key, event: i64, outcome: &Outcome) -> Result<Option<Fate>, StoreError> {
    let now: Time = web.house().now().utc;
    loop {
        // A browser that is gone needs no word.
        let Some(text) = key.text(web).await? else { return Ok(None) };
        let Some(mut lane) = Lane::read(&text) else { return Ok(None) };
        let fate = lane.end(event, outcome, now);
        if key.swap(web, Some(&text), &lane.write()).await? {
            return Ok(fate);
        }
    }
}

/// Counts what became of messages.
fn count(channel: NotifyChannel, fates: &[Fate]) {
    for fate in fates {
        metrics::counter!("doorward_notifications_total", "channel" => channel.as_str(), "result" => fate.as_str()).increment(1);
    }
}
