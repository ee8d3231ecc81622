//! What the keeper is told about doors and accounts when it starts, and when a person changes them.

use crate::{driver::About, policy::Place};
use doorward_wire::{
    account::AccountId,
    attempt::Attempt,
    door::{Capability, DoorId, DoorKind, DoorState},
    grant::Holiday,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When a door locks itself again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoLock {
    /// Minutes after it was seen unlocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
    /// A time of day in the site's time zone, `22:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<jiff::civil::Time>,
}

/// A contact at a door, as some sensor tells it over MQTT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// The topic on which it is told.
    pub mqtt: String,
    /// Which value of a JSON payload: `contact`, `/a/0/b`. The whole payload when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// The value that stands for open.
    pub open: String,
}

impl Contact {
    /// Whether the door is open; `None` when the payload does not say.
    ///
    /// ```
    /// use doorward_core::setup::Contact;
    ///
    /// let contact = Contact { mqtt: "zigbee2mqtt/gate".into(), json: Some("contact".into()), open: "false".into() };
    /// assert_eq!(contact.read(br#"{"contact":false}"#), Some(true));
    /// assert_eq!(contact.read(br#"{"contact":true}"#), Some(false));
    /// assert_eq!(contact.read(br#"{"battery":90}"#), None);
    /// ```
    pub fn read(&self, payload: &[u8]) -> Option<bool> {
        let value = payload_value(payload, self.json.as_deref())?;
        (!NOTHING.iter().any(|word| value.eq_ignore_ascii_case(word))).then(|| value == self.open)
    }
}

/// What sensors write when they know nothing.
const NOTHING: [&str; 5] = ["", "none", "null", "unknown", "unavailable"];

/// One value of a payload as text: the whole of it, or what a name or JSON pointer (RFC 6901) picks.
pub fn payload_value(payload: &[u8], json: Option<&str>) -> Option<String> {
    let text = std::str::from_utf8(payload).ok()?.trim();
    let Some(path) = json else { return Some(text.into()) };
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let picked = if path.starts_with('/') { value.pointer(path)? } else { value.get(path)? };
    match picked {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Bool(_) | serde_json::Value::Number(_) => Some(picked.to_string()),
        serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
    }
}

/// A door as it is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorSetup {
    /// Identifier, never changed.
    pub id: DoorId,
    /// The name that people gave it.
    pub name: String,
    /// The site that it belongs to.
    pub site: String,
    /// The site's IANA time zone, `Europe/Berlin`.
    pub time_zone: String,
    /// The site's holidays.
    pub holidays: Vec<Holiday>,
    /// What it can be known to do.
    pub kind: DoorKind,
    /// The account whose driver reaches it.
    pub account: AccountId,
    /// The vendor's identifier.
    pub external: String,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// How long a door without evidence is waited for.
    pub confirm_within: Duration,
    /// When it locks itself again.
    pub auto_lock: AutoLock,
    /// Opens even when the audit cannot be written (a way out).
    pub fail_open: bool,
    /// A contact that tells whether it stands open.
    pub contact: Option<Contact>,
    /// The keyed hash of the code that commands over MQTT must carry to open it.
    pub mqtt_code: Option<String>,
    /// Where whoever rings can be seen: the address of a page or stream, as of go2rtc.
    pub stream: Option<String>,
    /// Set in the configuration file.
    pub managed: bool,
    /// What was told of it before this start.
    pub told: Told,
}

impl DoorSetup {
    /// A door that somebody configured: called by its identifier, at this site, with nothing else said of it.
    pub fn configured(id: DoorId, site: &str, kind: DoorKind, account: AccountId, capabilities: Vec<Capability>) -> Self {
        Self {
            name: id.to_string(),
            external: id.to_string(),
            id,
            site: site.into(),
            time_zone: String::new(),
            holidays: Vec::new(),
            kind,
            account,
            capabilities,
            confirm_within: Duration::from_secs(5),
            auto_lock: AutoLock::default(),
            fail_open: false,
            contact: None,
            mqtt_code: None,
            stream: None,
            managed: true,
            told: Told::default(),
        }
    }

    /// The door as policy sees it.
    pub fn place(&self) -> Place<'_> {
        Place { door: &self.id, site: &self.site, time_zone: &self.time_zone, holidays: &self.holidays }
    }
}

/// What events have told of a door: whoever starts anew tells what changed since, and nothing again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// The state that was seen last.
    pub state: Option<DoorState>,
    /// Whether it could be reached.
    pub online: Option<bool>,
    /// Whether its battery was low.
    pub battery_low: Option<bool>,
}

/// An account as it is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSetup {
    /// Identifier, never changed.
    pub id: AccountId,
    /// Offsets after a command's answer at which its door is asked again.
    pub verify: Vec<Duration>,
    /// How old evidence may be before it counts as none.
    pub stale_after: Duration,
    /// A person signs in before it works.
    pub signs_in: bool,
}

impl AccountSetup {
    /// An account as its driver describes it.
    pub fn new(id: AccountId, about: &About) -> Self {
        Self { id, verify: about.verify.clone(), stale_after: about.stale_after, signs_in: !about.steps.is_empty() }
    }
}

/// An attempt that the last run did not finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIntent {
    /// The attempt as it was written.
    pub attempt: Attempt,
    /// Whether it was claimed: then it may have been sent.
    pub acted: bool,
}
