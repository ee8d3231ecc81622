//! What an API token may do.

use crate::policy::{Actions, Doors, Grant, Rights};
use doorward_wire::door::DoorId;
use std::{fmt, str::FromStr};

/// One scope of a token. A scope that is not listed here gives nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// See doors and attempts, and ask doors for their state.
    DoorsRead,
    /// See doors and open, lock and unlock them: all, or one.
    DoorsAct(Option<DoorId>),
    /// Read events.
    EventsRead,
    /// Manage vendor accounts and the codes at their locks.
    Accounts,
    /// Manage people and tokens.
    People,
    /// Manage devices; or only provision them.
    Devices {
        /// Nothing but provisioning.
        provision_only: bool,
    },
    /// Read and change settings.
    Config,
    /// Read `/metrics`.
    Metrics,
    /// Everything.
    Admin,
}

/// A text that is not a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "“{0}” is not a scope; known are doors:read, doors:act, doors:act:<door>, events:read, accounts, people, devices, devices:provision, config, metrics, admin"
)]
pub struct ScopeError(String);

impl Scope {
    /// What a list of scopes allows at doors.
    pub fn rights(scopes: &[Self]) -> Rights {
        Rights::of(
            scopes
                .iter()
                .filter_map(|scope| {
                    let (doors, actions) = match scope {
                        Self::DoorsRead => (Doors::All, Actions::Read),
                        Self::DoorsAct(None) | Self::Admin => (Doors::All, Actions::Act),
                        Self::DoorsAct(Some(door)) => (Doors::One(door.clone()), Actions::Act),
                        Self::EventsRead | Self::Accounts | Self::People | Self::Devices { .. } | Self::Config | Self::Metrics => {
                            return None;
                        }
                    };
                    Some(Grant::standing(format!("scope {scope}"), vec![doors], actions))
                })
                .collect(),
        )
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoorsRead => f.write_str("doors:read"),
            Self::DoorsAct(None) => f.write_str("doors:act"),
            Self::DoorsAct(Some(door)) => write!(f, "doors:act:{door}"),
            Self::EventsRead => f.write_str("events:read"),
            Self::Accounts => f.write_str("accounts"),
            Self::People => f.write_str("people"),
            Self::Devices { provision_only: false } => f.write_str("devices"),
            Self::Devices { provision_only: true } => f.write_str("devices:provision"),
            Self::Config => f.write_str("config"),
            Self::Metrics => f.write_str("metrics"),
            Self::Admin => f.write_str("admin"),
        }
    }
}

impl FromStr for Scope {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "doors:read" => Self::DoorsRead,
            "doors:act" => Self::DoorsAct(None),
            "events:read" => Self::EventsRead,
            "accounts" => Self::Accounts,
            "people" => Self::People,
            "devices" => Self::Devices { provision_only: false },
            "devices:provision" => Self::Devices { provision_only: true },
            "config" => Self::Config,
            "metrics" => Self::Metrics,
            "admin" => Self::Admin,
            other => {
                let door = other.strip_prefix("doors:act:").and_then(|door| door.parse().ok());
                Self::DoorsAct(Some(door.ok_or_else(|| ScopeError(other.into()))?))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Scope;

    #[test]
    fn every_scope_reads_back() {
        for text in [
            "doors:read",
            "doors:act",
            "doors:act:gate",
            "events:read",
            "accounts",
            "people",
            "devices",
            "devices:provision",
            "config",
            "metrics",
            "admin",
        ] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        for text in ["", "doors", "doors:act:", "doors:act:Not A Door", "root", "Admin"] {
            text.parse::<Scope>().unwrap_err();
        }
    }
}
