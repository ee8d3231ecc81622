//! Where commands come in: what is published at `doorward/door/<id>/set`, and at `doorward/device/<id>/set`.
//!
//! Rules 1 and 2 of the house hold here: what was sent to be retained opens nothing and is told; a command in JSON may
//! name its `id` and `not_after`, and then comes at most once and never late; of bare words the same one of the same user
//! at one door within two seconds counts once.

use crate::discovery;
use doorward_core::{Mono, Secret, keeper::Command, record::NewEvent, scope::Scope};
use doorward_engine::Handle;
use doorward_wire::{
    Time,
    attempt::{ActionWord, Actor, ActorKind, Reason},
    device::DeviceId,
    door::DoorId,
    event::EventKind,
    grant::Means,
    topic::{DeviceTopic, DoorTopic, Topic},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

/// Bytes of a command.
const COMMAND: usize = 1024;
/// Kept commands at one door are told once in this time; they are counted each.
const TOLD_AGAIN: Duration = Duration::from_mins(1);
/// So many wrong codes block a door's code.
const GUESSES: u32 = 5;
/// For this long.
const BLOCK: Duration = Duration::from_mins(15);
/// The same bare word within this time is the same command.
const SAME_WORD: Duration = Duration::from_secs(2);

/// What asks a device to run the newest firmware for it.
pub(crate) const INSTALL: &str = "INSTALL";

/// Somebody asks that a device runs the newest firmware for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// The device.
    pub device: DeviceId,
    /// Who asks.
    pub actor: Actor,
}

/// Who is told what the inbox does not do itself.
#[derive(Clone)]
pub(crate) struct Told {
    /// Home Assistant has started.
    pub(crate) born: Arc<Notify>,
    /// A device is to be updated.
    pub(crate) installs: mpsc::Sender<Install>,
}

/// Something that a client published.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    /// What they are.
    pub(crate) kind: ActorKind,
    /// Who published it.
    pub(crate) user: String,
    /// Where.
    pub(crate) topic: &'a str,
    /// What.
    pub(crate) payload: &'a [u8],
    /// It was sent to be kept.
    pub(crate) retain: bool,
    /// What a command must name.
    pub(crate) demand: Demand,
}

/// What a command must name where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Words will do: what was retained can be told from what was not.
    Words,
    /// `id` and `not_after`: the broker speaks MQTT 3.1.1, which hides that a message is retained.
    Json,
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
    #[serde(default)]
    code: Option<Secret<String>>,
}

/// Where commands come in.
pub(crate) struct Inbox {
    pub(crate) house: Handle,
    told: Told,
    /// Bare words of the last moment.
    said: Mutex<BTreeMap<(String, DoorId, &'static str), Mono>>,
    /// When a kept command at a door was last told.
    kept: Mutex<BTreeMap<DoorId, Mono>>,
    /// Wrong codes at a door.
    wrong: Mutex<BTreeMap<DoorId, Wrong>>,
}

/// Wrong codes that were given at a door.
#[derive(Debug, Clone, Copy)]
struct Wrong {
    count: u32,
    /// When the first of them came, and once it is blocked, when the last one came.
    since: Mono,
}

impl Inbox {
    pub(crate) fn new(house: Handle, told: Told) -> Self {
        Self { house, told, said: Mutex::default(), kept: Mutex::default(), wrong: Mutex::default() }
    }

    /// Takes what is meant for doorward; `false` when it is for others.
    pub(crate) async fn take(&self, arrival: Arrival<'_>) -> bool {
        if arrival.topic == discovery::BIRTH && arrival.payload == b"online" {
            self.told.born.notify_one();
            return false;
        }
        let Some(topic) = Topic::read(arrival.topic) else { return false };
        let actor = Actor { kind: arrival.kind, id: arrival.user.clone(), name: Some(arrival.user.clone()) };
        let door = match topic {
            Topic::Door(door, DoorTopic::Set) => door,
            Topic::Device(device, DeviceTopic::Set) => {
                self.install(&arrival, device, actor);
                return true;
            }
            // What doorward publishes nobody else does, whatever their rights.
            Topic::Door(..) | Topic::Device(..) | Topic::Status | Topic::Event | Topic::AccountProblem(_) => {
                tracing::info!(user = arrival.user, topic = arrival.topic, "only doorward publishes here");
                return true;
            }
        };
        // An empty one clears what a broker kept, and asks nothing.
        if arrival.payload.is_empty() {
            return true;
        }
        if arrival.retain {
            self.retained(&door, &actor).await;
            return true;
        }
        match read(arrival.payload, arrival.demand) {
            Ok(wish) => match self.code_denies(&door, &wish).await {
                Some(reason) => self.refuse(&door, &actor, reason).await,
                None if wish.id.is_none() && self.just_said(&arrival.user, &door, wish.action) => {
                    metrics::counter!("doorward_mqtt_repeated_total").increment(1);
                }
                None => submit(&self.house, door, actor, wish).await,
            },
            Err(hint) => {
                metrics::counter!("doorward_denied_total", "reason" => Reason::BadRequest.as_str()).increment(1);
                tracing::warn!(%door, user = arrival.user, hint, "a command over MQTT was not understood");
            }
        }
        true
    }

    /// Passes on that a device is to be updated. What was sent to be kept would do so with every firmware that is to come.
    fn install(&self, arrival: &Arrival<'_>, device: DeviceId, actor: Actor) {
        let hint = match arrival.payload {
            b"" => return,
            _ if arrival.retain => {
                metrics::counter!("doorward_mqtt_retained_total").increment(1);
                "it was sent to be retained"
            }
            payload if payload != INSTALL.as_bytes() => "write INSTALL",
            _ => match self.told.installs.try_send(Install { device, actor }) {
                Ok(()) => return,
                Err(_) => "too many devices are to be updated at this moment",
            },
        };
        tracing::warn!(topic = arrival.topic, user = arrival.user, hint, "a command for a device was not taken");
    }

    /// Why the code of a command does not do, if its door wants one. Locking needs none.
    async fn code_denies(&self, door: &DoorId, wish: &Wish) -> Option<Reason> {
        if matches!(wish.action, ActionWord::Lock | ActionWord::Refresh) {
            return None;
        }
        let setup = match self.house.store().door(door).await {
            Ok(setup) => setup?,
            Err(error) => {
                tracing::error!(%error, %door, "whether a door wants a code could not be read");
                return Some(Reason::AuditUnavailable);
            }
        };
        setup.mqtt_code.as_ref()?;
        let now = self.house.now().mono;
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.retain(|_, wrong| now.since(wrong.since) < BLOCK);
        if wrong.get(door).is_some_and(|wrong| wrong.count >= GUESSES) {
            return Some(Reason::RateLimited);
        }
        if wish.code.as_ref().is_some_and(|code| self.house.store().is_mqtt_code(&setup, code)) {
            wrong.remove(door);
            return None;
        }
        let entry = wrong.entry(door.clone()).or_insert(Wrong { count: 0, since: now });
        *entry = Wrong { count: entry.count + 1, since: if entry.count + 1 >= GUESSES { now } else { entry.since } };
        Some(Reason::WrongCode)
    }

    async fn refuse(&self, door: &DoorId, actor: &Actor, reason: Reason) {
        let now = self.house.now();
        // Of a door that is blocked it is told once in a while; nobody fills the audit by guessing on.
        if reason == Reason::RateLimited && !is_first(&self.kept, door.clone(), now.mono, TOLD_AGAIN) {
            // An event counts as it is told.
            metrics::counter!("doorward_denied_total", "reason" => reason.as_str()).increment(1);
            return;
        }
        let event = NewEvent::new(now.utc, EventKind::DoorRefused).door(door).actor(actor).reason(Some(reason));
        if let Err(error) = self.house.record(vec![event]).await {
            tracing::error!(%error, %door, "a refused command could not be written down");
        }
    }

    /// A command that was sent to be kept would open the door at every restart of a broker: it does nothing, and is told.
    async fn retained(&self, door: &DoorId, actor: &Actor) {
        metrics::counter!("doorward_mqtt_retained_total").increment(1);
        let now = self.house.now();
        if self.house.board().door(door).is_none() || !is_first(&self.kept, door.clone(), now.mono, TOLD_AGAIN) {
            return;
        }
        let event = NewEvent::new(now.utc, EventKind::MqttRetainedCommand).door(door).actor(actor);
        if let Err(error) = self.house.record(vec![event]).await {
            tracing::error!(%error, %door, "a retained command came in and could not be written down");
        }
    }

    /// Whether the same user said the same word to the same door a moment ago.
    fn just_said(&self, user: &str, door: &DoorId, action: ActionWord) -> bool {
        !is_first(&self.said, (user.to_owned(), door.clone(), action.as_str()), self.house.now().mono, SAME_WORD)
    }
}

/// Whether something is so for the first time within a span; what is older is forgotten.
fn is_first<K: Ord>(known: &Mutex<BTreeMap<K, Mono>>, key: K, now: Mono, span: Duration) -> bool {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|_, at| now.since(*at) < span);
    if known.contains_key(&key) {
        return false;
    }
    known.insert(key, now);
    true
}

async fn submit(house: &Handle, door: DoorId, actor: Actor, wish: Wish) {
    // The right to publish here is the grant.
    let rights = Scope::rights(&[Scope::DoorsAct(Some(door.clone()))]);
    let id = wish.id.unwrap_or_else(|| house.clock().uuid());
    let command = Command { id, door: door.clone(), action: wish.action, actor, rights, not_after: wish.not_after, means: Means::Remote };
    if let Err(error) = house.submit(command).await {
        metrics::counter!("doorward_denied_total", "reason" => Reason::BadRequest.as_str()).increment(1);
        tracing::warn!(%door, %error, "a command over MQTT was not taken");
    }
}

fn read(payload: &[u8], demand: Demand) -> Result<Wish, &'static str> {
    let wish = understood(payload)?;
    if demand == Demand::Json && (wish.id.is_none() || wish.not_after.is_none()) {
        return Err("over MQTT 3.1.1 a command is JSON with action, id and not_after");
    }
    Ok(wish)
}

fn understood(payload: &[u8]) -> Result<Wish, &'static str> {
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
    Ok(Wish { action, id: None, not_after: None, code: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_words_or_json() {
        assert_eq!(read(b"UNLOCK", Demand::Words), Ok(Wish { action: ActionWord::Unlock, id: None, not_after: None, code: None }));
        let id = Uuid::from_u128(7);
        let json = format!(r#"{{"action":"open","id":"{id}","not_after":"2026-11-24T12:00:00Z"}}"#);
        let not_after = Some("2026-11-24T12:00:00Z".parse().unwrap());
        assert_eq!(read(json.as_bytes(), Demand::Words), Ok(Wish { action: ActionWord::Open, id: Some(id), not_after, code: None }));
        for wrong in [&b""[..], b"unlock", b"\xff", b"{}", br#"{"action":"explode"}"#, br#"{"action":"lock","now":true}"#, b"[]"] {
            assert!(read(wrong, Demand::Words).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
        let coded = read(br#"{"action":"open","code":"1234"}"#, Demand::Words).unwrap();
        assert_eq!(coded.code, Some("1234".into()));
        assert!(!format!("{coded:?}").contains("1234"), "a code cannot be printed");
        assert_eq!(read(br#"{"action":"lock","code":null}"#, Demand::Words).unwrap().code, None);
        assert!(read(json.as_bytes(), Demand::Json).is_ok() && read(b"UNLOCK", Demand::Json).is_err());
        assert!(read(br#"{"action":"open","not_after":"2026-11-24T12:00:00Z"}"#, Demand::Json).is_err());
        assert!(read(&vec![b' '; COMMAND + 1], Demand::Words).is_err());
    }
}
