//! What is said about the tunnel.

use super::{
    Texts,
    state::{Face, face},
};
use crate::ApiError;
use doorward_wire::tunnel::{Scopes, Service};

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
            ("Http: ", self.tunnel_http),
            ("Mqtt_publish: ", self.tunnel_publish),
            ("Mqtt_subscribe: ", self.tunnel_subscribe),
            ("Brokers: ", self.tunnel_brokers),
            ("Doors: ", self.tunnel_doors),
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
