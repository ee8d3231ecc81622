//! `[tunnel]`, and the environment names of the original gateway.

use super::{
    CertificateFiles, Listen,
    http::{list, listen, networks, switch},
    keys::{Keys, Kind},
};
use doorward_core::Secret;
use doorward_tunnel::{JeedomOptions, Options, scopes};
use std::{collections::BTreeMap, num::NonZeroU32, path::PathBuf, time::Duration};

/// Where the original listens when nothing is said.
const ORIGINAL: (&str, &str) = ("0.0.0.0", "10000");

#[derive(Debug)]
pub(crate) struct TunnelConfig {
    pub(crate) listen: Listen,
    /// TLS of its own.
    pub(crate) tls: bool,
    /// Its certificate; one of doorward's own authority when absent.
    pub(crate) certificate: Option<CertificateFiles>,
    /// The address that phones use.
    pub(crate) public_url: Option<String>,
    /// The original's file with its one key.
    pub(crate) secret_key_file: Option<PathBuf>,
    pub(crate) options: Options,
}

impl TunnelConfig {
    pub(crate) fn read(keys: &mut Keys) -> Self {
        let mut section = keys.section("tunnel", "The end-to-end encrypted gateway for phones.");
        let listen = section.value("listen", Kind::Text, "off", "Where it listens, such as 127.0.0.1:10000; “off” for none.", listen);
        let public_url = section.value(
            "public_url",
            Kind::Text,
            "",
            "The address that phones use, such as https://doors.example.org; it is in pairing codes.",
            url_text,
        );
        let tls = section.value("tls", Kind::Switch, "false", "TLS of its own, instead of a proxy or Tailscale Funnel before it.", switch);
        let certificate =
            section.value("cert_file", Kind::Text, "", "PEM file with its certificate; one of doorward's own authority when empty.", file);
        let key = section.value("key_file", Kind::Text, "", "PEM file with the key of that certificate.", file);
        let remote = section.value(
            "remote",
            Kind::Auto,
            "auto",
            "The page /remote, which opens doors in a browser: true, false, or auto: where TLS ends on this machine.",
            |text| match text {
                "auto" => Ok(None),
                "true" => Ok(Some(true)),
                "false" => Ok(Some(false)),
                text => Err(format!("“{text}” is none of auto, true and false")),
            },
        );
        let proxies =
            section.value("proxies", Kind::List, "", "Reverse proxies before the tunnel whose forwarding headers count.", networks);
        let max_age = section.value("max_age", Kind::Number, "60", "Seconds that a message may be old, or ahead.", |text| {
            let seconds = text.parse::<u64>().ok().filter(|seconds| (5..=300).contains(seconds));
            seconds.map(Duration::from_secs).ok_or_else(|| format!("“{text}” is not a number of seconds from 5 to 300"))
        });
        let jeedom_url = section.value("jeedom_url", Kind::Text, "", "Where Jeedom is, such as http://192.168.1.10.", |text| match text {
            "" => Ok(None),
            text => match text.parse::<reqwest::Url>() {
                Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(url)),
                Ok(_) | Err(_) => Err(format!("“{text}” is no address such as http://192.168.1.10")),
            },
        });
        let apikey = section.value("jeedom_apikey", Kind::Secret, "", "Jeedom's API key, for clients that bring none.", |text| {
            Ok((!text.is_empty()).then(|| Secret::new(text.to_owned())))
        });
        let broker = section.value(
            "broker",
            Kind::Text,
            "",
            "The broker that is meant where a request names none, as host:port; doorward's own when empty.",
            |text| {
                if text.is_empty() { Ok(None) } else { scopes::broker(text).map(Some) }
            },
        );
        let brokers = section.value("brokers", Kind::List, "", "Other brokers that every key may name, as host:port.", |text| {
            list(text).iter().map(|item| scopes::broker(item)).collect()
        });
        let key_rate = section.value("key_rate", Kind::Number, "50", "Requests of a key in a second.", |text| {
            text.parse::<NonZeroU32>().map_err(|_| format!("“{text}” is not a number from 1"))
        });
        let key_streams = section.value("key_streams", Kind::Number, "32", "Streams of a key at once.", number);
        let connections = section.value("connections", Kind::Number, "12000", "Connections at once.", number);
        let secret_key_file = section.value(
            "secret_key_file",
            Kind::Text,
            "",
            "The original gateway's file with its one key: it is read, and written when there is no key yet.",
            file,
        );
        if certificate.is_some() != key.is_some() {
            keys.mistake("tunnel.cert_file", "tunnel.cert_file and tunnel.key_file belong together");
        }
        if certificate.is_some() && !tls {
            keys.mistake("tunnel.cert_file", "is for TLS of its own: set tunnel.tls = true too");
        }
        let certificate = certificate.zip(key).map(|(certificate, key)| CertificateFiles { certificate, key });
        let remote = remote.unwrap_or(tls || public_url.as_deref().is_some_and(is_funnel));
        let jeedom = jeedom_url.map(|url| JeedomOptions { url, apikey });
        let options =
            Options { max_age, jeedom, broker, brokers, proxies, key_rate, key_streams, connections, remote, ..Options::default() };
        Self { listen, tls, certificate, public_url, secret_key_file, options }
    }
}

/// What the original's environment names say, by the keys that they stand for. `HOST` and `PORT` mean the tunnel only beside
/// one that nobody else has.
pub(super) fn originals(environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let mut found = BTreeMap::new();
    for (name, path) in [
        ("SECRET_KEY_FILE", "tunnel.secret_key_file"),
        ("JEEDOM_URL", "tunnel.jeedom_url"),
        ("JEEDOM_APIKEY", "tunnel.jeedom_apikey"),
        ("MAX_AGE_SECONDS", "tunnel.max_age"),
    ] {
        found.extend(get(name).map(|value| (path.to_owned(), value.clone())));
    }
    if get("SECRET_KEY_FILE").or(get("JEEDOM_URL")).is_some() {
        let (host, port) = (get("HOST").map_or(ORIGINAL.0, String::as_str), get("PORT").map_or(ORIGINAL.1, String::as_str));
        found.insert("tunnel.listen".into(), format!("{host}:{port}"));
    }
    if let Some(host) = get("MQTT_BROKER_HOST") {
        found.insert("tunnel.broker".into(), format!("{host}:{}", get("MQTT_BROKER_PORT").map_or("1883", String::as_str)));
    }
    found
}

fn url_text(text: &str) -> Result<Option<String>, String> {
    match text {
        "" => Ok(None),
        text if text.starts_with("https://") || text.starts_with("http://") => Ok(Some(text.trim_end_matches('/').to_owned())),
        text => Err(format!("“{text}” must begin with https://")),
    }
}

/// Tailscale Funnel hands TLS through to this machine; a proxy on the way could not read the page, nor change it.
fn is_funnel(url: &str) -> bool {
    url.strip_prefix("https://").is_some_and(|rest| rest.split(['/', ':']).next().is_some_and(|host| host.ends_with(".ts.net")))
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| (1..=100_000).contains(number)).ok_or_else(|| format!("“{text}” is not a number from 1 to 100000"))
}

#[expect(clippy::unnecessary_wraps, reason = "as a key's parser")]
fn file(text: &str) -> Result<Option<PathBuf>, String> {
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(environment: &[(&str, &str)]) -> BTreeMap<String, String> {
        originals(&environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    #[test]
    fn a_funnel_is_known_by_its_host() {
        for (url, is) in [
            ("https://house.tail1234.ts.net", true),
            ("https://house.tail1234.ts.net:8443/x", true),
            ("http://house.tail1234.ts.net", false),
            ("https://doors.example.org/.ts.net", false),
            ("https://ts.net.example.org", false),
        ] {
            assert_eq!(is_funnel(url), is, "{url}");
        }
    }

    #[test]
    fn the_originals_names_mean_the_tunnel() {
        assert_eq!(found(&[("HOST", "laptop"), ("PORT", "80"), ("MQTT_BROKER_PORT", "1884")]), BTreeMap::new(), "everybody has those");
        let all = found(&[("JEEDOM_URL", "http://jeedom"), ("PORT", "10001"), ("MAX_AGE_SECONDS", "30"), ("MQTT_BROKER_HOST", "b")]);
        assert_eq!(all["tunnel.listen"], "0.0.0.0:10001");
        assert_eq!((all["tunnel.broker"].as_str(), all["tunnel.max_age"].as_str()), ("b:1883", "30"));
        assert_eq!(found(&[("SECRET_KEY_FILE", "/k"), ("HOST", "127.0.0.1")])["tunnel.listen"], "127.0.0.1:10000");
    }
}
