//! `[mqtt]`

use super::{
    Listen,
    http::listen,
    keys::{Keys, Kind},
};

#[derive(Debug)]
pub(crate) struct MqttConfig {
    pub(crate) listen: Listen,
}

impl MqttConfig {
    pub(crate) fn read(keys: &mut Keys) -> Self {
        let mut section = keys.section("mqtt", "The embedded MQTT broker.");
        Self { listen: section.value("listen", Kind::Text, "127.0.0.1:1883", "Where the broker listens; “off” for none.", listen) }
    }
}
