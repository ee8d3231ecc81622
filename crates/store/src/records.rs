//! How the keeper's records become durable: all that are ready in one turn share one commit.

use crate::{
    Store, StoreError,
    attempts::{self, Intent},
    chain::Chain,
    db::Tx,
    doors, grants, rings,
};
use doorward_core::record::{Record, Written, WrittenAs};
use doorward_wire::{
    Time,
    attempt::{AttemptState, Reason},
};

impl Store {
    /// Writes records in their order, all in one commit. When this returns they are on disk, and an error means that
    /// none of them is (or, when the connection broke during the commit, that nobody knows: the same intent written
    /// again then comes back as [`WrittenAs::Known`]).
    ///
    /// An intent whose identifier was used before writes nothing and tells nothing. With the disk nearly full, what is
    /// not vital is left out and counted in [`Store::space`].
    pub async fn write(&self, records: &[Record], now: Time) -> Result<Vec<Written>, StoreError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let low = self.inner.space.is_low();
        let mut tx = self.db().write().await?;
        let mut chain = Chain::lock(&mut tx, self.keys(), self.inner.house).await?;
        let mut written = Vec::with_capacity(records.len());
        let mut dropped = 0;
        for record in records {
            if low && !record.is_vital() {
                // Where nothing is to be written nothing is left out.
                dropped += u64::from(!matches!(record, Record::Events { events, told: None } if events.is_empty()));
                written.push(Written { events: Vec::new(), what: WrittenAs::Plain });
                continue;
            }
            let what = self.write_one(&mut tx, record, now).await?;
            let events = match &what {
                WrittenAs::Known(_) => Vec::new(),
                WrittenAs::Denied(denied) => {
                    record.denied(denied.reason.unwrap_or(Reason::Revoked), now).iter().map(|(_, event)| chain.append(event)).collect()
                }
                WrittenAs::Plain | WrittenAs::Claim(_) => record.events().iter().map(|event| chain.append(event)).collect(),
            };
            written.push(Written { events, what });
        }
        chain.finish(&mut tx, self.keys(), self.inner.house).await?;
        tx.commit().await?;
        self.inner.space.count_dropped(dropped);
        Ok(written)
    }

    async fn write_one(&self, tx: &mut Tx, record: &Record, now: Time) -> Result<WrittenAs, StoreError> {
        match record {
            Record::Intent { attempt, account, not_after, claim, grant, events: _ } => {
                let claim = *claim && !attempt.state.is_final();
                if let Some(grant) = grant
                    && attempts::account(tx, attempt.id).await?.is_none()
                    && let Err(reason) = grants::spend(tx, grant, now).await?
                    && let Some((denied, _)) = record.denied(reason, now)
                {
                    attempts::insert(tx, &denied, account, *not_after, None, None, now).await?;
                    return Ok(WrittenAs::Denied(Box::new(denied)));
                }
                let epoch = self.epoch(account).filter(|_| claim);
                return Ok(match attempts::insert(tx, attempt, account, *not_after, grant.as_deref(), epoch, now).await? {
                    Intent::Known(known) => WrittenAs::Known(Box::new(known)),
                    Intent::New { claimed } if claim => WrittenAs::Claim(claimed),
                    Intent::New { .. } => WrittenAs::Plain,
                });
            }
            Record::Claim { attempt } => {
                let epoch = attempts::account(tx, *attempt).await?.and_then(|account| self.epoch(&account));
                let claimed = match epoch {
                    Some(epoch) => attempts::claim(tx, *attempt, epoch, now).await?,
                    None => false,
                };
                return Ok(WrittenAs::Claim(claimed));
            }
            Record::Outcome { attempt, events: _ } => {
                if matches!(attempt.state, AttemptState::Refused | AttemptState::Failed) {
                    grants::give_back(tx, attempt.id).await?;
                }
                attempts::finish(tx, attempt).await?;
            }
            Record::Door { door, events: _ } => doors::found(tx, door, now).await?,
            Record::Ring { ring, events: _ } => rings::put(tx, ring).await?,
            Record::Events { events: _, told: Some((door, told)) } => doors::told(tx, door, told).await?,
            Record::Events { events: _, told: None } => {}
        }
        Ok(WrittenAs::Plain)
    }
}
