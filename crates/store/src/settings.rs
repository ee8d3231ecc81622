//! Settings that people change in pages and API: a key and a JSON value.

use crate::{
    OpenError, Store, StoreError,
    db::{Db, args},
    open,
    url::Place,
};
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
}

/// Apart from what the store itself keeps there.
fn noted(name: &str) -> String {
    format!("note {name}")
}
