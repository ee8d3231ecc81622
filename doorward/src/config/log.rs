//! `[log]`

use super::keys::{Keys, Kind};

#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Log {
    pub(crate) fn read(keys: &mut Keys) -> Self {
        let mut section = keys.section("log", "What is logged, on standard error.");
        Self {
            level: section.value(
                "level",
                Kind::Text,
                "info",
                "error, warn, info, debug or trace; or a filter such as info,doorward_utec=debug.",
                |text| match text.parse::<tracing_subscriber::filter::Targets>() {
                    Ok(_) => Ok(text.to_owned()),
                    Err(error) => Err(format!("is not a log filter: {error}")),
                },
            ),
            format: section.value("format", Kind::Text, "text", "text or json.", |text| match text {
                "text" => Ok(LogFormat::Text),
                "json" => Ok(LogFormat::Json),
                other => Err(format!("“{other}” is neither text nor json")),
            }),
        }
    }
}
