//! What a lock has: a radio, keys, limits, and what opens its door.

use crate::{
    keys::{Folder, PublicV2, Role, SecretV2},
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
    pub(super) place: Place,
    pub(super) actuator: Actuator,
    pub(super) vouched: bool,
    pub(super) id: LockId,
    limits: Limits,
    keys: Folder,
}

/// What opens a door.
#[derive(Debug, Clone)]
pub(super) enum Actuator {
    Mqtt { topic: String, payload: Vec<u8> },
    Command(Vec<String>),
}

#[derive(Debug, Clone)]
struct Limits {
    slot: SlotLength,
    rssi: Rssi,
    bind_mac: bool,
    secure: bool,
}

impl Door {
    /// What people see of its limits: above which signal strength it opens, and whether only for an answered challenge.
    pub(super) fn shown(&self) -> (Option<i8>, bool) {
        (self.limits.rssi.threshold, self.limits.secure)
    }

    /// The lock, with its keys as they are now in their folder.
    pub(super) fn config(&self) -> Result<Config, Mistake> {
        let Limits { slot, rssi, bind_mac, secure } = self.limits.clone();
        Ok(Config { slot, rssi, bind_mac, secure, ..Config::new(self.id.clone(), keys(&self.keys, &self.id)?) })
    }
}

/// The lock's own keys and its issuer's public ones, of each version that both have.
fn keys(folder: &Folder, id: &LockId) -> Result<Keys, Mistake> {
    let wrong = |hint: String| Mistake { key: "keys".into(), hint };
    let mut all = folder.read().map_err(|mistakes| wrong(mistakes.to_string()))?;
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
        return Err(wrong(format!("has no private key of {id} beside a public one of its issuer: doorward ble keys create")));
    }
    Ok(Keys { v1, v2 })
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
    if mistakes.is_empty() { Ok(doors) } else { Err(mistakes) }
}

fn door(spec: &LockSpec, keys: &Folder) -> Result<Door, Mistake> {
    let wrong = |key: &str, hint: &str| Mistake { key: key.into(), hint: hint.into() };
    let external: DoorId = spec.id.parse().map_err(|_| wrong("id", "must have 1 to 40 lower-case letters, digits and underscores"))?;
    let id = spec.lock_id.as_deref().unwrap_or(&spec.id).parse();
    let id = id.map_err(|_| wrong("lock_id", "must be a name that can stand in a topic"))?;
    let radio = spec.radio.as_deref().unwrap_or("bluez");
    let place = radio.parse::<Place>().map_err(|why| wrong("radio", &why.to_string()))?;
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
    let door = Door {
        external: external.to_string(),
        name: spec.name.clone().unwrap_or_else(|| spec.id.clone()),
        place,
        actuator: actuator(spec)?,
        vouched: spec.other_issuer,
        id,
        limits: Limits { slot, rssi, bind_mac: spec.bind_mac, secure: spec.secure },
        keys: keys.clone(),
    };
    // A key that cannot be used is a mistake of the configuration, not of the night in which the door is needed.
    door.config()?;
    Ok(door)
}

fn actuator(spec: &LockSpec) -> Result<Actuator, Mistake> {
    let wrong = |key: &str, hint: &str| Mistake { key: key.into(), hint: hint.into() };
    match (&spec.mqtt, spec.command.as_slice()) {
        (Some(MqttSpec { topic, .. }), []) if !is_topic(topic) => Err(wrong("mqtt.topic", "must be a topic, without wildcards")),
        (Some(MqttSpec { topic, .. }), []) if Topic::read(topic).is_some() => Err(wrong("mqtt.topic", "is doorward's own topic")),
        (Some(MqttSpec { topic, payload }), []) => Ok(Actuator::Mqtt { topic: topic.clone(), payload: payload.clone().into_bytes() }),
        (None, [program, ..]) if Path::new(program).is_absolute() => Ok(Actuator::Command(spec.command.clone())),
        (None, [_, ..]) => Err(wrong("command", "must begin with the whole path of a program; no shell reads it")),
        (None, []) => Err(wrong("actuator", "must say what opens it: mqtt = { topic, payload } or command = [ program, … ]")),
        (Some(_), [_, ..]) => Err(wrong("actuator", "has two things that open it: one must go")),
    }
}
