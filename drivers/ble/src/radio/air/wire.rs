//! The lines of the air.

use crate::radio::{Advertisement, Can, Characteristic, Fields, RadioError, Service};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;
use uuid::Uuid;

/// Bytes of a line. What is longer is no line of the air.
pub(super) const MOST_LINE: usize = 16 << 10;

/// What the air says.
#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    /// Which request this answers.
    #[serde(default)]
    pub(super) id: Option<u64>,
    #[serde(default)]
    pub(super) ok: Option<Value>,
    #[serde(default, borrow)]
    pub(super) error: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub(super) text: Option<Cow<'a, str>>,
    /// What happened.
    #[serde(default, borrow)]
    pub(super) event: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) up: bool,
    #[serde(default)]
    pub(super) generation: u64,
    #[serde(default, borrow)]
    pub(super) why: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub(super) address: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) rssi: Option<i8>,
    #[serde(default)]
    pub(super) company: Option<u16>,
    #[serde(default, borrow)]
    pub(super) bytes: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) services: Vec<Uuid>,
    #[serde(default)]
    pub(super) request: Option<u64>,
    #[serde(default)]
    pub(super) link: Option<u64>,
    #[serde(default)]
    pub(super) mtu: Option<u16>,
    #[serde(default)]
    pub(super) uuid: Option<Uuid>,
    #[serde(default, borrow)]
    pub(super) value: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) on: bool,
}

/// What a connection begins with.
#[derive(Debug, Deserialize)]
pub(super) struct Linked {
    pub(super) link: u64,
    pub(super) mtu: u16,
    services: Vec<ServiceLine>,
}

#[derive(Debug, Deserialize, Serialize)]
struct ServiceLine {
    uuid: Uuid,
    characteristics: Vec<CharacteristicLine>,
}

#[derive(Debug, Deserialize, Serialize)]
struct CharacteristicLine {
    uuid: Uuid,
    can: Vec<Word>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Read,
    Write,
    Command,
    Notify,
}

impl Linked {
    pub(super) fn services(&self) -> Vec<Service> {
        let can = |words: &[Word]| Can {
            read: words.contains(&Word::Read),
            write: words.contains(&Word::Write),
            write_without_response: words.contains(&Word::Command),
            notify: words.contains(&Word::Notify),
        };
        let characteristic = |own: &CharacteristicLine| Characteristic { uuid: own.uuid, can: can(&own.can) };
        let service =
            |own: &ServiceLine| Service { uuid: own.uuid, characteristics: own.characteristics.iter().map(characteristic).collect() };
        self.services.iter().map(service).collect()
    }
}

pub(super) fn services(services: &[Service]) -> Value {
    let words = |can: Can| {
        let all =
            [(can.read, Word::Read), (can.write, Word::Write), (can.write_without_response, Word::Command), (can.notify, Word::Notify)];
        all.into_iter().filter(|(has, _)| *has).map(|(_, word)| word).collect()
    };
    let characteristic = |own: &Characteristic| CharacteristicLine { uuid: own.uuid, can: words(own.can) };
    let service = |own: &Service| ServiceLine { uuid: own.uuid, characteristics: own.characteristics.iter().map(characteristic).collect() };
    json!(services.iter().map(service).collect::<Vec<_>>())
}

pub(super) fn advertisement(number: u64, advertisement: &Advertisement) -> Value {
    let fields = |fields: &Fields| {
        let bytes = fields.manufacturer.as_ref().map(|(_, bytes)| hex(bytes));
        let company = fields.manufacturer.as_ref().map(|(company, _)| company);
        let mut line = json!({ "name": fields.name, "services": fields.services, "company": company, "appearance": fields.appearance });
        if let Some(bytes) = bytes {
            line["bytes"] = json!(bytes);
        }
        line
    };
    let interval = (advertisement.shortest + advertisement.longest) / 2;
    json!({
        "op": "advertise",
        "advert": number,
        "data": fields(&advertisement.data),
        "response": fields(&advertisement.response),
        "connectable": advertisement.connectable,
        "interval": u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
    })
}

/// What an error of the air means.
pub(super) fn trouble(word: &str, text: &str) -> RadioError {
    let text = text.to_owned();
    match word {
        "gone" => RadioError::Gone(text),
        "busy" => RadioError::Busy(text),
        "refused" => RadioError::Refused(text),
        "not_found" => RadioError::NotFound(text),
        "disconnected" => RadioError::Disconnected(text),
        _ => RadioError::Protocol(text),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('0', |digit| char::from(*digit));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Bytes of hex into a buffer; how many, or `None` when they make no sense or do not fit.
pub(super) fn unhex(text: &str, out: &mut [u8]) -> Option<usize> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let out = out.get_mut(..pairs.len()).filter(|_| rest.is_empty())?;
    for (to, [high, low]) in out.iter_mut().zip(pairs) {
        *to = digit(*high)? << 4 | digit(*low)?;
    }
    Some(pairs.len())
}
