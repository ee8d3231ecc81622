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
            sqlx::Error::Database(error) => match family(&*error) {
                Family::Full => Self::Full(text),
                Family::Corrupt => Self::Corrupt(text),
                Family::Unavailable => Self::Unavailable(text),
                Family::Bug => Self::Bug(text),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::BeginFailed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(text),
            _ => Self::Bug(text),
        }
    }
}

enum Family {
    Full,
    Corrupt,
    Unavailable,
    Bug,
}

/// SQLite: <https://www.sqlite.org/rescode.html>. PostgreSQL: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn family(error: &dyn DatabaseError) -> Family {
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        return match code.parse::<i64>().unwrap_or(0) & 0xff {
            13 => Family::Full,
            11 | 26 => Family::Corrupt,
            // PERM, BUSY, LOCKED, READONLY, INTERRUPT, IOERR, CANTOPEN, PROTOCOL
            3 | 5 | 6 | 8 | 9 | 10 | 14 | 15 => Family::Unavailable,
            _ => Family::Bug,
        };
    }
    match &*code {
        "53100" => Family::Full,
        "XX001" | "XX002" => Family::Corrupt,
        // Read-only (a standby), serialization failure, deadlock, lock timeout, statement timeout.
        "25006" | "40001" | "40P01" | "55P03" | "57014" | "25P03" | "28P01" | "28000" | "3D000" => Family::Unavailable,
        code if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => Family::Unavailable,
        _ => Family::Bug,
    }
}
