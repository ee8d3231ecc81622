//! The settings of an account: parsed once, with every mistake at once.

use crate::about::FIELDS;
use doorward_core::{
    Secret,
    driver::{Mistake, Settings},
};
use doorward_http::{Trust, settings::Reader};
use reqwest::Url;
use std::time::Duration;

/// Where people find their keys.
const MISSING: &str = "is missing; find it in the app under My Account, OpenAPI";

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
    /// Whom to trust beside or instead of the public authorities.
    pub trust: Trust,
}

impl Config {
    /// Reads settings, or says everything that is wrong with them.
    pub fn parse(settings: &Settings) -> Result<Self, Vec<Mistake>> {
        let mut read = Reader::new(settings, FIELDS, "U-tec");
        let base_url = base(&mut read, "base_url", false);
        let oauth_base_url = base(&mut read, "oauth_base_url", true);
        let action_path = action_path(&mut read);
        let access_key = read.required("access_key", MISSING);
        let secret_key = read.secret("secret_key", MISSING);
        let scope = read.text_or_default("scope");
        let redirect_url = redirect_url(&mut read);
        let status_poll = Duration::from_secs(read.number("status_poll_seconds", 5, 86_400));
        let auto_refresh = read.switch("auto_refresh_enabled");
        let refresh_buffer = Duration::from_secs(60 * read.number("refresh_buffer_minutes", 1, 1440));
        let time_zone = time_zone(&mut read);
        let trust = read.trust();
        match (base_url, oauth_base_url, access_key, secret_key) {
            (Some(base_url), Some(oauth_base_url), Some(access_key), Some(secret_key)) if read.is_content() => Ok(Self {
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
                trust,
            }),
            _ => Err(read.into_mistakes()),
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

fn base(read: &mut Reader<'_>, key: &str, oauth: bool) -> Option<Url> {
    let text = read.text_or_default(key);
    read.base(key, &normalise(&text, oauth))
}

fn action_path(read: &mut Reader<'_>) -> String {
    let path = read.text_or_default("action_path");
    let path = if path.starts_with('/') { path } else { format!("/{path}") };
    if path.starts_with("//") || path.contains("..") || path.contains(['?', '#', '\\']) || !path.bytes().all(|byte| byte.is_ascii_graphic())
    {
        read.wrong("action_path", "must be a path such as /action");
    }
    path
}

fn redirect_url(read: &mut Reader<'_>) -> Option<String> {
    let text = read.text("redirect_url")?;
    let url = redirect(&text);
    if url.is_none() {
        read.wrong("redirect_url", "must be an http:// or https:// address, as it is set in the app");
    }
    url
}

fn time_zone(read: &mut Reader<'_>) -> Option<String> {
    let zone = read.text("time_zone")?;
    if crate::users::zone(&zone).is_none() {
        read.wrong("time_zone", "is not a known time zone; write it like Europe/Berlin");
    }
    Some(zone)
}

/// A redirect address, if it is one that a browser can go to.
pub(crate) fn redirect(text: &str) -> Option<String> {
    let url = Url::parse(text.trim()).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| text.trim().to_owned())
}
