//! A device at its broker: MQTT 3.1.1, as little of it as the firmware needs.

use std::io::{self, Error};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::link::{self, Stream};
use super::{Firmware, Memory, Shared, Standing, lock, update};

/// Seconds.
const KEEP_ALIVE: u16 = 60;
/// Bytes of a message that it takes.
const MOST: usize = 64 << 10;

/// Connects, and talks until the connection is lost.
pub(super) async fn talk(shared: &Shared, memory: &Memory) -> io::Result<()> {
    let mut stream = link::open(&shared.config).await?;
    let id = shared.id();
    stream.write_all(&connect(&format!("BLE-Gateway-{id}"), &memory.mqtt_user, &memory.mqtt_pass)).await?;
    let (kind, body) = read(stream.as_mut()).await?;
    if kind >> 4 != 2 || body.get(1) != Some(&0) {
        return Err(Error::other(format!("the broker does not let it in: {body:?}")));
    }
    let qos = u8::from(shared.config.firmware != Firmware::A);
    let mut topics = vec![format!("gateway/{id}/command"), format!("gateway/{id}/ota")];
    if shared.config.firmware != Firmware::A {
        topics.extend([format!("sensor/{id}/request/+/+"), format!("sensor/{id}/firmwareVersion")]);
    }
    stream.write_all(&subscribe(&topics, qos)).await?;
    shared.stands(Standing::Online);
    if shared.config.firmware != Firmware::A {
        stream.write_all(&publish("sensor/connect", &json!({ "serialNumber": id }))).await?;
    }
    let mut report = tokio::time::interval(shared.config.report);
    let mut ping = tokio::time::interval(Duration::from_secs(u64::from(KEEP_ALIVE) / 2));
    let mut seconds = 0;
    let lost = lost(shared);
    tokio::pin!(lost);
    loop {
        tokio::select! {
            packet = read(stream.as_mut()) => {
                let (kind, body) = packet?;
                if kind >> 4 == 3 {
                    hear(shared, stream.as_mut(), kind, &body).await?;
                }
            }
            _ = report.tick() => {
                stream.write_all(&publish(&topic_of_status(shared), &status(shared, seconds))).await?;
                seconds += shared.config.report.as_secs();
            }
            () = &mut lost => return Err(Error::other("the link is flaky")),
            _ = ping.tick() => stream.write_all(&[0xC0, 0]).await?,
        }
    }
}

/// Until a flaky link is lost.
async fn lost(shared: &Shared) {
    let flaky = lock(&shared.faults).flaky;
    match flaky {
        Some(after) => tokio::time::sleep(after).await,
        None => std::future::pending().await,
    }
}

fn topic_of_status(shared: &Shared) -> String {
    if shared.config.firmware == Firmware::A { format!("gateway/{}/status", shared.id()) } else { "gateway/status".into() }
}

fn status(shared: &Shared, uptime: u64) -> Value {
    json!({
        "serialNumber": shared.id(),
        "sensorType": "gateway",
        "sensorModel": "XIAO",
        "firmware": shared.version(),
        "uptime": uptime,
        "freeHeap": 181_234,
        "wifiRssi": -61,
        "timestamp": uptime,
    })
}

/// Does what it is told.
async fn hear(shared: &Shared, stream: &mut dyn Stream, kind: u8, body: &[u8]) -> io::Result<()> {
    let Some((length, rest)) = body.split_at_checked(2) else { return Ok(()) };
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    let Some((topic, mut rest)) = rest.split_at_checked(length) else { return Ok(()) };
    if (kind >> 1) & 3 > 0 {
        let Some((number, payload)) = rest.split_at_checked(2) else { return Ok(()) };
        stream.write_all(&[0x40, 2, number[0], number[1]]).await?;
        rest = payload;
    }
    let topic = String::from_utf8_lossy(topic).into_owned();
    let said: Value = serde_json::from_slice(rest).unwrap_or_default();
    let id = shared.id();
    if topic == format!("gateway/{id}/command") && said["command"] == "restart" {
        shared.restart.notify_one();
        // It is cut off here, without a farewell.
        return std::future::pending().await;
    }
    if topic == format!("gateway/{id}/ota") {
        return update::follow(shared, stream, &said).await;
    }
    if let Some(request) = topic.strip_prefix(&format!("sensor/{id}/request/")) {
        let method = request.split('/').next().unwrap_or_default();
        let answer = json!({ "method": method, "params": said, "uptime": 300 });
        stream.write_all(&publish(&format!("sensor/{id}/response/{request}"), &answer)).await?;
    }
    Ok(())
}

/// One packet: its first byte and what follows its length.
async fn read(stream: &mut dyn Stream) -> io::Result<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await?;
    let (mut length, mut shift) = (0usize, 0);
    loop {
        let byte = stream.read_u8().await?;
        length |= usize::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
        if shift > 21 {
            return Err(Error::other("a length that is none"));
        }
    }
    if length > MOST {
        return Err(Error::other("a message that does not fit into its memory"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok((kind, body))
}

fn connect(client: &str, user: &str, password: &str) -> Vec<u8> {
    let mut body = vec![0, 4];
    body.extend_from_slice(b"MQTT\x04\xC2");
    body.extend_from_slice(&KEEP_ALIVE.to_be_bytes());
    for text in [client, user, password] {
        body.extend_from_slice(&text_of(text));
    }
    packet(0x10, &body)
}

fn subscribe(topics: &[String], qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    for topic in topics {
        body.extend_from_slice(&text_of(topic));
        body.push(qos);
    }
    packet(0x82, &body)
}

pub(super) fn publish(topic: &str, said: &Value) -> Vec<u8> {
    let mut body = text_of(topic);
    body.extend_from_slice(said.to_string().as_bytes());
    packet(0x30, &body)
}

fn text_of(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
    bytes
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length % 128).unwrap_or_default();
        length /= 128;
        packet.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}
