//! `[mqtt]`

use super::{
    CertificateFiles, Listen,
    http::{listen, switch},
    keys::{Keys, Kind},
};
use doorward_core::Secret;
use doorward_http::Trust;
use doorward_mqtt::{
    admin::{self, AdminOptions},
    discovery::Mode,
    remote::{RemoteOptions, TlsFiles},
    roster::Anonymous,
};
use std::path::PathBuf;

#[derive(Debug)]
pub(crate) struct MqttConfig {
    /// Where the embedded broker listens: plain, with TLS, for WebSockets, for WebSockets with TLS.
    pub(crate) listen: [Listen; 4],
    /// The certificate of the embedded broker; one of doorward's own authority when absent.
    pub(crate) certificate: Option<CertificateFiles>,
    /// Locks of the original lock system may connect without a user.
    pub(crate) anonymous_locks: Anonymous,
    /// How doors are announced to Home Assistant.
    pub(crate) discovery: Mode,
    /// Another broker in its place.
    pub(crate) external: Option<RemoteOptions>,
    /// How users of that broker are kept.
    pub(crate) admin: Option<AdminOptions>,
}

/// `mqtt.broker`, when it is not the embedded one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) tls: bool,
    pub(crate) user: Option<String>,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl MqttConfig {
    pub(crate) fn read(keys: &mut Keys) -> Self {
        let mut section = keys.section("mqtt", "MQTT: the embedded broker, or another one in its place.");
        let listen = [
            section.value("listen", Kind::Text, "127.0.0.1:1883", "Where the embedded broker listens; “off” for none.", listen),
            section.value("tls_listen", Kind::Text, "off", "Where it listens with TLS, such as 0.0.0.0:8883.", listen),
            section.value("ws_listen", Kind::Text, "off", "Where it listens for WebSockets, at the path /mqtt.", listen),
            section.value("wss_listen", Kind::Text, "off", "Where it listens for WebSockets with TLS.", listen),
        ];
        let anonymous_locks = section.value(
            "anonymous_locks",
            Kind::Text,
            "off",
            "Who of the original lock system connects to the embedded broker without a user: “locks”, which hear locks/+/session, or \
             “locks_and_issuers”, which say it too. Whoever reaches the broker then sees when a lock gets a session.",
            |text| match text {
                "off" => Ok(Anonymous::Nobody),
                "locks" => Ok(Anonymous::Locks),
                "locks_and_issuers" => Ok(Anonymous::LocksAndIssuers),
                text => Err(format!("“{text}” is none of off, locks and locks_and_issuers")),
            },
        );
        let discovery = section.value(
            "discovery",
            Kind::Text,
            "component",
            "How doors are announced to Home Assistant: “component”, or “device” for release 2024.11 and later.",
            mode,
        );
        let place = section.value(
            "broker",
            Kind::Text,
            "embedded",
            "“embedded”, or another broker that is used instead: mqtt://user@host:1883, with TLS mqtts://user@host:8883.",
            place,
        );
        let password = section.value("password", Kind::Secret, "", "The password at another broker.", |text| {
            Ok((!text.is_empty()).then(|| Secret::new(text.to_owned())))
        });
        let ca = section.value(
            "ca_file",
            Kind::Text,
            "",
            "PEM file with the authority that another broker's certificate comes from, instead of the public ones.",
            file,
        );
        let certificate = section.value("cert_file", Kind::Text, "", "PEM file with doorward's certificate: the embedded broker's (one of its own authority when empty), or its own at another broker.", file);
        let key = section.value("key_file", Kind::Text, "", "PEM file with the key of that certificate.", file);
        let client_id = section.value("client_id", Kind::Text, "doorward", "doorward's client identifier at another broker.", client_id);
        let commands = section.value(
            "commands",
            Kind::Switch,
            "false",
            "Take commands from another broker. Whoever may publish at doorward/door/+/set there opens doors.",
            switch,
        );
        let kind = section.value("admin", Kind::Text, "", "What keeps the users of another broker, so that doorward adds them there: “mosquitto” (dynamic security), “rabbitmq” or “emqx”.", admin_kind);
        let url = section.value(
            "admin_url",
            Kind::Text,
            "",
            "The HTTP API of RabbitMQ (http://localhost:15672) or EMQX (http://localhost:18083).",
            |text| {
                if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| format!("“{text}” is no address")) }
            },
        );
        let user = section.value("admin_user", Kind::Text, "", "An administrator there; for EMQX an API key.", |text| Ok(text.to_owned()));
        let admin_password = section.value("admin_password", Kind::Secret, "", "Their password.", |text| Ok(Secret::new(text.to_owned())));
        if kind.is_some() && place.is_none() {
            keys.mistake("mqtt.admin", "is for another broker: set mqtt.broker too");
        }
        if certificate.is_some() != key.is_some() {
            keys.mistake("mqtt.cert_file", "mqtt.cert_file and mqtt.key_file belong together");
        }
        if place.as_ref().is_some_and(|place| !place.tls) && (ca.is_some() || certificate.is_some()) {
            keys.mistake("mqtt.broker", "certificates need TLS: write mqtts:// instead of mqtt://");
        }
        let files = certificate.clone().zip(key.clone()).map(|(certificate, key)| CertificateFiles { certificate, key });
        let trust = Trust { ca_file: ca.clone(), pin_sha256: None };
        let admin = kind.map(|kind| AdminOptions { kind, url, user, password: admin_password, trust });
        let external = place.map(|Place { tls, user, host, port }| RemoteOptions {
            host,
            port,
            tls: tls.then(|| TlsFiles { ca, client: certificate.zip(key) }),
            user,
            password,
            client_id,
            commands,
        });
        Self { listen, anonymous_locks, discovery, certificate: files.filter(|_| external.is_none()), external, admin }
    }
}

pub(crate) fn place(text: &str) -> Result<Option<Place>, String> {
    if text == "embedded" {
        return Ok(None);
    }
    let wrong = || format!("“{text}” is neither “embedded” nor mqtt://user@host:1883 nor mqtts://user@host:8883");
    let (tls, rest) = match text.split_once("://") {
        Some(("mqtt", rest)) => (false, rest),
        Some(("mqtts", rest)) => (true, rest),
        _ => return Err(wrong()),
    };
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => return Err("leave the password out and set mqtt.password".into()),
        Some((user, place)) => (Some(user.to_owned()), place),
        None => (None, rest),
    };
    let place = place.trim_end_matches('/');
    let standard = if tls { 8883 } else { 1883 };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
        _ => (place, standard),
    };
    if host.is_empty() || host.contains(['/', '?', '#', ' ']) || user.as_ref().is_some_and(String::is_empty) {
        return Err(wrong());
    }
    Ok(Some(Place { tls, user, host: host.into(), port }))
}

fn admin_kind(text: &str) -> Result<Option<admin::Kind>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let kind = admin::Kind::ALL.into_iter().find(|kind| kind.as_str() == text);
    kind.map(Some).ok_or_else(|| format!("“{text}” is neither “mosquitto” nor “rabbitmq” nor “emqx”"))
}

fn mode(text: &str) -> Result<Mode, String> {
    let modes = [Mode::Component, Mode::Device];
    modes.into_iter().find(|mode| mode.as_str() == text).ok_or_else(|| format!("“{text}” is neither “component” nor “device”"))
}

#[expect(clippy::unnecessary_wraps, reason = "as a key's parser")]
fn file(text: &str) -> Result<Option<PathBuf>, String> {
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

fn client_id(text: &str) -> Result<String, String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if (1..=64).contains(&text.len()) && text.chars().all(plain) {
        Ok(text.into())
    } else {
        Err("must be 1 to 64 letters, digits, dots, dashes and underscores".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_embedded_or_has_an_address() {
        assert_eq!(place("embedded"), Ok(None));
        let at = |tls, user: Option<&str>, host: &str, port| Ok(Some(Place { tls, user: user.map(Into::into), host: host.into(), port }));
        assert_eq!(place("mqtt://broker"), at(false, None, "broker", 1883));
        assert_eq!(place("mqtts://door@broker.lan:8884/"), at(true, Some("door"), "broker.lan", 8884));
        assert_eq!(place("mqtts://[::1]"), at(true, None, "[::1]", 8883));
        assert_eq!(place("mqtt://[::1]:1884"), at(false, None, "[::1]", 1884));
        for wrong in ["", "broker:1883", "http://broker", "mqtt://", "mqtt://@broker", "mqtt://broker:x", "mqtt://broker/path"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        assert!(place("mqtt://door:secret@broker").unwrap_err().contains("mqtt.password"));
    }
}
