//! What is said about MQTT.

use super::{
    Texts, labels,
    state::{Face, face},
};
use crate::api::mqtt::BrokerKind;

labels! {
    Labels []

    title = "MQTT",
    version = "Version",
    since = "Since",
    commands = "Takes commands",
    orphan = "Left behind at the broker; remove the user again:",
    authority = "Certificate of its authority",
    users = "Users",
    users_text = "Each may do what its filters name, and nothing else.",
    no_users = "Nobody may connect yet. Add a user for each program that is to.",
    add_user = "Add user",
    home_assistant = "Every door appears there by itself: its lock, battery, contact and bell, and a problem when it does not do what it was told.",
    home_assistant_there = "It has its user. In Home Assistant: Settings, Devices & services, Add integration, MQTT. For another password, remove the user and connect again.",
    connect_home_assistant = "Connect Home Assistant",
    denied_title = "Denied",
    denied_text = "What users tried and may not, since the start.",
    nothing_denied = "Nobody tried what they may not, since the start.",
    for_home_assistant = "In Home Assistant: Settings, Devices & services, Add integration, MQTT. Enter these there.",
    for_a_program = "Give these to the program that is to connect.",
    broker = "Broker",
    port = "Port",
    username = "Username",
    copy_all = "Copy all",
    copy_password = "Copy password",
    secret = "Password",
    secret_once = "It is shown this one time. If it is lost, remove the user and add it again.",
    publish = "May publish at",
    publish_help = "A topic filter on each line. doorward/door/front_door/set lets it act at that door; no wildcard reaches that unless it spells it out.",
    subscribe = "May hear",
    subscribe_help = "A topic filter on each line, such as doorward/door/+/state or doorward/event.",
    client_id = "Client identifier",
    client_id_help = "The only one with which it may connect; any when this is empty.",
    remove_user = "Remove user",
    remove_text = "Its connections end at once, and what waits for it goes.",
    user_removed = "The user was removed.",
}

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
