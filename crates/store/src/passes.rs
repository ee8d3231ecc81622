//! Passes: rights that a guest holds without an account, by a link. Each has one grant, made and taken back with it.

use crate::{
    Store, StoreError,
    db::{Row, args},
    dice,
    grants::{self, Holder, StoredGrant},
    seal::same,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_core::{Secret, policy::Rights, record::NewEvent};
use doorward_wire::{
    Time,
    attempt::{Actor, Reason},
    event::Event,
    grant::{Actions, Doors, Terms},
};
use std::time::Duration;

/// What the secret of a pass begins with, so that secret scanners and people know it.
const PREFIX: &str = "dwp_";
/// When a guest last looked is for people: to the minute is enough, and spares a commit for each look.
const SEEN_GRAIN: Duration = Duration::from_mins(1);
/// Wrong PINs in a row after which none is looked at for a while.
const PIN_TRIES: i64 = 5;
/// How long that is.
const PIN_BLOCKED: Duration = Duration::from_mins(15);

const SELECT: &str =
    "SELECT id, name, mac, pin_mac, pin_wrong, pin_not_until, made_by_kind, made_by, within, created_at, seen_at FROM passes";

/// A pass as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPass {
    /// Identifier: a UUID.
    pub id: String,
    /// The guest's name.
    pub name: String,
    /// Whether its holder must give a PIN.
    pub has_pin: bool,
    /// Who made it: kind and identifier.
    pub made_by: (String, String),
    /// The person within whose rights it holds; none when an administrator made it.
    pub within: Option<String>,
    /// When it was made.
    pub created: Time,
    /// When its holder last looked at it, to the minute.
    pub seen: Option<Time>,
    /// What it allows.
    pub grant: StoredGrant,
}

/// A new pass.
#[derive(Debug, Clone)]
pub struct NewPass<'a> {
    /// The guest's name.
    pub name: &'a str,
    /// What its holder must give, too.
    pub pin: Option<&'a Secret<String>>,
    /// The doors that it opens.
    pub doors: Vec<Doors>,
    /// When and how often.
    pub terms: Terms,
    /// Who makes it.
    pub made_by: &'a Actor,
    /// The person within whose rights it holds.
    pub within: Option<&'a str>,
}

impl Store {
    /// Makes a pass, and tells of it. Its secret is in its link.
    pub async fn add_pass(&self, new: NewPass<'_>, event: &NewEvent) -> Result<(StoredPass, Secret<String>, Event), StoreError> {
        let now = event.time;
        let secret = Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(dice::bytes::<32>())));
        let id = dice::uuid().to_string();
        let grant = StoredGrant {
            id: dice::uuid().to_string(),
            holder: Holder::Pass(id.clone()),
            doors: new.doors,
            actions: Actions::Act,
            terms: new.terms,
            used: 0,
            created: now,
            last_used: None,
            revoked: None,
        };
        let made_by = (new.made_by.kind.as_str().to_owned(), new.made_by.id.clone());
        let (mut tx, chain) = self.begin().await?;
        let sql = "INSERT INTO passes (id, name, mac, sealed, pin_mac, pin_wrong, made_by_kind, made_by, within, created_at) \
                   VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8, $9)";
        let sealed = self.keys().seal(&place(&id), secret.reveal().as_bytes());
        let pin = new.pin.map(|pin| self.pin_code(&id, pin));
        tx.execute(sql, args![&id, new.name, self.pass_code(&secret), sealed, pin, &made_by.0, &made_by.1, new.within, now]).await?;
        grants::insert(&mut tx, &grant).await?;
        let mut event = event.clone();
        event.data = serde_json::json!({ "pass": &id });
        let event = self.end(tx, chain, &event).await?;
        let within = new.within.map(ToOwned::to_owned);
        let pass = StoredPass { id, name: new.name.into(), has_pin: new.pin.is_some(), made_by, within, created: now, seen: None, grant };
        Ok((pass, secret, event))
    }

    /// The pass of this secret, whether or not it still allows anything.
    pub async fn find_pass(&self, secret: &Secret<String>, now: Time) -> Result<Option<StoredPass>, StoreError> {
        if !secret.reveal().starts_with(PREFIX) || secret.reveal().len() != PREFIX.len() + 43 {
            return Ok(None);
        }
        let code = self.pass_code(secret);
        let Some(row) = self.db().one(format!("{SELECT} WHERE mac = $1"), args![code.clone()]).await? else { return Ok(None) };
        if !same(&row.get::<Vec<u8>>("mac")?, &code) {
            return Ok(None);
        }
        let pass = self.read_pass(&row).await?;
        if pass.as_ref().is_some_and(|pass| pass.seen.is_none_or(|seen| now.since(seen) >= SEEN_GRAIN)) {
            let id: String = row.get("id")?;
            // Nobody is turned away because this could not be written.
            if let Err(error) = self.db().execute("UPDATE passes SET seen_at = $2 WHERE id = $1", args![&id, now]).await {
                tracing::warn!(%error, pass = id, "when a pass was looked at could not be noted");
            }
        }
        Ok(pass)
    }

    /// Every pass, the newest first.
    pub async fn passes(&self) -> Result<Vec<StoredPass>, StoreError> {
        let rows = self.db().all(format!("{SELECT} ORDER BY created_at DESC, id"), Vec::new()).await?;
        let mut grants = self.grants().await?;
        grants.retain(|grant| matches!(grant.holder, Holder::Pass(_)));
        let grant = |id: &str| grants.iter().find(|grant| matches!(&grant.holder, Holder::Pass(pass) if pass == id)).cloned();
        let mut passes = Vec::with_capacity(rows.len());
        for row in rows {
            let id: String = row.get("id")?;
            // One that was made since the list was read has its grant in the next one.
            if let Some(grant) = grant(&id) {
                passes.push(read(&row, grant)?);
            }
        }
        Ok(passes)
    }

    /// One pass.
    pub async fn pass(&self, id: &str) -> Result<Option<StoredPass>, StoreError> {
        match self.db().one(format!("{SELECT} WHERE id = $1"), args![id]).await? {
            Some(row) => self.read_pass(&row).await,
            None => Ok(None),
        }
    }

    /// The secret of a pass, to show its link again.
    pub async fn pass_secret(&self, id: &str) -> Result<Option<Secret<String>>, StoreError> {
        let Some(row) = self.db().one("SELECT sealed FROM passes WHERE id = $1", args![id]).await? else { return Ok(None) };
        let plain = self.keys().open(&place(id), &row.get::<Vec<u8>>("sealed")?)?;
        let text = String::from_utf8(plain.reveal().clone()).map_err(|_| StoreError::corrupt(format!("the secret of pass {id}")))?;
        Ok(Some(Secret::new(text)))
    }

    /// What a pass allows at doors now.
    pub async fn rights_of_pass(&self, pass: &StoredPass) -> Result<Rights, StoreError> {
        let own = Rights::of(vec![pass.grant.grant(format!("pass {}", pass.name))]).held_by(format!("pass:{}", pass.id));
        let Some(person) = &pass.within else { return Ok(own) };
        let maker = match self.person(person).await? {
            Some(person) => self.rights_of(&person).await?,
            None => Rights::none(),
        };
        Ok(own.within(maker))
    }

    /// Gives a guest another name; `false` when there is no such pass.
    pub async fn rename_pass(&self, id: &str, name: &str) -> Result<bool, StoreError> {
        Ok(self.db().execute("UPDATE passes SET name = $2 WHERE id = $1", args![id, name]).await? > 0)
    }

    /// Removes a pass and its grant, with all that names the guest; `false` when there is none.
    pub async fn remove_pass(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.db().execute("DELETE FROM passes WHERE id = $1", args![id]).await? > 0)
    }

    /// Whether this is the PIN of a pass. Each wrong one is counted before anybody hears of it, and after five in a row
    /// none is looked at for a quarter of an hour.
    pub async fn try_pass_pin(&self, id: &str, pin: &Secret<String>, now: Time) -> Result<Result<(), Reason>, StoreError> {
        let mut tx = self.db().write().await?;
        let lock = if tx.is_lite() { "" } else { " FOR UPDATE" };
        let sql = format!("SELECT pin_mac, pin_wrong, pin_not_until FROM passes WHERE id = $1{lock}");
        let Some(row) = tx.one(sql, args![id]).await? else { return Ok(Err(Reason::Revoked)) };
        let Some(mac) = row.get::<Option<Vec<u8>>>("pin_mac")? else { return Ok(Ok(())) };
        if row.time_option("pin_not_until")?.is_some_and(|until| now < until) {
            return Ok(Err(Reason::RateLimited));
        }
        let right = same(&mac, &self.pin_code(id, pin));
        let wrong = if right { 0 } else { row.get::<i64>("pin_wrong")? + 1 };
        let blocked = (wrong >= PIN_TRIES).then(|| now.plus(PIN_BLOCKED));
        let wrong = if blocked.is_some() { 0 } else { wrong };
        tx.execute("UPDATE passes SET pin_wrong = $2, pin_not_until = $3 WHERE id = $1", args![id, wrong, blocked]).await?;
        tx.commit().await?;
        Ok(if right { Ok(()) } else { Err(Reason::WrongCode) })
    }

    async fn read_pass(&self, row: &Row) -> Result<Option<StoredPass>, StoreError> {
        let id: String = row.get("id")?;
        self.grant_of_pass(&id).await?.map(|grant| read(row, grant)).transpose()
    }

    fn pass_code(&self, secret: &Secret<String>) -> Vec<u8> {
        self.keys().code("pass", secret.reveal().as_bytes())
    }

    /// A PIN is short: only the master key makes it hard to guess.
    fn pin_code(&self, pass: &str, pin: &Secret<String>) -> Vec<u8> {
        self.keys().code(&format!("pass pin {pass}"), pin.reveal().as_bytes())
    }
}

fn read(row: &Row, grant: StoredGrant) -> Result<StoredPass, StoreError> {
    Ok(StoredPass {
        id: row.get("id")?,
        name: row.get("name")?,
        has_pin: row.get::<Option<Vec<u8>>>("pin_mac")?.is_some(),
        made_by: (row.get("made_by_kind")?, row.get("made_by")?),
        within: row.get("within")?,
        created: row.time("created_at")?,
        seen: row.time_option("seen_at")?,
        grant,
    })
}

fn place(id: &str) -> String {
    format!("passes||{id}")
}
