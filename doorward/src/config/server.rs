//! `[server]`

use super::keys::{Keys, Kind};

#[derive(Debug)]
pub(crate) struct Server {
    /// The time zone of doors whose site names none.
    pub(crate) time_zone: String,
}

impl Server {
    pub(crate) fn read(keys: &mut Keys) -> Self {
        let mut section = keys.section("server", "The house itself.");
        Self {
            time_zone: section.value(
                "time_zone",
                Kind::Text,
                "UTC",
                "The time zone of doors whose site names none, such as Europe/Berlin.",
                time_zone,
            ),
        }
    }
}

pub(super) fn time_zone(text: &str) -> Result<String, String> {
    match jiff::tz::TimeZone::get(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("“{text}” is not a time zone such as Europe/Berlin")),
    }
}
