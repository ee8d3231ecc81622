//! Webhooks: where events are sent, and the secrets that messages are signed with. What is on its way is in
//! `deliveries.rs`.

use crate::{
    Store, StoreError,
    db::{Row, args},
    dice,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use doorward_core::Secret;
use doorward_wire::{
    Time,
    door::DoorId,
    event::{Event, EventKind},
    webhook::{DisabledWhy, WebhookId},
};
use serde_json::json;
use std::time::Duration;

/// Webhooks of a house. Each may have one request under way, so this bounds those too.
const MOST: i64 = 50;
/// Bytes of a secret; Standard Webhooks asks for 24 to 64.
const SECRET: usize = 32;
/// How long the previous secret signs along: receivers are changed one after the other.
const OVERLAP: Duration = Duration::from_hours(24);

const SELECT: &str =
    "SELECT id, name, url, kinds_json, doors_json, allow_private, disabled, previous_until, seen_seq, created_at FROM webhooks";

/// A webhook, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Identifier, never changed.
    pub id: WebhookId,
    /// The name that people gave it.
    pub name: String,
    /// Where messages go. Its path may be a secret of the receiver's.
    pub url: String,
    /// Only these kinds of events; every kind when absent.
    pub kinds: Option<Vec<EventKind>>,
    /// Only events about these doors; every event when empty.
    pub doors: Vec<DoorId>,
    /// It may be on this machine or in a private network.
    pub allow_private: bool,
    /// Why nothing is sent, when nothing is.
    pub disabled: Option<DisabledWhy>,
    /// Until when the previous secret signs along.
    pub previous_until: Option<Time>,
    /// The last event that was looked at for it.
    pub seen: i64,
    /// When it was added.
    pub created: Time,
}

impl Webhook {
    /// Whether an event is sent to it. Of changes to a webhook others are told: its own receiver does not know the secret
    /// of a new one yet.
    pub fn wants(&self, event: &Event) -> bool {
        let kind = self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.kind));
        let door = self.doors.is_empty() || event.door.as_ref().is_some_and(|door| self.doors.contains(door));
        let own = event.kind == EventKind::WebhookChanged && event.data["webhook"] == self.id.as_str();
        kind && door && !own
    }
}

/// What came of adding a webhook.
#[derive(Debug)]
pub enum AddedWebhook {
    /// It is there. Its secret is shown here and then only used.
    Added(Secret<String>),
    /// Its identifier is taken.
    Taken,
    /// There are as many as there may be.
    TooMany,
}

impl Store {
    /// Adds a webhook, with a secret as Standard Webhooks writes it: `whsec_` and 256 bits in base64.
    pub async fn add_webhook(&self, new: &Webhook) -> Result<AddedWebhook, StoreError> {
        let secret = fresh_secret();
        let sealed = self.keys().seal(&place(&new.id, "secret"), secret.reveal().as_bytes());
        let mut tx = self.db().write().await?;
        let count = tx.one("SELECT COUNT(*) AS webhooks FROM webhooks", Vec::new()).await?;
        if count.map_or(Ok(0), |row| row.get::<i64>("webhooks"))? >= MOST {
            return Ok(AddedWebhook::TooMany);
        }
        let added = tx
            .execute(
                "INSERT INTO webhooks (id, name, url, kinds_json, doors_json, allow_private, sealed, seen_seq, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING",
                args![
                    &new.id,
                    &new.name,
                    &new.url,
                    kinds(new),
                    json!(new.doors).to_string(),
                    new.allow_private,
                    sealed,
                    new.seen,
                    new.created
                ],
            )
            .await?;
        tx.commit().await?;
        Ok(if added > 0 { AddedWebhook::Added(secret) } else { AddedWebhook::Taken })
    }

    /// Every webhook, in the order in which they were added.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        self.db().all(format!("{SELECT} ORDER BY created_at, id"), Vec::new()).await?.iter().map(read).collect()
    }

    /// One webhook.
    pub async fn webhook(&self, id: &WebhookId) -> Result<Option<Webhook>, StoreError> {
        self.db().one(format!("{SELECT} WHERE id = $1"), args![id]).await?.as_ref().map(read).transpose()
    }

    /// Replaces name, address and what is sent; `false` when there is none. Secrets, and whether it is disabled, stay.
    pub async fn update_webhook(&self, webhook: &Webhook) -> Result<bool, StoreError> {
        let sql = "UPDATE webhooks SET name = $2, url = $3, kinds_json = $4, doors_json = $5, allow_private = $6 WHERE id = $1";
        let doors = json!(webhook.doors).to_string();
        let args = args![&webhook.id, &webhook.name, &webhook.url, kinds(webhook), doors, webhook.allow_private];
        Ok(self.db().execute(sql, args).await? > 0)
    }

    /// Sends nothing any more. What is on its way is given up; gives how many messages that were, and `None` when there is
    /// no such webhook, or it is disabled already.
    pub async fn disable_webhook(&self, id: &WebhookId, why: DisabledWhy, now: Time) -> Result<Option<u64>, StoreError> {
        let mut tx = self.db().write().await?;
        let sql = "UPDATE webhooks SET disabled = $2 WHERE id = $1 AND disabled IS NULL";
        if tx.execute(sql, args![id, why.as_str()]).await? == 0 {
            return Ok(None);
        }
        let sql = "UPDATE webhook_deliveries SET state = 'failed', error = 'the webhook was disabled', next_at = NULL, finished_at = $2 \
                   WHERE webhook = $1 AND state = 'pending'";
        let given_up = tx.execute(sql, args![id, now]).await?;
        tx.commit().await?;
        Ok(Some(given_up))
    }

    /// Sends again, beginning with what comes from now on; `false` when there is no such webhook, or it is not disabled.
    pub async fn enable_webhook(&self, id: &WebhookId) -> Result<bool, StoreError> {
        let sql = "UPDATE webhooks SET disabled = NULL, seen_seq = (SELECT seq FROM chain WHERE id = 1) \
                   WHERE id = $1 AND disabled IS NOT NULL";
        Ok(self.db().execute(sql, args![id]).await? > 0)
    }

    /// Makes a new secret; the one from before signs along for a day. `None` when there is no such webhook.
    pub async fn rotate_webhook(&self, id: &WebhookId, now: Time) -> Result<Option<(Secret<String>, Time)>, StoreError> {
        let mut tx = self.db().write().await?;
        let Some(row) = tx.one("SELECT sealed FROM webhooks WHERE id = $1", args![id]).await? else { return Ok(None) };
        let before = self.keys().open(&place(id, "secret"), &row.get::<Vec<u8>>("sealed")?)?;
        let (secret, until) = (fresh_secret(), now.plus(OVERLAP));
        let sealed = self.keys().seal(&place(id, "secret"), secret.reveal().as_bytes());
        let previous = self.keys().seal(&place(id, "previous"), before.reveal());
        let sql = "UPDATE webhooks SET sealed = $2, previous_sealed = $3, previous_until = $4 WHERE id = $1";
        tx.execute(sql, args![id, sealed, previous, until]).await?;
        tx.commit().await?;
        Ok(Some((secret, until)))
    }

    /// The secrets that sign now, the newest first; none when there is no such webhook.
    pub async fn webhook_secrets(&self, id: &WebhookId, now: Time) -> Result<Vec<Secret<String>>, StoreError> {
        let sql = "SELECT sealed, previous_sealed, previous_until FROM webhooks WHERE id = $1";
        let Some(row) = self.db().one(sql, args![id]).await? else { return Ok(Vec::new()) };
        let mut secrets = vec![self.unsealed(id, "secret", &row.get::<Vec<u8>>("sealed")?)?];
        if let (Some(sealed), Some(until)) = (row.get::<Option<Vec<u8>>>("previous_sealed")?, row.time_option("previous_until")?)
            && now < until
        {
            secrets.push(self.unsealed(id, "previous", &sealed)?);
        }
        Ok(secrets)
    }

    /// Forgets secrets that do not sign any more. Gives how many.
    pub async fn purge_webhook_secrets(&self, now: Time) -> Result<u64, StoreError> {
        let sql = "UPDATE webhooks SET previous_sealed = NULL, previous_until = NULL WHERE previous_until <= $1";
        self.db().execute(sql, args![now]).await
    }

    /// Removes a webhook and its deliveries; `false` when there is none.
    pub async fn remove_webhook(&self, id: &WebhookId) -> Result<bool, StoreError> {
        Ok(self.db().execute("DELETE FROM webhooks WHERE id = $1", args![id]).await? > 0)
    }

    fn unsealed(&self, id: &WebhookId, which: &str, sealed: &[u8]) -> Result<Secret<String>, StoreError> {
        let plain = self.keys().open(&place(id, which), sealed)?;
        String::from_utf8(plain.reveal().clone()).map(Secret::new).map_err(|_| StoreError::corrupt(format!("the {which} of webhook {id}")))
    }
}

fn fresh_secret() -> Secret<String> {
    Secret::new(format!("whsec_{}", STANDARD.encode(dice::bytes::<SECRET>())))
}

/// A webhook's identifier holds no `|`, so no two places look alike.
fn place(id: &WebhookId, which: &str) -> String {
    format!("webhooks|{id}|{which}")
}

fn kinds(webhook: &Webhook) -> String {
    json!(webhook.kinds.as_deref().unwrap_or_default()).to_string()
}

fn read(row: &Row) -> Result<Webhook, StoreError> {
    let words: Vec<String> = row.json("kinds_json")?;
    // A kind that this version does not know matches nothing; it must not widen the rest to every event.
    let kinds = (!words.is_empty()).then(|| words.iter().filter_map(|word| word.parse().ok()).collect());
    Ok(Webhook {
        id: row.parse("id")?,
        name: row.get("name")?,
        url: row.get("url")?,
        kinds,
        doors: row.json("doors_json")?,
        allow_private: row.switch("allow_private")?,
        disabled: row.parse_option("disabled")?,
        previous_until: row.time_option("previous_until")?,
        seen: row.get("seen_seq")?,
        created: row.time("created_at")?,
    })
}
