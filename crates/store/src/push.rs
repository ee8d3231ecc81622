//! Browsers that are told what happens: where their push service is, sealed, and how far each of them is.

use crate::{
    Store, StoreError,
    db::{Row, args},
    dice,
};
use doorward_core::Secret;
use doorward_wire::Time;
use serde::{Deserialize, Serialize};

/// Browsers of one person. Each may have one request under way, so this bounds those too.
const MOST: i64 = 20;

/// What a browser gives when somebody turns notifications on (Push API, `PushSubscription`). Whoever knows all of it can
/// send to that browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushTarget {
    /// Where messages go.
    pub endpoint: Secret<String>,
    /// The browser's public key: a point of P-256, not compressed.
    pub key: Vec<u8>,
    /// What both ends know besides.
    pub auth: Secret<Vec<u8>>,
}

/// A browser that is told what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushSubscription {
    /// Identifier.
    pub id: String,
    /// Whose it is.
    pub person: String,
    /// Where it is.
    pub target: PushTarget,
    /// How far it is, as its sender wrote it.
    pub lane: String,
    /// When it was added.
    pub created: Time,
}

/// What came of adding one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddedPush {
    /// It is there, with this identifier.
    Added(String),
    /// The session has ended.
    NoSession,
    /// The person has as many as there may be.
    TooMany,
}

impl Store {
    /// Adds the browser of a session. The same browser again is the same subscription, now of this session.
    pub async fn add_push(
        &self,
        person: &str,
        session: &[u8],
        target: &PushTarget,
        lane: &str,
        now: Time,
    ) -> Result<AddedPush, StoreError> {
        let (mac, session) = (self.push_code(target), self.session_code(session));
        let mut tx = self.db().write().await?;
        let sql = "SELECT mac FROM sessions WHERE mac = $1 AND person = $2 AND expires_at > $3";
        if tx.one(sql, args![session.clone(), person, now]).await?.is_none() {
            return Ok(AddedPush::NoSession);
        }
        // A browser has one subscription: what it had in this session before is gone.
        tx.execute("DELETE FROM push_subscriptions WHERE mac = $1 OR session = $2", args![mac.clone(), session.clone()]).await?;
        let count = tx.one("SELECT COUNT(*) AS browsers FROM push_subscriptions WHERE person = $1", args![person]).await?;
        if count.map_or(Ok(0), |row| row.get::<i64>("browsers"))? >= MOST {
            return Ok(AddedPush::TooMany);
        }
        let id = dice::uuid().simple().to_string();
        let plain =
            Secret::new(serde_json::to_vec(&Plain::from(target)).map_err(|error| StoreError::Bug(format!("a subscription: {error}")))?);
        let sealed = self.keys().seal(&place(&id), plain.reveal());
        let sql =
            "INSERT INTO push_subscriptions (id, person, session, mac, sealed, lane_json, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
        tx.execute(sql, args![&id, person, session, mac, sealed, lane, now]).await?;
        tx.commit().await?;
        Ok(AddedPush::Added(id))
    }

    /// Every browser whose session has not ended, in the order in which they were added.
    pub async fn pushes(&self, now: Time) -> Result<Vec<PushSubscription>, StoreError> {
        let sql = "SELECT push_subscriptions.id AS id, push_subscriptions.person AS person, push_subscriptions.sealed AS sealed, lane_json, \
                   created_at FROM push_subscriptions JOIN sessions ON sessions.mac = push_subscriptions.session \
                   WHERE sessions.expires_at > $1 ORDER BY created_at, push_subscriptions.id";
        self.db().all(sql, args![now]).await?.iter().map(|row| self.read_push(row)).collect()
    }

    /// The browser of a session, if it is told anything.
    pub async fn push_of(&self, session: &[u8]) -> Result<Option<String>, StoreError> {
        let sql = "SELECT id FROM push_subscriptions WHERE session = $1";
        let row = self.db().one(sql, args![self.session_code(session)]).await?;
        row.map(|row| row.get("id")).transpose()
    }

    /// How far a browser is; `None` when it is gone.
    pub async fn push_lane(&self, id: &str) -> Result<Option<String>, StoreError> {
        let row = self.db().one("SELECT lane_json FROM push_subscriptions WHERE id = $1", args![id]).await?;
        row.map(|row| row.get("lane_json")).transpose()
    }

    /// Writes how far a browser is, if it is still as far as it was; says whether it was.
    pub async fn swap_push_lane(&self, id: &str, from: &str, to: &str) -> Result<bool, StoreError> {
        let sql = "UPDATE push_subscriptions SET lane_json = $3 WHERE id = $1 AND lane_json = $2";
        Ok(self.db().execute(sql, args![id, from, to]).await? > 0)
    }

    /// Tells a browser nothing any more; `false` when there is none.
    pub async fn remove_push(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.db().execute("DELETE FROM push_subscriptions WHERE id = $1", args![id]).await? > 0)
    }

    fn read_push(&self, row: &Row) -> Result<PushSubscription, StoreError> {
        let id: String = row.get("id")?;
        let plain = self.keys().open(&place(&id), &row.get::<Vec<u8>>("sealed")?)?;
        let plain: Plain = serde_json::from_slice(plain.reveal()).map_err(|_| StoreError::corrupt(format!("push subscription {id}")))?;
        Ok(PushSubscription {
            person: row.get("person")?,
            target: plain.into(),
            lane: row.get("lane_json")?,
            created: row.time("created_at")?,
            id,
        })
    }

    fn push_code(&self, target: &PushTarget) -> Vec<u8> {
        self.keys().code("push", target.endpoint.reveal().as_bytes())
    }
}

/// A target as it is sealed.
#[derive(Serialize, Deserialize)]
struct Plain {
    endpoint: String,
    key: Vec<u8>,
    auth: Vec<u8>,
}

impl From<&PushTarget> for Plain {
    fn from(target: &PushTarget) -> Self {
        Self { endpoint: target.endpoint.reveal().clone(), key: target.key.clone(), auth: target.auth.reveal().clone() }
    }
}

impl From<Plain> for PushTarget {
    fn from(plain: Plain) -> Self {
        Self { endpoint: Secret::new(plain.endpoint), key: plain.key, auth: Secret::new(plain.auth) }
    }
}

fn place(id: &str) -> String {
    format!("push_subscriptions|{id}|target")
}
