//! Settings that people change in pages and API: a key and a JSON value.

use crate::{
    OpenError, Store, StoreError,
    db::{Db, args},
    open,
    url::Place,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use doorward_core::Secret;
use serde_json::Value;
use std::collections::BTreeMap;

/// The settings of a database that need not be opened for them: nothing is made, brought up to date or taken over.
/// There are none where there is no database yet.
pub async fn settings_at(url: &str) -> Result<BTreeMap<String, Value>, OpenError> {
    let place = Place::parse(url)?;
    if let Place::File(file) = &place
        && !file.exists()
    {
        return Ok(BTreeMap::new());
    }
    let db = open::connect(&place).await?;
    let settings = read(&db).await;
    db.close().await;
    Ok(settings?)
}

async fn read(db: &Db) -> Result<BTreeMap<String, Value>, StoreError> {
    let rows = db.all("SELECT key, value_json FROM settings", Vec::new()).await?;
    rows.iter().map(|row| Ok((row.get("key")?, row.json("value_json")?))).collect()
}

impl Store {
    /// One setting.
    pub async fn setting(&self, key: &str) -> Result<Option<Value>, StoreError> {
        let row = self.db().one("SELECT value_json FROM settings WHERE key = $1", args![key]).await?;
        row.map(|row| row.json("value_json")).transpose()
    }

    /// Every setting.
    pub async fn settings(&self) -> Result<BTreeMap<String, Value>, StoreError> {
        read(self.db()).await
    }

    /// Sets a setting.
    pub async fn set_setting(&self, key: &str, value: &Value) -> Result<(), StoreError> {
        let sql = "INSERT INTO settings (key, value_json) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value_json = excluded.value_json";
        self.db().execute(sql, args![key, value.to_string()]).await.map(drop)
    }

    /// Removes a setting, so that its default counts again; `false` when it was not set.
    pub async fn remove_setting(&self, key: &str) -> Result<bool, StoreError> {
        Ok(self.db().execute("DELETE FROM settings WHERE key = $1", args![key]).await? > 0)
    }
    /// What a part of doorward noted for its next start: how far it is, what it did outside.
    pub async fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        let row = self.db().one("SELECT value FROM meta WHERE key = $1", args![noted(name)]).await?;
        row.map(|row| row.get("value")).transpose()
    }

    /// Notes something for the next start.
    pub async fn set_note(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.db().execute(sql, args![noted(name), value]).await.map(drop)
    }

    /// Notes something, unless somebody else noted something else meanwhile; says whether it did.
    pub async fn swap_note(&self, name: &str, from: Option<&str>, to: &str) -> Result<bool, StoreError> {
        let name = noted(name);
        let changed = match from {
            None => {
                let sql = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
                self.db().execute(sql, args![name, to]).await?
            }
            Some(from) => self.db().execute("UPDATE meta SET value = $3 WHERE key = $1 AND value = $2", args![name, from, to]).await?,
        };
        Ok(changed > 0)
    }
}

impl Store {
    /// A secret that a part of doorward noted, sealed.
    pub async fn secret_note(&self, name: &str) -> Result<Option<Secret<String>>, StoreError> {
        let Some(row) = self.db().one("SELECT value FROM meta WHERE key = $1", args![secret(name)]).await? else { return Ok(None) };
        let damaged = || StoreError::corrupt(format!("the secret {name} cannot be read"));
        let sealed = STANDARD.decode(row.get::<String>("value")?).map_err(|_| damaged())?;
        let plain = self.keys().open(&secret(name), &sealed)?;
        String::from_utf8(plain.reveal().clone()).map(|text| Some(Secret::new(text))).map_err(|_| damaged())
    }

    /// Notes a secret, unless there is one by this name already; gives the one that is there then.
    pub async fn set_secret_note_once(&self, name: &str, value: &Secret<String>) -> Result<Secret<String>, StoreError> {
        let sealed = STANDARD.encode(self.keys().seal(&secret(name), value.reveal().as_bytes()));
        let sql = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
        self.db().execute(sql, args![secret(name), sealed]).await?;
        self.secret_note(name).await?.ok_or_else(|| StoreError::Bug(format!("the secret {name} was noted and is not there")))
    }
}

fn secret(name: &str) -> String {
    format!("secret {name}")
}

/// Apart from what the store itself keeps there.
fn noted(name: &str) -> String {
    format!("note {name}")
}
