//! What is said about MQTT.

use super::{
    Texts,
    state::{Face, face},
};
use crate::api::mqtt::BrokerKind;

impl Texts {
    /// How the broker stands.
    pub(crate) const fn mqtt_face(&self, broker: BrokerKind, connected: bool) -> Face {
        match (broker, connected) {
            (BrokerKind::Embedded, _) => face("Running", "check", "ok"),
            (BrokerKind::External, true) => face("Connected", "check", "ok"),
            (BrokerKind::External, false) => face("Away", "offline", "bad"),
            (BrokerKind::Off, _) => face("Off", "x", "calm"),
        }
    }

    /// How much a user may do.
    pub(crate) fn mqtt_rights(&self, publish: usize, subscribe: usize) -> String {
        let filters = |count: usize| match count {
            0 => "nothing".to_owned(),
            1 => "1 filter".to_owned(),
            count => format!("{count} filters"),
        };
        format!("Publishes {}, hears {}", filters(publish), filters(subscribe))
    }

    /// Who is connected.
    pub(crate) fn mqtt_clients(&self, clients: &[String]) -> String {
        match clients {
            [] => "Not connected".into(),
            [_] => "Connected".into(),
            more => format!("{} connections", more.len()),
        }
    }

    /// What somebody tried and may not.
    pub(crate) fn mqtt_denied(&self, user: &str, what: &str, topic: &str) -> String {
        let user = if user.is_empty() { "Somebody" } else { user };
        match what {
            "publish" => format!("{user} may not publish at {topic}"),
            "will" => format!("{user} may not leave a last will at {topic}"),
            _ => format!("{user} may not hear {topic}"),
        }
    }

    /// How often, after the time.
    pub(crate) fn mqtt_denied_count(&self, count: u64) -> String {
        if count > 1 { format!(" · {count} times") } else { String::new() }
    }

    /// The heading above what a new user connects with.
    pub(crate) fn mqtt_made(&self, name: &str) -> String {
        format!("How {name} connects")
    }

    /// The question before a user goes.
    pub(crate) fn mqtt_remove(&self, name: &str) -> String {
        format!("Remove the MQTT user {name}?")
    }

    /// Yes or no.
    pub(crate) const fn yes_or_no(&self, yes: bool) -> &'static str {
        if yes { "Yes" } else { "No" }
    }
}
