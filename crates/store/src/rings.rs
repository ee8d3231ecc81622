//! Rings as rows: what the keeper's records become, and what is read back.

use crate::{
    Store, StoreError,
    db::{Row, Tx, args},
    events::ACTOR_NAME,
};
use doorward_wire::{
    account::AccountId,
    attempt::Actor,
    door::DoorId,
    ring::{Ring, RingId, RingState},
};
use std::fmt::Write as _;

fn select(rest: &str) -> String {
    format!("SELECT id, door, account, caller, state, began_at, ended_at, actor_kind, actor_id, attempt, {ACTOR_NAME} FROM rings {rest}")
}

/// Which rings to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingQuery {
    /// Only those that are older than this one.
    pub before: Option<RingId>,
    /// Only those at this door.
    pub door: Option<DoorId>,
    /// Only those that stand so.
    pub state: Option<RingState>,
    /// At most so many.
    pub limit: u32,
}

impl Default for RingQuery {
    /// The newest 50.
    fn default() -> Self {
        Self { before: None, door: None, state: None, limit: 50 }
    }
}

impl Store {
    /// Reads rings, newest first.
    pub async fn rings(&self, query: &RingQuery) -> Result<Vec<Ring>, StoreError> {
        let mut values = args![i64::from(query.limit)];
        let mut filter = String::from("WHERE 1 = 1");
        for (column, value) in [("door", query.door.as_ref().map(DoorId::as_str)), ("state", query.state.map(RingState::as_str))] {
            if let Some(value) = value {
                values.push(value.into());
                let _ = write!(filter, " AND {column} = ${}", values.len());
            }
        }
        if let Some(before) = query.before {
            values.push(before.into());
            let at = values.len();
            let _ = write!(filter, " AND (began_at, id) < ((SELECT began_at FROM rings WHERE id = ${at}), ${at})");
        }
        let sql = select(&format!("{filter} ORDER BY began_at DESC, id DESC LIMIT $1"));
        self.db().all(sql, values).await?.iter().map(read).collect()
    }

    /// One ring.
    pub async fn ring(&self, id: RingId) -> Result<Option<Ring>, StoreError> {
        self.db().one(select("WHERE id = $1"), args![id]).await?.as_ref().map(read).transpose()
    }

    /// What rang at these accounts when the last owner stopped, oldest first.
    pub async fn open_rings(&self, accounts: &[AccountId]) -> Result<Vec<Ring>, StoreError> {
        let mut open = Vec::new();
        for account in accounts {
            for row in self.db().all(select("WHERE account = $1 AND state = 'ringing'"), args![account]).await? {
                open.push(read(&row)?);
            }
        }
        open.sort_by_key(|ring| ring.since);
        Ok(open)
    }
}

/// Writes how a ring stands. Its beginning may not have been written: then this is its first row. What has ended stays so.
pub(crate) async fn put(tx: &mut Tx, ring: &Ring) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO rings (id, door, account, caller, state, began_at, ended_at, actor_kind, actor_id, attempt) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, ended_at = excluded.ended_at, actor_kind = excluded.actor_kind, \
                                        actor_id = excluded.actor_id, attempt = excluded.attempt \
         WHERE rings.state = 'ringing'",
        args![
            ring.id,
            &ring.door,
            ring.account.as_ref(),
            ring.from.as_ref(),
            ring.state.as_str(),
            ring.since,
            ring.ended,
            ring.by.as_ref().map(|actor| actor.kind.as_str()),
            ring.by.as_ref().map(|actor| &actor.id),
            ring.attempt,
        ],
    )
    .await
    .map(drop)
}

fn read(row: &Row) -> Result<Ring, StoreError> {
    let kind = row.parse_option("actor_kind")?;
    Ok(Ring {
        id: row.parse("id")?,
        door: row.parse("door")?,
        account: row.parse_option("account")?,
        since: row.time("began_at")?,
        from: row.get("caller")?,
        state: row.parse("state")?,
        ended: row.time_option("ended_at")?,
        by: match kind {
            Some(kind) => {
                Some(Actor { kind, id: row.get::<Option<String>>("actor_id")?.unwrap_or_default(), name: row.get("actor_name")? })
            }
            None => None,
        },
        attempt: row.parse_option("attempt")?,
    })
}
