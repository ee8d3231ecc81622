//! The house on MQTT: doors and events are published, and what arrives at a door's `set` topic becomes a command.
//!
//! Rules 1 and 2 of the house hold here: what was sent to be retained opens nothing and is told; a command in JSON may
//! name its `id` and `not_after`, and then comes at most once and never late; of bare words the same one of the same user
//! at one door within two seconds counts once.

use crate::{
    broker::{Broker, Message},
    discovery,
};
use doorward_core::{
    Mono,
    keeper::{Command, Notice},
    record::NewEvent,
    scope::Scope,
};
use doorward_engine::Handle;
use doorward_wire::{
    Time,
    attempt::{ActionWord, Actor, ActorKind, AttemptState, Reason},
    door::{Door, DoorId, DoorState},
    event::{Event, EventKind},
    topic::{DoorTopic, Topic},
};
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, broadcast::error::RecvError, watch},
    task::JoinHandle,
};
use uuid::Uuid;

/// Bytes of a command.
const COMMAND: usize = 1024;
/// The same bare word within this time is the same command.
const SAME_WORD: Duration = Duration::from_secs(2);

/// Something that a client published.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    /// Who published it.
    pub(crate) user: String,
    /// Where.
    pub(crate) topic: &'a str,
    /// What.
    pub(crate) payload: &'a [u8],
    /// It was sent to be kept.
    pub(crate) retain: bool,
}

/// What is asked of a door.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    action: ActionWord,
    #[serde(default)]
    id: Option<Uuid>,
    #[serde(default)]
    not_after: Option<Time>,
}

/// Where commands come in.
pub(crate) struct Inbox {
    pub(crate) house: Handle,
    /// Told when Home Assistant has started.
    born: Arc<Notify>,
    /// Bare words of the last moment.
    said: Mutex<BTreeMap<(String, DoorId, &'static str), Mono>>,
}

impl Inbox {
    pub(crate) fn new(house: Handle, born: Arc<Notify>) -> Self {
        Self { house, born, said: Mutex::default() }
    }

    /// Takes what is meant for doorward; `false` when it is for others.
    pub(crate) async fn take(&self, arrival: Arrival<'_>) -> bool {
        if arrival.topic == discovery::BIRTH && arrival.payload == b"online" {
            self.born.notify_one();
            return false;
        }
        let Some(topic) = Topic::read(arrival.topic) else { return false };
        let Topic::Door(door, DoorTopic::Set) = topic else {
            // What doorward publishes nobody else does, whatever their rights.
            tracing::info!(user = arrival.user, topic = arrival.topic, "only doorward publishes here");
            return true;
        };
        let actor = Actor { kind: ActorKind::Mqtt, id: arrival.user.clone(), name: Some(arrival.user.clone()) };
        if arrival.retain {
            // An empty one clears what an earlier broker kept, and asks nothing.
            if !arrival.payload.is_empty() {
                retained(&self.house, &door, &actor).await;
            }
            return true;
        }
        match read(arrival.payload) {
            Ok(wish) if wish.id.is_none() && self.just_said(&arrival.user, &door, wish.action) => {
                metrics::counter!("doorward_mqtt_repeated_total").increment(1);
            }
            Ok(wish) => submit(&self.house, door, actor, wish).await,
            Err(hint) => {
                metrics::counter!("doorward_denied_total", "reason" => Reason::BadRequest.as_str()).increment(1);
                tracing::warn!(%door, user = arrival.user, hint, "a command over MQTT was not understood");
            }
        }
        true
    }

    /// Whether the same user said the same word to the same door a moment ago.
    fn just_said(&self, user: &str, door: &DoorId, action: ActionWord) -> bool {
        let now = self.house.now().mono;
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|_, at| now.since(*at) < SAME_WORD);
        said.insert((user.to_owned(), door.clone(), action.as_str()), now).is_some()
    }
}

async fn submit(house: &Handle, door: DoorId, actor: Actor, wish: Wish) {
    // The right to publish here is the grant.
    let rights = Scope::rights(&[Scope::DoorsAct(Some(door.clone()))]);
    let id = wish.id.unwrap_or_else(|| house.clock().uuid());
    let command = Command { id, door: door.clone(), action: wish.action, actor, rights, not_after: wish.not_after };
    if let Err(error) = house.submit(command).await {
        metrics::counter!("doorward_denied_total", "reason" => Reason::BadRequest.as_str()).increment(1);
        tracing::warn!(%door, %error, "a command over MQTT was not taken");
    }
}

/// A command that was sent to be kept would open the door at every restart of a broker: it does nothing, and is told.
async fn retained(house: &Handle, door: &DoorId, actor: &Actor) {
    metrics::counter!("doorward_mqtt_retained_total").increment(1);
    let event = NewEvent::new(house.now().utc, EventKind::MqttRetainedCommand).door(door).actor(actor);
    if let Err(error) = house.record(vec![event]).await {
        tracing::error!(%error, %door, "a retained command came in and could not be written down");
    }
}

fn read(payload: &[u8]) -> Result<Wish, &'static str> {
    if payload.len() > COMMAND {
        return Err("a command has at most 1024 bytes");
    }
    let text = std::str::from_utf8(payload).map_err(|_| "a command is text")?.trim();
    let action = match text {
        "LOCK" => ActionWord::Lock,
        "UNLOCK" => ActionWord::Unlock,
        "OPEN" => ActionWord::Open,
        json => return serde_json::from_str(json).map_err(|_| "write LOCK, UNLOCK, OPEN, or JSON with action, id and not_after"),
    };
    Ok(Wish { action, id: None, not_after: None })
}

/// What publishes a house, until it is stopped.
pub(crate) struct Link {
    broker: Arc<Broker>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Link {
    /// `born` tells that Home Assistant has started.
    pub(crate) fn start(house: Handle, broker: Arc<Broker>, born: Arc<Notify>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(run(house, Arc::clone(&broker), born, stopped));
        Self { broker, stop, running }
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.running.await;
        self.broker.publish(status("offline")).await;
    }
}

async fn run(house: Handle, broker: Arc<Broker>, born: Arc<Notify>, mut stopped: watch::Receiver<bool>) {
    let mut notices = house.subscribe();
    let mut shown = Shown::default();
    broker.publish(status("online")).await;
    show_all(&house, &broker, &mut shown).await;
    loop {
        let notice = tokio::select! {
            notice = notices.recv() => Some(notice),
            () = born.notified() => None,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        match notice {
            None => repeat(&broker, &shown).await,
            Some(Ok(notice)) => tell(&broker, &mut shown, &notice).await,
            Some(Err(RecvError::Lagged(_))) => show_all(&house, &broker, &mut shown).await,
            Some(Err(RecvError::Closed)) => return,
        }
    }
}

/// What was published last, by door and topic, so that only changes are.
type Shown = BTreeMap<DoorId, BTreeMap<String, Vec<u8>>>;

/// Publishes everything again that is so.
async fn repeat(broker: &Broker, shown: &Shown) {
    for (topic, payload) in shown.values().flatten() {
        broker.publish(Message { topic: topic.clone(), payload: payload.clone(), retain: true }).await;
    }
    broker.publish(status("online")).await;
}

async fn show_all(house: &Handle, broker: &Broker, shown: &mut Shown) {
    let doors = house.board().doors();
    let there: BTreeSet<&DoorId> = doors.iter().map(|door| &door.id).collect();
    let gone: Vec<DoorId> = shown.keys().filter(|id| !there.contains(id)).cloned().collect();
    for id in gone {
        clear(broker, shown, &id).await;
    }
    for door in &doors {
        show(broker, shown, door).await;
    }
}

async fn tell(broker: &Broker, shown: &mut Shown, notice: &Notice) {
    match notice {
        Notice::Door(door) => show(broker, shown, door).await,
        Notice::DoorGone(id) => clear(broker, shown, id).await,
        Notice::Event(event) => tell_event(broker, event).await,
        Notice::Attempt(attempt) if attempt.state.is_final() => {
            let on = if attempt.state == AttemptState::Contradicted { "ON" } else { "OFF" };
            let topic = Topic::door(&attempt.door, DoorTopic::Contradiction).to_string();
            put(broker, shown, &attempt.door, topic, on.into()).await;
        }
        Notice::Attempt(_) | Notice::Account(_) | Notice::AccountGone(_) => {}
    }
}

async fn tell_event(broker: &Broker, event: &Event) {
    let message = |topic: Topic, payload| Message { topic: topic.to_string(), payload, retain: false };
    let payload = json!(event).to_string().into_bytes();
    if let (EventKind::DoorRing, Some(door)) = (event.kind, &event.door) {
        broker.publish(message(Topic::door(door, DoorTopic::Ring), payload.clone())).await;
    }
    broker.publish(message(Topic::Event, payload)).await;
}

/// Publishes what has changed about a door.
async fn show(broker: &Broker, shown: &mut Shown, door: &Door) {
    for (topic, payload) in discovery::entities(door) {
        put(broker, shown, &door.id, topic, payload).await;
    }
    let contradiction = Topic::door(&door.id, DoorTopic::Contradiction).to_string();
    if shown.get(&door.id).is_none_or(|topics| !topics.contains_key(&contradiction)) {
        put(broker, shown, &door.id, contradiction, "OFF".into()).await;
    }
    for (what, payload) in facts(door) {
        put(broker, shown, &door.id, Topic::door(&door.id, what).to_string(), payload).await;
    }
}

fn facts(door: &Door) -> Vec<(DoorTopic, Vec<u8>)> {
    let mut facts = vec![
        (DoorTopic::State, state_word(door.state).into()),
        (DoorTopic::Availability, if door.online == Some(false) { "offline" } else { "online" }.into()),
        (DoorTopic::Attributes, attributes(door)),
    ];
    facts.extend(door.battery.map(|level| (DoorTopic::Battery, level.to_string().into_bytes())));
    facts.extend(door.contact_open.map(|open| (DoorTopic::Contact, if open { "ON" } else { "OFF" }.into())));
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

async fn put(broker: &Broker, shown: &mut Shown, door: &DoorId, topic: String, payload: Vec<u8>) {
    let before = shown.entry(door.clone()).or_default();
    if before.get(&topic) == Some(&payload) {
        return;
    }
    before.insert(topic.clone(), payload.clone());
    broker.publish(Message { topic, payload, retain: true }).await;
}

/// A door that is gone leaves nothing behind.
async fn clear(broker: &Broker, shown: &mut Shown, door: &DoorId) {
    for topic in shown.remove(door).unwrap_or_default().into_keys() {
        broker.publish(Message { topic, payload: Vec::new(), retain: true }).await;
    }
}

fn status(word: &str) -> Message {
    Message { topic: Topic::Status.to_string(), payload: word.into(), retain: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_words_or_json() {
        assert_eq!(read(b"UNLOCK"), Ok(Wish { action: ActionWord::Unlock, id: None, not_after: None }));
        let id = Uuid::from_u128(7);
        let json = format!(r#"{{"action":"open","id":"{id}","not_after":"2026-11-24T12:00:00Z"}}"#);
        let not_after = Some("2026-11-24T12:00:00Z".parse().unwrap());
        assert_eq!(read(json.as_bytes()), Ok(Wish { action: ActionWord::Open, id: Some(id), not_after }));
        for wrong in [&b""[..], b"unlock", b"\xff", b"{}", br#"{"action":"explode"}"#, br#"{"action":"lock","now":true}"#, b"[]"] {
            assert!(read(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
        assert!(read(&vec![b' '; COMMAND + 1]).is_err());
    }
}
