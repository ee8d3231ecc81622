//! An empty house for one story, and what the stories have in common.

use crate::postgres::Postgres;
use doorward_core::{
    Secret,
    driver::Settings,
    record::{NewEvent, Record, Written},
    setup::DoorSetup,
};
use doorward_store::{MasterKey, OpenError, OpenOptions, Store, StoredAccount};
use doorward_wire::{
    Time,
    account::AccountId,
    attempt::{ActionWord, Actor, ActorKind, Attempt, AttemptId, AttemptState},
    door::{Capability, DoorId, DoorKind},
    event::EventKind,
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

/// 2026-11-23T07:00:00Z, when the stories begin.
pub(crate) const START: i64 = 1_795_417_200_000_000;

pub(crate) struct House {
    pub(crate) folder: PathBuf,
    pub(crate) url: String,
    pub(crate) key: MasterKey,
    server: Option<Arc<Postgres>>,
}

impl House {
    pub(crate) fn sqlite() -> Self {
        let folder = folder();
        Self { url: format!("sqlite:{}", folder.join("doorward.db").display()), key: MasterKey::from_bytes([7; 32]), folder, server: None }
    }

    pub(crate) async fn postgresql(server: &Arc<Postgres>) -> Self {
        let url = aside(server, Postgres::database).await;
        Self { folder: folder(), url, key: MasterKey::from_bytes([7; 32]), server: Some(server.clone()) }
    }

    /// Another empty house on the same kind of database.
    pub(crate) async fn another(&self) -> Self {
        match &self.server {
            Some(server) => Self::postgresql(server).await,
            None => Self::sqlite(),
        }
    }

    pub(crate) fn secret_url(&self) -> Secret<String> {
        Secret::new(self.url.clone())
    }

    pub(crate) fn options(&self) -> OpenOptions {
        OpenOptions::new(self.url.clone(), self.key.clone(), at(0))
    }

    pub(crate) async fn try_open(&self) -> Result<Store, OpenError> {
        Store::open(&self.options()).await
    }

    pub(crate) async fn open(&self) -> Store {
        self.try_open().await.expect("the store opens")
    }

    /// A store with an account `home` that this instance owns, and a door `gate`.
    pub(crate) async fn furnished(&self) -> Store {
        let store = self.open().await;
        furnish(&store).await;
        store
    }

    /// Runs a statement past the store, as somebody with access to the database could. Gives the first column of each row.
    pub(crate) async fn sql(&self, statement: &str) -> Vec<String> {
        if let Some(server) = &self.server {
            let database = self.url.rsplit('/').next().expect("a database").to_owned();
            let statement = statement.to_owned();
            let answer = aside(server, move |server| server.sql(&database, &statement)).await;
            return answer.lines().map(Into::into).collect();
        }
        let path = self.url.trim_start_matches("sqlite:");
        let connection = rusqlite::Connection::open(path).expect("the file opens");
        connection.busy_timeout(Duration::from_secs(5)).expect("it waits");
        connection.pragma_update(None, "foreign_keys", false).expect("nothing is in the way");
        let mut prepared = connection.prepare(statement).expect(statement);
        let mut rows = prepared.query([]).expect(statement);
        let mut texts = Vec::new();
        while let Some(row) = rows.next().expect(statement) {
            texts.push(match row.get(0).expect(statement) {
                rusqlite::types::Value::Text(text) => text,
                rusqlite::types::Value::Integer(number) => number.to_string(),
                rusqlite::types::Value::Null | rusqlite::types::Value::Real(_) | rusqlite::types::Value::Blob(_) => String::new(),
            });
        }
        texts
    }

    /// Everything that is at rest, as an attacker would see it.
    pub(crate) async fn at_rest(&self) -> Vec<u8> {
        if self.server.is_none() {
            let file = self.folder.join("doorward.db");
            let mut bytes = std::fs::read(&file).expect("the database");
            bytes.extend(std::fs::read(file.with_extension("db-wal")).unwrap_or_default());
            return bytes;
        }
        let tables = self.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'").await;
        let mut bytes = Vec::new();
        for table in tables {
            for row in self.sql(&format!("SELECT t::text FROM {table} t")).await {
                bytes.extend(row.into_bytes());
            }
        }
        assert!(!bytes.is_empty());
        bytes
    }
}

/// Runs what waits for another program beside the stories, which have deadlines of their own.
async fn aside<T: Send + 'static>(server: &Arc<Postgres>, work: impl FnOnce(&Postgres) -> T + Send + 'static) -> T {
    let server = server.clone();
    tokio::task::spawn_blocking(move || work(&server)).await.expect("it works")
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("doorward-store-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    folder
}

/// The start of the stories and so many seconds.
pub(crate) fn at(seconds: u64) -> Time {
    Time::from_micros(START).plus(Duration::from_secs(seconds))
}

pub(crate) fn uuid() -> Uuid {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u64_pair(u64::from(std::process::id()), COUNT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn home() -> AccountId {
    "home".parse().expect("an id")
}

pub(crate) fn gate() -> DoorId {
    "gate".parse().expect("an id")
}

pub(crate) fn account(id: &str) -> StoredAccount {
    StoredAccount {
        id: id.parse().expect("an id"),
        kind: "utec".into(),
        name: "Home".into(),
        settings: Settings::default(),
        managed: false,
        created: at(0),
    }
}

pub(crate) fn door(id: &str, account: &str) -> DoorSetup {
    let capabilities = vec![Capability::Lock, Capability::Unlock];
    let (own, account) = (id.parse().expect("an id"), account.parse().expect("an id"));
    let door = DoorSetup::configured(own, "home", DoorKind::Bolt, account, capabilities);
    DoorSetup { name: "Gate".into(), external: format!("external-{id}"), time_zone: "UTC".into(), managed: false, ..door }
}

pub(crate) async fn furnish(store: &Store) {
    assert!(store.add_account(&account("home")).await.unwrap());
    assert!(store.put_door(&door("gate", "home"), at(0)).await.unwrap());
    store.own(&[home()], uuid(), at(0)).await.unwrap();
}

pub(crate) fn attempt(id: AttemptId) -> Attempt {
    Attempt {
        id,
        door: gate(),
        action: ActionWord::Unlock,
        state: AttemptState::Pending,
        reason: None,
        detail: None,
        actor: Actor { kind: ActorKind::Admin, id: "admin".into(), name: None },
        evidence: Vec::new(),
        created: at(1),
        finished: None,
    }
}

pub(crate) fn event(kind: EventKind) -> NewEvent {
    NewEvent::new(at(1), kind).door(&gate()).account(&home())
}

pub(crate) fn intent(attempt: &Attempt, claim: bool) -> Record {
    let told = event(EventKind::AttemptRequested).attempt(attempt.id).actor(&attempt.actor);
    Record::Intent { attempt: attempt.clone(), account: home(), not_after: at(11), claim, grant: None, events: vec![told] }
}

pub(crate) async fn write(store: &Store, record: Record) -> Written {
    store.write(&[record], at(1)).await.unwrap().pop().unwrap()
}

/// Writes so many events.
pub(crate) async fn tell(store: &Store, count: usize) {
    let events = (0..count).map(|number| event(EventKind::DoorRing).data(serde_json::json!({ "number": number }))).collect();
    write(store, Record::Events { events, told: None }).await;
}

pub(crate) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

pub(crate) fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).expect("the folder").next().is_none()
}
