//! PIN codes that a lock keeps by itself.

use crate::words::words;
use alloc::string::String;
use serde::{Deserialize, Serialize};

words! {
    /// What the holder of a code may do at the lock.
    pub enum CodeKind {
        /// Opens at any time.
        Normal = "normal",
        /// Opens within its period.
        Temporary = "temporary",
        /// May change the lock's own settings.
        Admin = "admin",
    }
}

words! {
    /// Whether the lock has taken the code over.
    pub enum CodeState {
        /// Sent; the lock has not confirmed it yet.
        Setting = "setting",
        /// The lock has it.
        Set = "set",
        /// Deletion was sent; the lock still lists it.
        Removing = "removing",
    }
}

/// One code at a door. The digits themselves are never shown again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Code {
    /// The lock's own identifier of this code.
    pub id: String,
    /// Who it is for.
    pub name: String,
    /// What its holder may do.
    pub kind: CodeKind,
    /// Whether the lock has taken it over.
    pub state: CodeState,
    /// The period in which it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<CodeSchedule>,
}

/// When a temporary code opens, in the door's own time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CodeSchedule {
    /// First moment, local to the door: `2026-11-23T15:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Last moment, local to the door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Weekdays, `mon` to `sun`; none means every day.
    #[serde(default, skip_serializing_if = "alloc::vec::Vec::is_empty")]
    pub weekdays: alloc::vec::Vec<String>,
    /// Daily hours: `08:00-18:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<String>,
    /// How many times it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
}

/// What a person asks for when a code is made or changed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CodeWish {
    /// Who it is for, 1 to 32 characters; may be left out when a code is changed.
    #[serde(default)]
    pub name: Option<String>,
    /// The digits, 4 to 8, not beginning with zero; may be left out when a code is changed.
    #[serde(default)]
    pub pin: Option<String>,
    /// What its holder may do; `normal` when left out.
    #[serde(default)]
    pub kind: Option<CodeKind>,
    /// When it opens.
    #[serde(default)]
    pub schedule: Option<CodeSchedule>,
}

impl core::fmt::Debug for CodeWish {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CodeWish")
            .field("name", &self.name)
            .field("pin", &self.pin.as_ref().map(|_| "…"))
            .field("kind", &self.kind)
            .field("schedule", &self.schedule)
            .finish()
    }
}
