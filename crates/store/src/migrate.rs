//! Migrations, forwards only, all in one transaction: a start that fails leaves the database as it was.

use crate::{
    OpenError, StoreError,
    db::{Tx, args},
};

/// The version of this program, as a newer schema names it.
pub(crate) const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// One step: its number and its statements for each database.
struct Migration {
    number: i64,
    lite: &'static str,
    pg: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, lite: include_str!("../migrations/sqlite/0001.sql"), pg: include_str!("../migrations/postgres/0001.sql") },
    Migration { number: 2, lite: include_str!("../migrations/sqlite/0002.sql"), pg: include_str!("../migrations/postgres/0002.sql") },
    Migration {
        number: 3,
        lite: include_str!("../migrations/sqlite/0003_webhooks.sql"),
        pg: include_str!("../migrations/postgres/0003_webhooks.sql"),
    },
    Migration {
        number: 4,
        lite: include_str!("../migrations/sqlite/0004_mqtt.sql"),
        pg: include_str!("../migrations/postgres/0004_mqtt.sql"),
    },
    Migration {
        number: 5,
        lite: include_str!("../migrations/sqlite/0005_push.sql"),
        pg: include_str!("../migrations/postgres/0005_push.sql"),
    },
    Migration {
        number: 6,
        lite: include_str!("../migrations/sqlite/0006_told.sql"),
        pg: include_str!("../migrations/postgres/0006_told.sql"),
    },
    Migration {
        number: 7,
        lite: include_str!("../migrations/sqlite/0007_tunnel.sql"),
        pg: include_str!("../migrations/postgres/0007_tunnel.sql"),
    },
    Migration {
        number: 8,
        lite: include_str!("../migrations/sqlite/0008_rings.sql"),
        pg: include_str!("../migrations/postgres/0008_rings.sql"),
    },
    Migration {
        number: 9,
        lite: include_str!("../migrations/sqlite/0009_fleet.sql"),
        pg: include_str!("../migrations/postgres/0009_fleet.sql"),
    },
    Migration {
        number: 10,
        lite: include_str!("../migrations/sqlite/0010_people.sql"),
        pg: include_str!("../migrations/postgres/0010_people.sql"),
    },
    Migration {
        number: 11,
        lite: include_str!("../migrations/sqlite/0011_passkeys.sql"),
        pg: include_str!("../migrations/postgres/0011_passkeys.sql"),
    },
    Migration {
        number: 12,
        lite: include_str!("../migrations/sqlite/0012_ble.sql"),
        pg: include_str!("../migrations/postgres/0012_ble.sql"),
    },
    Migration {
        number: 13,
        lite: include_str!("../migrations/sqlite/0013_ble_messages.sql"),
        pg: include_str!("../migrations/postgres/0013_ble_messages.sql"),
    },
];

/// The newest schema that this program knows.
pub(crate) const fn known() -> i64 {
    MIGRATIONS[MIGRATIONS.len() - 1].number
}

/// Waits until no other instance migrates. On SQLite the transaction itself has the write lock.
pub(crate) async fn lock(tx: &mut Tx) -> Result<(), StoreError> {
    if !tx.is_lite() {
        // “doorward” in ASCII, as a number that nobody else locks by accident.
        tx.execute("SET LOCAL statement_timeout = 0", Vec::new()).await?;
        tx.execute("SELECT pg_advisory_xact_lock(7237125663627506276)", Vec::new()).await?;
    }
    Ok(())
}

/// The schema's number; 0 when there is none yet.
pub(crate) async fn found(tx: &mut Tx) -> Result<i64, StoreError> {
    let tables = if tx.is_lite() {
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'meta'"
    } else {
        "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = 'meta'"
    };
    if tx.one(tables, Vec::new()).await?.is_none() {
        return Ok(0);
    }
    match meta(tx, "schema").await? {
        Some(number) => number.parse().map_err(|_| StoreError::corrupt(format!("meta.schema holds “{number}”"))),
        None => Err(StoreError::corrupt("meta.schema is missing")),
    }
}

/// Brings the schema from `from` to `to`.
pub(crate) async fn run(tx: &mut Tx, from: i64, to: i64) -> Result<(), StoreError> {
    for migration in MIGRATIONS.iter().filter(|migration| migration.number > from && migration.number <= to) {
        tracing::info!(schema = migration.number, "bringing the database up to date");
        tx.script(if tx.is_lite() { migration.lite } else { migration.pg }).await?;
    }
    if from < to {
        set_meta(tx, "schema", &to.to_string()).await?;
        set_meta(tx, "schema_written_by", PROGRAM).await?;
    }
    Ok(())
}

/// Refuses a schema that this program does not know.
pub(crate) async fn check(tx: &mut Tx, found: i64) -> Result<(), OpenError> {
    if found <= known() {
        return Ok(());
    }
    let written_by = meta(tx, "schema_written_by").await?.unwrap_or_else(|| "a newer version".into());
    Err(OpenError::NewerSchema { found, known: known(), written_by })
}

pub(crate) async fn meta(tx: &mut Tx, key: &str) -> Result<Option<String>, StoreError> {
    let row = tx.one("SELECT value FROM meta WHERE key = $1", args![key]).await?;
    row.map(|row| row.get("value")).transpose()
}

pub(crate) async fn set_meta(tx: &mut Tx, key: &str, value: &str) -> Result<(), StoreError> {
    tx.execute("INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value", args![key, value])
        .await?;
    Ok(())
}
