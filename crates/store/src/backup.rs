//! Backups: a whole house in one sealed file, from one database into another.
//!
//! Inside the seal ([`stream`]) are lines of JSON: what it is, the master key, files from beside the database, then each
//! table with its columns and rows, and at the end how many there were. It is written from one moment of the running
//! database.

mod beside;
mod stream;
mod tables;

pub use beside::{Beside, Put};

use crate::{
    KeyError, MasterKey, OpenError, Store, StoreError,
    db::{Db, Tx, Value},
    key, migrate,
    open::{connect, refuse_foreign},
    seal::{Keys, same},
    url::Place,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use doorward_core::Secret;
use doorward_wire::Time;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::{io, path::Path};
use stream::{Opener, Sealer};
use tables::Table;
use tokio::io::{AsyncRead, AsyncWrite};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Rows that are collected before they are inserted.
const ROWS: usize = 64;

/// What a backup held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// When the backup was made.
    pub made: Time,
    /// The version of doorward that made it.
    pub written_by: String,
    /// The house.
    pub house: Uuid,
    /// How many rows were restored.
    pub rows: u64,
}

/// Why a backup cannot be made or restored. `Display` says what a person can do; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is something else.
    #[error("this file is not a backup of doorward")]
    NotABackup,
    /// The passphrase is not the one of this backup.
    #[error("the passphrase does not fit this backup. Nothing was restored")]
    WrongPassphrase,
    /// The file was changed or cut off.
    #[error("this backup is damaged: {0}. Nothing was restored; use another copy")]
    Damaged(String),
    /// A newer doorward made it.
    #[error(
        "this backup was made by doorward {written_by} (schema {found}); this one knows schemas up to {known}. Install that version or a newer one, and restore again"
    )]
    TooNew {
        /// The backup's schema.
        found: i64,
        /// The newest schema known here.
        known: i64,
        /// The version that made it.
        written_by: String,
    },
    /// There is a house already.
    #[error(
        "{0} already holds a house, and a backup is restored into an empty place only. Move it away, or name another folder or database"
    )]
    NotEmpty(String),
    /// The master key cannot be put in its place.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database cannot be read or written.
    #[error("{}", .0.person())]
    Store(#[from] StoreError),
    /// A file from beside the database cannot be put in its place.
    #[error("{0}. Nothing was restored")]
    Beside(String),
    /// The file cannot be read or written.
    #[error("the backup cannot be read or written: {0}")]
    Io(#[from] io::Error),
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    schema: i64,
    written_by: String,
    made_micros: i64,
    house: Uuid,
}

/// The other lines. A row is a bare array.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Row(Vec<Json>),
    Table(Table),
    Beside {
        #[serde(rename = "extra")]
        name: String,
        #[serde(rename = "data", serialize_with = "reveal")]
        content: Secret<String>,
    },
    End {
        end: u64,
    },
}

/// The second line.
#[derive(Serialize, Deserialize)]
struct KeyLine {
    #[serde(serialize_with = "reveal")]
    master_key: Secret<String>,
}

/// Secrets are written into the seal, and nowhere else.
fn reveal<S: serde::Serializer>(secret: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.reveal())
}

impl Store {
    /// Writes a backup of one moment of the house while it runs: every table but sessions and sign-in links, the master
    /// key, and files from beside the database. All of it is sealed with the passphrase.
    pub async fn backup<W>(&self, out: W, passphrase: &Secret<String>, beside: &[Beside], now: Time) -> Result<(), BackupError>
    where
        W: AsyncWrite + Unpin + Send,
    {
        let mut sealer = Sealer::new(out, passphrase).await?;
        let house = self.house_id();
        sealer.line(&Head { schema: migrate::known(), written_by: migrate::PROGRAM.into(), made_micros: now.as_micros(), house }).await?;
        sealer.line(&KeyLine { master_key: Secret::new(self.inner.master.to_hex().to_string()) }).await?;
        for Beside { name, content } in beside {
            sealer.line(&Line::Beside { name: name.clone(), content: Secret::new(STANDARD.encode(content.reveal())) }).await?;
        }
        let mut count = 0;
        let mut tx = self.db().snapshot().await?;
        for table in tables::all() {
            sealer.line(&Line::Table(table.clone())).await?;
            let filter = if table.name == "meta" { tables::META } else { "" };
            let mut rows = tx.rows(format!("SELECT {} FROM {} {filter}", table.names().join(", "), table.name), Vec::new());
            while let Some(row) = rows.try_next().await? {
                sealer.line(&table.write(&row)?).await?;
                count += 1;
            }
        }
        sealer.line(&Line::End { end: count }).await?;
        sealer.finish().await
    }
}

/// Restores a backup into an empty database, of either kind, and its master key into a new file. Both are there at the
/// end, or nothing is.
///
/// `put` gets the files from beside the database once all of the backup was read and found to be whole, and before any of
/// it counts: when it cannot put them anywhere, nothing is restored. What it put does no harm without its house, and a
/// restore that broke off can be done again.
pub async fn restore<R, P>(
    input: R,
    passphrase: &Secret<String>,
    url: &Secret<String>,
    key_path: &Path,
    put: P,
) -> Result<Restored, BackupError>
where
    R: AsyncRead + Unpin + Send,
    P: FnOnce(Vec<Beside>) -> Result<(), String> + Send,
{
    let place = Place::parse(url.reveal())?;
    let mut opener = Opener::new(input, passphrase).await?;
    let head: Head = parse(opener.line().await?)?;
    if head.schema > migrate::known() {
        return Err(BackupError::TooNew { found: head.schema, known: migrate::known(), written_by: head.written_by });
    }
    let key: KeyLine = parse(opener.line().await?)?;
    let key = MasterKey::from_hex(key.master_key.reveal()).ok_or_else(|| BackupError::Damaged("its master key is none".into()))?;
    if key::holds(key_path, &key)? == Some(false) {
        return Err(KeyError::Taken(key_path.into()).into());
    }
    let new_file = match &place {
        Place::File(file) if !file.exists() => Some(file.clone()),
        Place::File(_) | Place::Server(_) => None,
    };
    let db = connect(&place).await?;
    let restored = fill(&db, opener, &place, head, &key, key_path, put).await;
    db.close().await;
    if let (Err(_), Some(file)) = (&restored, new_file) {
        let _ = std::fs::remove_file(file);
    }
    restored
}

async fn fill<R, P>(
    db: &Db,
    mut opener: Opener<R>,
    place: &Place,
    head: Head,
    key: &MasterKey,
    key_path: &Path,
    put: P,
) -> Result<Restored, BackupError>
where
    R: AsyncRead + Unpin + Send,
    P: FnOnce(Vec<Beside>) -> Result<(), String> + Send,
{
    let mut tx = db.write().await?;
    migrate::lock(&mut tx).await?;
    if migrate::found(&mut tx).await? != 0 {
        return Err(BackupError::NotEmpty(place.shown()));
    }
    refuse_foreign(&mut tx, place).await?;
    migrate::run(&mut tx, 0, head.schema).await?;
    let mut restored = Restored { made: Time::from_micros(head.made_micros), written_by: head.written_by, house: head.house, rows: 0 };
    let (mut filling, mut beside) = (Filling { table: None, rows: Vec::new() }, Vec::new());
    loop {
        match parse(opener.line().await?)? {
            Line::Beside { name, content } => {
                let content = STANDARD.decode(content.reveal()).map_err(|_| BackupError::Damaged(format!("the file {name} in it")))?;
                beside.push(Beside { name, content: Secret::new(content) });
            }
            Line::Table(table) => filling.begin(&mut tx, table).await?,
            Line::Row(row) => {
                filling.row(&mut tx, row).await?;
                restored.rows += 1;
            }
            Line::End { end } => {
                filling.flush(&mut tx).await?;
                // Only the end of the sealed stream says that nothing was cut off.
                if end != restored.rows || opener.line().await?.is_some() {
                    return Err(BackupError::Damaged("it does not hold as many rows as it says".into()));
                }
                break;
            }
        }
    }
    let check = migrate::meta(&mut tx, "master_key_check").await?.unwrap_or_default();
    if !same(check.as_bytes(), Keys::new(key).check_value().as_bytes()) {
        return Err(BackupError::Damaged("its master key does not fit its database".into()));
    }
    migrate::run(&mut tx, head.schema, migrate::known()).await?;
    put(beside).map_err(BackupError::Beside)?;
    // The key goes first: a key without a database is harmless, a database without its key is lost.
    let new_key = key::holds(key_path, key)?.is_none();
    if new_key {
        key.create(key_path)?;
    }
    let committed = tx.commit().await;
    if committed.is_err() && new_key {
        let _ = std::fs::remove_file(key_path);
    }
    Ok(committed.map(|()| restored)?)
}

/// The table that is being filled.
struct Filling {
    table: Option<Table>,
    rows: Vec<Vec<Value>>,
}

impl Filling {
    async fn begin(&mut self, tx: &mut Tx, table: Table) -> Result<(), BackupError> {
        self.flush(tx).await?;
        if !table.is_plain() {
            return Err(BackupError::Damaged("it names an impossible table".into()));
        }
        self.table = Some(table);
        Ok(())
    }

    async fn row(&mut self, tx: &mut Tx, row: Vec<Json>) -> Result<(), BackupError> {
        let row = self.table.as_ref().and_then(|table| table.read(row));
        self.rows.push(row.ok_or_else(|| BackupError::Damaged("a row does not fit its table".into()))?);
        if self.rows.len() >= ROWS { self.flush(tx).await } else { Ok(()) }
    }

    async fn flush(&mut self, tx: &mut Tx) -> Result<(), BackupError> {
        if let Some(table) = &self.table {
            tx.insert(&table.name, &table.names(), &self.rows).await?;
            self.rows.clear();
        }
        Ok(())
    }
}

fn parse<T: serde::de::DeserializeOwned>(line: Option<Vec<u8>>) -> Result<T, BackupError> {
    // Some hold keys.
    let line = Zeroizing::new(line.ok_or_else(|| BackupError::Damaged("it ends too early".into()))?);
    serde_json::from_slice(&line).map_err(|error| BackupError::Damaged(format!("a line of it is not understood ({error})")))
}

#[cfg(test)]
mod tests {
    use super::{BackupError, Head, Sealer, restore};
    use doorward_core::Secret;
    use uuid::Uuid;

    #[tokio::test]
    async fn a_backup_of_a_newer_version_says_which() {
        let folder = std::env::temp_dir().join(format!("doorward-newer-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let passphrase = Secret::from("x");
        let mut file = Vec::new();
        let mut sealer = Sealer::new(&mut file, &passphrase).await.unwrap();
        sealer.line(&Head { schema: 999, written_by: "7.8.9".into(), made_micros: 0, house: Uuid::nil() }).await.unwrap();
        sealer.finish().await.unwrap();

        let url = Secret::new(format!("sqlite:{}", folder.join("doorward.db").display()));
        let error = restore(file.as_slice(), &passphrase, &url, &folder.join("master.key"), |_| Ok(())).await.unwrap_err();
        assert!(matches!(error, BackupError::TooNew { found: 999, .. }) && error.to_string().contains("7.8.9"), "{error:?}");
        assert!(std::fs::read_dir(&folder).unwrap().next().is_none(), "nothing was written");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
