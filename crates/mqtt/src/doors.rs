//! The house on MQTT: what doors are is published and kept, what happened is published.
//!
//! Only changes are published, and everything again when the broker comes back or Home Assistant starts. Doors that are
//! gone leave nothing behind, also those that went while nobody was there: what was announced is noted in the store.

use crate::{
    discovery::{self, Mode, Object},
    line::{Line, Message},
};
use doorward_core::keeper::{Notice, Standing};
use doorward_engine::Handle;
use doorward_wire::{
    account::{AccountId, AccountState},
    attempt::AttemptState,
    door::{Capability, Door, DoorId, DoorState},
    event::{Event, EventKind},
    topic::{DoorTopic, Topic},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::{
    sync::{Notify, broadcast::error::RecvError, watch},
    task::JoinHandle,
};

/// Under which name it is noted what was announced, and how.
const ANNOUNCED: &str = "mqtt announced";
/// What an account's id has before it in that note.
const ACCOUNT: &str = "account/";

/// What publishes a house, until it is stopped.
pub(crate) struct Doors {
    line: Line,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Doors {
    /// `born` tells that Home Assistant has started.
    pub(crate) fn start(house: Handle, line: Line, mode: Mode, born: Arc<Notify>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(run(house, line.clone(), mode, born, stopped));
        Self { line, stop, running }
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.running.await;
        self.line.publish(status("offline")).await;
    }
}

async fn run(house: Handle, line: Line, mode: Mode, born: Arc<Notify>, mut stopped: watch::Receiver<bool>) {
    let mut notices = house.subscribe();
    let mut line_up = line.up();
    let mut publisher = Publisher::new(house, line, mode).await;
    publisher.show_all().await;
    loop {
        let notice = tokio::select! {
            notice = notices.recv() => Some(notice),
            () = born.notified() => None,
            changed = line_up.changed() => match changed {
                Ok(()) => None,
                Err(_) => return,
            },
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        match notice {
            None => publisher.repeat().await,
            Some(Ok(notice)) => publisher.tell(&notice).await,
            Some(Err(RecvError::Lagged(_))) => publisher.show_all().await,
            Some(Err(RecvError::Closed)) => return,
        }
    }
}

/// What the broker was told.
struct Publisher {
    house: Handle,
    line: Line,
    mode: Mode,
    /// What was published last, so that only changes are.
    shown: BTreeMap<Thing, BTreeMap<String, Vec<u8>>>,
    /// What the broker may hold something of.
    announced: BTreeSet<Thing>,
    /// How that was announced before this start, if in another way.
    before: Option<Mode>,
}

/// Something that is announced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Door(DoorId),
    Account(AccountId),
}

impl Publisher {
    async fn new(house: Handle, line: Line, mode: Mode) -> Self {
        let noted = house.store().note(ANNOUNCED).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "what was announced over MQTT is not known");
            None
        });
        let noted = noted.unwrap_or_default();
        let mut words = noted.split_whitespace();
        let before = words.next().and_then(|word| [Mode::Component, Mode::Device].into_iter().find(|mode| mode.as_str() == word));
        let announced = words.filter_map(|word| match word.strip_prefix(ACCOUNT) {
            Some(account) => account.parse().ok().map(Thing::Account),
            None => word.parse().ok().map(Thing::Door),
        });
        let announced = announced.collect();
        Self { house, line, mode, shown: BTreeMap::new(), announced, before: before.filter(|before| *before != mode) }
    }

    /// Publishes everything again, as it is now.
    async fn repeat(&mut self) {
        if self.line.is_up() {
            self.shown.clear();
            self.show_all().await;
        }
    }

    async fn show_all(&mut self) {
        self.line.publish(status("online")).await;
        let doors = self.house.board().doors();
        let standings = self.house.board().standings();
        let there = |thing: &Thing| match thing {
            Thing::Door(id) => doors.iter().any(|door| door.id == *id),
            Thing::Account(id) => standings.iter().any(|standing| standing.id == *id),
        };
        let gone: Vec<Thing> = self.announced.iter().filter(|thing| !there(thing)).cloned().collect();
        for thing in gone {
            self.clear(&thing).await;
        }
        self.migrate().await;
        for door in &doors {
            self.show(door).await;
        }
        for standing in &standings {
            self.show_account(standing).await;
        }
    }

    /// Tells Home Assistant that what it knows is announced in the other way from now on.
    async fn migrate(&mut self) {
        if self.before.is_none() || !self.line.is_up() {
            return;
        }
        for thing in &self.announced {
            let object = match thing {
                Thing::Door(door) => Object::Door(door),
                Thing::Account(account) => Object::Account(account),
            };
            for (topic, payload) in discovery::migration(object, self.mode) {
                if !self.line.publish(Message { topic, payload, retain: true }).await {
                    return;
                }
            }
        }
        self.before = None;
        self.note().await;
    }

    async fn tell(&mut self, notice: &Notice) {
        match notice {
            Notice::Door(door) => self.show(door).await,
            Notice::DoorGone(id) => self.clear(&Thing::Door(id.clone())).await,
            Notice::Account(standing) => self.show_account(standing).await,
            Notice::AccountGone(id) => self.clear(&Thing::Account(id.clone())).await,
            Notice::Event(event) => self.ring(event).await,
            Notice::Attempt(attempt) if attempt.state.is_final() => {
                let on = if attempt.state == AttemptState::Contradicted { "ON" } else { "OFF" };
                let topic = Topic::door(&attempt.door, DoorTopic::Contradiction).to_string();
                self.put(&Thing::Door(attempt.door.clone()), topic, on.into()).await;
            }
            // What a ring came to is published as the event that tells of it.
            Notice::Attempt(_) | Notice::Ring(_) => {}
        }
    }

    /// A bell is heard now or not at all, and so is what came of it.
    async fn ring(&self, event: &Event) {
        if let (EventKind::DoorRing | EventKind::DoorRingEnded, Some(door)) = (event.kind, &event.door) {
            let payload = json!(event).to_string().into_bytes();
            self.line.publish(Message { topic: Topic::door(door, DoorTopic::Ring).to_string(), payload, retain: false }).await;
        }
    }

    /// Publishes what has changed about a door.
    async fn show(&mut self, door: &Door) {
        let thing = Thing::Door(door.id.clone());
        self.announce(&thing, discovery::door(door, self.mode)).await;
        let contradiction = Topic::door(&door.id, DoorTopic::Contradiction).to_string();
        if self.shown.get(&thing).is_none_or(|topics| !topics.contains_key(&contradiction)) {
            let contradicted = door.attempt.as_ref().is_some_and(|attempt| attempt.state == AttemptState::Contradicted);
            self.put(&thing, contradiction, if contradicted { "ON" } else { "OFF" }.into()).await;
        }
        for (what, payload) in facts(door) {
            self.put(&thing, Topic::door(&door.id, what).to_string(), payload).await;
        }
    }

    /// Publishes whether an account needs a person.
    async fn show_account(&mut self, standing: &Standing) {
        let thing = Thing::Account(standing.id.clone());
        let known = self.shown.get(&thing).is_some_and(|topics| topics.len() > 1);
        if !known {
            let name = match self.house.store().account(&standing.id).await {
                Ok(account) => account.map_or_else(|| standing.id.to_string(), |account| account.name),
                Err(_) => standing.id.to_string(),
            };
            self.announce(&thing, discovery::account(&standing.id, &name, self.mode)).await;
        }
        let problem = matches!(standing.state, AccountState::NeedsSignIn | AccountState::Faulty);
        self.put(&thing, Topic::AccountProblem(standing.id.clone()).to_string(), if problem { "ON" } else { "OFF" }.into()).await;
    }

    async fn announce(&mut self, thing: &Thing, messages: Vec<(String, Vec<u8>)>) {
        if self.announced.insert(thing.clone()) {
            self.note().await;
        }
        for (topic, payload) in messages {
            self.put(thing, topic, payload).await;
        }
    }

    async fn put(&mut self, thing: &Thing, topic: String, payload: Vec<u8>) {
        let before = self.shown.entry(thing.clone()).or_default();
        if before.get(&topic) == Some(&payload) {
            return;
        }
        before.insert(topic.clone(), payload.clone());
        self.line.publish(Message { topic, payload, retain: true }).await;
    }

    /// What is gone leaves nothing behind.
    async fn clear(&mut self, thing: &Thing) {
        self.shown.remove(thing);
        let topics: Vec<String> = match thing {
            Thing::Door(door) => {
                let own = DoorTopic::ALL.into_iter().filter(|what| !matches!(what, DoorTopic::Set | DoorTopic::Ring));
                own.map(|what| Topic::door(door, what).to_string()).chain(discovery::door_topics(door)).collect()
            }
            Thing::Account(account) => {
                let own = Topic::AccountProblem(account.clone()).to_string();
                std::iter::once(own).chain(discovery::account_topics(account)).collect()
            }
        };
        for topic in topics {
            if !self.line.publish(Message { topic, payload: Vec::new(), retain: true }).await {
                // It stays noted, and goes when the broker comes back.
                return;
            }
        }
        self.announced.remove(thing);
        self.note().await;
    }

    async fn note(&self) {
        let things = self.announced.iter().map(|thing| match thing {
            Thing::Door(door) => door.to_string(),
            Thing::Account(account) => format!("{ACCOUNT}{account}"),
        });
        let mode = self.before.unwrap_or(self.mode);
        let words: Vec<String> = std::iter::once(mode.as_str().to_owned()).chain(things).collect();
        if let Err(error) = self.house.store().set_note(ANNOUNCED, &words.join(" ")).await {
            tracing::warn!(%error, "what was announced over MQTT could not be noted");
        }
    }
}

fn facts(door: &Door) -> Vec<(DoorTopic, Vec<u8>)> {
    let mut facts = vec![
        (DoorTopic::State, state_word(door.state).into()),
        (DoorTopic::Availability, if door.online == Some(false) { "offline" } else { "online" }.into()),
        (DoorTopic::Attributes, attributes(door)),
    ];
    facts.extend(door.battery.map(|level| (DoorTopic::Battery, level.to_string().into_bytes())));
    if door.capabilities.contains(&Capability::Contact) {
        let word = door.contact_open.map_or("None", |open| if open { "ON" } else { "OFF" });
        facts.push((DoorTopic::Contact, word.into()));
    }
    facts
}

/// The door without what changes at every look: its attempts are events, and of the evidence only its kind is told. Where
/// its camera is says more than whoever may read topics has to know.
fn attributes(door: &Door) -> Vec<u8> {
    let mut attributes = json!(Door { attempt: None, evidence: Vec::new(), stream: None, ..door.clone() });
    attributes["evidence"] = json!(door.evidence.first().map(|evidence| evidence.kind));
    attributes.to_string().into_bytes()
}

/// The words of Home Assistant's MQTT lock; `None` is its word for what nobody knows.
const fn state_word(state: DoorState) -> &'static str {
    match state {
        DoorState::Locked => "LOCKED",
        DoorState::Locking => "LOCKING",
        DoorState::Unlocked => "UNLOCKED",
        DoorState::Unlocking => "UNLOCKING",
        DoorState::Open => "OPEN",
        DoorState::Jammed => "JAMMED",
        DoorState::Unknown => "None",
    }
}

fn status(word: &str) -> Message {
    Message { topic: Topic::Status.to_string(), payload: word.into(), retain: true }
}
