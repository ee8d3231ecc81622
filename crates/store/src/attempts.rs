//! Attempts as rows: what the keeper's records become, and what is read back.

use crate::{
    Store, StoreError,
    db::{Row, Tx, args},
    events::ACTOR_NAME,
};
use doorward_core::setup::OpenIntent;
use doorward_wire::{
    Time,
    account::AccountId,
    attempt::{ActionWord, Actor, Attempt, AttemptId, Reason},
};

fn select(filter: &str) -> String {
    format!(
        "SELECT id, door, action, state, reason, detail, actor_kind, actor_id, evidence_json, acted_at, created_at, finished_at, {ACTOR_NAME} \
         FROM attempts WHERE {filter}"
    )
}

impl Store {
    /// One attempt.
    pub async fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        self.db().one(select("id = $1"), args![id]).await?.as_ref().map(read).transpose()
    }

    /// The attempts at these accounts that the last owner did not finish, oldest first.
    pub async fn open_intents(&self, accounts: &[AccountId]) -> Result<Vec<OpenIntent>, StoreError> {
        let mut open = Vec::new();
        for account in accounts {
            for row in self.db().all(select("account = $1 AND state = 'pending'"), args![account]).await? {
                open.push(OpenIntent { attempt: read(&row)?, acted: row.get::<Option<i64>>("acted_at")?.is_some() });
            }
        }
        open.sort_by_key(|intent| intent.attempt.created);
        Ok(open)
    }
}

/// What became of an intent.
pub(crate) enum Intent {
    /// It was written, and claimed if that was asked for and this instance owns the account.
    New {
        /// Whether it was claimed.
        claimed: bool,
    },
    /// This attempt has its identifier already.
    Known(Attempt),
}

/// Writes an intent. With the `epoch` of this instance it is claimed (rule 1) as it is written: nobody can have claimed
/// before what was not there.
pub(crate) async fn insert(
    tx: &mut Tx,
    attempt: &Attempt,
    account: &AccountId,
    not_after: Time,
    grant: Option<&str>,
    epoch: Option<i64>,
    now: Time,
) -> Result<Intent, StoreError> {
    let new = tx
        .one(
            "INSERT INTO attempts (id, door, account, action, actor_kind, actor_id, state, reason, detail, evidence_json, \
                                   not_after, created_at, finished_at, grant_id, owner_epoch, acted_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, \
                     COALESCE((SELECT owner_epoch FROM owners WHERE account = $3), 0), \
                     CASE WHEN (SELECT owner_epoch FROM owners WHERE account = $3) = $15 THEN $16 END) \
             ON CONFLICT (id) DO NOTHING RETURNING acted_at",
            args![
                attempt.id,
                &attempt.door,
                account,
                attempt.action.as_str(),
                attempt.actor.kind.as_str(),
                &attempt.actor.id,
                attempt.state.as_str(),
                attempt.reason.map(Reason::as_str),
                attempt.detail.as_ref(),
                evidence(attempt)?,
                not_after,
                attempt.created,
                attempt.finished,
                grant,
                epoch,
                now,
            ],
        )
        .await?;
    if let Some(row) = new {
        return Ok(Intent::New { claimed: row.get::<Option<i64>>("acted_at")?.is_some() });
    }
    let row = tx.one(select("id = $1"), args![attempt.id]).await?;
    let known = row.as_ref().map(read).transpose()?;
    known.map(Intent::Known).ok_or_else(|| StoreError::Bug(format!("attempt {} is there and is not", attempt.id)))
}

/// The claim of an attempt that waited (rule 1). Whoever gets `true` may act, and nobody else ever does.
pub(crate) async fn claim(tx: &mut Tx, attempt: AttemptId, epoch: i64, now: Time) -> Result<bool, StoreError> {
    let claimed = tx
        .execute(
            "UPDATE attempts SET acted_at = $3 WHERE id = $1 AND acted_at IS NULL AND owner_epoch = $2 AND state = 'pending'",
            args![attempt, epoch, now],
        )
        .await?;
    Ok(claimed == 1)
}

/// The account of an attempt, whose epoch a claim needs.
pub(crate) async fn account(tx: &mut Tx, attempt: AttemptId) -> Result<Option<AccountId>, StoreError> {
    let row = tx.one("SELECT account FROM attempts WHERE id = $1", args![attempt]).await?;
    row.map(|row| row.parse("account")).transpose()
}

/// Writes how an attempt ended. A way out (`fail_open`) may have been opened without an intent: then this is its first row.
pub(crate) async fn finish(tx: &mut Tx, attempt: &Attempt) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO attempts (id, door, account, action, actor_kind, actor_id, state, reason, detail, evidence_json, \
                               not_after, owner_epoch, acted_at, created_at, finished_at) \
         VALUES ($1, $2, COALESCE((SELECT account FROM doors WHERE id = $2), ''), $3, $4, $5, $6, $7, $8, $9, $10, 0, $10, $10, $11) \
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, reason = excluded.reason, detail = excluded.detail, \
                                        evidence_json = excluded.evidence_json, finished_at = excluded.finished_at",
        args![
            attempt.id,
            &attempt.door,
            attempt.action.as_str(),
            attempt.actor.kind.as_str(),
            &attempt.actor.id,
            attempt.state.as_str(),
            attempt.reason.map(Reason::as_str),
            attempt.detail.as_ref(),
            evidence(attempt)?,
            attempt.created,
            attempt.finished,
        ],
    )
    .await
    .map(drop)
}

fn evidence(attempt: &Attempt) -> Result<String, StoreError> {
    serde_json::to_string(&attempt.evidence).map_err(|error| StoreError::Bug(format!("evidence: {error}")))
}

fn read(row: &Row) -> Result<Attempt, StoreError> {
    Ok(Attempt {
        id: row.parse("id")?,
        door: row.parse("door")?,
        action: row.parse::<ActionWord>("action")?,
        state: row.parse("state")?,
        reason: row.parse_option("reason")?,
        detail: row.get("detail")?,
        actor: Actor { kind: row.parse("actor_kind")?, id: row.get("actor_id")?, name: row.get("actor_name")? },
        evidence: row.json("evidence_json")?,
        created: row.time("created_at")?,
        finished: row.time_option("finished_at")?,
    })
}
