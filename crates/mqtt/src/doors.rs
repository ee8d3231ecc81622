//! The house on MQTT: what doors are is published and kept, what happened is published.
//!
//! Only changes are published, and everything again when the broker comes back or Home Assistant starts. Doors that are
//! gone leave nothing behind, also those that went while nobody was there: which ones were announced is noted in the store.

use crate::{
    discovery,
    line::{Line, Message},
};
use doorward_core::keeper::Notice;
use doorward_engine::Handle;
use doorward_wire::{
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

/// Under which name the doors that were announced are noted.
const ANNOUNCED: &str = "mqtt announced";

/// What publishes a house, until it is stopped.
pub(crate) struct Doors {
    line: Line,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Doors {
    /// `born` tells that Home Assistant has started.
    pub(crate) fn start(house: Handle, line: Line, born: Arc<Notify>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(run(house, line.clone(), born, stopped));
        Self { line, stop, running }
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.running.await;
        self.line.publish(status("offline")).await;
    }
}

async fn run(house: Handle, line: Line, born: Arc<Notify>, mut stopped: watch::Receiver<bool>) {
    let mut notices = house.subscribe();
    let mut line_up = line.up();
    let mut publisher = Publisher::new(house, line).await;
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
    /// What was published last, by door and topic, so that only changes are.
    shown: BTreeMap<DoorId, BTreeMap<String, Vec<u8>>>,
    /// Doors that the broker may hold something of.
    announced: BTreeSet<DoorId>,
}

impl Publisher {
    async fn new(house: Handle, line: Line) -> Self {
        let noted = house.store().note(ANNOUNCED).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the doors that were announced over MQTT are not known");
            None
        });
        let announced = noted.iter().flat_map(|noted| noted.split_whitespace()).filter_map(|id| id.parse().ok()).collect();
        Self { house, line, shown: BTreeMap::new(), announced }
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
        let gone: Vec<DoorId> = self.announced.iter().filter(|id| doors.iter().all(|door| door.id != **id)).cloned().collect();
        for id in gone {
            self.clear(&id).await;
        }
        for door in &doors {
            self.show(door).await;
        }
    }

    async fn tell(&mut self, notice: &Notice) {
        match notice {
            Notice::Door(door) => self.show(door).await,
            Notice::DoorGone(id) => self.clear(id).await,
            Notice::Event(event) => self.ring(event).await,
            Notice::Attempt(attempt) if attempt.state.is_final() => {
                let on = if attempt.state == AttemptState::Contradicted { "ON" } else { "OFF" };
                let topic = Topic::door(&attempt.door, DoorTopic::Contradiction).to_string();
                self.put(&attempt.door, topic, on.into()).await;
            }
            Notice::Attempt(_) | Notice::Account(_) | Notice::AccountGone(_) => {}
        }
    }

    /// A bell is heard now or not at all.
    async fn ring(&self, event: &Event) {
        if let (EventKind::DoorRing, Some(door)) = (event.kind, &event.door) {
            let payload = json!(event).to_string().into_bytes();
            self.line.publish(Message { topic: Topic::door(door, DoorTopic::Ring).to_string(), payload, retain: false }).await;
        }
    }

    /// Publishes what has changed about a door.
    async fn show(&mut self, door: &Door) {
        if self.announced.insert(door.id.clone()) {
            self.note().await;
        }
        for (topic, payload) in discovery::entities(door) {
            self.put(&door.id, topic, payload).await;
        }
        let contradiction = Topic::door(&door.id, DoorTopic::Contradiction).to_string();
        if self.shown.get(&door.id).is_none_or(|topics| !topics.contains_key(&contradiction)) {
            let contradicted = door.attempt.as_ref().is_some_and(|attempt| attempt.state == AttemptState::Contradicted);
            self.put(&door.id, contradiction, if contradicted { "ON" } else { "OFF" }.into()).await;
        }
        for (what, payload) in facts(door) {
            self.put(&door.id, Topic::door(&door.id, what).to_string(), payload).await;
        }
    }

    async fn put(&mut self, door: &DoorId, topic: String, payload: Vec<u8>) {
        let before = self.shown.entry(door.clone()).or_default();
        if before.get(&topic) == Some(&payload) {
            return;
        }
        before.insert(topic.clone(), payload.clone());
        self.line.publish(Message { topic, payload, retain: true }).await;
    }

    /// A door that is gone leaves nothing behind.
    async fn clear(&mut self, door: &DoorId) {
        self.shown.remove(door);
        let own = DoorTopic::ALL.into_iter().filter(|what| !matches!(what, DoorTopic::Set | DoorTopic::Ring));
        let topics = own.map(|what| Topic::door(door, what).to_string()).chain(discovery::topics(door));
        for topic in topics {
            if !self.line.publish(Message { topic, payload: Vec::new(), retain: true }).await {
                // It stays noted, and goes when the broker comes back.
                return;
            }
        }
        self.announced.remove(door);
        self.note().await;
    }

    async fn note(&self) {
        let ids: Vec<&str> = self.announced.iter().map(DoorId::as_str).collect();
        if let Err(error) = self.house.store().set_note(ANNOUNCED, &ids.join(" ")).await {
            tracing::warn!(%error, "the doors that were announced over MQTT could not be noted");
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

/// The door without what changes at every look: its attempts are events, and of the evidence only its kind is told.
fn attributes(door: &Door) -> Vec<u8> {
    let mut attributes = json!(Door { attempt: None, evidence: Vec::new(), ..door.clone() });
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
