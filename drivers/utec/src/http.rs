//! Sending one request, and knowing whether it was sent.

use crate::{
    config::{Config, is_loopback},
    tls,
};
use doorward_core::driver::{Ctx, Mistake};
use reqwest::{Client, Request, header::RETRY_AFTER, redirect, retry};
use std::{error::Error, fmt::Write as _, sync::Arc, time::Duration};

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a request may take from its beginning to the last byte of its answer.
pub(crate) const TOTAL: Duration = Duration::from_secs(20);
/// How long an idle connection is kept. A longer wait risks that the cloud has hung up just when a door is to open,
/// and then nobody knows whether it heard.
const IDLE: Duration = Duration::from_secs(15);
/// The largest answer that is read.
const MOST: usize = 1 << 20;
/// The longest wait that a server is believed to mean.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What came back.
#[derive(Debug)]
pub(crate) struct Received {
    /// The HTTP status.
    pub(crate) status: u16,
    /// What `Retry-After` says.
    pub(crate) retry_after: Option<Duration>,
    /// The body, or why it did not come whole.
    pub(crate) body: Result<Vec<u8>, String>,
}

/// Why no status came back.
#[derive(Debug)]
pub(crate) enum Lost {
    /// There was no connection: not a byte of the request was sent.
    NotSent(String),
    /// The request was sent, at least in part.
    Sent(String),
}

/// Clients for the API and the sign-in.
pub(crate) struct Http {
    api: Client,
    oauth: Client,
}

impl Http {
    /// Clients with the account's TLS settings.
    pub(crate) fn new(config: &Config) -> Result<Self, Vec<Mistake>> {
        let client = |base| client(config, base).map_err(|mistake| vec![mistake]);
        Ok(Self { api: client(&config.base_url)?, oauth: client(&config.oauth_base_url)? })
    }

    /// The client for `/action`.
    pub(crate) fn api(&self) -> &Client {
        &self.api
    }

    /// The client for `/token`.
    pub(crate) fn oauth(&self) -> &Client {
        &self.oauth
    }
}

fn client(config: &Config, base: &reqwest::Url) -> Result<Client, Mistake> {
    let mistake = |key: &str, hint: String| Mistake { key: key.into(), hint };
    let Some(provider) = rustls::crypto::CryptoProvider::get_default().map(Arc::clone) else {
        return Err(mistake("base_url", "cannot be reached: this program was built or started without cryptography".into()));
    };
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        // Every repeat is decided in `client`, which knows what may be repeated.
        .retry(retry::never())
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .https_only(base.scheme() == "https")
        .user_agent(concat!("doorward/", env!("CARGO_PKG_VERSION")));
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    if let Some(pin) = config.pin_sha256 {
        let tls = tls::pinned(pin, &provider).map_err(|error| mistake("pin_sha256", format!("cannot be used: {error}")))?;
        builder = builder.use_preconfigured_tls(tls);
    } else if let Some(path) = &config.ca_file {
        let pem = std::fs::read(path).map_err(|error| mistake("ca_file", format!("cannot be read: {error}")))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(mistake("ca_file", "holds no certificate; it must be a PEM file".into()));
        }
        builder = certificates.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
    }
    builder.build().map_err(|error| mistake("base_url", format!("cannot be reached with these settings: {}", chain(&error))))
}

/// Sends a request and reads its answer, for at most `limit` of the house's time.
pub(crate) async fn send(ctx: &dyn Ctx, client: &Client, request: Request, limit: Duration) -> Result<Received, Lost> {
    tokio::select! {
        biased;
        received = exchange(ctx, client, request) => received,
        () = ctx.sleep(limit) => Err(Lost::Sent(format!("no answer within {} s", limit.as_secs()))),
    }
}

async fn exchange(ctx: &dyn Ctx, client: &Client, request: Request) -> Result<Received, Lost> {
    let mut response = client.execute(request).await.map_err(|error| {
        let told = chain(&error);
        if error.is_connect() || error.is_builder() { Lost::NotSent(told) } else { Lost::Sent(told) }
    })?;
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| wait(value.to_str().ok()?, ctx));
    let mut body = Vec::new();
    let body = loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MOST => break Err(format!("the answer is longer than {MOST} bytes")),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break Ok(body),
            Err(error) => break Err(chain(&error)),
        }
    };
    Ok(Received { status, retry_after, body })
}

/// `Retry-After`: seconds or a date (RFC 9110, section 10.2.3).
fn wait(value: &str, ctx: &dyn Ctx) -> Option<Duration> {
    let value = value.trim();
    let wait = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let date: doorward_wire::Time = jiff::fmt::rfc2822::parse(value).ok()?.timestamp().into();
        date.since(ctx.now().utc)
    };
    Some(wait.min(LONGEST_WAIT))
}

/// An error with its causes. The address is left out: it may hold a secret in its query.
fn chain(error: &reqwest::Error) -> String {
    let mut told = match (error.is_connect(), error.is_timeout(), error.is_body() || error.is_decode()) {
        (true, true, _) => "no connection in time".to_owned(),
        (true, false, _) => "no connection".to_owned(),
        (false, true, _) => "no answer in time".to_owned(),
        (false, false, true) => "the answer broke off".to_owned(),
        (false, false, false) => "the connection failed".to_owned(),
    };
    let mut cause = error.source();
    while let Some(inner) = cause {
        let _ = write!(told, ": {inner}");
        cause = inner.source();
    }
    told
}
