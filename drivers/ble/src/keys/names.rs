//! What the name of a file says.

use doorward_wire::{Time, ble::LockId};
use jiff::{civil::DateTime, tz::TimeZone};
use std::{fmt, str::FromStr};

const ISSUER: &str = "backend";
const GUEST: &str = "unlocker";
const DATE: &str = "%Y%m%dT%H%M%SZ";

/// Whose a key is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The issuer's.
    Issuer,
    /// A lock's.
    Lock(LockId),
    /// A guest's, with its name if it has one.
    Guest(Option<String>),
}

/// A text names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is of the backend, of an unlocker or unlocker_<name>, or of a lock; names have letters, digits, dots, dashes, underscores")]
pub struct RoleError;

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        // A name stands in names of files as an id does.
        let id: LockId = text.parse().map_err(|_| RoleError)?;
        match text.strip_prefix(GUEST).map(|rest| rest.strip_prefix('_').ok_or(rest)) {
            Some(Err("")) => Ok(Self::Guest(None)),
            Some(Ok(name)) if !name.is_empty() => Ok(Self::Guest(Some(name.into()))),
            Some(Ok(_)) => Err(RoleError),
            _ if text == ISSUER => Ok(Self::Issuer),
            _ if text.starts_with('.') => Err(RoleError),
            _ => Ok(Self::Lock(id)),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issuer => f.write_str(ISSUER),
            Self::Lock(id) => f.write_str(id.as_str()),
            Self::Guest(None) => f.write_str(GUEST),
            Self::Guest(Some(name)) => write!(f, "{GUEST}_{name}"),
        }
    }
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Half {
    SecretV1,
    PublicV1,
    SecretV2,
    PublicV2,
}

impl Half {
    const ALL: [(Self, &str); 4] =
        [(Self::SecretV1, "_private.pem"), (Self::PublicV1, "_public.pem"), (Self::SecretV2, "_v2.secret"), (Self::PublicV2, "_v2.public")];

    pub(super) const fn is_secret(self) -> bool {
        matches!(self, Self::SecretV1 | Self::SecretV2)
    }

    pub(super) fn name(self, role: &Role) -> String {
        let end = Self::ALL.iter().find(|(half, _)| *half == self).map_or("", |(_, end)| end);
        format!("{role}{end}")
    }
}

/// The name of a file of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) role: Role,
    pub(super) half: Half,
    /// It was replaced then.
    pub(super) until: Option<Time>,
}

impl Name {
    /// `None` when it is none of ours.
    pub(super) fn read(name: &str) -> Option<Self> {
        let (bare, until) = match name.rsplit_once('.') {
            Some((bare, date)) if date.ends_with('Z') => (bare, Some(read_date(date)?)),
            _ => (name, None),
        };
        let (half, role) = Half::ALL.iter().find_map(|(half, end)| Some((*half, bare.strip_suffix(end)?)))?;
        Some(Self { role: role.parse().ok()?, half, until })
    }
}

/// The name of a file that was replaced.
pub(super) fn dated(name: &str, until: Time) -> String {
    format!("{name}.{}", until.timestamp().strftime(DATE))
}

fn read_date(text: &str) -> Option<Time> {
    let date = DateTime::strptime(DATE, text).ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(Time::from(date.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let all = ["backend_private.pem", "unlocker_public.pem", "unlocker_a.b_v2.secret", "lock_01_v2.public", "front-door_private.pem"];
        for name in all {
            let read = Name::read(name).unwrap();
            assert_eq!((read.half.name(&read.role), read.until), (name.into(), None));
            let then = Time::from_seconds(1_795_352_250);
            let old = dated(name, then);
            assert_eq!(Name::read(&old), Some(Name { until: Some(then), ..read }), "{old}");
        }
        assert_eq!(dated("a", Time::from_seconds(1_795_352_250)), "a.20261122T125730Z");
        for other in ["", "_private.pem", "unlocker__public.pem", "a/b_public.pem", ".x_private.pem", "a_private.pem.9Z", "README"] {
            assert_eq!(Name::read(other), None, "{other}");
        }
        assert_eq!("unlockers".parse::<Role>(), Ok(Role::Lock("unlockers".parse().unwrap())));
    }
}
