//! The audit's hash chain (rule 4).
//!
//! `hash(row) = SHA-256(hash of the row before ‖ row)`, and before the first row stands SHA-256 of `doorward audit 1` and
//! the house's identifier. A row's bytes are its columns in the order of [`COLUMNS`]: for each a byte that says whether it
//! is there (0 or 1), and if so its length (u64, big-endian) and its bytes; a number has eight, big-endian. The text of
//! JSON is taken as it is stored. **An actor's name is not in it**, so a person can be erased.
//!
//! The last number and hash stand in `chain`, signed with a key derived from the master key: a changed row breaks the
//! hashes, a missing one leaves a gap, and a cut end does not fit the signed one. What this cannot show is a whole
//! database put back to an earlier state; copies of the newest event elsewhere (a webhook, a log) show that.

use crate::{
    Store, StoreError,
    db::{Row, Tx, Value, args},
    events,
    seal::{Keys, same},
};
use aws_lc_rs::digest;
use doorward_core::record::NewEvent;
use doorward_wire::{
    Time,
    event::{Event, EventKind},
};
use futures_util::TryStreamExt;
use serde::Serialize;
use uuid::Uuid;

/// The columns of an event in the order in which they are hashed; `hash` itself comes last and is not.
const COLUMNS: [&str; 12] =
    ["seq", "time", "kind", "door", "account", "device", "actor_kind", "actor_id", "reason", "attempt", "data_json", "hash"];
/// Events that one transaction removes: others wait for the lock meanwhile.
const PRUNED_AT_ONCE: i64 = 10_000;

type Hash = [u8; 32];

/// What [`Store::audit_verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// Whether every event is as it was written, and none is missing.
    pub ok: bool,
    /// How many events were looked at.
    pub checked: u64,
    /// The first event that must be there: after those that were pruned.
    pub from: i64,
    /// The last event that must be there.
    pub to: i64,
    /// The first event that is changed or missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<i64>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What [`Store::prune`] removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pruned {
    /// How many events.
    pub events: i64,
    /// The event that tells of it; none when nothing was removed.
    pub told: Option<Event>,
}

/// The end of the chain, locked: nobody else numbers events until the transaction ends.
pub(crate) struct Chain {
    seq: i64,
    hash: Hash,
    /// `false` once the signed end was found forged. It then stays unsigned, so that the next check still finds it.
    intact: bool,
    rows: Vec<Vec<Value>>,
}

impl Chain {
    /// Locks the chain. First in every transaction that writes: whoever has it is the one writer of the house.
    pub(crate) async fn lock(tx: &mut Tx, keys: &Keys, house: Uuid) -> Result<Self, StoreError> {
        let sql = if tx.is_lite() {
            "SELECT seq, hash, mac FROM chain WHERE id = 1"
        } else {
            "SELECT seq, hash, mac FROM chain WHERE id = 1 FOR UPDATE"
        };
        let row = tx.one(sql, Vec::new()).await?.ok_or_else(|| StoreError::corrupt("the end of the audit is missing"))?;
        let end = End::read(&row)?;
        let intact = end.is_signed(keys, house);
        if !intact {
            tracing::error!(seq = end.seq, "the audit's end was changed by somebody else; doorward audit verify tells more");
        }
        Ok(Self { seq: end.seq, hash: end.hash, intact, rows: Vec::new() })
    }

    /// Numbers an event. It is written by [`Self::finish`].
    pub(crate) fn append(&mut self, new: &NewEvent) -> Event {
        self.seq += 1;
        let (event, mut row) = events::numbered(self.seq, new);
        self.hash = hash(&self.hash, &row);
        row.push(self.hash.into());
        self.rows.push(row);
        event
    }

    /// Writes the numbered events and the new end.
    pub(crate) async fn finish(self, tx: &mut Tx, keys: &Keys, house: Uuid) -> Result<(), StoreError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        tx.insert("events", &COLUMNS, &self.rows).await?;
        let mac = if self.intact { sign_end(keys, house, self.seq, &self.hash) } else { Vec::new() };
        tx.execute("UPDATE chain SET seq = $1, hash = $2, mac = $3 WHERE id = 1", args![self.seq, self.hash, mac]).await.map(drop)
    }
}

impl Store {
    /// Begins something that is written in one commit with what is told of it.
    pub(crate) async fn begin(&self) -> Result<(Tx, Chain), StoreError> {
        let mut tx = self.db().write().await?;
        let chain = Chain::lock(&mut tx, self.keys(), self.inner.house).await?;
        Ok((tx, chain))
    }

    /// Ends it, with this event.
    pub(crate) async fn end(&self, mut tx: Tx, mut chain: Chain, event: &NewEvent) -> Result<Event, StoreError> {
        let event = chain.append(event);
        chain.finish(&mut tx, self.keys(), self.inner.house).await?;
        tx.commit().await?;
        Ok(event)
    }

    /// Changes what a statement changes, with an event that tells of it; `None` when it changes nothing, and then nothing is told.
    pub(crate) async fn change(&self, sql: &'static str, args: Vec<Value>, event: &NewEvent) -> Result<Option<Event>, StoreError> {
        let (mut tx, chain) = self.begin().await?;
        if tx.execute(sql, args).await? == 0 {
            return Ok(None);
        }
        self.end(tx, chain, event).await.map(Some)
    }
}

/// The end of the chain as it is stored.
struct End {
    seq: i64,
    hash: Hash,
    mac: Vec<u8>,
}

impl End {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { seq: row.get("seq")?, hash: hash_column(row)?, mac: row.get("mac")? })
    }

    fn is_signed(&self, keys: &Keys, house: Uuid) -> bool {
        same(&self.mac, &sign_end(keys, house, self.seq, &self.hash))
    }
}

fn hash_column(row: &Row) -> Result<Hash, StoreError> {
    let hash: Vec<u8> = row.get("hash")?;
    hash.try_into().map_err(|_| StoreError::corrupt("a hash of the audit has a wrong length"))
}

fn sign_end(keys: &Keys, house: Uuid, seq: i64, hash: &Hash) -> Vec<u8> {
    keys.sign("end", &[house.as_bytes(), &seq.to_be_bytes(), hash])
}

fn sign_checkpoint(keys: &Keys, house: Uuid, seq: i64, hash: &Hash, time: i64) -> Vec<u8> {
    keys.sign("checkpoint", &[house.as_bytes(), &seq.to_be_bytes(), hash, &time.to_be_bytes()])
}

fn genesis(house: Uuid) -> Hash {
    sha256(&[b"doorward audit 1", house.as_bytes()])
}

/// Makes the end of an empty chain.
pub(crate) async fn begin(tx: &mut Tx, keys: &Keys, house: Uuid) -> Result<(), StoreError> {
    let hash = genesis(house);
    let mac = sign_end(keys, house, 0, &hash);
    tx.execute("INSERT INTO chain (id, seq, hash, mac) VALUES (1, 0, $1, $2)", args![hash, mac]).await?;
    Ok(())
}

fn hash(before: &Hash, row: &[Value]) -> Hash {
    let mut bytes = before.to_vec();
    for value in row {
        match value {
            Value::Int(None) | Value::Text(None) | Value::Blob(None) => bytes.push(0),
            Value::Int(Some(number)) => field(&mut bytes, &number.to_be_bytes()),
            Value::Text(Some(text)) => field(&mut bytes, text.as_bytes()),
            Value::Blob(Some(blob)) => field(&mut bytes, blob),
        }
    }
    sha256(&[&bytes])
}

fn field(bytes: &mut Vec<u8>, field: &[u8]) {
    bytes.push(1);
    bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
    bytes.extend_from_slice(field);
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// A stored row as it was hashed.
fn hashed(row: &Row) -> Result<Vec<Value>, StoreError> {
    let text = |column: &str| row.get::<Option<String>>(column).map(Value::Text);
    let mut values = args![row.get::<i64>("seq")?, row.get::<i64>("time")?, row.get::<String>("kind")?];
    for column in COLUMNS.get(3..11).unwrap_or_default() {
        values.push(text(column)?);
    }
    Ok(values)
}

/// The walk along the chain.
struct Walk {
    report: AuditReport,
    hash: Hash,
    next: i64,
}

impl Walk {
    fn bad(&mut self, seq: i64, problem: String) {
        if self.report.ok {
            self.report = AuditReport { ok: false, first_bad: Some(seq), problem: Some(problem), ..self.report.clone() };
        }
    }

    fn step(&mut self, row: &Row) -> Result<(), StoreError> {
        let seq: i64 = row.get("seq")?;
        if seq != self.next {
            let (next, problem) = (self.next, if seq < self.next { "was put in before" } else { "is missing before" });
            self.bad(seq.min(next), format!("event {} {problem} event {}", seq.min(next), seq.max(next)));
            return Ok(());
        }
        let expected = hash(&self.hash, &hashed(row)?);
        if row.get::<Vec<u8>>("hash")? != expected {
            self.bad(seq, format!("event {seq} is not as it was written"));
            return Ok(());
        }
        self.report.checked += 1;
        self.hash = expected;
        self.next += 1;
        Ok(())
    }
}

impl Store {
    /// Checks every event since the newest checkpoint. It reads one moment of the database, row by row.
    pub async fn audit_verify(&self) -> Result<AuditReport, StoreError> {
        let (keys, house) = (self.keys(), self.inner.house);
        let mut tx = self.db().snapshot().await?;
        let end = tx.one("SELECT seq, hash, mac FROM chain WHERE id = 1", Vec::new()).await?;
        let end = end.as_ref().map(End::read).transpose()?;
        let checkpoint = tx.one("SELECT seq, hash, time, mac FROM checkpoints ORDER BY seq DESC LIMIT 1", Vec::new()).await?;
        let (before, start, signed) = match &checkpoint {
            None => (0, genesis(house), true),
            Some(row) => {
                let (end, time) = (End::read(row)?, row.get("time")?);
                let signed = same(&end.mac, &sign_checkpoint(keys, house, end.seq, &end.hash, time));
                (end.seq, end.hash, signed)
            }
        };
        let to = end.as_ref().map_or(before, |end| end.seq);
        let report = AuditReport { ok: true, checked: 0, from: before + 1, to, first_bad: None, problem: None };
        let mut walk = Walk { report, hash: start, next: before + 1 };
        if !signed {
            walk.bad(before, format!("the checkpoint at event {before} was not signed by this house"));
        }
        let mut rows = tx.rows(format!("SELECT {} FROM events ORDER BY seq", COLUMNS.join(", ")), Vec::new());
        while let Some(row) = rows.try_next().await? {
            walk.step(&row)?;
            if !walk.report.ok {
                break;
            }
        }
        drop(rows);
        match end {
            None => walk.bad(walk.next, "the signed end of the audit is missing".into()),
            Some(end) if !end.is_signed(keys, house) => {
                walk.bad(end.seq, format!("the end at event {} was not signed by this house", end.seq));
            }
            Some(end) if end.seq >= walk.next => {
                walk.bad(walk.next, format!("events {} to {} are missing at the end", walk.next, end.seq));
            }
            Some(end) if end.seq + 1 != walk.next || end.hash != walk.hash => {
                walk.bad(end.seq + 1, format!("events after {} were put in by somebody else", end.seq));
            }
            Some(_) => {}
        }
        Ok(walk.report)
    }

    /// Removes events from before a time, and attempts and rings that ended before it. A signed checkpoint stands for the events.
    pub async fn prune(&self, before: Time, now: Time) -> Result<Pruned, StoreError> {
        // Events are in commit order, not in the order of their times: what goes is a whole beginning of the chain. It is
        // read up to the first event that stays, so that no event pays for an index by time.
        let row = self
            .db()
            .one(
                "SELECT COALESCE((SELECT seq - 1 FROM events WHERE time >= $1 ORDER BY seq LIMIT 1), \
                                 (SELECT MAX(seq) FROM events), 0) AS until",
                args![before],
            )
            .await?;
        let until: i64 = row.map_or(Ok(0), |row| row.get("until"))?;
        let mut pruned = Pruned::default();
        while let Some(count) = self.prune_some(until, now).await? {
            pruned.events += count;
        }
        if pruned.events == 0 {
            return Ok(pruned);
        }
        let (mut tx, chain) = self.begin().await?;
        tx.execute("DELETE FROM attempts WHERE created_at < $1 AND state <> 'pending'", args![before]).await?;
        tx.execute("DELETE FROM rings WHERE began_at < $1 AND state <> 'ringing'", args![before]).await?;
        let data = serde_json::json!({ "count": pruned.events, "until": until });
        pruned.told = Some(self.end(tx, chain, &NewEvent::new(now, EventKind::EventsPruned).data(data)).await?);
        Ok(pruned)
    }

    /// Removes a part of what is to go, and leaves a checkpoint at its end. `None` when nothing is left to remove.
    async fn prune_some(&self, until: i64, now: Time) -> Result<Option<i64>, StoreError> {
        let (keys, house) = (self.keys(), self.inner.house);
        let mut tx = self.db().write().await?;
        Chain::lock(&mut tx, keys, house).await?;
        let last = "SELECT seq, hash FROM events WHERE seq <= $1 AND seq < (SELECT MIN(seq) FROM events) + $2 ORDER BY seq DESC LIMIT 1";
        let Some(row) = tx.one(last, args![until, PRUNED_AT_ONCE]).await? else { return Ok(None) };
        let (seq, hash): (i64, Hash) = (row.get("seq")?, hash_column(&row)?);
        let mac = sign_checkpoint(keys, house, seq, &hash, now.as_micros());
        tx.execute("DELETE FROM checkpoints", Vec::new()).await?;
        tx.execute("INSERT INTO checkpoints (seq, hash, time, mac) VALUES ($1, $2, $3, $4)", args![seq, hash, now, mac]).await?;
        let gone = tx.execute("DELETE FROM events WHERE seq <= $1", args![seq]).await?;
        tx.commit().await?;
        Ok(Some(i64::try_from(gone).unwrap_or(i64::MAX)))
    }
}
