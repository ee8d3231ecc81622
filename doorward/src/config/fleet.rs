//! `[fleet]`, and the environment names of the original provisioning server.

use super::{
    CertificateFiles, Listen,
    http::{listen, networks, switch},
    keys::{Keys, Kind, Section},
};
use doorward_core::Secret;
use doorward_fleet::{
    Options,
    credentials::{Derivation, Salt},
};
use doorward_wire::firmware::Hardware;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// Where the original listens.
const ORIGINAL: &str = "0.0.0.0:5000";

#[derive(Debug)]
pub(crate) struct FleetConfig {
    pub(crate) listen: Listen,
    /// TLS of its own.
    pub(crate) tls: bool,
    /// Its certificate; one of doorward's own authority when absent.
    pub(crate) certificate: Option<CertificateFiles>,
    /// Where devices find their broker, as far as it is said.
    pub(crate) mqtt_host: Option<String>,
    pub(crate) mqtt_port: Option<u16>,
    pub(crate) mqtt_use_tls: Option<bool>,
    /// All but where the broker is.
    pub(crate) options: Options,
}

impl FleetConfig {
    pub(crate) fn read(keys: &mut Keys) -> Self {
        let mut section = keys.section("fleet", "Devices: the provisioning server for ESP32 gateways.");
        let listen = section.value("listen", Kind::Text, "off", "Where it listens, such as 0.0.0.0:5000; “off” for none.", listen);
        let tls = section.value("tls", Kind::Switch, "false", "TLS of its own, instead of a proxy before it.", switch);
        let certificate =
            section.value("cert_file", Kind::Text, "", "PEM file with its certificate; one of doorward's own authority when empty.", file);
        let key = section.value("key_file", Kind::Text, "", "PEM file with the key of that certificate.", file);
        let plain_http = section.value(
            "plain_http",
            Kind::Switch,
            "false",
            "Take tokens and give credentials over plain HTTP to other machines too. Anybody on the way can read them.",
            switch,
        );
        let proxies = section.value("proxies", Kind::List, "", "Reverse proxies before it whose forwarding headers count.", networks);
        let admin_token = section.value(
            "admin_token",
            Kind::Secret,
            "",
            "A bearer token beside those of the house, for scripts of the original: 16 characters or more.",
            |text| match text {
                "" => Ok(None),
                text if text.chars().count() < 16 => Err("must have at least 16 characters, as from `openssl rand -hex 32`".into()),
                text => Ok(Some(Secret::from(text))),
            },
        );
        let (mqtt_host, mqtt_port, mqtt_use_tls) = broker(&mut section);
        let claim_for = section.value(
            "claim_for",
            Kind::Number,
            "15",
            "Minutes in which a device may fetch its credentials itself once somebody lets it.",
            |text| {
                let minutes = text.parse::<u64>().ok().filter(|minutes| (1..=43_200).contains(minutes));
                minutes.map(Duration::from_mins).ok_or_else(|| format!("“{text}” is not a number of minutes from 1 to 43200"))
            },
        );
        let shown = section.value(
            "home_assistant",
            Kind::Number,
            "500",
            "Devices that are shown in Home Assistant with their firmware, at most; with more none is. 0 for none.",
            |text| {
                text.parse::<usize>().ok().filter(|count| *count <= 5_000).ok_or_else(|| format!("“{text}” is not a number from 0 to 5000"))
            },
        );
        let (public_url, hardware, partition_size) = firmware(&mut section);
        let company = section.value("company", Kind::Text, "", "What devices are told about whose they are.", text);
        let development = section.value("development", Kind::Text, "production", "What devices are told about what they are for.", text);
        let salt =
            section.value("salt", Kind::Secret, "", "The secret from which credentials are derived, 32 characters or more.", |text| {
                if text.is_empty() { Ok(None) } else { Salt::new(text).map(Some).map_err(|error| error.to_string()) }
            });
        let kind = section.value(
            "derivation",
            Kind::Text,
            "random",
            "How credentials come about: “random”, or for fleets of the original tools “sha256-salt” or “hmac”, which need fleet.salt.",
            |text| match text {
                "random" | "sha256-salt" | "hmac" => Ok(text.to_owned()),
                text => Err(format!("“{text}” is none of random, sha256-salt and hmac")),
            },
        );
        let derivation = derivation(keys, &kind, salt);
        if certificate.is_some() != key.is_some() {
            keys.mistake("fleet.cert_file", "fleet.cert_file and fleet.key_file belong together");
        }
        if certificate.is_some() && !tls {
            keys.mistake("fleet.cert_file", "is for TLS of its own: set fleet.tls = true too");
        }
        let certificate = certificate.zip(key).map(|(certificate, key)| CertificateFiles { certificate, key });
        let options = Options {
            derivation,
            company,
            development,
            admin_token,
            plain_http,
            proxies,
            claim_for,
            public_url,
            hardware,
            partition_size,
            shown,
            ..Options::default()
        };
        Self { listen, tls, certificate, mqtt_host, mqtt_port, mqtt_use_tls, options }
    }
}

/// Where devices find their broker.
fn broker(section: &mut Section<'_, '_>) -> (Option<String>, Option<u16>, Option<bool>) {
    let mqtt_host = section.value("mqtt_host", Kind::Text, "", "The broker that devices are told; found by itself when empty.", |text| {
        Ok::<_, String>((!text.is_empty()).then(|| text.to_owned()))
    });
    let mqtt_port = section.value("mqtt_port", Kind::Text, "", "Its port; found by itself when empty.", |text| match text {
        "" => Ok(None),
        text => text.parse::<u16>().ok().filter(|port| *port > 0).map(Some).ok_or_else(|| format!("“{text}” is not a port")),
    });
    let mqtt_use_tls =
        section.value("mqtt_use_tls", Kind::Auto, "auto", "Whether they use TLS there: true, false, or auto.", |text| match text {
            "auto" => Ok(None),
            text => switch(text).map(Some).map_err(|_| format!("“{text}” is none of auto, true and false")),
        });
    (mqtt_host, mqtt_port, mqtt_use_tls)
}

/// Where devices fetch firmware, and what fits.
fn firmware(section: &mut Section<'_, '_>) -> (Option<String>, Hardware, usize) {
    let public_url = section.value(
        "public_url",
        Kind::Text,
        "",
        "The address at which devices reach it, such as http://gwconfig.example; it is in the addresses of firmware. Where it listens when empty.",
        |text| match text {
            "" => Ok(None),
            text if text.starts_with("https://") || text.starts_with("http://") => Ok(Some(text.trim_end_matches('/').to_owned())),
            text => Err(format!("“{text}” must begin with http:// or https://")),
        },
    );
    let hardware =
        section.value("hardware", Kind::Text, "xiao-esp32s3", "The hardware of devices of which nothing else is said.", |text| {
            text.parse::<Hardware>().map_err(|error| error.to_string())
        });
    let partition_size = section.value(
        "partition_size",
        Kind::Number,
        "3342336",
        "Bytes that firmware may have: the size of the application's partition.",
        |text| {
            let bytes = text.parse::<usize>().ok().filter(|bytes| (0x1_0000..=0x100_0000).contains(bytes));
            bytes.ok_or_else(|| format!("“{text}” is not a number of bytes from 65536 to 16777216"))
        },
    );
    (public_url, hardware, partition_size)
}

fn derivation(keys: &mut Keys, kind: &str, salt: Option<Salt>) -> Derivation {
    match (kind, salt) {
        ("sha256-salt", Some(salt)) => Derivation::Sha256Salt(salt),
        ("hmac", Some(salt)) => Derivation::Hmac(salt),
        ("random", None) => Derivation::Random,
        ("random", Some(_)) => {
            keys.mistake("fleet.salt", "is for fleet.derivation sha256-salt or hmac: set that too, or leave the salt out");
            Derivation::Random
        }
        _ if keys.mistakes.iter().any(|mistake| mistake.key.to_ascii_lowercase().ends_with("salt")) => Derivation::Random,
        _ => {
            keys.mistake("fleet.derivation", "needs fleet.salt (or fleet.salt_file)");
            Derivation::Random
        }
    }
}

/// What the original's environment names say, by the keys that they stand for. `DEVICE_SALT` is what nobody else has: the
/// others mean the fleet only beside it.
pub(super) fn originals(environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let mut found = BTreeMap::new();
    let Some(salt) = get("DEVICE_SALT") else { return found };
    found.insert("fleet.salt".into(), salt.clone());
    found.insert("fleet.derivation".into(), "sha256-salt".into());
    found.insert("fleet.listen".into(), ORIGINAL.into());
    for (name, path) in [
        ("ADMIN_TOKEN", "fleet.admin_token"),
        ("MQTT_HOST", "fleet.mqtt_host"),
        ("MQTT_PORT", "fleet.mqtt_port"),
        ("COMPANY", "fleet.company"),
        ("DEVELOPMENT", "fleet.development"),
    ] {
        found.extend(get(name).map(|value| (path.to_owned(), value.clone())));
    }
    found
}

#[expect(clippy::unnecessary_wraps, reason = "as a key's parser")]
fn file(text: &str) -> Result<Option<PathBuf>, String> {
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

fn text(text: &str) -> Result<String, String> {
    if text.chars().count() <= 64 && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("must have at most 64 characters, and no line breaks".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_names_mean_the_fleet_beside_its_salt() {
        let found = |pairs: &[(&str, &str)]| originals(&pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect());
        assert_eq!(found(&[("MQTT_HOST", "b"), ("ADMIN_TOKEN", "t"), ("COMPANY", "c")]), BTreeMap::new(), "everybody has those");
        let all = found(&[("DEVICE_SALT", "s"), ("MQTT_HOST", "b"), ("MQTT_PORT", "8884"), ("ADMIN_TOKEN", "t"), ("COMPANY", "")]);
        assert_eq!((all["fleet.derivation"].as_str(), all["fleet.salt"].as_str()), ("sha256-salt", "s"));
        assert_eq!((all["fleet.mqtt_host"].as_str(), all["fleet.mqtt_port"].as_str()), ("b", "8884"));
        assert_eq!((all["fleet.listen"].as_str(), all["fleet.admin_token"].as_str()), (ORIGINAL, "t"));
        assert!(!all.contains_key("fleet.company"));
    }
}
