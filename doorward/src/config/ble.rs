//! `[ble]`, and the environment names of the original lock system.

use super::keys::{Keys, Kind, Section};
use doorward_ble::{
    issuer::Config as Issuer,
    radio::{Place, uuid16},
};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};
use uuid::Uuid;

/// Where keys are when nobody says, in the data folder.
pub(crate) const KEYS: &str = "ble/keys";

#[derive(Debug)]
pub(crate) struct BleConfig {
    /// The folder of the keys.
    pub(crate) keys: PathBuf,
    /// The adapter of locks that name none.
    pub(crate) radio: String,
    /// The adapter at which phones ask for sessions; none when it is off.
    pub(crate) issuer: Option<Place>,
    /// How they are answered.
    pub(crate) options: Issuer,
    /// The pass of phones without a key.
    pub(crate) plain: Option<String>,
    /// How long the page of a pass may open a door without asking again.
    pub(crate) page_life: Duration,
}

impl BleConfig {
    pub(crate) fn read(keys: &mut Keys) -> Self {
        let default = keys.sources.data.join(KEYS);
        let mut section = keys.section("ble", "Locks over Bluetooth, and where phones get their sessions.");
        let folder = section.value(
            "keys",
            Kind::Text,
            "",
            "The folder of the keys, as “doorward ble keys” makes them; ble/keys in the data folder when empty.",
            move |text| Ok::<_, String>(if text.is_empty() { default.clone() } else { PathBuf::from(text) }),
        );
        let radio = section.value("radio", Kind::Text, "bluez", "The adapter of locks that name none, such as bluez:hci0.", |text| {
            place(text).map(|_| text.to_owned())
        });
        let issuer = section.value(
            "issuer",
            Kind::Text,
            "off",
            "The adapter at which phones ask for sessions, such as bluez:hci0; “off” for none.",
            |text| if text == "off" { Ok(None) } else { place(text).map(Some) },
        );
        let options = issuer_options(&mut section);
        let page_life = section.value(
            "page_minutes",
            Kind::Number,
            "60",
            "Minutes for which the page of a pass can open a door over Bluetooth without asking again.",
            |text| minutes(text, 1..=1440),
        );
        let plain = section.value(
            "plain",
            Kind::Text,
            "",
            "The id of a pass whose rights phones without a key have, as those of the original's app. They are answered in clear: \
             whoever listens meanwhile can open the door too. Off when empty.",
            |text| Ok::<_, String>((!text.is_empty()).then(|| text.to_owned())),
        );
        let options = Issuer { plain: plain.is_some(), ..options };
        if let Err(error) = options.beacon().check() {
            keys.mistake("ble.beacon_name", error.to_string());
        }
        Self { keys: folder, radio, issuer, options, plain, page_life }
    }
}

fn issuer_options(section: &mut Section<'_, '_>) -> Issuer {
    let default = Issuer::default();
    let name = section.value("beacon_name", Kind::Text, "IssuerBeacon", "What the house calls itself to phones.", |text| {
        let is_name = (1..=18).contains(&text.len()) && !text.chars().any(char::is_control);
        if is_name { Ok(text.to_owned()) } else { Err("must have 1 to 18 bytes".into()) }
    });
    let life = section.value("session_seconds", Kind::Number, "300", "Seconds for which a phone's session is good.", |text| {
        let seconds = text.parse::<u64>().ok().filter(|seconds| (30..=86_400).contains(seconds));
        seconds.map(Duration::from_secs).ok_or_else(|| format!("“{text}” is not a number of seconds from 30 to 86400"))
    });
    let service = id(section, "service", "c0de0001-0000-1000-8000-00805f9b34fb", "The service that phones look for.");
    let request = id(section, "request", "c0de0002-0000-1000-8000-00805f9b34fb", "Its characteristic for phones of the original system.");
    let provision = id(section, "provision", "c0de0003-0000-1000-8000-00805f9b34fb", "Its characteristic for doorward's own guests.");
    Issuer { name, life, service, request, provision, ..default }
}

fn id(section: &mut Section<'_, '_>, name: &'static str, default: &'static str, help: &'static str) -> Uuid {
    section.value(name, Kind::Text, default, help, |text| {
        let short = u16::from_str_radix(text, 16).ok().filter(|_| text.len() == 4).map(uuid16);
        text.parse().ok().or(short).ok_or_else(|| format!("“{text}” is not a UUID"))
    })
}

fn place(text: &str) -> Result<Place, String> {
    text.parse().map_err(|error| format!("“{text}” {error}"))
}

fn minutes(text: &str, allowed: std::ops::RangeInclusive<u64>) -> Result<Duration, String> {
    let minutes = text.parse::<u64>().ok().filter(|minutes| allowed.contains(minutes));
    minutes
        .map(Duration::from_mins)
        .ok_or_else(|| format!("“{text}” is not a number of minutes from {} to {}", allowed.start(), allowed.end()))
}

/// What the original's environment names say, by the keys that they stand for.
pub(super) fn originals(environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let names = [
        ("KEYS_DIR", "ble.keys"),
        ("ISSUER_BEACON_NAME", "ble.beacon_name"),
        ("SESSION_EXPIRY_SECONDS", "ble.session_seconds"),
        ("PROVISIONING_SERVICE_UUID", "ble.service"),
        ("PROVISIONING_CHARACTERISTIC_UUID", "ble.request"),
    ];
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    names.into_iter().filter_map(|(name, path)| Some((path.to_owned(), get(name)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_names_stand_for_keys() {
        let found = |pairs: &[(&str, &str)]| originals(&pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect());
        assert_eq!(found(&[("MQTT_BROKER", "b"), ("KEYS_DIR", "")]), BTreeMap::new());
        let all = found(&[("KEYS_DIR", "/k"), ("SESSION_EXPIRY_SECONDS", "60"), ("PROVISIONING_SERVICE_UUID", "180d")]);
        assert_eq!((all["ble.keys"].as_str(), all["ble.session_seconds"].as_str(), all["ble.service"].as_str()), ("/k", "60", "180d"));
    }
}
