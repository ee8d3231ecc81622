//! A ring at a door: who rang, and what came of it.

use crate::{
    Time,
    account::AccountId,
    attempt::{Actor, AttemptId},
    door::DoorId,
    words::words,
};
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// A ring's identifier, made by doorward.
pub type RingId = uuid::Uuid;

words! {
    /// What came of a ring. Only `ringing` is not an end.
    pub enum RingState {
        /// Somebody stands at the door and waits.
        Ringing = "ringing",
        /// A person answered here, as by looking at the picture.
        Answered = "answered",
        /// A person opened the door while it rang.
        Opened = "opened",
        /// A person ignored it, or the vendor refused it.
        Rejected = "rejected",
        /// Whoever rang gave up.
        Cancelled = "cancelled",
        /// Nobody did anything about it in time.
        Timeout = "timeout",
        /// It was answered at another phone or handset.
        AnsweredElsewhere = "answered_elsewhere",
    }
}

impl RingState {
    /// Whether the ring is over.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Ringing)
    }
}

/// One ring and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ring {
    /// The ring's identifier.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid"))]
    pub id: RingId,
    /// The door at which it rings.
    pub door: DoorId,
    /// The vendor account that told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// When it began.
    pub since: Time,
    /// What the vendor calls whoever rings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Where it stands.
    pub state: RingState,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
    /// Who ended it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// The attempt that opened the door meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = "uuid"))]
    pub attempt: Option<AttemptId>,
}
