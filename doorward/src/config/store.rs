//! `[store]`

use super::keys::{Keys, Kind};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct StoreConfig {
    /// `sqlite:<file>`, relative to the data folder, or `postgres://…`.
    pub(crate) url: String,
    pub(crate) keep_events: Duration,
}

impl StoreConfig {
    pub(crate) fn read(keys: &mut Keys) -> Self {
        let mut section = keys.section("store", "What must survive.");
        Self {
            url: section.value(
                "url",
                Kind::Text,
                "sqlite:doorward.db",
                "sqlite:<file>, relative to the data folder, or postgres://user:password@host/database.",
                |text| {
                    if text.starts_with("sqlite:") || text.starts_with("postgres://") || text.starts_with("postgresql://") {
                        Ok(text.to_owned())
                    } else {
                        Err("must begin with sqlite: or postgres://".into())
                    }
                },
            ),
            keep_events: section.value("keep_events", Kind::Number, "400", "Days that events are kept.", |text| {
                let days: u64 = text.parse().map_err(|_| format!("“{text}” is not a number of days"))?;
                if days == 0 { Err("must be at least 1 day".into()) } else { Ok(Duration::from_hours(days.saturating_mul(24))) }
            }),
        }
    }
}
