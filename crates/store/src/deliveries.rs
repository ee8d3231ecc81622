//! Events on their way to webhooks: one row for each webhook and event, until it is taken or given up.
//!
//! 1. [`Store::queue_deliveries`] moves a webhook past events and queues what it wants of them, both or neither.
//! 2. [`Store::next_delivery`] says what is due, the oldest event first.
//! 3. [`Store::claim_delivery`] counts a try before it is made. Who counts it makes it, so no two instances send one
//!    message at a time; if that instance dies, the message is due again when its claim ends.
//! 4. [`Store::end_try`] says what came of it.

use crate::{
    Store, StoreError,
    db::{Row, Value, args},
    dice,
};
use doorward_wire::{
    Time,
    door::DoorId,
    event::EventKind,
    webhook::{DeliveryState, WebhookId, WebhookState},
};
use std::collections::BTreeMap;

/// Finished deliveries that are kept of each webhook.
const KEPT: i64 = 1000;

/// `events` may not hold the event any more.
const SELECT: &str = "SELECT message, webhook_deliveries.seq AS seq, state, attempts, next_at, status, error, created_at, tried_at, \
                      finished_at, events.kind AS kind, events.door AS door \
                      FROM webhook_deliveries LEFT JOIN events ON events.seq = webhook_deliveries.seq";

/// An event on its way to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Identifier of the message, the same at every try.
    pub message: String,
    /// The number of the event.
    pub event: i64,
    /// The kind of the event, while it is kept.
    pub kind: Option<EventKind>,
    /// The door of the event, while it is kept.
    pub door: Option<DoorId>,
    /// How far it is.
    pub state: DeliveryState,
    /// Tries so far.
    pub attempts: u32,
    /// When it is tried next.
    pub next: Option<Time>,
    /// The HTTP status that came back last.
    pub status: Option<u16>,
    /// What went wrong last.
    pub error: Option<String>,
    /// When it was queued.
    pub created: Time,
    /// When it was last tried.
    pub tried: Option<Time>,
    /// When it was taken or given up.
    pub finished: Option<Time>,
}

/// What is to be sent to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextDelivery {
    /// This, now.
    Due(Box<Delivery>),
    /// Something, at this time.
    At(Time),
    /// Nothing.
    Nothing,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryEnd {
    /// What the delivery is now.
    pub state: DeliveryState,
    /// The HTTP status that came back, if one did.
    pub status: Option<u16>,
    /// What went wrong, if something did.
    pub error: Option<String>,
    /// When it is tried again, if it is.
    pub next: Option<Time>,
}

/// How a webhook's deliveries stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WebhookStanding {
    /// Messages that wait.
    pub pending: i64,
    /// Messages of those that were tried in vain.
    pub retrying: i64,
    /// When a message was last taken.
    pub delivered: Option<Time>,
    /// When a message was last given up.
    pub failed: Option<Time>,
}

impl WebhookStanding {
    /// The same in a word, of a webhook that is not disabled.
    pub fn state(&self) -> WebhookState {
        if self.failed.is_some_and(|failed| self.delivered.is_none_or(|delivered| delivered < failed)) {
            return WebhookState::Failing;
        }
        match (self.retrying, self.delivered) {
            (1.., _) => WebhookState::Retrying,
            (_, Some(_)) => WebhookState::Working,
            (_, None) => WebhookState::Waiting,
        }
    }
}

impl Store {
    /// Moves a webhook from one event past the ones up to another, and queues those that it wants. `false` when it was
    /// moved by somebody else, disabled or removed meanwhile; then nothing is changed.
    pub async fn queue_deliveries(&self, id: &WebhookId, from: i64, to: i64, wanted: &[i64], now: Time) -> Result<bool, StoreError> {
        let mut tx = self.db().write().await?;
        let sql = "UPDATE webhooks SET seen_seq = $3 WHERE id = $1 AND seen_seq <= $2 AND disabled IS NULL";
        if tx.execute(sql, args![id, from, to]).await? == 0 {
            return Ok(false);
        }
        let row = |seq: &i64| -> Vec<Value> { args![format!("msg_{}", dice::uuid().simple()), id, *seq, "pending", 0, now, now] };
        let rows: Vec<Vec<Value>> = wanted.iter().map(row).collect();
        tx.insert("webhook_deliveries", &["message", "webhook", "seq", "state", "attempts", "next_at", "created_at"], &rows).await?;
        let sql = "DELETE FROM webhook_deliveries WHERE webhook = $1 AND state <> 'pending' AND seq < (SELECT seq FROM webhook_deliveries \
                   WHERE webhook = $1 AND state <> 'pending' ORDER BY seq DESC LIMIT 1 OFFSET $2)";
        tx.execute(sql, args![id, KEPT - 1]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// How many messages wait for a webhook.
    pub async fn pending_deliveries(&self, id: &WebhookId) -> Result<i64, StoreError> {
        let sql = "SELECT COUNT(*) AS pending FROM webhook_deliveries WHERE webhook = $1 AND state = 'pending'";
        self.db().one(sql, args![id]).await?.map_or(Ok(0), |row| row.get("pending"))
    }

    /// What is to be sent to a webhook next. A time after `latest` can only come from a clock that was set back since: it
    /// holds nothing up.
    pub async fn next_delivery(&self, id: &WebhookId, now: Time, latest: Time) -> Result<NextDelivery, StoreError> {
        let due = "webhook = $1 AND state = 'pending' AND (next_at <= $2 OR next_at > $3) ORDER BY webhook_deliveries.seq LIMIT 1";
        if let Some(row) = self.db().one(format!("{SELECT} WHERE {due}"), args![id, now, latest]).await? {
            return Ok(NextDelivery::Due(Box::new(read(&row)?)));
        }
        let sql = "SELECT MIN(next_at) AS next_at FROM webhook_deliveries WHERE webhook = $1 AND state = 'pending'";
        let row = self.db().one(sql, args![id]).await?;
        Ok(row.map_or(Ok(None), |row| row.time_option("next_at"))?.map_or(NextDelivery::Nothing, NextDelivery::At))
    }

    /// Counts a try of a message that was tried so often. `false` when somebody else was quicker. Others may try it from
    /// `until` on.
    pub async fn claim_delivery(&self, message: &str, attempts: u32, now: Time, until: Time) -> Result<bool, StoreError> {
        let sql = "UPDATE webhook_deliveries SET attempts = attempts + 1, tried_at = $3, next_at = $4 \
                   WHERE message = $1 AND attempts = $2 AND state = 'pending'";
        Ok(self.db().execute(sql, args![message, i64::from(attempts), now, until]).await? > 0)
    }

    /// Says how a claimed try ended, `attempts` counting it. What was given up meanwhile is not tried again, but what was
    /// taken was taken.
    pub async fn end_try(&self, message: &str, attempts: u32, end: &TryEnd, now: Time) -> Result<bool, StoreError> {
        let finished = (end.state != DeliveryState::Pending).then_some(now);
        let args =
            args![message, i64::from(attempts), end.state.as_str(), end.status.map(i64::from), end.error.as_deref(), end.next, finished,];
        let sql = "UPDATE webhook_deliveries SET state = $3, status = $4, error = $5, next_at = $6, finished_at = $7 \
                   WHERE message = $1 AND attempts = $2 AND (state = 'pending' OR $3 = 'delivered')";
        Ok(self.db().execute(sql, args).await? > 0)
    }

    /// Makes a message due now, whatever became of it; `false` when there is no such message.
    pub async fn retry_delivery(&self, id: &WebhookId, message: &str, now: Time) -> Result<bool, StoreError> {
        let sql = "UPDATE webhook_deliveries SET state = 'pending', next_at = $3, finished_at = NULL WHERE webhook = $1 AND message = $2";
        Ok(self.db().execute(sql, args![id, message, now]).await? > 0)
    }

    /// Deliveries of a webhook, the newest event first: before this one, at most so many.
    pub async fn deliveries(&self, id: &WebhookId, before: Option<i64>, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let sql = format!("{SELECT} WHERE webhook = $1 AND webhook_deliveries.seq < $2 ORDER BY webhook_deliveries.seq DESC LIMIT $3");
        let args = args![id, before.unwrap_or(i64::MAX), i64::from(limit)];
        self.db().all(sql, args).await?.iter().map(read).collect()
    }

    /// One delivery of a webhook.
    pub async fn delivery(&self, id: &WebhookId, message: &str) -> Result<Option<Delivery>, StoreError> {
        let sql = format!("{SELECT} WHERE webhook = $1 AND message = $2");
        self.db().one(sql, args![id, message]).await?.as_ref().map(read).transpose()
    }

    /// How the deliveries of each webhook stand; a webhook that had none is left out.
    pub async fn webhook_standings(&self) -> Result<BTreeMap<WebhookId, WebhookStanding>, StoreError> {
        let sql = "SELECT webhook, CAST(SUM(CASE WHEN state = 'pending' THEN 1 ELSE 0 END) AS BIGINT) AS pending, \
                   CAST(SUM(CASE WHEN state = 'pending' AND error IS NOT NULL THEN 1 ELSE 0 END) AS BIGINT) AS retrying, \
                   MAX(CASE WHEN state = 'delivered' THEN finished_at END) AS delivered, \
                   MAX(CASE WHEN state = 'failed' THEN finished_at END) AS failed FROM webhook_deliveries GROUP BY webhook";
        let standing = |row: &Row| {
            let (pending, retrying) = (row.get("pending")?, row.get("retrying")?);
            let (delivered, failed) = (row.time_option("delivered")?, row.time_option("failed")?);
            Ok((row.parse("webhook")?, WebhookStanding { pending, retrying, delivered, failed }))
        };
        self.db().all(sql, Vec::new()).await?.iter().map(standing).collect()
    }
}

fn read(row: &Row) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        message: row.get("message")?,
        event: row.get("seq")?,
        kind: row.parse_option("kind")?,
        door: row.parse_option("door")?,
        state: row.parse("state")?,
        attempts: u32::try_from(row.get::<i64>("attempts")?).unwrap_or(u32::MAX),
        next: row.time_option("next_at")?,
        status: row.get::<Option<i64>>("status")?.and_then(|status| u16::try_from(status).ok()),
        error: row.get("error")?,
        created: row.time("created_at")?,
        tried: row.time_option("tried_at")?,
        finished: row.time_option("finished_at")?,
    })
}
