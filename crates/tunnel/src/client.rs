//! A client of the tunnel: calls and streams, version 1 of the wire.
//!
//! ```no_run
//! # async fn example() -> Result<(), doorward_tunnel::client::CallError> {
//! use doorward_engine::SystemClock;
//! use doorward_tunnel::{client::Client, keys::from_hex};
//! use std::sync::Arc;
//!
//! let secret = from_hex("3616864d6ed4f70b8a774e17c7435b411d8bc5714fddaf88e3850104a9d88ccd").unwrap();
//! let client = Client::new("https://doors.example.org".parse().unwrap(), &secret, &[], Arc::new(SystemClock::new()))?;
//! let answer = client.call(serde_json::json!({ "service": "doors", "action": "list" })).await?;
//! println!("{}", answer.body);
//! # Ok(()) }
//! ```

use crate::seal::Seal;
use doorward_engine::Clock;
use doorward_store::TunnelSecret;
use doorward_wire::tunnel::{Answer, StreamEvent, unwrap};
use reqwest::{Certificate, Client as Http, Response, StatusCode, Url, redirect};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take: a minute for what is relayed, and some for the way.
const WHOLE: Duration = Duration::from_secs(75);
/// Bytes of an answer: those of a relayed one, sealed.
const MOST: usize = 24 << 20;

/// Why nothing came back. `Display` is for whoever called.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody answers there, or something stands in between.
    #[error("{0}")]
    Unreachable(String),
    /// Something answers that is no tunnel.
    #[error("{0} answers, but is no tunnel of doorward (HTTP {1})")]
    NotATunnel(String, StatusCode),
    /// What came back was not sealed with this key: it is not known there.
    #[error("this key is not known there: it was revoked or rotated, or belongs to another doorward")]
    UnknownKey,
    /// Too many trials with wrong keys came from here.
    #[error("too many tries failed from here; wait a minute")]
    TooMany,
    /// What was asked for cannot be sealed.
    #[error("{0}")]
    Request(&'static str),
}

/// A client with one key.
pub struct Client {
    base: Url,
    seal: Seal,
    http: Http,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// For the tunnel at an address, with a key, and with authorities to trust beside the public ones.
    pub fn new(base: Url, secret: &TunnelSecret, trusted: &[Certificate], clock: Arc<dyn Clock>) -> Result<Self, CallError> {
        let builder = trusted.iter().cloned().fold(Http::builder(), reqwest::ClientBuilder::add_root_certificate);
        let http = builder
            .connect_timeout(CONNECT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("doorward/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| CallError::Unreachable(format!("no HTTP client: {error}")))?;
        Ok(Self { base, seal: Seal::new(secret), http, clock })
    }

    /// The version that is there, for anybody who asks.
    pub async fn health(&self) -> Result<String, CallError> {
        let response = self.http.get(self.url("/health")).timeout(WHOLE).send().await.map_err(|error| self.lost(&error))?;
        let status = response.status();
        let health: Value = serde_json::from_slice(&bytes(response, MOST).await?).unwrap_or_default();
        let version = health["version"].as_str().filter(|_| health["status"] == "ok");
        version.map(str::to_owned).ok_or_else(|| CallError::NotATunnel(self.place(), status))
    }

    /// Asks for something. Fields are those of the wire format; the time is added.
    pub async fn call(&self, fields: Value) -> Result<Answer, CallError> {
        let response = self.post("/gateway", fields).await?;
        let status = response.status();
        let body = bytes(response, MOST).await?;
        let sealed = unwrap(&body).ok_or_else(|| CallError::NotATunnel(self.place(), status))?;
        let plain = self.seal.open(&sealed).ok_or(CallError::UnknownKey)?;
        serde_json::from_slice(&plain).map_err(|_| CallError::NotATunnel(self.place(), status))
    }

    /// Listens to a topic filter.
    pub async fn listen(&self, topic: &str) -> Result<Events<'_>, CallError> {
        let response = self.post("/mqtt/subscribe", json!({ "topic": topic })).await?;
        Ok(Events { client: self, response, text: Vec::new() })
    }

    async fn post(&self, path: &str, mut fields: Value) -> Result<Response, CallError> {
        if !fields.is_object() {
            return Err(CallError::Request("a request is a JSON object"));
        }
        fields["timestamp"] = json!(self.clock.now().utc.as_epoch_seconds());
        let body = self.seal.seal(fields.to_string().as_bytes()).ok_or(CallError::Request("the system has no randomness"))?;
        let request = self.http.post(self.url(path)).header("content-type", "application/octet-stream").body(body);
        // A stream has no end of its own, so only a call has one.
        let request = if path == "/gateway" { request.timeout(WHOLE) } else { request };
        let response = request.send().await.map_err(|error| self.lost(&error))?;
        match response.status() {
            StatusCode::OK => Ok(response),
            StatusCode::BAD_REQUEST if path == "/mqtt/subscribe" => Err(CallError::UnknownKey),
            StatusCode::TOO_MANY_REQUESTS => Err(CallError::TooMany),
            status => Err(CallError::NotATunnel(self.place(), status)),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }

    fn place(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    fn lost(&self, error: &reqwest::Error) -> CallError {
        let mut told = format!("{} cannot be reached", self.place());
        let mut next = std::error::Error::source(error);
        while let Some(cause) = next {
            told = format!("{told}: {cause}");
            next = cause.source();
        }
        CallError::Unreachable(told)
    }
}

/// What a stream tells.
pub struct Events<'c> {
    client: &'c Client,
    response: Response,
    text: Vec<u8>,
}

impl Events<'_> {
    /// The next event; `None` when the stream has ended.
    pub async fn next(&mut self) -> Result<Option<StreamEvent>, CallError> {
        loop {
            if let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                let Some(body) = block.strip_prefix(b"data: ") else { continue };
                let plain = unwrap(body).and_then(|sealed| self.client.seal.open(&sealed)).ok_or(CallError::UnknownKey)?;
                let event = serde_json::from_slice(&plain).ok();
                return event.map(Some).ok_or_else(|| CallError::NotATunnel(self.client.place(), StatusCode::OK));
            }
            if self.text.len() > MOST {
                return Err(CallError::NotATunnel(self.client.place(), StatusCode::OK));
            }
            match self.response.chunk().await.map_err(|error| self.client.lost(&error))? {
                Some(chunk) => self.text.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}

async fn bytes(mut response: Response, most: usize) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| CallError::Unreachable(format!("the answer broke off: {error}")))? {
        if body.len() + chunk.len() > most {
            return Err(CallError::Unreachable("the answer is too long".into()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
