//! What a lock has: a radio, keys, limits, and what opens its door.

use super::{
    elsewhere::{Sent, Signer},
    gpio::{Gpio, GpioSpec},
    news::News,
};
use crate::{
    keys::{Contents, Folder, PublicV2, Role, SecretV2},
    lock::{Config, Keys, Rssi, RssiUnknown},
    radio::Place,
};
use doorward_core::driver::{Mistake, Settings};
use doorward_wire::{
    ble::{LockId, token::SlotLength},
    door::DoorId,
    topic::{Topic, is_topic},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

/// The wire's threshold, when nothing is said.
const RSSI: i8 = -70;

/// A lock as it is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockSpec {
    /// The door's identifier.
    pub id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the issuer calls the lock; the door's identifier when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_id: Option<String>,
    /// Where its radio and what opens it are: `here`, at this machine, when nothing is said. `elsewhere` is a lock that runs as a
    /// program of its own on another machine, with only MQTT and its keys: it is opened by signed commands, and tells what
    /// happened there. `original` is a lock of the original system: it gets its sessions from here, and that is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<String>,
    /// The adapter: `bluez` or `bluez:hci0`, or `air:ADDRESS:PORT` for one in the simulated air.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub radio: Option<String>,
    /// For how many seconds a token of version 1 is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u8>,
    /// It opens only above this signal strength, in dBm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rssi: Option<i8>,
    /// The same for some phones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub phones: BTreeMap<String, i8>,
    /// `accept` opens when the adapter does not know the signal strength.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rssi_unknown: Option<String>,
    /// Tokens count only from the address of their session.
    #[serde(default)]
    pub bind_mac: bool,
    /// Only who answers a challenge is let in.
    #[serde(default)]
    pub secure: bool,
    /// The issuer is another house: what its lock finds good is a right here.
    #[serde(default)]
    pub other_issuer: bool,
    /// A program and its arguments that open the door.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// A message that opens the door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<MqttSpec>,
    /// A line of this machine's pins that opens the door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpio: Option<GpioSpec>,
    /// Another door of the house, by its identifier, that is opened for whoever is let in here. That door is opened once, by the
    /// right of this one opening; in the history the actor is this door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door: Option<String>,
}

/// A message, as it is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttSpec {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: String,
}

/// A lock that can be used.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) external: String,
    pub(super) name: String,
    pub(super) id: LockId,
    pub(super) runs: Runs,
    pub(super) news: News,
    keys: Folder,
}

/// Where a lock runs.
#[derive(Debug)]
pub(super) enum Runs {
    /// In this driver.
    Here(Box<Here>),
    /// As a program of its own, which is told to open by what is signed so.
    Elsewhere(Signer, Sent),
    /// In a program that takes sessions alone.
    Original,
}

/// What a lock has that runs here.
#[derive(Debug)]
pub(super) struct Here {
    pub(super) place: Place,
    pub(super) actuator: Actuator,
    pub(super) vouched: bool,
    limits: Limits,
}

/// What opens a door.
#[derive(Debug)]
pub(super) enum Actuator {
    Mqtt { topic: String, payload: Vec<u8> },
    Command(Vec<String>),
    Gpio(Gpio),
    Door(DoorId),
}

#[derive(Debug, Clone)]
struct Limits {
    slot: SlotLength,
    rssi: Rssi,
    bind_mac: bool,
    secure: bool,
}

impl Door {
    /// The lock, with its keys as they are now in their folder.
    pub(super) fn config(&self, here: &Here) -> Result<Config, Mistake> {
        let Limits { slot, rssi, bind_mac, secure } = here.limits.clone();
        Ok(Config { slot, rssi, bind_mac, secure, ..Config::new(self.id.clone(), keys(&self.keys, &self.id)?) })
    }

    /// Whether it can be opened from here.
    pub(super) const fn opens(&self) -> bool {
        match self.runs {
            Runs::Here(_) | Runs::Elsewhere(..) => true,
            Runs::Original => false,
        }
    }
}

fn contents(folder: &Folder) -> Result<Contents, Mistake> {
    folder.read().map_err(|mistakes| wrong("keys", mistakes.to_string()))
}

/// The lock's own keys and its issuer's public ones, of each version that both have.
fn keys(folder: &Folder, id: &LockId) -> Result<Keys, Mistake> {
    let mut all = contents(folder)?;
    let (lock, issuer) = (Role::Lock(id.clone()), Role::Issuer);
    let v1 = match (all.v1.remove(&lock).and_then(|key| key.secret), all.v1.remove(&issuer)) {
        (Some(secret), Some(issuer)) => Some((secret, issuer.public)),
        _ => None,
    };
    let v2 = match (all.v2.remove(&lock).and_then(|key| key.secret), all.v2.remove(&issuer).map(|key| key.public)) {
        (Some(SecretV2::Lock(secret)), Some(PublicV2::Issuer(issuer))) => Some((secret, issuer)),
        _ => None,
    };
    if v1.is_none() && v2.is_none() {
        let hint = format!("has no private key of {id} beside a public one of its issuer: doorward ble keys create");
        return Err(wrong("keys", hint));
    }
    Ok(Keys { v1, v2 })
}

/// What the issuer signs with for a lock that runs elsewhere: of the newest version of which the lock's public key is here.
fn signer(folder: &Folder, id: &LockId, original: bool) -> Result<Signer, Mistake> {
    let mut all = contents(folder)?;
    let lock = Role::Lock(id.clone());
    let newest = all.v2.remove(&Role::Issuer).and_then(|key| key.secret).filter(|_| !original && all.v2.contains_key(&lock));
    if let Some(SecretV2::Issuer(issuer)) = newest {
        return Ok(Signer::V2(Box::new(issuer)));
    }
    let secret = all.v1.remove(&Role::Issuer).and_then(|key| key.secret).filter(|_| all.v1.contains_key(&lock));
    secret.map(|secret| Signer::V1(Box::new(secret))).ok_or_else(|| {
        let which = if original { "RSA keys: a lock of the original system has no others" } else { "of one version" };
        wrong("keys", format!("must have the public key of {id} and the issuer's private one, {which}. doorward ble keys import"))
    })
}

/// Reads the locks, or says everything that is wrong with them; a mistake is named `<door>.<key>`.
pub(super) fn parse(settings: &Settings) -> Result<Vec<Door>, Vec<Mistake>> {
    let one = |key: &str, hint: String| vec![Mistake { key: key.into(), hint }];
    let keys = settings.values.get("keys").and_then(|value| value.as_str()).filter(|path| !path.is_empty());
    let Some(keys) = keys else { return Err(one("keys", "must name the folder of the keys".into())) };
    let text = settings.secrets.get("doors").ok_or_else(|| one("doors", "must be set".into()))?;
    let specs: Vec<LockSpec> =
        serde_json::from_str(text.reveal()).map_err(|error| one("doors", format!("is no list of locks: {error}")))?;
    let folder = Folder::new(keys);
    let (mut doors, mut mistakes) = (Vec::<Door>::new(), Vec::new());
    for spec in &specs {
        let twice = |door: &Door| doors.iter().any(|other| other.id == door.id).then(|| "another lock is called so".to_owned());
        match door(spec, &folder) {
            Ok(door) => match twice(&door) {
                None => doors.push(door),
                Some(hint) => mistakes.push(Mistake { key: format!("{}.lock_id", spec.id), hint }),
            },
            Err(Mistake { key, hint }) => mistakes.push(Mistake { key: format!("{}.{key}", spec.id), hint }),
        }
    }
    mistakes.extend(specs.iter().filter(|spec| leads_back(spec, &specs)).map(|spec| Mistake {
        key: format!("{}.door", spec.id),
        hint: "opens a door that opens this one again: one of them must go".into(),
    }));
    if mistakes.is_empty() { Ok(doors) } else { Err(mistakes) }
}

/// Whether the door that it opens opens it, however many are in between.
fn leads_back(spec: &LockSpec, specs: &[LockSpec]) -> bool {
    let mut next = spec.door.as_deref();
    for _ in specs {
        let Some(door) = next else { return false };
        if door == spec.id {
            return true;
        }
        next = specs.iter().find(|other| other.id == door).and_then(|other| other.door.as_deref());
    }
    false
}

fn wrong(key: &str, hint: impl Into<String>) -> Mistake {
    Mistake { key: key.into(), hint: hint.into() }
}

fn door(spec: &LockSpec, keys: &Folder) -> Result<Door, Mistake> {
    let external: DoorId = spec.id.parse().map_err(|_| wrong("id", "must have 1 to 40 lower-case letters, digits and underscores"))?;
    let id = spec.lock_id.as_deref().unwrap_or(&spec.id).parse();
    let id: LockId = id.map_err(|_| wrong("lock_id", "must be a name that can stand in a topic"))?;
    let runs = match spec.runs.as_deref() {
        None | Some("here") => Runs::Here(Box::new(here(spec)?)),
        Some(word @ ("elsewhere" | "original")) => {
            nothing_of_here(spec, word)?;
            let signer = signer(keys, &id, word == "original")?;
            if word == "original" { Runs::Original } else { Runs::Elsewhere(signer, Sent::default()) }
        }
        Some(_) => return Err(wrong("runs", "must be here, elsewhere or original")),
    };
    let name = spec.name.clone().unwrap_or_else(|| spec.id.clone());
    let threshold = match &runs {
        Runs::Here(here) => here.limits.rssi.threshold,
        Runs::Elsewhere(..) | Runs::Original => None,
    };
    let news = News::of(external.as_str(), &id, threshold, spec.secure);
    let door = Door { external: external.to_string(), name, id, runs, news, keys: keys.clone() };
    // A key that cannot be used is a mistake of the configuration, not of the night in which the door is needed.
    if let Runs::Here(here) = &door.runs {
        door.config(here)?;
    }
    Ok(door)
}

/// A lock at another machine has its radio, its limits and what opens it there.
fn nothing_of_here(spec: &LockSpec, word: &str) -> Result<(), Mistake> {
    let set = [
        ("radio", spec.radio.is_some()),
        ("rssi", spec.rssi.is_some()),
        ("phones", !spec.phones.is_empty()),
        ("rssi_unknown", spec.rssi_unknown.is_some()),
        ("bind_mac", spec.bind_mac),
        ("command", !spec.command.is_empty()),
        ("mqtt", spec.mqtt.is_some()),
        ("gpio", spec.gpio.is_some()),
        ("door", spec.door.is_some()),
        ("other_issuer", spec.other_issuer),
    ];
    match set.into_iter().find(|(_, set)| *set) {
        Some((key, _)) => Err(wrong(key, format!("does nothing for a lock that runs {word}: set it there, and remove it here"))),
        None => Ok(()),
    }
}

fn here(spec: &LockSpec) -> Result<Here, Mistake> {
    let radio = spec.radio.as_deref().unwrap_or("bluez");
    let place = radio.parse::<Place>().map_err(|why| wrong("radio", why.to_string()))?;
    let unknown = match spec.rssi_unknown.as_deref() {
        None | Some("refuse") => RssiUnknown::Refuse,
        Some("accept") => RssiUnknown::Accept,
        Some(_) => return Err(wrong("rssi_unknown", "must be refuse or accept")),
    };
    let slot = spec.slot.map_or(Ok(SlotLength::default()), SlotLength::new).map_err(|_| wrong("slot", "must be 1 to 60 seconds"))?;
    let threshold = spec.rssi.unwrap_or(RSSI);
    if [threshold].iter().chain(spec.phones.values()).any(|rssi| !(-127..=20).contains(rssi)) {
        return Err(wrong("rssi", "must be -127 to 20 dBm"));
    }
    let rssi = Rssi { threshold: Some(threshold), phones: spec.phones.clone().into_iter().collect(), unknown };
    let limits = Limits { slot, rssi, bind_mac: spec.bind_mac, secure: spec.secure };
    Ok(Here { place, actuator: actuator(spec)?, vouched: spec.other_issuer, limits })
}

fn actuator(spec: &LockSpec) -> Result<Actuator, Mistake> {
    let set = [spec.mqtt.is_some(), !spec.command.is_empty(), spec.gpio.is_some(), spec.door.is_some()];
    match set.into_iter().filter(|set| *set).count() {
        0 => {
            let ways = "mqtt = { topic, payload }, command = [ program, … ], gpio = { chip, line } or door = \"id\"";
            return Err(wrong("actuator", format!("must say what opens it: {ways}")));
        }
        1 => {}
        _ => return Err(wrong("actuator", "has more than one thing that opens it: one may stay")),
    }
    if let Some(MqttSpec { topic, payload }) = &spec.mqtt {
        if !is_topic(topic) {
            return Err(wrong("mqtt.topic", "must be a topic, without wildcards"));
        }
        if Topic::read(topic).is_some() {
            return Err(wrong("mqtt.topic", "is doorward's own topic"));
        }
        return Ok(Actuator::Mqtt { topic: topic.clone(), payload: payload.clone().into_bytes() });
    }
    if let Some(gpio) = &spec.gpio {
        return Gpio::find(gpio).map(Actuator::Gpio).map_err(|(key, hint)| wrong(key, hint));
    }
    if let Some(door) = &spec.door {
        return door.parse().map(Actuator::Door).map_err(|_| wrong("door", "must be the identifier of a door"));
    }
    if spec.command.first().is_some_and(|program| Path::new(program).is_absolute()) {
        return Ok(Actuator::Command(spec.command.clone()));
    }
    Err(wrong("command", "must begin with the whole path of a program; no shell reads it"))
}
