//! HTTP for drivers: sending one request, and knowing whether it was sent.
//!
//! What opens a door is sent once. So nothing here repeats a request or follows a redirect, and what comes back says
//! whether a byte of it went out ([`Lost`]). TLS is verified by public authorities, a file of one's own or a pin
//! ([`Trust`]); answers are bounded in size and time.

pub mod destination;
pub mod network;
pub mod settings;
mod tls;

pub use tls::{parse_pin, pinned_verifier};

use doorward_core::driver::{Ctx, Mistake};
use reqwest::{Client, Request, Url, header::RETRY_AFTER, redirect, retry};
use std::{error::Error, fmt::Write as _, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a request may take from its beginning to the last byte of its answer.
pub const TOTAL: Duration = Duration::from_secs(20);
/// How long an idle connection is kept. A longer wait risks that the cloud has hung up just when a door is to open,
/// and then nobody knows whether it heard.
const IDLE: Duration = Duration::from_secs(15);
/// The largest answer that is read.
const MOST: usize = 1 << 20;
/// The longest wait that a server is believed to mean.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What came back.
#[derive(Debug)]
pub struct Received {
    /// The HTTP status.
    pub status: u16,
    /// What `Retry-After` says.
    pub retry_after: Option<Duration>,
    /// The body, or why it did not come whole.
    pub body: Result<Vec<u8>, String>,
}

/// Why no status came back.
#[derive(Debug)]
pub enum Lost {
    /// There was no connection: not a byte of the request was sent.
    NotSent(String),
    /// The request was sent, at least in part.
    Sent(String),
}

/// Whom to trust beside or instead of the public authorities.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// More authorities, as PEM.
    pub ca_file: Option<PathBuf>,
    /// The SHA-256 of the server's certificate or of its public key, instead of an authority.
    pub pin_sha256: Option<[u8; 32]>,
}

/// A client for one server. A mistake names the setting that is wrong: `url`, `ca_file` or `pin_sha256`.
pub fn client(base: &Url, trust: &Trust) -> Result<Client, Mistake> {
    let mistake = |key: &str, hint: String| Mistake { key: key.into(), hint };
    let Some(provider) = rustls::crypto::CryptoProvider::get_default().map(Arc::clone) else {
        return Err(mistake("url", "cannot be reached: this program was built or started without cryptography".into()));
    };
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        // Every repeat is decided by the driver, which knows what may be repeated.
        .retry(retry::never())
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .https_only(base.scheme() == "https")
        .user_agent(concat!("doorward/", env!("CARGO_PKG_VERSION")));
    if is_private(base) {
        builder = builder.no_proxy();
    }
    if let Some(pin) = trust.pin_sha256 {
        let tls = tls::pinned(pin, &provider).map_err(|error| mistake("pin_sha256", format!("cannot be used: {error}")))?;
        builder = builder.use_preconfigured_tls(tls);
    } else if let Some(path) = &trust.ca_file {
        let pem = std::fs::read(path).map_err(|error| mistake("ca_file", format!("cannot be read: {error}")))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(mistake("ca_file", "holds no certificate; it must be a PEM file".into()));
        }
        builder = certificates.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
    }
    builder.build().map_err(|error| mistake("url", format!("cannot be reached with these settings: {}", chain(&error))))
}

/// Whether an address stays on this machine.
pub fn is_loopback(url: &Url) -> bool {
    host(url).is_some_and(|host| {
        host.is_ok_and(|ip| ip.is_loopback()) || url.host_str().is_some_and(|name| name.eq_ignore_ascii_case("localhost"))
    })
}

/// Whether an address stays in the house: this machine, a private network, or a name that only such a one has.
pub fn is_private(url: &Url) -> bool {
    match host(url) {
        Some(Ok(IpAddr::V4(ip))) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Some(Ok(IpAddr::V6(ip))) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Some(Err(name)) => destination::is_private_name(name),
        None => false,
    }
}

/// The host: an address, or a name.
fn host(url: &Url) -> Option<Result<IpAddr, &str>> {
    let host = url.host_str()?;
    Some(host.trim_matches(['[', ']']).parse().map_err(|_| host))
}

/// Sends a request and reads its answer, for at most `limit` of the house's time.
pub async fn send(ctx: &dyn Ctx, client: &Client, request: Request, limit: Duration) -> Result<Received, Lost> {
    let received = tokio::select! {
        biased;
        received = exchange(ctx, client, request) => received,
        () = ctx.sleep(limit) => Err(Lost::Sent(format!("no answer within {} s", limit.as_secs()))),
    };
    ctx.answered("http", received.as_ref().map_or(0, |received| received.status));
    received
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
pub fn chain(error: &reqwest::Error) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_in_the_house_is_told_from_what_does_not() {
        let is = |text: &str| is_private(&Url::parse(text).unwrap());
        for private in
            ["http://192.168.1.2/", "http://10.0.0.1", "http://[fd00::1]/", "http://127.0.0.1:1", "http://gate.local", "http://relay"]
        {
            assert!(is(private), "{private}");
        }
        for public in ["http://8.8.8.8", "http://gate.example.org", "http://[2001:db8::1]/", "http://172.32.0.1", "http://local.example"] {
            assert!(!is(public), "{public}");
        }
        assert!(is_loopback(&Url::parse("http://LOCALHOST:1").unwrap()) && !is_loopback(&Url::parse("http://10.0.0.1").unwrap()));
    }
}
