//! Sessions of people in pages: found by a code of their secret, their data sealed. A public identifier of each is for lists.

use crate::{
    Store, StoreError,
    db::{Row, args},
    dice,
};
use doorward_core::Secret;
use doorward_wire::Time;
use std::time::Duration;

/// When a session was last used is for people: to the minute is enough, and spares a commit for each page.
const SEEN_GRAIN: Duration = Duration::from_mins(1);

/// A session as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// Who signed in, if anybody yet.
    pub person: Option<String>,
    /// Whatever the pages keep in it.
    pub data: Secret<Vec<u8>>,
    /// When it ends.
    pub expires: Time,
    /// When it was last used, to the minute.
    pub seen: Option<Time>,
    /// Its identifier in lists.
    pub id: String,
}

/// A session in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its identifier, which opens nothing.
    pub id: String,
    /// The browser, in a few words; not known of sessions that are older than this list.
    pub browser: Option<String>,
    /// When somebody signed in.
    pub began: Option<Time>,
    /// When it was last used, to the minute.
    pub seen: Option<Time>,
    /// When it ends.
    pub expires: Time,
}

impl Store {
    /// Writes a session, new or again. Of a person who was erased meanwhile no session is written.
    pub async fn put_session(&self, id: &[u8], person: Option<&str>, data: &[u8], expires: Time) -> Result<(), StoreError> {
        let code = self.session_code(id);
        let sealed = self.keys().seal(&place(&code), data);
        self.db()
            .execute(
                "INSERT INTO sessions (mac, person, sealed, expires_at, public_id) SELECT $1, $2, $3, $4, $5 \
                 WHERE $2 IS NULL OR EXISTS (SELECT 1 FROM people WHERE id = $2) \
                 ON CONFLICT (mac) DO UPDATE SET person = excluded.person, sealed = excluded.sealed, expires_at = excluded.expires_at",
                args![code, person, sealed, expires, dice::uuid().simple().to_string()],
            )
            .await
            .map(drop)
    }

    /// Writes down in which browser a session began.
    pub async fn describe_session(&self, id: &[u8], browser: &str, now: Time) -> Result<(), StoreError> {
        let sql = "UPDATE sessions SET browser = $2, began_at = $3, seen_at = $3 WHERE mac = $1";
        self.db().execute(sql, args![self.session_code(id), browser, now]).await.map(drop)
    }

    /// Notes that a session is used, at most once a minute, and that it then lasts at least until `expires`.
    pub async fn touch_session(&self, id: &[u8], session: &StoredSession, expires: Time, now: Time) -> Result<(), StoreError> {
        if session.expires >= expires && session.seen.is_some_and(|seen| now.since(seen) < SEEN_GRAIN) {
            return Ok(());
        }
        let sql = "UPDATE sessions SET seen_at = $2, expires_at = CASE WHEN expires_at < $3 THEN $3 ELSE expires_at END WHERE mac = $1";
        self.db().execute(sql, args![self.session_code(id), now, expires]).await.map(drop)
    }

    /// The sessions of a person that have not ended, the one used last first.
    pub async fn sessions_of(&self, person: &str, now: Time) -> Result<Vec<SessionRow>, StoreError> {
        let sql = "SELECT public_id, browser, began_at, seen_at, expires_at FROM sessions WHERE person = $1 AND expires_at > $2 \
                   ORDER BY CASE WHEN seen_at IS NULL THEN 1 ELSE 0 END, seen_at DESC, public_id";
        self.db().all(sql, args![person, now]).await?.iter().map(read).collect()
    }

    /// Ends a session of a person by its public identifier; `false` when they have none with it.
    pub async fn end_session(&self, person: &str, public: &str) -> Result<bool, StoreError> {
        Ok(self.db().execute("DELETE FROM sessions WHERE person = $1 AND public_id = $2", args![person, public]).await? > 0)
    }

    /// Whether a session with this identifier is there, ended or not.
    pub async fn has_session(&self, id: &[u8]) -> Result<bool, StoreError> {
        Ok(self.db().one("SELECT expires_at FROM sessions WHERE mac = $1", args![self.session_code(id)]).await?.is_some())
    }

    /// A session, unless it has ended.
    pub async fn session(&self, id: &[u8], now: Time) -> Result<Option<StoredSession>, StoreError> {
        let code = self.session_code(id);
        let sql = "SELECT public_id, person, sealed, expires_at, seen_at FROM sessions WHERE mac = $1 AND expires_at > $2";
        let Some(row) = self.db().one(sql, args![code.clone(), now]).await? else { return Ok(None) };
        Ok(Some(StoredSession {
            person: row.get("person")?,
            data: self.keys().open(&place(&code), &row.get::<Vec<u8>>("sealed")?)?,
            expires: row.time("expires_at")?,
            seen: row.time_option("seen_at")?,
            id: row.get("public_id")?,
        }))
    }

    /// Ends a session; `false` when there is none.
    pub async fn remove_session(&self, id: &[u8]) -> Result<bool, StoreError> {
        Ok(self.db().execute("DELETE FROM sessions WHERE mac = $1", args![self.session_code(id)]).await? > 0)
    }

    /// Ends every session of a person. Gives how many.
    pub async fn remove_sessions_of(&self, person: &str) -> Result<u64, StoreError> {
        self.db().execute("DELETE FROM sessions WHERE person = $1", args![person]).await
    }

    /// Ends every session of a person but a new one, which takes over the browser of the one before it.
    pub async fn replace_sessions_of(&self, person: &str, before: &[u8], new: &[u8]) -> Result<u64, StoreError> {
        let (before, new) = (self.session_code(before), self.session_code(new));
        let mut tx = self.db().write().await?;
        tx.execute("UPDATE push_subscriptions SET session = $2 WHERE session = $1", args![before, new.clone()]).await?;
        let ended = tx.execute("DELETE FROM sessions WHERE person = $1 AND mac <> $2", args![person, new]).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// How many sessions have not ended, of one person or of everybody.
    pub async fn count_sessions(&self, person: Option<&str>, now: Time) -> Result<i64, StoreError> {
        let sql = "SELECT COUNT(*) AS sessions FROM sessions WHERE expires_at > $1 AND ($2 IS NULL OR person = $2)";
        self.db().one(sql, args![now, person]).await?.map_or(Ok(0), |row| row.get("sessions"))
    }

    /// Removes sessions that have ended. Gives how many.
    pub async fn purge_sessions(&self, now: Time) -> Result<u64, StoreError> {
        self.db().execute("DELETE FROM sessions WHERE expires_at <= $1", args![now]).await
    }

    pub(crate) fn session_code(&self, id: &[u8]) -> Vec<u8> {
        self.keys().code("session", id)
    }
}

fn read(row: &Row) -> Result<SessionRow, StoreError> {
    Ok(SessionRow {
        id: row.get("public_id")?,
        browser: row.get("browser")?,
        began: row.time_option("began_at")?,
        seen: row.time_option("seen_at")?,
        expires: row.time("expires_at")?,
    })
}

fn place(code: &[u8]) -> String {
    format!("sessions||{}", crate::key::hex(code))
}
