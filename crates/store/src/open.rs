//! Opening: what is made, what is brought up to date, and what is refused and left alone.

use crate::{
    MasterKey, StoreError, chain,
    db::{Db, Lite, Tx},
    dice, migrate,
    seal::{Keys, same},
    space::Watch,
    url::Place,
};
use doorward_wire::{Time, account::AccountId};
use sqlx::{
    ConnectOptions, Connection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
    time::Duration,
};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// How long one statement waits for a connection or for another writer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the first connection may take: a machine that has just started is busy with everything else too.
const FIRST: Duration = Duration::from_secs(15);
/// Argon2id hashes at once, whoever makes them (rule 5): a burst must not take the memory that the house needs.
const HASHES: usize = 2;
/// PostgreSQL connections.
const CONNECTIONS: u32 = 5;

/// What must survive. Clones share everything.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) db: Db,
    pub(crate) keys: Keys,
    pub(crate) master: MasterKey,
    pub(crate) house: Uuid,
    /// The epoch with which this instance owns an account (rule 10).
    pub(crate) epochs: RwLock<BTreeMap<AccountId, i64>>,
    pub(crate) space: Watch,
    hashing: Arc<Semaphore>,
    shown: String,
}

/// What a store is opened with.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// `sqlite:<file>` or `postgres://…`.
    pub url: doorward_core::Secret<String>,
    /// What secrets are sealed with.
    pub key: MasterKey,
    /// The time of the start.
    pub now: Time,
    /// With less free space than this many bytes on the database's volume only intents and outcomes are written.
    pub keep_free: u64,
}

impl OpenOptions {
    /// The usual options: 64 MiB of free space are kept for intents and outcomes.
    pub fn new(url: impl Into<String>, key: MasterKey, now: Time) -> Self {
        Self { url: doorward_core::Secret::new(url.into()), key, now, keep_free: 64 << 20 }
    }
}

/// Why a store cannot be opened. `Display` says what a person can do; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer doorward wrote it.
    #[error(
        "the database was written by doorward {written_by} (schema {found}); this one knows schemas up to {known}. Start that version or a newer one, or restore a backup that was made before the upgrade"
    )]
    NewerSchema {
        /// The schema that was found.
        found: i64,
        /// The newest schema known here.
        known: i64,
        /// The version that wrote it.
        written_by: String,
    },
    /// The master key does not belong to this database.
    #[error(
        "the master key does not belong to the database ({0}). Put back the master.key that it was made with, or restore a backup, which holds both"
    )]
    WrongKey(String),
    /// The address cannot be used.
    #[error("store.url cannot be used: {0}")]
    BadUrl(String),
    /// The file or its folder may not be written.
    #[error("{path} cannot be written: {why}. Make the folder and give it to the user that doorward runs as")]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// No space is left.
    #[error("the disk is full: {0} cannot be written. Free some space and start again")]
    DiskFull(PathBuf),
    /// The file is something else.
    #[error("{0} is not a database of doorward. Name another file in store.url, or move this one away")]
    NotADatabase(PathBuf),
    /// Nobody answers.
    #[error("{place} cannot be reached: {why}. Is it running, and is its address right in store.url?")]
    Unreachable {
        /// Where, without the password.
        place: String,
        /// Why not.
        why: String,
    },
    /// The server refused user or password.
    #[error("{place} refuses the user or the password in store.url: {why}")]
    WrongPassword {
        /// Where, without the password.
        place: String,
        /// What the server says.
        why: String,
    },
    /// The server has no such database.
    #[error("{place} does not exist: {why}. Make it with: createdb --owner=<user> <database>")]
    NoDatabase {
        /// Where, without the password.
        place: String,
        /// What the server says.
        why: String,
    },
    /// The user of the server may not make tables.
    #[error("the user in store.url may not make tables in {0}. Run as its administrator: ALTER DATABASE <database> OWNER TO <user>")]
    NotAllowed(String),
    /// Something else.
    #[error("the database ({place}) cannot be used. {}", .error.person())]
    Other {
        /// Where, without the password.
        place: String,
        /// What went wrong.
        #[source]
        error: StoreError,
    },
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Other { place: String::new(), error }
    }
}

impl OpenError {
    /// The same error, saying where when it does not yet.
    fn at(mut self, shown: String) -> Self {
        if let Self::Other { place, .. } = &mut self {
            *place = shown;
        }
        self
    }
}

impl Store {
    /// Opens the database, makes it when there is none, and brings it up to date under a lock.
    pub async fn open(options: &OpenOptions) -> Result<Self, OpenError> {
        let place = Place::parse(options.url.reveal())?;
        let shown = place.shown();
        let db = connect(&place).await?;
        let keys = Keys::new(&options.key);
        let house = match set_up(&db, &keys, &place).await {
            Ok(house) => house,
            Err(error) => {
                db.close().await;
                return Err(error.at(shown));
            }
        };
        let space = Watch::new(&place, options.keep_free);
        let inner = Inner {
            db,
            keys,
            master: options.key.clone(),
            house,
            epochs: RwLock::default(),
            space,
            hashing: Arc::new(Semaphore::new(HASHES)),
            shown,
        };
        tracing::debug!(place = inner.shown, %house, at = %options.now, "store open");
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Turns at hashing passwords.
    pub fn hashing(&self) -> &Arc<Semaphore> {
        &self.inner.hashing
    }

    /// This house's identifier: made with the database, and carried by backups.
    pub fn house_id(&self) -> Uuid {
        self.inner.house
    }

    /// Where the database is, as it may be shown: never with a password.
    pub fn place(&self) -> &str {
        &self.inner.shown
    }

    /// Whether the database answers, for `/ready` and `doctor`.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.db().one("SELECT seq FROM chain WHERE id = 1", Vec::new()).await.map(drop)
    }

    /// Closes every connection. What was written is durable already; this folds SQLite's write-ahead log into its file.
    pub async fn close(&self) {
        self.inner.db.close().await;
    }

    pub(crate) fn db(&self) -> &Db {
        &self.inner.db
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.inner.keys
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("place", &self.inner.shown).finish_non_exhaustive()
    }
}

/// Checks what is there and brings it up to date, all in one transaction.
async fn set_up(db: &Db, keys: &Keys, place: &Place) -> Result<Uuid, OpenError> {
    let mut tx = db.write().await?;
    migrate::lock(&mut tx).await?;
    let found = migrate::found(&mut tx).await?;
    migrate::check(&mut tx, found).await?;
    if found == 0 {
        refuse_foreign(&mut tx, place).await?;
        migrate::run(&mut tx, 0, migrate::known()).await?;
        let house = dice::uuid();
        found_house(&mut tx, keys, house).await?;
        tx.commit().await?;
        return Ok(house);
    }
    let check = migrate::meta(&mut tx, "master_key_check").await?.unwrap_or_default();
    if !same(check.as_bytes(), keys.check_value().as_bytes()) {
        return Err(OpenError::WrongKey(place.shown()));
    }
    migrate::run(&mut tx, found, migrate::known()).await?;
    let house = migrate::meta(&mut tx, "house").await?.and_then(|house| house.parse().ok());
    let house = house.ok_or_else(|| StoreError::corrupt("meta.house is missing"))?;
    tx.commit().await?;
    Ok(house)
}

/// What a new database holds from its first moment.
async fn found_house(tx: &mut Tx, keys: &Keys, house: Uuid) -> Result<(), StoreError> {
    migrate::set_meta(tx, "house", &house.to_string()).await?;
    migrate::set_meta(tx, "master_key_check", &keys.check_value()).await?;
    chain::begin(tx, keys, house).await
}

/// A SQLite file with tables of another program is not ours to fill, and a PostgreSQL user may lack the right to.
pub(crate) async fn refuse_foreign(tx: &mut Tx, place: &Place) -> Result<(), OpenError> {
    match place {
        Place::File(file) => match tx.one("SELECT name FROM sqlite_schema LIMIT 1", Vec::new()).await? {
            Some(_) => Err(OpenError::NotADatabase(file.clone())),
            None => Ok(()),
        },
        Place::Server(_) => {
            let sql = "SELECT CAST(CASE WHEN has_schema_privilege(current_schema(), 'CREATE') THEN 1 ELSE 0 END AS BIGINT) AS allowed";
            let row = tx.one(sql, Vec::new()).await?;
            if row.map_or(Ok(false), |row| row.switch("allowed"))? { Ok(()) } else { Err(OpenError::NotAllowed(place.shown())) }
        }
    }
}

/// Opens connections, and nothing more.
pub(crate) async fn connect(place: &Place) -> Result<Db, OpenError> {
    match place {
        Place::File(file) => open_file(file).map(Db::Lite),
        Place::Server(options) => {
            let options = server_options(options);
            // One connection by hand first: the pool would try again until its patience ends, and lose the reason.
            match tokio::time::timeout(FIRST, sqlx::PgConnection::connect_with(&options)).await {
                Ok(Ok(connection)) => drop(connection.close().await),
                Ok(Err(error)) => return Err(server_error(place, error)),
                Err(_) => {
                    return Err(OpenError::Unreachable { place: place.shown(), why: format!("no answer within {} s", FIRST.as_secs()) });
                }
            }
            let pool = PgPoolOptions::new()
                .max_connections(CONNECTIONS)
                .acquire_timeout(PATIENCE)
                .idle_timeout(Duration::from_mins(5))
                .connect_lazy_with(options);
            Ok(Db::Pg(pool))
        }
    }
}

fn server_options(options: &PgConnectOptions) -> PgConnectOptions {
    options
        .clone()
        .application_name("doorward")
        .options([("statement_timeout", "10s"), ("lock_timeout", "3s"), ("idle_in_transaction_session_timeout", "60s")])
        .disable_statement_logging()
}

fn server_error(place: &Place, error: sqlx::Error) -> OpenError {
    let (code, why) = match error.as_database_error() {
        Some(error) => (error.code().unwrap_or_default().into_owned(), error.message().to_owned()),
        None => (String::new(), error.to_string()),
    };
    let place = place.shown();
    match code.as_str() {
        "28P01" | "28000" => OpenError::WrongPassword { place, why },
        "3D000" => OpenError::NoDatabase { place, why },
        _ => match StoreError::from(error) {
            StoreError::Unavailable(_) => OpenError::Unreachable { place, why },
            error @ (StoreError::Full(_) | StoreError::Corrupt(_) | StoreError::Bug(_)) => OpenError::Other { place, error },
        },
    }
}

fn open_file(file: &Path) -> Result<Lite, OpenError> {
    make_file(file)?;
    Lite::open(file, PATIENCE).map_err(|error| file_error(file, error.into()))
}

/// Only the owner may read the file; SQLite gives its log files the same permissions.
fn make_file(file: &Path) -> Result<(), OpenError> {
    let opened = std::fs::OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file);
    match opened {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::StorageFull => Err(OpenError::DiskFull(file.into())),
        Err(error) => Err(OpenError::NotWritable { path: file.into(), why: error.to_string() }),
    }
}

fn file_error(file: &Path, error: StoreError) -> OpenError {
    match error {
        StoreError::Corrupt(_) => OpenError::NotADatabase(file.into()),
        StoreError::Full(_) => OpenError::DiskFull(file.into()),
        StoreError::Unavailable(why) => OpenError::NotWritable { path: file.into(), why },
        error @ StoreError::Bug(_) => OpenError::Other { place: file.display().to_string(), error },
    }
}
