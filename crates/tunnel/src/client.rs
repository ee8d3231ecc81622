//! A client of the tunnel: calls and streams, in both versions of the wire.
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

use crate::{
    seal::Seal,
    v2::{self, OpenError, PinnedConfig, StreamOpener},
};
use doorward_engine::Clock;
use doorward_store::TunnelSecret;
use doorward_wire::tunnel::{Answer, StreamEvent, unwrap};
use reqwest::{Certificate, Client as Http, Response, StatusCode, Url, redirect};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::OnceCell;

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take: a minute for what is relayed, and some for the way.
const WHOLE: Duration = Duration::from_secs(75);
/// Bytes of an answer: those of a relayed one, sealed.
const MOST: usize = 24 << 20;

/// The media type of version 1.
const OCTETS: &str = "application/octet-stream";
/// Where version 2 is.
const V2: &str = "/tunnel/v2";
/// Where the house's own key is.
const KEYS: &str = "/tunnel/v2/keys";
/// Bytes of keys.
const MOST_KEYS: usize = 16 << 10;
/// What cannot be sealed.
const UNSEALED: CallError = CallError::Request("it cannot be sealed");

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
    /// The house there has another key than the one that the pairing code names, or something in between has.
    #[error("what answers there is not the house that the pairing code names")]
    OtherHouse,
    /// What was asked for cannot be sealed.
    #[error("{0}")]
    Request(&'static str),
}

/// How a client speaks.
enum Wire {
    /// Each message is sealed with the key.
    One(Seal),
    /// Requests are sealed for the house's own key, which is known by its pin.
    Two {
        /// The key's name there.
        name: String,
        secret: TunnelSecret,
        pin: [u8; 32],
        /// Once it was asked for.
        house: Box<OnceCell<v2::Client>>,
    },
}

/// A client with one key.
pub struct Client {
    base: Url,
    wire: Wire,
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
        Ok(Self { base, wire: Wire::One(Seal::new(secret)), http, clock })
    }

    /// The same in version 2, with the key's name there, and the pin of the house's own key.
    #[must_use]
    pub fn in_version_2(self, name: &str, secret: &TunnelSecret, pin: [u8; 32]) -> Self {
        let wire = Wire::Two { name: name.into(), secret: secret.clone(), pin, house: Box::default() };
        Self { wire, ..self }
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
        let plain = match &self.wire {
            Wire::One(seal) => {
                let response = self.post("/gateway", OCTETS, self.sealed(seal, fields)?, Some(WHOLE)).await?;
                let status = response.status();
                let body = bytes(response, MOST).await?;
                let sealed = unwrap(&body).ok_or_else(|| CallError::NotATunnel(self.place(), status))?;
                seal.open(&sealed).ok_or(CallError::UnknownKey)?
            }
            Wire::Two { .. } => {
                let text = self.stamped(fields)?;
                let (sealed, opener) = self.house().await?.seal("POST", "/gateway", text.as_bytes()).map_err(|_| UNSEALED)?;
                let response = self.post(V2, v2::REQUEST, sealed, Some(WHOLE)).await?;
                let answer = opener.open(&bytes(response, MOST).await?).map_err(|_| CallError::OtherHouse)?;
                known(answer.status)?;
                answer.body
            }
        };
        serde_json::from_slice(&plain).map_err(|_| CallError::NotATunnel(self.place(), StatusCode::OK))
    }

    /// Listens to a topic filter.
    pub async fn listen(&self, topic: &str) -> Result<Events<'_>, CallError> {
        let fields = json!({ "topic": topic });
        let (response, opener) = match &self.wire {
            Wire::One(seal) => (self.post("/mqtt/subscribe", OCTETS, self.sealed(seal, fields)?, None).await?, None),
            Wire::Two { .. } => {
                let text = self.stamped(fields)?;
                let house = self.house().await?;
                let (sealed, opener) = house.seal_chunked("POST", "/mqtt/subscribe", text.as_bytes()).map_err(|_| UNSEALED)?;
                (self.post(V2, v2::CHUNKED_REQUEST, sealed, None).await?, Some(opener))
            }
        };
        Ok(Events { client: self, response, opener, text: Vec::new() })
    }

    fn sealed(&self, seal: &Seal, fields: Value) -> Result<Vec<u8>, CallError> {
        seal.seal(self.stamped(fields)?.as_bytes()).map(String::into_bytes).ok_or(UNSEALED)
    }

    fn stamped(&self, mut fields: Value) -> Result<String, CallError> {
        if !fields.is_object() {
            return Err(CallError::Request("a request is a JSON object"));
        }
        fields["timestamp"] = json!(self.clock.now().utc.as_epoch_seconds());
        Ok(fields.to_string())
    }

    /// The house's own key, if it is the one that the pairing code names.
    async fn house(&self) -> Result<&v2::Client, CallError> {
        let Wire::Two { name, secret, pin, house } = &self.wire else { return Err(UNSEALED) };
        let asked = async {
            let response = self.http.get(self.url(KEYS)).timeout(WHOLE).send().await.map_err(|error| self.lost(&error))?;
            if response.status() != StatusCode::OK {
                return Err(CallError::NotATunnel(self.place(), response.status()));
            }
            let config = PinnedConfig::read(&bytes(response, MOST_KEYS).await?, pin).ok_or(CallError::OtherHouse)?;
            Ok(v2::Client::new(config, name, *secret.reveal()))
        };
        house.get_or_try_init(|| asked).await
    }

    async fn post(&self, path: &str, kind: &str, body: Vec<u8>, within: Option<Duration>) -> Result<Response, CallError> {
        let request = self.http.post(self.url(path)).header("content-type", kind).body(body);
        // A stream has no end of its own, so only a call has one.
        let request = match within {
            Some(within) => request.timeout(within),
            None => request,
        };
        let response = request.send().await.map_err(|error| self.lost(&error))?;
        match response.status() {
            StatusCode::OK => Ok(response),
            StatusCode::BAD_REQUEST if path == "/mqtt/subscribe" => Err(CallError::UnknownKey),
            StatusCode::BAD_REQUEST if path == V2 => Err(CallError::OtherHouse),
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

/// Only whoever has no key there is answered with this status.
fn known(status: u16) -> Result<(), CallError> {
    if status == 401 { Err(CallError::UnknownKey) } else { Ok(()) }
}

/// What a stream tells.
pub struct Events<'c> {
    client: &'c Client,
    response: Response,
    /// What opens chunks, in version 2.
    opener: Option<StreamOpener>,
    text: Vec<u8>,
}

impl Events<'_> {
    /// The next event; `None` when the stream has ended.
    pub async fn next(&mut self) -> Result<Option<StreamEvent>, CallError> {
        loop {
            if let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                let Some(body) = block.strip_prefix(b"data: ") else { continue };
                return self.event(body).map(Some);
            }
            if self.text.len() > MOST {
                return Err(self.strange());
            }
            match self.response.chunk().await.map_err(|error| self.client.lost(&error))? {
                Some(chunk) => self.take(&chunk)?,
                None => return self.end(),
            }
        }
    }

    fn event(&self, body: &[u8]) -> Result<StreamEvent, CallError> {
        let plain = match &self.client.wire {
            Wire::One(seal) => unwrap(body).and_then(|sealed| seal.open(&sealed)).ok_or(CallError::UnknownKey)?,
            Wire::Two { .. } => body.to_vec(),
        };
        serde_json::from_slice(&plain).map_err(|_| self.strange())
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), CallError> {
        let Some(opener) = &mut self.opener else {
            self.text.extend_from_slice(chunk);
            return Ok(());
        };
        let plain = opener.push(chunk).map_err(|_: OpenError| CallError::OtherHouse)?;
        known(opener.status().unwrap_or(200))?;
        self.text.extend(plain);
        Ok(())
    }

    /// In version 2 a stream says where it ends, so one that was cut off is told from one that has ended.
    fn end(&mut self) -> Result<Option<StreamEvent>, CallError> {
        match self.opener.take().map(StreamOpener::end) {
            None | Some(Ok(_)) => Ok(None),
            Some(Err(_)) => Err(CallError::Unreachable("the stream was cut off".into())),
        }
    }

    fn strange(&self) -> CallError {
        CallError::NotATunnel(self.client.place(), StatusCode::OK)
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
