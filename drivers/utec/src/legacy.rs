//! Files of the older gateway: its `config.json` holds settings and tokens together.

use crate::config::normalise;
use doorward_core::{Secret, driver::Settings};
use serde_json::{Map, Value, json};

/// What a `config.json` comes to.
#[derive(Debug, Clone)]
pub struct Import {
    /// The settings of an account.
    pub settings: Settings,
    /// The input for the step `tokens`, when the file holds any. It does not say since when they live, so they are
    /// renewed at once.
    pub tokens: Option<Secret<String>>,
    /// What was found and has no place here.
    pub left_out: Vec<String>,
}

/// A file that is not the older gateway's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotLegacy;

impl std::fmt::Display for NotLegacy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("is not a configuration of the U-tec gateway: it must be a JSON object with access_key")
    }
}

impl std::error::Error for NotLegacy {}

/// Keys that go over as they are.
const SAME: [&str; 6] = ["action_path", "scope", "redirect_url", "status_poll_seconds", "auto_refresh_enabled", "refresh_buffer_minutes"];
/// Keys that are used here, or mean nothing any more.
const SILENT: [&str; 9] = [
    "base_url",
    "oauth_base_url",
    "access_key",
    "secret_key",
    "access_token",
    "refresh_token",
    "token_type",
    "token_expires_in",
    // A code works once and was used.
    "auth_code",
];
/// The least that the older gateway and doorward take.
const LEAST_POLL: u64 = 5;

/// Reads a `config.json`.
pub fn parse(file: &[u8]) -> Result<Import, NotLegacy> {
    let Ok(Value::Object(file)) = serde_json::from_slice::<Value>(file) else { return Err(NotLegacy) };
    let text = |key: &str| file.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    if !file.contains_key("access_key") {
        return Err(NotLegacy);
    }
    let mut settings = Settings::default();
    for (key, oauth) in [("base_url", false), ("oauth_base_url", true)] {
        if let Some(address) = text(key) {
            settings.values.insert(key.into(), json!(normalise(address, oauth)));
        }
    }
    if let Some(key) = text("access_key") {
        settings.values.insert("access_key".into(), json!(key));
    }
    if let Some(key) = text("secret_key") {
        settings.secrets.insert("secret_key".into(), Secret::from(key));
    }
    for key in SAME {
        if let Some(value) = file.get(key).filter(|value| !value.is_null() && value.as_str() != Some("")) {
            let value = match value.as_u64() {
                Some(seconds) if key == "status_poll_seconds" => json!(seconds.max(LEAST_POLL)),
                _ => value.clone(),
            };
            settings.values.insert(key.into(), value);
        }
    }
    let left_out = file.keys().filter(|key| !SAME.contains(&key.as_str()) && !SILENT.contains(&key.as_str())).cloned().collect();
    let tokens = text("access_token").map(|access_token| {
        let mut tokens = Map::new();
        tokens.insert("access_token".into(), json!(access_token));
        for key in ["refresh_token", "token_type"] {
            if let Some(value) = text(key) {
                tokens.insert(key.into(), json!(value));
            }
        }
        Secret::new(Value::Object(tokens).to_string())
    });
    Ok(Import { settings, tokens, left_out })
}
