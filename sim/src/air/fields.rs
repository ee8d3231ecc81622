//! What an advertisement says, read and written by hand.

use serde_json::{Map, Value, json};

/// The 31 bytes of a legacy advertisement.
const LEGACY: usize = 31;
/// What a UUID of 16 bits ends with.
const BASE: &str = "-0000-1000-8000-00805f9b34fb";

/// What an advertisement says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields {
    pub(super) name: Option<String>,
    pub(super) services: Vec<String>,
    pub(super) company: Option<u16>,
    pub(super) bytes: String,
    pub(super) appearance: Option<u16>,
}

impl Fields {
    pub(super) fn read(value: Option<&Value>) -> Option<Self> {
        let Some(value) = value.filter(|value| !value.is_null()) else { return Some(Self::default()) };
        let fields = value.as_object()?;
        let short = |name| fields.get(name).filter(|value: &&Value| !value.is_null()).map(|value| value.as_u64()?.try_into().ok());
        let services = fields.get("services").map_or(Some(Vec::new()), |list| {
            list.as_array()?.iter().map(|uuid| uuid.as_str().filter(|uuid| is_uuid(uuid)).map(str::to_owned)).collect()
        })?;
        let company = match short("company") {
            None => None,
            Some(company) => Some(company?),
        };
        let appearance = match short("appearance") {
            None => None,
            Some(appearance) => Some(appearance?),
        };
        let bytes = fields.get("bytes").and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = fields.get("name").and_then(Value::as_str).map(str::to_owned);
        (is_hex(&bytes) && services.len() <= 8).then_some(Self { name, services, company, bytes, appearance })
    }

    /// How many bytes it has on the air.
    pub(super) fn length(&self) -> usize {
        let short = self.services.iter().filter(|uuid| uuid.starts_with("0000") && uuid.ends_with(BASE)).count();
        let long = self.services.len() - short;
        let mut length = self.name.as_ref().map_or(0, |name| 2 + name.len());
        if short > 0 {
            length += 2 + 2 * short;
        }
        if long > 0 {
            length += 2 + 16 * long;
        }
        if self.company.is_some() {
            length += 4 + self.bytes.len() / 2;
        }
        if self.appearance.is_some() {
            length += 4;
        }
        length
    }

    /// Whether it fits, beside so many bytes of flags.
    pub(super) fn fits(&self, flags: usize) -> bool {
        flags + self.length() <= LEGACY
    }

    /// The line that tells of it; `None` when the scan is for another company.
    pub(super) fn seen(&self, response: Option<&Self>, address: &str, rssi: i8) -> String {
        let mut line = Map::new();
        line.insert("event".into(), json!("seen"));
        line.insert("address".into(), json!(address));
        line.insert("rssi".into(), json!(rssi));
        for fields in [Some(self), response].into_iter().flatten() {
            if let Some(company) = fields.company {
                line.insert("company".into(), json!(company));
                line.insert("bytes".into(), json!(fields.bytes));
            }
            if let Some(name) = &fields.name {
                line.insert("name".into(), json!(name));
            }
            if !fields.services.is_empty() {
                let known = line.entry("services").or_insert_with(|| json!([]));
                if let Some(known) = known.as_array_mut() {
                    known.extend(fields.services.iter().map(|uuid| json!(uuid)));
                }
            }
        }
        Value::Object(line).to_string()
    }
}

pub(super) fn is_hex(text: &str) -> bool {
    text.len().is_multiple_of(2) && text.len() <= 1024 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

pub(super) fn is_address(text: &str) -> bool {
    text.len() == 17 && text.bytes().enumerate().all(|(at, byte)| if at % 3 == 2 { byte == b':' } else { byte.is_ascii_hexdigit() })
}
