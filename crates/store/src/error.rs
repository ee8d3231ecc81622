//! What can go wrong while the house is open. What ends a start is in [`crate::OpenError`].

use sqlx::error::DatabaseError;

/// The store could not do it. [`StoreError::person`] says what to do about it; `Display` is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database is gone, too slow, locked, or not writable just now. Trying again later may help.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// No space is left.
    #[error("the store is full: {0}")]
    Full(String),
    /// What is stored cannot be what was written.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// doorward asked for something impossible.
    #[error("a mistake in doorward: {0}")]
    Bug(String),
}

impl StoreError {
    /// What a person can do.
    pub const fn person(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => {
                "The database cannot be reached or written just now. Look at the database and the disk; doorward keeps trying."
            }
            Self::Full(_) => "The disk with the database is full. Free some space; nothing else needs to be done.",
            Self::Corrupt(_) => "The database is damaged. Run `doorward doctor`, and restore the last backup if it says so.",
            Self::Bug(_) => "This is a mistake in doorward. Please report it with the log of this minute.",
        }
    }

    pub(crate) fn corrupt(what: impl std::fmt::Display) -> Self {
        Self::Corrupt(what.to_string())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let text = error.to_string();
        #[expect(clippy::wildcard_enum_match_arm, reason = "sqlx::Error is non-exhaustive: what is not named is ours to look at")]
        match error {
            sqlx::Error::Database(error) => postgres(&*error)(text),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::BeginFailed => Self::Unavailable(text),
            _ => Self::Bug(text),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error() {
            Some(error) => sqlite(error.extended_code)(text),
            None => Self::Bug(text),
        }
    }
}

/// What kind of error it is.
type Kind = fn(String) -> StoreError;

/// <https://www.sqlite.org/rescode.html>
const fn sqlite(code: i32) -> Kind {
    match code & 0xff {
        13 => StoreError::Full,
        11 | 26 => StoreError::Corrupt,
        // PERM, BUSY, LOCKED, READONLY, INTERRUPT, IOERR, CANTOPEN, PROTOCOL
        3 | 5 | 6 | 8 | 9 | 10 | 14 | 15 => StoreError::Unavailable,
        _ => StoreError::Bug,
    }
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn postgres(error: &dyn DatabaseError) -> Kind {
    match &*error.code().unwrap_or_default() {
        "53100" => StoreError::Full,
        "XX001" | "XX002" => StoreError::Corrupt,
        // Read-only (a standby), serialization failure, deadlock, lock timeout, statement timeout.
        "25006" | "40001" | "40P01" | "55P03" | "57014" | "25P03" | "28P01" | "28000" | "3D000" => StoreError::Unavailable,
        code if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => StoreError::Unavailable,
        _ => StoreError::Bug,
    }
}
