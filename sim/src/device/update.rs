//! An update over the air. Firmware A and B flash whatever comes; C looks at its hash, its signature and its version first.

use std::io::{self, Error};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::link::Stream;
use super::{Firmware, Shared, lock, mqtt};

/// Bytes of a head.
const HEAD: usize = 8 << 10;
/// Bytes that fit into its partition.
const PARTITION: usize = 0x33_0000;

/// Does what an offer says, and tells of it.
pub(super) async fn follow(shared: &Shared, stream: &mut dyn Stream, offer: &Value) -> io::Result<()> {
    let (id, text) = (shared.id(), |name: &str| offer[name].as_str().unwrap_or_default().to_owned());
    let topic = format!("gateway/{id}/ota/status");
    let running = shared.version();
    let status = |word: &str, progress: u64, error: Option<&str>| {
        let mut said = json!({ "device_id": id, "status": word, "progress": progress, "current_version": running });
        if let Some(error) = error {
            said["error"] = error.into();
        }
        mqtt::publish(&topic, &said)
    };
    if text("version") == running {
        return stream.write_all(&status("up_to_date", 100, None)).await;
    }
    if let Some(why) = refuses(shared, offer) {
        return stream.write_all(&status("failed", 0, Some(why))).await;
    }
    stream.write_all(&status("downloading", 0, None)).await?;
    let image = match fetch(shared, &text("url"), stream, &status).await {
        Ok(image) => image,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
        Err(error) => return stream.write_all(&status("failed", 0, Some(&error.to_string()))).await,
    };
    if let Some(why) = doubts(shared, offer, &image) {
        return stream.write_all(&status("failed", 100, Some(why))).await;
    }
    stream.write_all(&status("updating", 100, None)).await?;
    stream.write_all(&status("success", 100, None)).await?;
    if !lock(&shared.faults).boot_loop {
        *lock(&shared.version) = text("version");
        *lock(&shared.min_version) = text("min_version");
    }
    *lock(&shared.image) = image;
    shared.restart.notify_one();
    std::future::pending().await
}

/// What firmware C does not even begin with.
fn refuses(shared: &Shared, offer: &Value) -> Option<&'static str> {
    if shared.config.firmware != Firmware::C {
        return None;
    }
    if offer["hardware"] != shared.config.hardware.as_str() {
        return Some("wrong hardware");
    }
    let least = lock(&shared.min_version).clone();
    older(offer["version"].as_str().unwrap_or_default(), &least).then_some("version too old")
}

/// What firmware C finds wrong with an image.
fn doubts(shared: &Shared, offer: &Value, image: &[u8]) -> Option<&'static str> {
    if shared.config.firmware != Firmware::C {
        return None;
    }
    let sum: String = digest(&SHA256, image).as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    if offer["checksum"] != sum.as_str() || offer["size"].as_u64() != u64::try_from(image.len()).ok() {
        return Some("wrong checksum");
    }
    let field = |name: &str| offer[name].as_str().unwrap_or_default();
    let signed =
        format!("doorward-firmware/1\n{}\n{}\n{}\n{}\n{sum}\n", field("hardware"), field("version"), field("min_version"), image.len());
    let signature = STANDARD.decode(field("signature")).unwrap_or_default();
    let key = shared.config.public_key.clone().unwrap_or_default();
    UnparsedPublicKey::new(&ED25519, key).verify(signed.as_bytes(), &signature).is_err().then_some("wrong signature")
}

/// Compares as its firmware does: number by number.
fn older(a: &str, b: &str) -> bool {
    let numbers = |text: &str| text.split('.').map(|part| part.parse::<u64>().unwrap_or_default()).collect::<Vec<_>>();
    numbers(a) < numbers(b)
}

/// Fetches an image by plain HTTP. It takes 200 with a length, and nothing else.
async fn fetch(
    shared: &Shared,
    url: &str,
    broker: &mut dyn Stream,
    status: &impl Fn(&str, u64, Option<&str>) -> Vec<u8>,
) -> io::Result<Vec<u8>> {
    let rest = url.strip_prefix("http://").ok_or_else(|| Error::other("unsupported URL"))?;
    let (host, path) = rest.split_once('/').ok_or_else(|| Error::other("unsupported URL"))?;
    let mut server = TcpStream::connect(host).await?;
    server.write_all(format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(server.read_u8().await?);
        if head.len() > HEAD {
            return Err(Error::other("no answer"));
        }
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    if !head.starts_with("http/1.1 200") {
        return Err(Error::other(format!("HTTP {}", head.split(' ').nth(1).unwrap_or_default())));
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).and_then(|length| length.trim().parse::<usize>().ok());
    let length = length.filter(|length| *length <= PARTITION).ok_or_else(|| Error::other("not enough space"))?;
    let mut image = Vec::with_capacity(length);
    let mut told = 0;
    let mut buffer = vec![0; 16 << 10];
    while image.len() < length {
        let more = server.read(&mut buffer).await?;
        if more == 0 {
            return Err(Error::other("connection lost"));
        }
        image.extend_from_slice(&buffer[..more]);
        let percent = u64::try_from(image.len() * 100 / length.max(1)).unwrap_or_default();
        if lock(&shared.faults).power_loss_at.is_some_and(|at| percent >= at) {
            lock(&shared.faults).power_loss_at = None;
            shared.restart.notify_one();
            return Err(io::ErrorKind::Interrupted.into());
        }
        if lock(&shared.faults).link_lost_at.is_some_and(|at| percent >= at) {
            lock(&shared.faults).link_lost_at = None;
            return Err(Error::other("connection lost"));
        }
        if percent >= told + 10 {
            told = percent;
            broker.write_all(&status("downloading", percent, None)).await?;
        }
    }
    Ok(image)
}
