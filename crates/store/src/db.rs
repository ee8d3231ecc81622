//! Two databases behind one set of statements.
//!
//! Everything above this file writes a statement once, with `$1`, `ON CONFLICT` and `RETURNING`, hands over [`Value`]s
//! and reads [`Row`]s. What differs between SQLite ([`lite`]) and PostgreSQL is in these files and in the migrations.

mod lite;

pub(crate) use lite::Lite;

use crate::StoreError;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use lite::{LiteRow, LiteSnapshot, LiteTx};
use sqlx::{
    AssertSqlSafe, Decode, Postgres, Row as _, Transaction, Type,
    postgres::{PgArguments, PgPool, PgRow},
    query::Query,
};
use std::borrow::Cow;

/// The values of a statement, in the order of `$1`, `$2`, …
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::db::Value::from($value)),*] };
}
pub(crate) use args;

/// An open database.
#[derive(Clone)]
pub(crate) enum Db {
    /// A file of our own.
    Lite(Lite),
    /// A pool.
    Pg(PgPool),
}

/// A transaction that writes; it rolls back unless it is committed.
pub(crate) enum Tx {
    Lite(LiteTx),
    Pg(Transaction<'static, Postgres>),
}

/// A transaction that reads one moment of the whole database.
pub(crate) enum Snapshot {
    Lite(LiteSnapshot),
    Pg(Transaction<'static, Postgres>),
}

/// One value of a statement. PostgreSQL wants a type even for NULL, so the type is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
}

/// One row of an answer.
pub(crate) enum Row {
    Lite(LiteRow),
    Pg(PgRow),
}

/// What can be read from both databases.
pub(crate) trait Column: lite::Column + for<'r> Decode<'r, Postgres> + Type<Postgres> {}
impl<T> Column for T where T: lite::Column + for<'r> Decode<'r, Postgres> + Type<Postgres> {}

/// Rows of one insert. Each number of rows is a statement of its own in the connection's cache, so there are not too many.
const ROWS_AT_ONCE: usize = 16;

type Sql = Cow<'static, str>;

impl Db {
    /// Begins a transaction that will write. On SQLite it has the write lock from here on.
    pub(crate) async fn write(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Lite(lite) => Tx::Lite(lite.begin().await?),
            Self::Pg(pool) => Tx::Pg(pool.begin().await?),
        })
    }

    /// Begins a transaction that reads one moment of the whole database.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(match self {
            Self::Lite(lite) => Snapshot::Lite(lite.snapshot()?),
            Self::Pg(pool) => {
                let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
                sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *tx).await?;
                Snapshot::Pg(tx)
            }
        })
    }

    /// Runs one statement that writes; durable when this returns. Gives the number of rows that it touched.
    pub(crate) async fn execute(&self, sql: impl Into<Sql>, args: Vec<Value>) -> Result<u64, StoreError> {
        match self {
            Self::Lite(lite) => lite.execute(&sql.into(), &args).await,
            Self::Pg(pool) => Ok(bound(sql.into(), args).execute(pool).await?.rows_affected()),
        }
    }

    /// Runs one statement that reads.
    pub(crate) async fn all(&self, sql: impl Into<Sql>, args: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Lite(lite) => lite.all(&sql.into(), &args)?.into_iter().map(Row::Lite).collect(),
            Self::Pg(pool) => bound(sql.into(), args).fetch_all(pool).await?.into_iter().map(Row::Pg).collect(),
        })
    }

    /// Runs one statement that looks at most one row up.
    pub(crate) async fn one(&self, sql: impl Into<Sql>, args: Vec<Value>) -> Result<Option<Row>, StoreError> {
        Ok(match self {
            Self::Lite(lite) => lite.one(&sql.into(), &args)?.map(Row::Lite),
            Self::Pg(pool) => bound(sql.into(), args).fetch_optional(pool).await?.map(Row::Pg),
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Lite(lite) => lite.close().await,
            Self::Pg(pool) => pool.close().await,
        }
    }
}

impl Tx {
    pub(crate) const fn is_lite(&self) -> bool {
        matches!(self, Self::Lite(_))
    }

    /// Runs one statement. Gives the number of rows that it touched.
    pub(crate) async fn execute(&mut self, sql: impl Into<Sql>, args: Vec<Value>) -> Result<u64, StoreError> {
        match self {
            Self::Lite(tx) => tx.execute(&sql.into(), &args),
            Self::Pg(tx) => Ok(bound(sql.into(), args).execute(&mut **tx).await?.rows_affected()),
        }
    }

    /// Runs one statement and gives its only row, if there is one.
    pub(crate) async fn one(&mut self, sql: impl Into<Sql>, args: Vec<Value>) -> Result<Option<Row>, StoreError> {
        Ok(match self {
            Self::Lite(tx) => tx.one(&sql.into(), &args)?.map(Row::Lite),
            Self::Pg(tx) => bound(sql.into(), args).fetch_optional(&mut **tx).await?.map(Row::Pg),
        })
    }

    /// Inserts rows, several in one statement. Table and columns are names of this crate's migrations.
    pub(crate) async fn insert(&mut self, table: &str, columns: &[&str], rows: &[Vec<Value>]) -> Result<(), StoreError> {
        for rows in rows.chunks(ROWS_AT_ONCE) {
            self.execute(insert(table, columns, rows.len()), rows.concat()).await?;
        }
        Ok(())
    }

    /// Runs the statements of a migration.
    pub(crate) async fn script(&mut self, sql: &'static str) -> Result<(), StoreError> {
        match self {
            Self::Lite(tx) => tx.script(sql),
            Self::Pg(tx) => Ok(sqlx::raw_sql(sql).execute(&mut **tx).await.map(|_| ())?),
        }
    }

    /// Makes it durable.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Lite(tx) => tx.commit(),
            Self::Pg(tx) => Ok(tx.commit().await?),
        }
    }
}

impl Snapshot {
    /// Runs one statement and gives its only row, if there is one.
    pub(crate) async fn one(&mut self, sql: impl Into<Sql>, args: Vec<Value>) -> Result<Option<Row>, StoreError> {
        Ok(match self {
            Self::Lite(snapshot) => snapshot.one(&sql.into(), &args).await?.map(Row::Lite),
            Self::Pg(tx) => bound(sql.into(), args).fetch_optional(&mut **tx).await?.map(Row::Pg),
        })
    }

    /// Runs one statement and hands over its rows one by one, so that memory does not grow with the table.
    pub(crate) fn rows(&mut self, sql: impl Into<Sql>, args: Vec<Value>) -> BoxStream<'_, Result<Row, StoreError>> {
        match self {
            Self::Lite(snapshot) => snapshot.rows(sql.into(), args).map_ok(Row::Lite).boxed(),
            Self::Pg(tx) => bound(sql.into(), args).fetch(&mut **tx).map_ok(Row::Pg).map_err(StoreError::from).boxed(),
        }
    }
}

impl Row {
    pub(crate) fn get<T: Column>(&self, column: &str) -> Result<T, StoreError> {
        match self {
            Self::Lite(row) => row.get(column),
            Self::Pg(row) => row.try_get(column).map_err(|error| StoreError::Bug(format!("column {column}: {error}"))),
        }
    }

    /// A column whose words or numbers only doorward writes: anything else there is damage.
    pub(crate) fn parse<T: std::str::FromStr>(&self, column: &str) -> Result<T, StoreError> {
        parse(column, &self.get::<String>(column)?)
    }

    /// The same for a column that may be NULL.
    pub(crate) fn parse_option<T: std::str::FromStr>(&self, column: &str) -> Result<Option<T>, StoreError> {
        self.get::<Option<String>>(column)?.map(|text| parse(column, &text)).transpose()
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        serde_json::from_str(&self.get::<String>(column)?).map_err(|error| StoreError::corrupt(format!("column {column}: {error}")))
    }

    pub(crate) fn time(&self, column: &str) -> Result<doorward_wire::Time, StoreError> {
        self.get(column).map(doorward_wire::Time::from_micros)
    }

    pub(crate) fn time_option(&self, column: &str) -> Result<Option<doorward_wire::Time>, StoreError> {
        Ok(self.get::<Option<i64>>(column)?.map(doorward_wire::Time::from_micros))
    }

    pub(crate) fn switch(&self, column: &str) -> Result<bool, StoreError> {
        Ok(self.get::<i64>(column)? != 0)
    }
}

fn parse<T: std::str::FromStr>(column: &str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::corrupt(format!("column {column} holds “{text}”")))
}

fn insert(table: &str, columns: &[&str], rows: usize) -> String {
    let width = columns.len();
    let row = |row: usize| (1..=width).map(|column| format!("${}", row * width + column)).collect::<Vec<_>>().join(", ");
    let rows = (0..rows).map(|number| format!("({})", row(number))).collect::<Vec<_>>().join(", ");
    format!("INSERT INTO {table} ({}) VALUES {rows}", columns.join(", "))
}

/// A statement for PostgreSQL with its values. Statements are fixed texts of this crate, or assembled from them.
fn bound(sql: Sql, args: Vec<Value>) -> Query<'static, Postgres, PgArguments> {
    args.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, value| match value {
        Value::Int(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Blob(value) => query.bind(value),
    })
}

/// PostgreSQL holds no NUL character in a text; both databases then hold the same.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

macro_rules! value_from {
    ($($from:ty => |$it:ident| $variant:ident($value:expr)),+ $(,)?) => {$(
        impl From<$from> for Value {
            fn from($it: $from) -> Self {
                Self::$variant(Some($value))
            }
        }
        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self {
                Self::$variant(value.map(|$it| $value))
            }
        }
    )+};
}

value_from! {
    i64 => |it| Int(it),
    bool => |it| Int(i64::from(it)),
    doorward_wire::Time => |it| Int(it.as_micros()),
    String => |it| Text(without_nul(it)),
    &String => |it| Text(without_nul(it.clone())),
    &str => |it| Text(without_nul(it.into())),
    uuid::Uuid => |it| Text(it.to_string()),
    &doorward_wire::account::AccountId => |it| Text(it.as_str().into()),
    &doorward_wire::door::DoorId => |it| Text(it.as_str().into()),
    &doorward_wire::webhook::WebhookId => |it| Text(it.as_str().into()),
    Vec<u8> => |it| Blob(it),
    &[u8] => |it| Blob(it.into()),
    [u8; 32] => |it| Blob(it.into()),
}
