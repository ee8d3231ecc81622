//! Who owns an account (rule 10): one instance, until another takes over.

use crate::{Store, StoreError, chain::Chain, db::args};
use doorward_wire::{Time, account::AccountId};
use std::sync::PoisonError;
use uuid::Uuid;

impl Store {
    /// Takes these accounts over. From here on claims of the owner before fail, also of what waits in its mailboxes.
    pub async fn own(&self, accounts: &[AccountId], instance: Uuid, now: Time) -> Result<(), StoreError> {
        let mut tx = self.db().write().await?;
        // Whoever writes holds this lock, so no intent slips in between the two statements.
        Chain::lock(&mut tx, self.keys(), self.inner.house).await?;
        let mut epochs = Vec::new();
        for account in accounts {
            let row = tx
                .one(
                    "INSERT INTO owners (account, owner, owner_epoch, renewed_at) VALUES ($1, $2, 1, $3) \
                     ON CONFLICT (account) DO UPDATE \
                     SET owner = excluded.owner, owner_epoch = owners.owner_epoch + 1, renewed_at = excluded.renewed_at \
                     RETURNING owner_epoch",
                    args![account, instance, now],
                )
                .await?;
            let epoch: i64 = row.ok_or_else(|| StoreError::Bug("an owner was not returned".into()))?.get("owner_epoch")?;
            tx.execute(
                "UPDATE attempts SET owner_epoch = $2 WHERE account = $1 AND state = 'pending' AND acted_at IS NULL",
                args![account, epoch],
            )
            .await?;
            epochs.push((account.clone(), epoch));
        }
        tx.commit().await?;
        self.inner.epochs.write().unwrap_or_else(PoisonError::into_inner).extend(epochs);
        Ok(())
    }

    /// Says that this instance is alive. Gives the accounts that another one took over; claims at them fail already.
    pub async fn renew_ownership(&self, now: Time) -> Result<Vec<AccountId>, StoreError> {
        let held = self.inner.epochs.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut lost = Vec::new();
        let mut tx = self.db().write().await?;
        for (account, epoch) in &held {
            let renewed =
                tx.execute("UPDATE owners SET renewed_at = $3 WHERE account = $1 AND owner_epoch = $2", args![account, *epoch, now]);
            if renewed.await? == 0 {
                lost.push(account.clone());
            }
        }
        tx.commit().await?;
        let mut epochs = self.inner.epochs.write().unwrap_or_else(PoisonError::into_inner);
        for account in &lost {
            // Unless it was taken back meanwhile.
            if epochs.get(account) == held.get(account) {
                epochs.remove(account);
            }
        }
        Ok(lost)
    }

    /// The epoch with which this instance owns an account; `None` for one that it does not own, and so may not claim at.
    pub(crate) fn epoch(&self, account: &AccountId) -> Option<i64> {
        self.inner.epochs.read().unwrap_or_else(PoisonError::into_inner).get(account).copied()
    }
}
