//! Errors of the HTTP API (RFC 9457, problem+json).

use alloc::string::String;
use serde::{Deserialize, Serialize};

/// What went wrong, and what the caller can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// A URI of this kind of problem: `urn:doorward:problem:<word>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What went wrong, in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What the caller can do.
    pub detail: String,
    /// Why a command was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<crate::attempt::Reason>,
    /// The attempt that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = "uuid"))]
    pub attempt: Option<crate::attempt::AttemptId>,
}
