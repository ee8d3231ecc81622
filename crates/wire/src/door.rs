//! What a door is to those who look at it.

use crate::{Time, attempt::Attempt, id::slug_id, words::words};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

slug_id! {
    /// A door's identifier: `[a-z0-9_]{1,40}`, made once, never changed.
    DoorId
}

words! {
    /// What a door can be known to do.
    pub enum DoorKind {
        /// A bolt whose position is known.
        Bolt = "bolt",
        /// Momentary: a gate or a buzzer; not "locked" unless a contact says so.
        Strike = "strike",
        /// A lock of doorward's own, reached by radio.
        Radio = "radio",
        /// A target behind MQTT or HTTP.
        Foreign = "foreign",
    }
}

words! {
    /// Where a door stands, in the words of Matter's door lock.
    pub enum DoorState {
        /// Seen locked.
        Locked = "locked",
        /// On its way to locked: a command was accepted and its outcome is not known yet.
        Locking = "locking",
        /// Seen unlocked.
        Unlocked = "unlocked",
        /// On its way to unlocked.
        Unlocking = "unlocking",
        /// Seen open by its contact.
        Open = "open",
        /// The bolt is stuck.
        Jammed = "jammed",
        /// Nobody saw, or what was seen is too old.
        Unknown = "unknown",
    }
}

words! {
    /// How something is known about a door, weakest first.
    pub enum EvidenceKind {
        /// The vendor took the command. It says nothing about the door.
        Accepted = "accepted",
        /// The device's own reply about this very command.
        Answer = "answer",
        /// Asked for and received.
        Polled = "polled",
        /// Sent by the vendor without being asked.
        Pushed = "pushed",
        /// A contact at the door itself.
        Contact = "contact",
    }
}

words! {
    /// What a door can do, or tell.
    pub enum Capability {
        /// Can be locked.
        Lock = "lock",
        /// Can be unlocked.
        Unlock = "unlock",
        /// Can be opened for a moment.
        Open = "open",
        /// Can be asked for its state.
        Refresh = "refresh",
        /// Keeps PIN codes of its own.
        Pin = "pin",
        /// Has a contact that tells open from closed.
        Contact = "contact",
        /// Tells its battery level.
        Battery = "battery",
        /// Has a bell.
        Ring = "ring",
    }
}

/// One piece of evidence: how it is known, what was seen, when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Evidence {
    /// How it is known.
    pub kind: EvidenceKind,
    /// What was seen; `null` for [`EvidenceKind::Accepted`], which sees nothing.
    pub state: Option<DoorState>,
    /// When it was received.
    pub at: Time,
}

/// A door as the API, the command line and MQTT attributes show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Door {
    /// Identifier, never changed.
    pub id: DoorId,
    /// The name that people gave it.
    pub name: String,
    /// The site that it belongs to.
    pub site: String,
    /// What it can be known to do.
    pub kind: DoorKind,
    /// Where it stands.
    pub state: DoorState,
    /// Since when it is in this state, as far as doorward saw.
    pub since: Option<Time>,
    /// Whether it can be reached; `null` when nobody knows yet.
    pub online: Option<bool>,
    /// Battery in per cent; `null` when it has none or does not tell.
    pub battery: Option<u8>,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// What the state rests on, newest first.
    pub evidence: Vec<Evidence>,
    /// The vendor account that it belongs to.
    pub account: Option<String>,
    /// The vendor's own identifier.
    pub external: Option<String>,
    /// Whether its contact is open; `null` without a contact or when it does not tell.
    pub contact_open: Option<bool>,
    /// `config` when the door is set in the configuration file and cannot be changed here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<String>,
    /// Commands over MQTT must carry a code to open it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mqtt_code: bool,
    /// The address at which whoever rings can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The newest attempt that is not finished, or finished within the last minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}
