//! What is said about the tunnel.

use super::{
    Texts, labels,
    state::{Face, face},
};
use crate::ApiError;
use doorward_wire::tunnel::{Scopes, Service};

labels! {
    Labels []

    title = "Tunnel",
    text = "Phones reach the doors, MQTT, Jeedom and chosen servers through it, sealed from end to end: nobody in between can read along or send something twice.",
    off = "It does not listen. Set tunnel.listen, such as 127.0.0.1:10000, and restart.",
    no_address = "Set tunnel.public_url to the address that phones use; then pairing codes name it too.",
    remote = "Page for phones",
    remote_off = "Not served. A proxy that ends TLS could send another page in its place; set tunnel.remote to true if you trust it.",
    remote_version = "Its version",
    keys = "Keys",
    keys_text = "One for each phone. Each may do what it was given, and nothing else.",
    no_keys = "No phone has a key yet. Add one for each.",
    add_key = "Add key",
    key = "Key",
    worn = "Rotate it",
    worn_text = "It has sealed more than two thousand million messages. Rotate it: at twice as many it stops.",
    never_used = "Never used",
    last_used = "Last used",
    overlap = "The secret before still works until",
    recent = "Requests",
    recent_text = "The last ones since the start. What was said in them is not kept.",
    nothing_recent = "Nothing was asked for since the start.",
    name_help = "The phone, or the person: letters, digits, dots, dashes and underscores.",
    person = "Whose it is",
    nobody = "Nobody in particular",
    person_help = "When that person is removed, the key goes with them.",
    doors = "Doors that it may open and lock",
    every_door = "Every door",
    every_door_help = "Also those that come later",
    subscribe = "MQTT topics that it may hear",
    subscribe_help = "A topic filter on each line. doorward/door/+/state shows doors as they move.",
    publish = "MQTT topics that it may publish at",
    publish_help = "A topic filter on each line. No wildcard reaches what opens doors.",
    jeedom_help = "Call Jeedom’s API.",
    elsewhere = "Other servers and brokers",
    http = "Servers that it may send requests to",
    http_help = "An address on each line, such as https://example.org/api or GET,POST http://192.168.1.20:8123/api. What is in a private network is reached only where it is named.",
    brokers = "MQTT brokers that it may name",
    brokers_help = "host:port on each line.",
    scopes = "What it may do",
    scopes_text = "A change counts at once. Open streams end, and come back with it.",
    rotate = "New secret",
    revoke = "Revoke",
    revoke_text = "It opens nothing from this moment, and its streams end. A phone that is to come back needs another key.",
    revoked = "The key was revoked.",
    secret = "Secret",
    link = "Link",
    code = "Pairing code",
    made_text = "Photograph the code with the phone that is to have it, or copy it there.",
    rotated_text = "Give this to the phone. The secret that it has now works for another day.",
    secret_once = "It is shown this one time. Whoever sees it can do what the key may.",
    copy_secret = "Copy secret",
    copy_link = "Copy link",
}

impl Texts {
    /// Whether it listens.
    pub(crate) const fn tunnel_face(&self, listens: bool) -> Face {
        if listens { face("Listening", "check", "ok") } else { face("Off", "x", "calm") }
    }

    /// What a key may be used for, in short.
    pub(crate) fn tunnel_rights(&self, scopes: &Scopes) -> String {
        let part = |service: Service| match service {
            Service::Doors if scopes.doors.iter().any(|door| door == "*") => Some("every door".to_owned()),
            Service::Doors => counted(scopes.doors.len(), "door", "doors"),
            Service::Mqtt => counted(scopes.mqtt_publish.len() + scopes.mqtt_subscribe.len(), "MQTT filter", "MQTT filters"),
            Service::Jeedom => Some("Jeedom".to_owned()),
            Service::Http => counted(scopes.http.len(), "server", "servers"),
        };
        let order = [Service::Doors, Service::Mqtt, Service::Jeedom, Service::Http];
        let parts: Vec<String> = order.into_iter().filter(|service| scopes.services.contains(service)).filter_map(part).collect();
        if parts.is_empty() { "Nothing yet".into() } else { super::event::sentence(&parts.join(", ")) }
    }

    /// What somebody asked for.
    pub(crate) fn tunnel_asked(&self, name: Option<&str>, service: &str, what: &str) -> String {
        let what = match service {
            "mqtt" => format!("published at {what}"),
            "stream" => format!("listens to {what}"),
            "jeedom" => format!("called Jeedom’s {what}"),
            "http" => format!("sent {what}"),
            "doors" => match what.split_once(' ') {
                None => "looked at the doors".to_owned(),
                Some(("status", door)) => format!("looked at {door}"),
                Some((action, door)) => format!("asked to {action} {door}"),
            },
            _ => "asked for something unknown".to_owned(),
        };
        name.map_or_else(|| super::event::sentence(&what), |name| format!("{name}: {what}"))
    }

    /// What is wrong with a form. The API names a field as it is called there.
    pub(crate) fn tunnel_wrong(&self, error: &ApiError) -> String {
        let text = self.explain(error);
        let fields = [
            ("Http: ", self.tunnel.http),
            ("Mqtt_publish: ", self.tunnel.publish),
            ("Mqtt_subscribe: ", self.tunnel.subscribe),
            ("Brokers: ", self.tunnel.brokers),
            ("Doors: ", self.tunnel.doors),
        ];
        let named = fields.into_iter().find_map(|(field, label)| Some(format!("{label}: {}", text.strip_prefix(field)?)));
        named.unwrap_or(text)
    }

    /// The heading above a new secret.
    pub(crate) fn tunnel_made(&self, name: &str) -> String {
        format!("The key of {name}")
    }

    /// The question before a key goes.
    pub(crate) fn tunnel_revoke_this(&self, name: &str) -> String {
        format!("Revoke {name}?")
    }
}

fn counted(count: usize, one: &str, many: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    }
}
