//! What is fuzzed: each function takes whatever bytes and must neither panic nor break a promise. The tests of the crates
//! run the same functions over the corpus.

#![allow(dead_code, reason = "every target uses one of them")]

use doorward_tunnel::{
    scopes::{Allowed, Leave},
    v2::{Client, GatewayKey, PinnedConfig},
};
use doorward_wire::tunnel::{Plain, Scopes, unwrap, wrap};
use futures_util::{AsyncReadExt, AsyncWriteExt, FutureExt};
use ohttp::{
    ClientRequest, KeyConfig, Server, SymmetricSuite,
    hpke::{Aead, Kdf, Kem},
};
use reqwest::{Method, Url};
use std::sync::LazyLock;

const SEED: [u8; 32] = [7; 32];
const SUITE: SymmetricSuite = SymmetricSuite::new(Kdf::HkdfSha256, Aead::Aes128Gcm);

/// The gateway of version 2, from the same seed as [`server`].
static GATEWAY: LazyLock<GatewayKey> = LazyLock::new(|| GatewayKey::derive(1, &SEED).expect("a seed gives a key"));

fn config() -> KeyConfig {
    KeyConfig::derive(1, Kem::X25519Sha256, vec![SUITE], &SEED).expect("a seed gives a key")
}

/// Version 1: base64 around nonce, ciphertext and tag.
pub(crate) fn envelope(bytes: &[u8]) {
    if let Some(sealed) = unwrap(bytes) {
        assert_eq!(unwrap(wrap(&sealed).as_bytes()), Some(sealed), "what is written is what was read");
    }
}

/// Version 1: what was inside of a seal.
pub(crate) fn plain(bytes: &[u8]) {
    let Ok(plain) = Plain::read(bytes) else { return };
    let _ = (plain.timestamp(), plain.is_answer(), plain.service(), plain.publish(), plain.subscribe());
    if let Ok(wish) = plain.wish() {
        assert!(!plain.is_answer() || plain.service().is_ok());
        assert!(format!("{wish:?}").len() < 4096, "what was asked for is not printed");
    }
}

/// Scopes as JSON in the first line, an address in the second, a topic in the third.
pub(crate) fn scopes(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| std::str::from_utf8(line).unwrap_or_default());
    let mut line = || lines.next().unwrap_or_default();
    let Ok(scopes) = serde_json::from_str::<Scopes>(line()) else { return };
    let Ok(allowed) = Allowed::read(&scopes) else { return };
    let (address, topic) = (line(), line());
    if let Ok(url) = address.parse::<Url>() {
        let leave = allowed.http(&Method::GET, &url);
        assert!(leave.is_none() || !scopes.http.is_empty(), "nothing named, nothing allowed");
        // Parsers of addresses know many ways to write a host.
        let named = |host: &str| {
            scopes
                .http
                .iter()
                .any(|entry| entry.split(' ').filter_map(|word| word.parse::<Url>().ok()).any(|url| url.host_str() == Some(host)))
        };
        assert!(leave != Some(Leave::Named) || url.host_str().is_some_and(named), "an address inside is only reached by its name");
    }
    if let Ok(filter) = topic.parse() {
        assert!(!allowed.subscribe(&filter) || !scopes.mqtt_subscribe.is_empty());
    }
    let spelled = |filter: &String| filter.starts_with("doorward/door/") && filter.contains("set");
    assert!(!allowed.publish("doorward/door/front_door/set") || scopes.mqtt_publish.iter().any(spelled), "no wildcard opens a door");
}

/// Version 2: a request, as bytes from anywhere and as what somebody sealed for this house.
pub(crate) fn request(bytes: &[u8]) {
    let _ = (GATEWAY.open(bytes).is_ok(), GATEWAY.open_chunked(bytes).is_ok());
    let whole = ClientRequest::from_config(&mut config()).and_then(|request| request.encapsulate(bytes));
    if let Ok((request, sealer)) = GATEWAY.open(&whole.expect("it is sealed").0) {
        assert!(!request.is_by(&SEED), "nobody without the key makes a request of it");
        assert!(request.method.len() <= 1024 && request.path.len() <= 1024);
        let _ = (request.key_id(), request.nonce());
        assert!(sealer.seal(200, "text/plain", bytes).is_ok());
    }
}

/// Version 2: an answer, as bytes from anywhere and as what somebody sealed who has the house's key.
pub(crate) fn answer(bytes: &[u8]) {
    let pinned = PinnedConfig::read(GATEWAY.config(), GATEWAY.pin()).expect("it is the house's own");
    let client = Client::new(pinned, "phone", SEED);
    let server = Server::new(config()).expect("it has a key");
    let sealed = || client.seal("POST", "/gateway", b"{}").expect("it is sealed");
    assert!(sealed().1.open(bytes).is_err(), "nobody seals an answer without the key");
    let (request, opener) = sealed();
    let (_, response) = server.decapsulate(&request).expect("it is opened");
    if let Ok(answer) = opener.open(&response.encapsulate(bytes).expect("it is sealed")) {
        assert!((200..600).contains(&answer.status));
    }
    chunks(&client, server, bytes);
}

/// The first byte says how long pieces are.
fn chunks(client: &Client, server: Server, bytes: &[u8]) {
    let Some((length, bytes)) = bytes.split_first() else { return };
    let (request, mut opener) = client.seal_chunked("POST", "/mqtt/subscribe", b"{}").expect("it is sealed");
    let mut reader = server.decapsulate_stream(&request[..]);
    let mut plain = Vec::new();
    reader.read_to_end(&mut plain).now_or_never().expect("it is all there").expect("it is opened");
    let mut sealed = Vec::new();
    {
        let mut writer = Box::pin(reader.response(&mut sealed).expect("it is sealed"));
        for piece in bytes.chunks(usize::from(*length).max(1)) {
            writer.write_all(piece).now_or_never().expect("memory takes it").expect("it is sealed");
            writer.flush().now_or_never().expect("memory takes it").expect("it is sealed");
        }
        writer.close().now_or_never().expect("memory takes it").expect("it is sealed");
    }
    for piece in sealed.chunks(usize::from(*length) + 3) {
        if opener.push(piece).is_err() {
            return;
        }
    }
    assert!(opener.status().is_none_or(|status| (200..600).contains(&status)));
    let _ = opener.end();
}
