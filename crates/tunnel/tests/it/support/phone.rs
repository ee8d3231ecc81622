//! A phone of the original gateway, written from its wire format alone.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
};

/// A phone with a key.
pub(crate) struct Phone {
    pub(crate) address: SocketAddr,
    key: [u8; 32],
    http: reqwest::Client,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    pub(crate) status: u64,
    pub(crate) body: Value,
}

impl Said {
    /// The error inside of the text that the original writes.
    pub(crate) fn error(&self) -> String {
        let text = self.body.as_str().unwrap_or_else(|| panic!("{:?} is no text", self.body));
        serde_json::from_str::<Value>(text).unwrap()["error"].as_str().unwrap().to_owned()
    }
}

impl Phone {
    pub(crate) fn new(address: SocketAddr, key: [u8; 32]) -> Self {
        Self { address, key, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// The same phone for another listener.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self::new(address, self.key)
    }

    /// A message as it is.
    pub(crate) fn seal(&self, plain: &[u8]) -> String {
        seal_with(&self.key, fresh_nonce(), plain)
    }

    /// A message from a time.
    pub(crate) fn message(&self, mut fields: Value, timestamp: impl Into<Value>) -> String {
        fields["timestamp"] = timestamp.into();
        self.seal(fields.to_string().as_bytes())
    }

    pub(crate) fn open(&self, body: &str) -> Option<Value> {
        let bytes = STANDARD.decode(body.trim()).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(12)?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.key).unwrap());
        let mut sealed = sealed.to_vec();
        let plain = key.open_in_place(Nonce::try_assume_unique_for_key(nonce).unwrap(), Aad::empty(), &mut sealed).ok()?;
        serde_json::from_slice(plain).ok()
    }

    /// Posts a body; gives the status, the type and the body that came back.
    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, String, String) {
        let url = format!("http://{}{path}", self.address);
        let answer = self.http.post(url).header("content-type", "application/octet-stream").body(body).send().await.unwrap();
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        (answer.status().as_u16(), kind.unwrap_or_default(), answer.text().await.unwrap())
    }

    /// Posts a body that is answered under the key.
    pub(crate) async fn told(&self, path: &str, body: String) -> Said {
        let (status, kind, body) = self.post(path, body).await;
        assert_eq!((status, kind.as_str()), (200, "application/octet-stream"));
        let said = self.open(&body).unwrap_or_else(|| panic!("not sealed with this key: {body}"));
        assert!(said["timestamp"].is_i64(), "{said}");
        Said { status: said["status"].as_u64().unwrap(), body: said["body"].clone() }
    }

    /// Asks for something.
    pub(crate) async fn ask(&self, fields: Value, timestamp: impl Into<Value>) -> Said {
        self.told("/gateway", self.message(fields, timestamp)).await
    }

    /// A stream.
    pub(crate) async fn listen(&self, topic: &str, timestamp: i64) -> Stream<'_> {
        self.stream(self.message(json!({ "topic": topic }), timestamp)).await
    }

    /// A stream that begins with this body.
    pub(crate) async fn stream(&self, body: String) -> Stream<'_> {
        let url = format!("http://{}/mqtt/subscribe", self.address);
        let answer = self.http.post(url).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("content-type").as_deref(), Some("text/event-stream"));
        assert_eq!(header("cache-control").as_deref(), Some("no-cache"));
        assert_eq!(header("x-accel-buffering").as_deref(), Some("no"));
        Stream { phone: self, answer, text: String::new() }
    }
}

/// What a phone hears.
pub(crate) struct Stream<'p> {
    phone: &'p Phone,
    answer: reqwest::Response,
    text: String,
}

impl Stream<'_> {
    /// The next event, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let event = self.raw().await?;
        // As the original's clients: six characters off, whatever they are.
        let body = event.get(6..).unwrap();
        assert!(event.starts_with("data: ") && !body.starts_with(' '), "{event}");
        Some(self.phone.open(body).unwrap_or_else(|| panic!("not sealed with this key: {event}")))
    }

    /// The next block of lines.
    pub(crate) async fn raw(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(event);
            }
            let chunk = tokio::time::timeout(std::time::Duration::from_secs(20), self.answer.chunk()).await.expect("nothing comes");
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()?).unwrap());
        }
    }
}

/// Seals with a key under a nonce.
pub(crate) fn seal_with(key: &[u8; 32], nonce: [u8; 12], plain: &[u8]) -> String {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let mut text = plain.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text).unwrap();
    STANDARD.encode([&nonce[..], &text].concat())
}

fn fresh_nonce() -> [u8; 12] {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let mut nonce = [0x5a; 12];
    nonce[..4].copy_from_slice(&NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    nonce[4..8].copy_from_slice(&std::process::id().to_be_bytes());
    nonce
}
