//! A device of the fleet: what it is called, what it may do at the broker, and what is known about it.
//!
//! The firmware prints each byte of its Wi-Fi MAC without a leading zero, so that a device is called by 6 to 12 digits.
//! That *printed* identifier is the one on the wire; the MAC is for people.

use crate::{
    Time,
    firmware::Hardware,
    topic::{Filter, Rights},
    words::words,
};
use alloc::{
    borrow::Cow,
    format,
    string::{String, ToString as _},
    vec::Vec,
};
use core::{fmt, fmt::Write as _, str::FromStr};
use serde::{Deserialize, Serialize};

/// What a device calls itself at the broker begins with this.
const CLIENT: &str = "BLE-Gateway-";
/// Topics at which all devices report: who it was stands in the message.
pub const SHARED: [&str; 4] = ["sensor/data", "sensor/connect", "sensor/disconnect", "gateway/status"];

/// Why a text names no device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceIdError {
    /// Too short or too long.
    #[error("must have 6 to 12 digits")]
    Length,
    /// Something else than hexadecimal digits.
    #[error("may hold only the digits 0-9 and A-F")]
    Digit,
    /// A MAC has six bytes of two digits each.
    #[error("a MAC has six bytes, like A1:B2:C3:D4:E5:F6")]
    Mac,
}

/// The identifier that a device prints, in upper case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(pattern = "^[0-9A-F]{6,12}$", example = "A1B2C3D4E5F6"))]
#[serde(transparent)]
pub struct DeviceId(String);

impl DeviceId {
    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the device calls itself at the broker.
    pub fn client_id(&self) -> String {
        format!("{CLIENT}{}", self.0)
    }

    /// The device that calls itself so at the broker.
    pub fn of_client(client: &str) -> Option<Self> {
        client.strip_prefix(CLIENT)?.parse().ok()
    }

    /// What the device may do at the broker: its own topics, and those that all devices share to report.
    pub fn role(&self) -> Role {
        let id = &self.0;
        let own = [
            format!("sensor/{id}/response/#"),
            format!("gateway/{id}/status"),
            format!("gateway/{id}/ota/status"),
            format!("gateway/{id}/device/#"),
        ];
        let publish = SHARED.into_iter().map(String::from).chain(own);
        let subscribe = [
            format!("gateway/{id}/command"),
            format!("gateway/{id}/ota"),
            format!("sensor/{id}/request/#"),
            format!("sensor/{id}/firmwareVersion"),
        ];
        Role { publish: rights(publish), subscribe: rights(subscribe) }
    }
}

/// Whether some device may listen to a topic: what its role lets it subscribe to.
pub fn is_told_to_devices(topic: &str) -> bool {
    let mut levels = topic.splitn(3, '/');
    match (levels.next(), levels.next(), levels.next()) {
        (Some("gateway"), Some(_), Some(rest)) => matches!(rest, "command" | "ota"),
        (Some("sensor"), Some(_), Some(rest)) => rest == "firmwareVersion" || rest == "request" || rest.starts_with("request/"),
        _ => false,
    }
}

/// Rights of a device at the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// What it may publish.
    pub publish: Rights,
    /// What it may subscribe to.
    pub subscribe: Rights,
}

fn rights(filters: impl IntoIterator<Item = String>) -> Rights {
    Rights::new(filters.into_iter().filter_map(|filter| filter.parse::<Filter>().ok()).collect())
}

impl FromStr for DeviceId {
    type Err = DeviceIdError;

    /// Digits of any case.
    ///
    /// ```
    /// use doorward_wire::device::DeviceId;
    ///
    /// assert_eq!("a1b2c3d4e5f6".parse::<DeviceId>().unwrap().as_str(), "A1B2C3D4E5F6");
    /// assert!("A1B2C".parse::<DeviceId>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, DeviceIdError> {
        if !(6..=12).contains(&text.len()) {
            return Err(DeviceIdError::Length);
        }
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(DeviceIdError::Digit);
        }
        Ok(Self(text.to_ascii_uppercase()))
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for DeviceId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The Wi-Fi MAC of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// The identifier that a device with this MAC prints. Two MACs may print the same one.
    ///
    /// ```
    /// use doorward_wire::device::Mac;
    ///
    /// let mac: Mac = "E8:06:90:9E:9A:B4".parse().unwrap();
    /// assert_eq!(mac.printed().as_str(), "E86909E9AB4");
    /// ```
    pub fn printed(self) -> DeviceId {
        let mut digits = String::with_capacity(12);
        for byte in self.0 {
            // Writing to a text cannot fail.
            let _ = write!(digits, "{byte:X}");
        }
        DeviceId(digits)
    }
}

impl FromStr for Mac {
    type Err = DeviceIdError;

    /// Six bytes of two digits, with colons or hyphens between them.
    fn from_str(text: &str) -> Result<Self, DeviceIdError> {
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(part.ok_or(DeviceIdError::Mac)?, 16).map_err(|_| DeviceIdError::Mac)?;
        }
        if parts.next().is_some() { Err(DeviceIdError::Mac) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<String> = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        f.pad(&bytes.join(":"))
    }
}

impl Serialize for Mac {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How people name a device: by its MAC, which is remembered, or by what it prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What it prints.
    pub id: DeviceId,
    /// Its MAC, when it was given.
    pub mac: Option<Mac>,
}

impl FromStr for Named {
    type Err = DeviceIdError;

    fn from_str(text: &str) -> Result<Self, DeviceIdError> {
        let text = text.trim();
        if text.contains([':', '-']) {
            let mac: Mac = text.parse()?;
            return Ok(Self { id: mac.printed(), mac: Some(mac) });
        }
        Ok(Self { id: text.parse()?, mac: None })
    }
}

words! {
    /// How a device stands.
    pub enum DeviceState {
        /// Its broker user is not made yet; that is tried again by itself.
        Pending = "pending",
        /// It has its credentials and was never seen.
        Provisioned = "provisioned",
        /// It is connected to the broker.
        Online = "online",
        /// It was seen before.
        Offline = "offline",
        /// It has no rights any more.
        Revoked = "revoked",
    }
}

/// One device, as people and programs see it. No secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Device {
    /// What it prints.
    pub id: DeviceId,
    /// Its Wi-Fi MAC, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "A1:B2:C3:D4:E5:F6"))]
    pub mac: Option<Mac>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How it stands.
    pub state: DeviceState,
    /// Why it stands so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Its hardware.
    pub hardware: Hardware,
    /// The name of its user at the broker.
    pub mqtt_user: String,
    /// The firmware that it runs, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// When it was last heard of, by the server's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Time>,
    /// Seconds since it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<u64>,
    /// Bytes of memory that are free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_heap: Option<u64>,
    /// How well it hears its access point, in dBm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wifi_rssi: Option<i16>,
    /// When it was provisioned first.
    pub provisioned: Time,
}

/// What a device is given when it is provisioned: the answer of `POST /provision/{device_id}`, as the original gives it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Provisioned {
    /// What it prints.
    pub device_id: DeviceId,
    /// Its user at the broker.
    pub mqtt_user: String,
    /// What it shows there.
    pub mqtt_password: String,
    /// Where the broker is.
    pub mqtt_host: String,
    /// The broker's port.
    pub mqtt_port: u16,
    /// When it was provisioned first, in the time zone of the house: `2024-11-09 20:00:00`.
    pub provision_date: String,
    /// What it shows at the provisioning server.
    pub device_token: String,
}

impl fmt::Debug for Provisioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provisioned").field("device_id", &self.device_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes taken from the original tools.
    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../tests/vectors/provisioning.json")).unwrap()
    }

    #[test]
    fn printed_ids_drop_leading_zeros() {
        let vectors = vectors();
        let pairs = &vectors["unpadded_id"];
        let more = pairs["more"].as_array().unwrap();
        for pair in core::iter::once(&pairs["documented_pair"]).chain(more) {
            let mac: Mac = pair["mac"].as_str().unwrap().parse().unwrap();
            assert_eq!(mac.printed().as_str(), pair["printed"].as_str().unwrap());
            assert_eq!(mac.to_string(), pair["mac"].as_str().unwrap());
        }
        assert_eq!(more[1]["printed"], more[2]["printed"], "two MACs may print the same");
    }

    #[test]
    fn ids_have_6_to_12_digits_of_any_case() {
        for (text, id) in [("a1b2c3", "A1B2C3"), ("A1B2C3D", "A1B2C3D"), ("a1b2c3d4e5F6", "A1B2C3D4E5F6")] {
            assert_eq!(text.parse::<DeviceId>().unwrap().as_str(), id);
        }
        for text in ["", "A1B2C", "A1B2C3D4E5F67", "A1B2C3D4E5FG", "A1B2C3/", "A1:B2:C3", "\u{661}1B2C3", "A1B2C3\n"] {
            assert!(text.parse::<DeviceId>().is_err(), "{text:?}");
        }
        assert!(serde_json::from_str::<DeviceId>("\"a1b2c3\"").unwrap() == "A1B2C3".parse().unwrap());
        assert!(serde_json::from_str::<DeviceId>("\"x\"").is_err());
    }

    #[test]
    fn people_may_write_a_mac() {
        let named: Named = " e8-06-90-9e-9a-b4 ".parse().unwrap();
        assert_eq!((named.id.as_str(), named.mac.unwrap().to_string().as_str()), ("E86909E9AB4", "E8:06:90:9E:9A:B4"));
        assert_eq!("E86909E9AB4".parse::<Named>().unwrap().mac, None);
        for text in ["E8:06:90:9E:9A", "E8:06:90:9E:9A:B4:00", "E8:6:90:9E:9A:B4", "+8:06:90:9E:9A:B4", ":::::"] {
            assert_eq!(text.parse::<Named>(), Err(DeviceIdError::Mac), "{text}");
        }
    }

    #[test]
    fn a_device_may_do_what_its_role_names_and_nothing_at_its_neighbour() {
        let (own, other): (DeviceId, DeviceId) = ("A1B2C3D4E5F6".parse().unwrap(), "A1B2C3D4E5F7".parse().unwrap());
        let (role, neighbour) = (own.role(), other.role());
        for topic in ["sensor/data", "gateway/status", "gateway/A1B2C3D4E5F6/ota/status", "gateway/A1B2C3D4E5F6/device/00:11"] {
            assert!(role.publish.allow_topic(topic), "{topic}");
        }
        assert!(role.publish.allow_topic("sensor/A1B2C3D4E5F6/response/reboot/1"));
        for filter in ["gateway/A1B2C3D4E5F6/ota", "sensor/A1B2C3D4E5F6/request/+/+", "sensor/A1B2C3D4E5F6/firmwareVersion"] {
            assert!(role.subscribe.allow_filter(&filter.parse().unwrap()), "{filter}");
        }
        for right in neighbour.subscribe.filters() {
            assert!(!role.subscribe.allow_filter(right) && !role.publish.allow_filter(right), "{right}");
        }
        for right in neighbour.publish.filters() {
            assert!(!role.subscribe.allow_filter(right), "{right}");
            assert_eq!(role.publish.allow_filter(right), !right.as_str().contains(other.as_str()), "{right}");
        }
        for filter in ["#", "gateway/#", "gateway/+/ota", "sensor/+/request/#", "sensor/#", "doorward/#", "$share/g/gateway/+/ota"] {
            assert!(!role.subscribe.allow_filter(&filter.parse().unwrap()), "{filter}");
        }
        for topic in
            ["gateway/A1B2C3D4E5F6/ota", "gateway/A1B2C3D4E5F6/command", "doorward/door/front/set", "sensor/A1B2C3D4E5F6/firmwareVersion"]
        {
            assert!(!role.publish.allow_topic(topic), "{topic}");
        }
    }

    proptest! {
        #[test]
        fn any_mac_prints_an_id_that_parses(bytes in any::<[u8; 6]>()) {
            let printed = Mac(bytes).printed();
            prop_assert_eq!(printed.as_str().parse::<DeviceId>().unwrap(), printed.clone());
            prop_assert_eq!(Mac(bytes).to_string().parse::<Named>().unwrap(), Named { id: printed, mac: Some(Mac(bytes)) });
        }

        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,20}|[0-9a-fA-F:-]{0,20}") {
            let _ = text.parse::<Named>();
        }
    }
}
