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
    device::DeviceId,
    door::{Capability, Door, DoorId, DoorState},
    event::{Event, EventKind},
    topic::{DeviceTopic, DoorTopic, Topic},
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
/// What a device's id has.
const DEVICE: &str = "device/";

/// A device of the fleet, as Home Assistant sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownDevice {
    /// What it prints.
    pub id: DeviceId,
    /// What people call it.
    pub name: String,
    /// Its board.
    pub hardware: String,
    /// It is connected.
    pub online: bool,
    /// The version that it runs, as far as anybody knows.
    pub installed: Option<String>,
    /// The newest one for it.
    pub latest: Option<String>,
}

/// The devices that are shown; nothing until somebody has said which.
pub(crate) type ShownDevices = watch::Receiver<Option<Arc<Vec<ShownDevice>>>>;

/// What publishes a house, until it is stopped.
pub(crate) struct Doors {
    line: Line,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Doors {
    /// `born` tells that Home Assistant has started.
    pub(crate) fn start(house: Handle, line: Line, mode: Mode, born: Arc<Notify>, devices: ShownDevices) -> Self {
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(run(house, line.clone(), mode, (born, devices), stopped));
        Self { line, stop, running }
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.running.await;
        self.line.publish(status("offline")).await;
    }
}

async fn run(house: Handle, line: Line, mode: Mode, (born, mut devices): (Arc<Notify>, ShownDevices), mut stopped: watch::Receiver<bool>) {
    let mut notices = house.subscribe();
    let mut line_up = line.up();
    let mut publisher = Publisher::new(house, line, mode, devices.clone()).await;
    publisher.show_all().await;
    loop {
        let due = tokio::select! {
            notice = notices.recv() => Due::Notice(notice),
            () = born.notified() => Due::All,
            Ok(()) = devices.changed() => Due::Devices,
            changed = line_up.changed() => match changed {
                Ok(()) => Due::All,
                Err(_) => return,
            },
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        match due {
            Due::All => publisher.repeat().await,
            Due::Devices => publisher.show_devices().await,
            Due::Notice(Ok(notice)) => publisher.tell(&notice).await,
            Due::Notice(Err(RecvError::Lagged(_))) => publisher.show_all().await,
            Due::Notice(Err(RecvError::Closed)) => return,
        }
    }
}

/// What is to be published.
enum Due {
    /// Everything, again.
    All,
    /// What changed about devices of the fleet.
    Devices,
    /// What happened in the house.
    Notice(Result<Arc<Notice>, RecvError>),
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
    devices: ShownDevices,
}

/// Something that is announced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Door(DoorId),
    Account(AccountId),
    Device(DeviceId),
}

impl Thing {
    /// As it is noted.
    fn read(word: &str) -> Option<Self> {
        if let Some(account) = word.strip_prefix(ACCOUNT) {
            return account.parse().ok().map(Self::Account);
        }
        match word.strip_prefix(DEVICE) {
            Some(device) => device.parse().ok().map(Self::Device),
            None => word.parse().ok().map(Self::Door),
        }
    }

    fn as_word(&self) -> String {
        match self {
            Self::Door(door) => door.to_string(),
            Self::Account(account) => format!("{ACCOUNT}{account}"),
            Self::Device(device) => format!("{DEVICE}{device}"),
        }
    }

    fn as_object(&self) -> Object<'_> {
        match self {
            Self::Door(door) => Object::Door(door),
            Self::Account(account) => Object::Account(account),
            Self::Device(device) => Object::Device(device),
        }
    }

    /// Every topic that holds something of it.
    fn topics(&self) -> Vec<String> {
        match self {
            Self::Door(door) => {
                let own = DoorTopic::ALL.into_iter().filter(|what| !matches!(what, DoorTopic::Set | DoorTopic::Ring));
                own.map(|what| Topic::door(door, what).to_string()).chain(discovery::door_topics(door)).collect()
            }
            Self::Account(account) => {
                let own = Topic::AccountProblem(account.clone()).to_string();
                std::iter::once(own).chain(discovery::account_topics(account)).collect()
            }
            Self::Device(device) => {
                let own = [DeviceTopic::Firmware, DeviceTopic::Availability].map(|what| Topic::Device(device.clone(), what).to_string());
                own.into_iter().chain(discovery::device_topics(device)).collect()
            }
        }
    }
}

impl Publisher {
    async fn new(house: Handle, line: Line, mode: Mode, devices: ShownDevices) -> Self {
        let noted = house.store().note(ANNOUNCED).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "what was announced over MQTT is not known");
            None
        });
        let noted = noted.unwrap_or_default();
        let mut words = noted.split_whitespace();
        let before = words.next().and_then(|word| [Mode::Component, Mode::Device].into_iter().find(|mode| mode.as_str() == word));
        let announced = words.filter_map(Thing::read).collect();
        Self { house, line, mode, shown: BTreeMap::new(), announced, before: before.filter(|before| *before != mode), devices }
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
            // What is said of them comes on its own.
            Thing::Device(_) => true,
        };
        let gone: Vec<Thing> = self.announced.iter().filter(|thing| !there(thing)).cloned().collect();
        self.clear(gone).await;
        self.migrate().await;
        for door in &doors {
            self.show(door).await;
        }
        for standing in &standings {
            self.show_account(standing).await;
        }
        self.show_devices().await;
    }

    /// Publishes what has changed about devices of the fleet, once it is known which ones there are.
    async fn show_devices(&mut self) {
        let Some(devices) = self.devices.borrow_and_update().clone() else { return };
        let there: BTreeSet<Thing> = devices.iter().map(|device| Thing::Device(device.id.clone())).collect();
        let is_gone = |thing: &&Thing| matches!(thing, Thing::Device(_)) && !there.contains(thing);
        let gone: Vec<Thing> = self.announced.iter().filter(is_gone).cloned().collect();
        self.clear(gone).await;
        let before = self.announced.len();
        self.announced.extend(there);
        if self.announced.len() > before {
            self.note().await;
        }
        for device in devices.iter() {
            let thing = Thing::Device(device.id.clone());
            self.announce(&thing, discovery::device(device, self.mode)).await;
            for (what, payload) in device_facts(device) {
                self.put(&thing, Topic::Device(device.id.clone(), what).to_string(), payload).await;
            }
        }
    }

    /// Tells Home Assistant that what it knows is announced in the other way from now on.
    async fn migrate(&mut self) {
        if self.before.is_none() || !self.line.is_up() {
            return;
        }
        for thing in &self.announced {
            for (topic, payload) in discovery::migration(thing.as_object(), self.mode) {
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
            Notice::DoorGone(id) => self.clear(vec![Thing::Door(id.clone())]).await,
            Notice::Account(standing) => self.show_account(standing).await,
            Notice::AccountGone(id) => self.clear(vec![Thing::Account(id.clone())]).await,
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
    async fn clear(&mut self, gone: Vec<Thing>) {
        if gone.is_empty() {
            return;
        }
        for thing in gone {
            self.shown.remove(&thing);
            let mut cleared = true;
            for topic in thing.topics() {
                cleared = cleared && self.line.publish(Message { topic, payload: Vec::new(), retain: true }).await;
            }
            // What could not be cleared stays noted, and goes when the broker comes back.
            if cleared {
                self.announced.remove(&thing);
            }
        }
        self.note().await;
    }

    async fn note(&self) {
        let things = self.announced.iter().map(Thing::as_word);
        let mode = self.before.unwrap_or(self.mode);
        let words: Vec<String> = std::iter::once(mode.as_str().to_owned()).chain(things).collect();
        if let Err(error) = self.house.store().set_note(ANNOUNCED, &words.join(" ")).await {
            tracing::warn!(%error, "what was announced over MQTT could not be noted");
        }
    }
}

/// A version that nobody knows is `null`. One that is newer than all there is has nothing newer.
fn device_facts(device: &ShownDevice) -> [(DeviceTopic, Vec<u8>); 2] {
    let latest = device.latest.as_ref().or(device.installed.as_ref());
    let firmware = json!({ "installed_version": device.installed, "latest_version": latest });
    let online = if device.online { "online" } else { "offline" };
    [(DeviceTopic::Firmware, firmware.to_string().into_bytes()), (DeviceTopic::Availability, online.into())]
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
