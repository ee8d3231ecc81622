//! Vendor accounts: their settings, and what their drivers keep. Secrets are sealed.

use crate::{
    Store, StoreError,
    chain::Chain,
    db::{Row, Tx, args},
};
use doorward_core::{
    Secret,
    driver::{Kept, Settings},
};
use doorward_wire::{Time, account::AccountId};

/// Where a secret setting is kept; drivers may not keep anything there.
const SETTING: &str = "setting:";

/// A vendor account as it is stored.
#[derive(Debug, Clone)]
pub struct StoredAccount {
    /// Identifier, never changed.
    pub id: AccountId,
    /// The driver that serves it.
    pub kind: String,
    /// The name that people gave it.
    pub name: String,
    /// The driver's own settings.
    pub settings: Settings,
    /// Set in the configuration file.
    pub managed: bool,
    /// When it was added.
    pub created: Time,
}

impl Store {
    /// Adds an account; `false` when its identifier is taken, and then nothing is changed.
    pub async fn add_account(&self, account: &StoredAccount) -> Result<bool, StoreError> {
        let mut tx = self.db().write().await?;
        let added = tx
            .execute(
                "INSERT INTO accounts (id, kind, name, values_json, managed, created_at) VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (id) DO NOTHING",
                args![&account.id, &account.kind, &account.name, values(account)?, account.managed, account.created],
            )
            .await?;
        if added == 0 {
            return Ok(false);
        }
        self.put_secrets(&mut tx, account).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Replaces name, settings and secrets of an account; `false` when there is none. What its driver kept stays.
    pub async fn update_account(&self, account: &StoredAccount) -> Result<bool, StoreError> {
        let mut tx = self.db().write().await?;
        let changed = tx
            .execute(
                "UPDATE accounts SET kind = $2, name = $3, values_json = $4, managed = $5 WHERE id = $1",
                args![&account.id, &account.kind, &account.name, values(account)?, account.managed],
            )
            .await?;
        if changed == 0 {
            return Ok(false);
        }
        tx.execute("DELETE FROM kept WHERE account = $1 AND key LIKE 'setting:%'", args![&account.id]).await?;
        self.put_secrets(&mut tx, account).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Every account, by identifier.
    pub async fn accounts(&self) -> Result<Vec<StoredAccount>, StoreError> {
        let rows = self.db().all("SELECT id, kind, name, values_json, managed, created_at FROM accounts ORDER BY id", Vec::new()).await?;
        let mut accounts = Vec::with_capacity(rows.len());
        for row in &rows {
            accounts.push(self.read_account(row).await?);
        }
        Ok(accounts)
    }

    /// One account.
    pub async fn account(&self, id: &AccountId) -> Result<Option<StoredAccount>, StoreError> {
        let row = self.db().one("SELECT id, kind, name, values_json, managed, created_at FROM accounts WHERE id = $1", args![id]).await?;
        match row {
            Some(row) => self.read_account(&row).await.map(Some),
            None => Ok(None),
        }
    }

    /// Removes an account with its doors and everything that its driver kept; `false` when there is none. Attempts and
    /// events stay.
    pub async fn remove_account(&self, id: &AccountId) -> Result<bool, StoreError> {
        let mut tx = self.db().write().await?;
        // So that a door of this account that is being written waits, and then finds no account.
        Chain::lock(&mut tx, self.keys(), self.inner.house).await?;
        tx.execute("DELETE FROM owners WHERE account = $1", args![id]).await?;
        let removed = tx.execute("DELETE FROM accounts WHERE id = $1", args![id]).await?;
        tx.commit().await?;
        Ok(removed > 0)
    }

    /// Keeps a value for a driver, sealed. It is on disk when this returns.
    pub async fn keep(&self, account: &AccountId, key: &str, value: &Secret<Vec<u8>>) -> Result<(), StoreError> {
        if key.starts_with(SETTING) {
            return Err(StoreError::Bug(format!("a driver wants to keep {key}, which is a setting of its account")));
        }
        let sealed = self.keys().seal(&place(account, key), value.reveal());
        self.db()
            .execute(
                "INSERT INTO kept (account, key, sealed) SELECT $1, $2, $3 WHERE EXISTS (SELECT 1 FROM accounts WHERE id = $1) \
                 ON CONFLICT (account, key) DO UPDATE SET sealed = excluded.sealed",
                args![account, key, sealed],
            )
            .await
            .and_then(|kept| if kept > 0 { Ok(()) } else { Err(StoreError::Bug(format!("account {account} was removed"))) })
    }

    /// Reads a kept value back.
    pub async fn kept(&self, account: &AccountId, key: &str) -> Result<Option<Secret<Vec<u8>>>, StoreError> {
        let row = self.db().one("SELECT sealed FROM kept WHERE account = $1 AND key = $2", args![account, key]).await?;
        row.map(|row| self.keys().open(&place(account, key), &row.get::<Vec<u8>>("sealed")?)).transpose()
    }

    /// Forgets a kept value; `false` when there is none.
    pub async fn forget(&self, account: &AccountId, key: &str) -> Result<bool, StoreError> {
        Ok(self.db().execute("DELETE FROM kept WHERE account = $1 AND key = $2", args![account, key]).await? > 0)
    }

    /// Reads every kept value back whose key begins so, by key.
    pub async fn kept_under(&self, account: &AccountId, prefix: &str) -> Result<Kept, StoreError> {
        // A `_` or `%` in a prefix means itself, and both databases order bytes differently: so no LIKE, and sorted here.
        let sql = "SELECT key, sealed FROM kept WHERE account = $1 AND SUBSTR(key, 1, CAST($2 AS INTEGER)) = $3";
        let length = i64::from(i32::try_from(prefix.chars().count()).unwrap_or(i32::MAX));
        let mut found = Vec::new();
        for row in self.db().all(sql, args![account, length, prefix]).await? {
            let key: String = row.get("key")?;
            let value = self.keys().open(&place(account, &key), &row.get::<Vec<u8>>("sealed")?)?;
            found.push((key, value));
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(found)
    }

    async fn put_secrets(&self, tx: &mut Tx, account: &StoredAccount) -> Result<(), StoreError> {
        for (name, secret) in &account.settings.secrets {
            let key = format!("{SETTING}{name}");
            let sealed = self.keys().seal(&place(&account.id, &key), secret.reveal().as_bytes());
            tx.execute("INSERT INTO kept (account, key, sealed) VALUES ($1, $2, $3)", args![&account.id, &key, sealed]).await?;
        }
        Ok(())
    }

    async fn read_account(&self, row: &Row) -> Result<StoredAccount, StoreError> {
        let id: AccountId = row.parse("id")?;
        let mut settings = Settings { values: row.json("values_json")?, ..Settings::default() };
        for kept in self.db().all("SELECT key, sealed FROM kept WHERE account = $1 AND key LIKE 'setting:%'", args![&id]).await? {
            let key: String = kept.get("key")?;
            let plain = self.keys().open(&place(&id, &key), &kept.get::<Vec<u8>>("sealed")?)?;
            let text = String::from_utf8(plain.reveal().clone()).map_err(|_| StoreError::corrupt(format!("{key} of account {id}")))?;
            settings.secrets.insert(key.trim_start_matches(SETTING).to_owned(), Secret::new(text));
        }
        Ok(StoredAccount {
            id,
            kind: row.get("kind")?,
            name: row.get("name")?,
            settings,
            managed: row.switch("managed")?,
            created: row.time("created_at")?,
        })
    }
}

fn values(account: &StoredAccount) -> Result<String, StoreError> {
    serde_json::to_string(&account.settings.values).map_err(|error| StoreError::Bug(format!("settings of an account: {error}")))
}

/// An account's identifier holds no `|`, so no two places look alike.
fn place(account: &AccountId, key: &str) -> String {
    format!("kept|{account}|{key}")
}
