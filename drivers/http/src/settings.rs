//! Reading the settings of an account: each value with its bounds, and every mistake at once.

use crate::{Trust, is_loopback, parse_pin};
use doorward_core::{
    Secret,
    driver::{Field, FieldKind, Mistake, Settings},
};
use reqwest::Url;
use serde_json::Value;
use std::path::PathBuf;

/// Reads settings, and gathers what is wrong with them.
pub struct Reader<'a> {
    settings: &'a Settings,
    fields: &'static [Field],
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    /// A reader of the settings that `fields` describe. Any other key is a mistake; `kind` is the vendor's name in it.
    pub fn new(settings: &'a Settings, fields: &'static [Field], kind: &str) -> Self {
        let mut reader = Self { settings, fields, mistakes: Vec::new() };
        reader.unknown_keys(kind);
        reader
    }

    /// What was wrong.
    pub fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }

    /// Whether nothing was wrong so far.
    pub fn is_content(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// Notes a mistake.
    pub fn wrong(&mut self, key: &str, hint: impl Into<String>) {
        self.mistakes.push(Mistake { key: key.into(), hint: hint.into() });
    }

    /// The value of a setting that is not set.
    pub fn default_of(&self, key: &str) -> &'static str {
        self.fields.iter().find(|field| field.name == key).map_or("", |field| field.default)
    }

    fn unknown_keys(&mut self, kind: &str) {
        let values = self.settings.values.keys().map(|key| (key, false));
        let secrets = self.settings.secrets.keys().map(|key| (key, true));
        for (key, secret) in values.chain(secrets) {
            match self.fields.iter().find(|field| field.name == key) {
                None => {
                    let known: Vec<&str> = self.fields.iter().map(|field| field.name).collect();
                    self.wrong(key, format!("is not a setting of a {kind} account; known are {}", known.join(", ")));
                }
                Some(field) if (field.kind == FieldKind::Secret) != secret => {
                    self.wrong(key, if secret { "is not a secret; set it as a plain value" } else { "is a secret; set it as one" });
                }
                Some(_) => {}
            }
        }
    }

    /// A text that is set and not empty.
    pub fn text(&mut self, key: &str) -> Option<String> {
        match self.settings.values.get(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                self.wrong(key, "must be a text");
                None
            }
        }
    }

    /// A text, or its default.
    pub fn text_or_default(&mut self, key: &str) -> String {
        self.text(key).unwrap_or_else(|| self.default_of(key).into())
    }

    /// A text that must be there and fit into an HTTP header; `missing` says where people find it.
    pub fn required(&mut self, key: &str, missing: &str) -> Option<String> {
        let before = self.mistakes.len();
        let text = self.text(key);
        if text.is_none() && self.mistakes.len() == before {
            self.wrong(key, missing);
        }
        self.header_safe(key, text)
    }

    /// Keys travel in HTTP headers.
    fn header_safe(&mut self, key: &str, text: Option<String>) -> Option<String> {
        let text = text?;
        if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Some(text);
        }
        self.wrong(key, "holds a space or a character that no key has; copy it again");
        None
    }

    /// A secret that must be there and fit into an HTTP header; `missing` says where people find it.
    pub fn secret(&mut self, key: &str, missing: &str) -> Option<Secret<String>> {
        let secret = self.settings.secrets.get(key).map(|secret| secret.reveal().trim()).filter(|secret| !secret.is_empty());
        let Some(secret) = secret else {
            self.wrong(key, missing);
            return None;
        };
        let secret = self.header_safe(key, Some(secret.to_owned()))?;
        Some(Secret::new(secret))
    }

    /// A server's bare address: `https://`, or `http://` on this machine.
    pub fn base(&mut self, key: &str, text: &str) -> Option<Url> {
        let default = self.default_of(key);
        let hint = match Url::parse(text) {
            Ok(url) if url.scheme() == "http" && !is_loopback(&url) => {
                "must begin with https:// (http:// is for this machine alone)".to_owned()
            }
            Ok(url) if !matches!(url.scheme(), "http" | "https") => "must begin with https://".to_owned(),
            Ok(url) if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() => {
                format!("must be a bare address such as {default}")
            }
            Ok(url) => return Some(url),
            Err(_) => format!("is not an address; write it like {default}"),
        };
        self.wrong(key, hint);
        None
    }

    /// A whole number within bounds; what is not one of them becomes the least.
    pub fn number(&mut self, key: &str, least: u64, most: u64) -> u64 {
        let default = self.default_of(key);
        let number = match self.settings.values.get(key) {
            None | Some(Value::Null) => default.parse().ok(),
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) if text.trim().is_empty() => default.parse().ok(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => None,
        };
        match number {
            Some(number) if (least..=most).contains(&number) => number,
            _ => {
                self.wrong(key, format!("must be a whole number from {least} to {most}"));
                least
            }
        }
    }

    /// On or off.
    pub fn switch(&mut self, key: &str) -> bool {
        match self.settings.values.get(key) {
            None | Some(Value::Null) => self.default_of(key) == "true",
            Some(Value::Bool(on)) => *on,
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => true,
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => false,
            Some(_) => {
                self.wrong(key, "must be true or false");
                false
            }
        }
    }

    /// Whom to trust, from `ca_file` and `pin_sha256`.
    pub fn trust(&mut self) -> Trust {
        Trust { ca_file: self.text("ca_file").map(PathBuf::from), pin_sha256: self.pin() }
    }

    fn pin(&mut self) -> Option<[u8; 32]> {
        let text = self.text("pin_sha256")?;
        let pin = parse_pin(&text);
        if pin.is_none() {
            self.wrong("pin_sha256", "must be a SHA-256: 64 hex digits, or base64");
        }
        pin
    }
}
