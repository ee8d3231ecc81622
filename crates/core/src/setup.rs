//! What the keeper is told about doors and accounts when it starts, and when a person changes them.

use doorward_wire::{
    account::AccountId,
    attempt::Attempt,
    door::{Capability, DoorId, DoorKind, DoorState},
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
    /// Set in the configuration file.
    pub managed: bool,
    /// What was last seen before this start, to tell a change from a first sight.
    pub last_state: Option<DoorState>,
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
}

/// An attempt that the last run did not finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIntent {
    /// The attempt as it was written.
    pub attempt: Attempt,
    /// Whether it was claimed: then it may have been sent.
    pub acted: bool,
}
