//! The settings of an account: parsed once, with every mistake at once.

use crate::about::{FIELDS, default_of};
use doorward_core::{
    Secret,
    driver::{FieldKind, Mistake, Settings},
};
use reqwest::Url;
use serde_json::Value;
use std::{path::PathBuf, time::Duration};

/// The settings of one account.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the cloud's API is.
    pub base_url: Url,
    /// Where its sign-in is.
    pub oauth_base_url: Url,
    /// The path of its one endpoint.
    pub action_path: String,
    /// The developer's access key, which is also the `OAuth` client id.
    pub access_key: String,
    /// The developer's secret key, which is also the `OAuth` client secret.
    pub secret_key: Secret<String>,
    /// The `OAuth` scope.
    pub scope: String,
    /// Where the browser is sent after sign-in, as it is registered with the vendor.
    pub redirect_url: Option<String>,
    /// How often all locks are asked for their state.
    pub status_poll: Duration,
    /// Whether the token is renewed ahead of its end.
    pub auto_refresh: bool,
    /// How long before its end.
    pub refresh_buffer: Duration,
    /// The zone in which the locks keep their PIN schedules; the site's own when it is left out.
    pub time_zone: Option<String>,
    /// More certificate authorities to trust, as PEM.
    pub ca_file: Option<PathBuf>,
    /// The SHA-256 of the server's certificate or of its public key, instead of an authority.
    pub pin_sha256: Option<[u8; 32]>,
}

impl Config {
    /// Reads settings, or says everything that is wrong with them.
    pub fn parse(settings: &Settings) -> Result<Self, Vec<Mistake>> {
        let mut read = Reader { settings, mistakes: Vec::new() };
        read.unknown_keys();
        let base_url = read.base("base_url", false);
        let oauth_base_url = read.base("oauth_base_url", true);
        let action_path = read.action_path();
        let access_key = read.required("access_key");
        let secret_key = read.secret("secret_key");
        let scope = read.text("scope").unwrap_or_else(|| default_of("scope").into());
        let redirect_url = read.redirect_url();
        let status_poll = Duration::from_secs(read.number("status_poll_seconds", 5, 86_400));
        let auto_refresh = read.switch("auto_refresh_enabled");
        let refresh_buffer = Duration::from_secs(60 * read.number("refresh_buffer_minutes", 1, 1440));
        let time_zone = read.time_zone();
        let ca_file = read.text("ca_file").map(PathBuf::from);
        let pin_sha256 = read.pin();
        match (base_url, oauth_base_url, access_key, secret_key) {
            (Some(base_url), Some(oauth_base_url), Some(access_key), Some(secret_key)) if read.mistakes.is_empty() => Ok(Self {
                base_url,
                oauth_base_url,
                action_path,
                access_key,
                secret_key,
                scope,
                redirect_url,
                status_poll,
                auto_refresh,
                refresh_buffer,
                time_zone,
                ca_file,
                pin_sha256,
            }),
            _ => Err(read.mistakes),
        }
    }

    /// The cloud's one endpoint.
    pub(crate) fn action_url(&self) -> String {
        format!("{}{}", self.base_url.as_str().trim_end_matches('/'), self.action_path)
    }

    /// A path of the sign-in.
    pub(crate) fn oauth_url(&self, path: &str) -> String {
        format!("{}{path}", self.oauth_base_url.as_str().trim_end_matches('/'))
    }
}

/// Brings an address from older settings into today's form: a missing scheme is `https://`, two hosts were renamed,
/// and the base of the sign-in does not end in `/login`.
pub(crate) fn normalise(address: &str, oauth: bool) -> String {
    let address = address.trim().trim_end_matches('/');
    let mut address = if address.contains("://") { address.to_owned() } else { format!("https://{address}") };
    if oauth && let Some(base) = address.strip_suffix("/login") {
        address = base.to_owned();
    }
    for old in ["openapi.ultraloq.com", "openapi.u-tec.com"] {
        if let Some((scheme, rest)) = address.split_once("://")
            && let Some(tail) = rest.strip_prefix(old)
            && (tail.is_empty() || tail.starts_with(['/', ':']))
        {
            address = format!("{scheme}://api.u-tec.com{tail}");
        }
    }
    address
}

struct Reader<'a> {
    settings: &'a Settings,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn wrong(&mut self, key: &str, hint: impl Into<String>) {
        self.mistakes.push(Mistake { key: key.into(), hint: hint.into() });
    }

    fn unknown_keys(&mut self) {
        let values = self.settings.values.keys().map(|key| (key, false));
        let secrets = self.settings.secrets.keys().map(|key| (key, true));
        for (key, secret) in values.chain(secrets) {
            match FIELDS.iter().find(|field| field.name == key) {
                None => {
                    let known: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
                    self.wrong(key, format!("is not a setting of a U-tec account; known are {}", known.join(", ")));
                }
                Some(field) if (field.kind == FieldKind::Secret) != secret => {
                    self.wrong(key, if secret { "is not a secret; set it as a plain value" } else { "is a secret; set it as one" });
                }
                Some(_) => {}
            }
        }
    }

    /// A text that is set and not empty.
    fn text(&mut self, key: &str) -> Option<String> {
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

    fn required(&mut self, key: &str) -> Option<String> {
        let before = self.mistakes.len();
        let text = self.text(key);
        if text.is_none() && self.mistakes.len() == before {
            self.wrong(key, "is missing; find it in the app under My Account, OpenAPI");
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

    fn secret(&mut self, key: &str) -> Option<Secret<String>> {
        let secret = self.settings.secrets.get(key).map(|secret| secret.reveal().trim()).filter(|secret| !secret.is_empty());
        let Some(secret) = secret else {
            self.wrong(key, "is missing; find it in the app under My Account, OpenAPI");
            return None;
        };
        let secret = self.header_safe(key, Some(secret.to_owned()))?;
        Some(Secret::new(secret))
    }

    fn base(&mut self, key: &str, oauth: bool) -> Option<Url> {
        let text = self.text(key).unwrap_or_else(|| default_of(key).into());
        let hint = match Url::parse(&normalise(&text, oauth)) {
            Ok(url) if url.scheme() == "http" && !doorward_http::is_loopback(&url) => {
                "must begin with https:// (http:// is for this machine alone)"
            }
            Ok(url) if !matches!(url.scheme(), "http" | "https") => "must begin with https://",
            Ok(url) if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() => {
                "must be a bare address such as https://api.u-tec.com"
            }
            Ok(url) => return Some(url),
            Err(_) => "is not an address; write it like https://api.u-tec.com",
        };
        self.wrong(key, hint);
        None
    }

    fn action_path(&mut self) -> String {
        let path = self.text("action_path").unwrap_or_else(|| default_of("action_path").into());
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        if path.starts_with("//")
            || path.contains("..")
            || path.contains(['?', '#', '\\'])
            || !path.bytes().all(|byte| byte.is_ascii_graphic())
        {
            self.wrong("action_path", "must be a path such as /action");
        }
        path
    }

    fn redirect_url(&mut self) -> Option<String> {
        let text = self.text("redirect_url")?;
        let url = redirect(&text);
        if url.is_none() {
            self.wrong("redirect_url", "must be an http:// or https:// address, as it is set in the app");
        }
        url
    }

    fn number(&mut self, key: &str, least: u64, most: u64) -> u64 {
        let number = match self.settings.values.get(key) {
            None | Some(Value::Null) => default_of(key).parse().ok(),
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) if text.trim().is_empty() => default_of(key).parse().ok(),
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

    fn switch(&mut self, key: &str) -> bool {
        match self.settings.values.get(key) {
            None | Some(Value::Null) => default_of(key) == "true",
            Some(Value::Bool(on)) => *on,
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => true,
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => false,
            Some(_) => {
                self.wrong(key, "must be true or false");
                false
            }
        }
    }

    fn time_zone(&mut self) -> Option<String> {
        let zone = self.text("time_zone")?;
        if crate::users::zone(&zone).is_none() {
            self.wrong("time_zone", "is not a known time zone; write it like Europe/Berlin");
        }
        Some(zone)
    }

    fn pin(&mut self) -> Option<[u8; 32]> {
        let text = self.text("pin_sha256")?;
        let pin = doorward_http::parse_pin(&text);
        if pin.is_none() {
            self.wrong("pin_sha256", "must be a SHA-256: 64 hex digits, or base64");
        }
        pin
    }
}

/// A redirect address, if it is one that a browser can go to.
pub(crate) fn redirect(text: &str) -> Option<String> {
    let url = Url::parse(text.trim()).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| text.trim().to_owned())
}
