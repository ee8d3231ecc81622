//! SQLite: one connection that writes, a few that read.
//!
//! A statement takes microseconds and a commit as long as the disk: a trip to another thread and back would cost more
//! than most of what is asked here. So statements run where they are called. Whoever waits for the disk says so to the
//! runtime first ([`patiently`]), which moves its other tasks to another thread meanwhile; the engine's scribe, who
//! writes most, has a thread of its own.

use super::Value;
use crate::StoreError;
use futures_util::{Stream, stream};
use rusqlite::{
    CachedStatement, Connection, OpenFlags, params_from_iter,
    types::{ToSqlOutput, Value as Cell, ValueRef},
};
use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{Mutex, OwnedMutexGuard, mpsc},
    task::block_in_place,
    time::timeout,
};

/// Connections for reading that are kept open. More may be open at a time, each with a page cache of its own.
const READERS: usize = 3;
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 64;
/// Rows of a snapshot that are read ahead.
const AHEAD: usize = 64;

/// An open file.
#[derive(Clone)]
pub(crate) struct Lite(Arc<Inner>);

struct Inner {
    file: PathBuf,
    patience: Duration,
    /// Gone once the store is closed. Waiting for it in a queue is fairer than SQLite's own busy loop.
    writer: Arc<Mutex<Option<Connection>>>,
    readers: StdMutex<Vec<Connection>>,
}

type Writer = OwnedMutexGuard<Option<Connection>>;

impl Lite {
    /// Opens the file. Whoever wants to write waits this long at most for others who do.
    pub(crate) fn open(file: &Path, patience: Duration) -> Result<Self, rusqlite::Error> {
        let writer = connect(file, patience)?;
        // A log that grew once gives its space back.
        writer.pragma_update(None, "journal_size_limit", 16 << 20)?;
        let inner = Inner { file: file.into(), patience, writer: Arc::new(Mutex::new(Some(writer))), readers: StdMutex::default() };
        Ok(Self(Arc::new(inner)))
    }

    async fn writer(&self) -> Result<Writer, StoreError> {
        let writer = timeout(self.0.patience, Arc::clone(&self.0.writer).lock_owned()).await;
        let mut writer = writer.map_err(|_| StoreError::Unavailable("others were writing for too long".into()))?;
        let connection = writer.as_mut().ok_or_else(closed)?;
        if !connection.is_autocommit() {
            // Whoever left a transaction could not end it: nothing is known about this connection any more.
            *connection = connect(&self.0.file, self.0.patience)?;
        }
        Ok(writer)
    }

    pub(super) async fn begin(&self) -> Result<LiteTx, StoreError> {
        let writer = self.writer().await?;
        let tx = LiteTx { writer };
        patiently(|| run(tx.connection()?, "BEGIN IMMEDIATE", &[]))?;
        Ok(tx)
    }

    pub(super) async fn execute(&self, sql: &str, args: &[Value]) -> Result<u64, StoreError> {
        let writer = self.writer().await?;
        patiently(|| run(writer.as_ref().ok_or_else(closed)?, sql, args))
    }

    /// A row that is looked up is in memory nearly always: asking for patience would take longer.
    pub(super) fn one(&self, sql: &str, args: &[Value]) -> Result<Option<LiteRow>, StoreError> {
        self.reading(|connection| first(connection, sql, args))
    }

    pub(super) fn all(&self, sql: &str, args: &[Value]) -> Result<Vec<LiteRow>, StoreError> {
        patiently(|| {
            self.reading(|connection| {
                let mut statement = prepare(connection, sql)?;
                let names = names(&statement);
                let mut rows = statement.query(params_from_iter(args))?;
                let mut all = Vec::new();
                while let Some(row) = rows.next()? {
                    all.push(LiteRow::read(&names, row)?);
                }
                Ok(all)
            })
        })
    }

    fn reading<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let kept = self.readers().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => self.reader()?,
        };
        let result = work(&connection);
        let mut readers = self.readers();
        if readers.len() < READERS {
            readers.push(connection);
        }
        result
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.0.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> Result<Connection, StoreError> {
        let connection = connect(&self.0.file, self.0.patience)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }

    /// A connection of its own that sees one moment of the file for as long as it takes.
    pub(super) fn snapshot(&self) -> Result<LiteSnapshot, StoreError> {
        let connection = self.reader()?;
        run(&connection, "BEGIN", &[])?;
        Ok(LiteSnapshot(Arc::new(Mutex::new(connection))))
    }

    pub(super) async fn close(&self) {
        let mut writer = self.0.writer.lock().await;
        self.readers().clear();
        // The writer goes last, so that it folds the write-ahead log into the file.
        if let Some(Err((_, error))) = writer.take().map(Connection::close) {
            tracing::warn!(%error, "the database was not closed in good order; its log is read at the next start");
        }
    }
}

fn connect(file: &Path, patience: Duration) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(patience)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_mode", "wal")?;
    // Durable when a commit returns, also when the power goes.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // 1 MiB for each connection.
    connection.pragma_update(None, "cache_size", -1024)?;
    Ok(connection)
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

/// Does something that may wait for the disk, without keeping other tasks of this thread waiting.
fn patiently<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        // A runtime of one thread has nowhere to move its tasks to; tests have one, and a lock that stands alone.
        _ => work(),
    }
}

/// A transaction that writes. It rolls back when it is dropped.
pub(crate) struct LiteTx {
    writer: Writer,
}

impl LiteTx {
    fn connection(&self) -> Result<&Connection, StoreError> {
        self.writer.as_ref().ok_or_else(closed)
    }

    pub(super) fn execute(&mut self, sql: &str, args: &[Value]) -> Result<u64, StoreError> {
        run(self.connection()?, sql, args)
    }

    pub(super) fn one(&mut self, sql: &str, args: &[Value]) -> Result<Option<LiteRow>, StoreError> {
        first(self.connection()?, sql, args)
    }

    pub(super) fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        Ok(self.connection()?.execute_batch(sql)?)
    }

    pub(super) fn commit(self) -> Result<(), StoreError> {
        patiently(|| run(self.connection()?, "COMMIT", &[])).map(|_| ())
    }
}

impl Drop for LiteTx {
    fn drop(&mut self) {
        // After a commit, and where SQLite has rolled back by itself, as it does when the disk is full, there is none.
        if let Some(connection) = self.writer.as_ref().filter(|connection| !connection.is_autocommit())
            && let Err(error) = run(connection, "ROLLBACK", &[])
        {
            tracing::error!(%error, "a transaction could not be undone; its connection is opened anew");
        }
    }
}

/// One moment of the whole file.
pub(crate) struct LiteSnapshot(Arc<Mutex<Connection>>);

impl LiteSnapshot {
    pub(super) async fn one(&mut self, sql: &str, args: &[Value]) -> Result<Option<LiteRow>, StoreError> {
        let connection = self.0.lock().await;
        patiently(|| first(&connection, sql, args))
    }

    /// Reads on a thread of its own, a little ahead of whoever takes the rows.
    pub(super) fn rows(&mut self, sql: Cow<'static, str>, args: Vec<Value>) -> impl Stream<Item = Result<LiteRow, StoreError>> + use<> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let connection = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            let connection = connection.blocking_lock();
            if let Err(error) = send_rows(&connection, &sql, &args, &sender) {
                let _ = sender.blocking_send(Err(error));
            }
        });
        stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|row| (row, receiver)) })
    }
}

fn send_rows(
    connection: &Connection,
    sql: &str,
    args: &[Value],
    sender: &mpsc::Sender<Result<LiteRow, StoreError>>,
) -> Result<(), StoreError> {
    let mut statement = prepare(connection, sql)?;
    let names = names(&statement);
    let mut rows = statement.query(params_from_iter(args))?;
    while let Some(row) = rows.next()? {
        if sender.blocking_send(Ok(LiteRow::read(&names, row)?)).is_err() {
            // Nobody wants more.
            break;
        }
    }
    Ok(())
}

/// Prepares a statement, or takes it from those that are kept. A `$1` is a name to SQLite, and a `?1` a number.
fn prepare<'c>(connection: &'c Connection, sql: &str) -> Result<CachedStatement<'c>, rusqlite::Error> {
    connection.prepare_cached(&sql.replace('$', "?"))
}

fn run(connection: &Connection, sql: &str, args: &[Value]) -> Result<u64, StoreError> {
    Ok(prepare(connection, sql)?.execute(params_from_iter(args))? as u64)
}

fn first(connection: &Connection, sql: &str, args: &[Value]) -> Result<Option<LiteRow>, StoreError> {
    let mut statement = prepare(connection, sql)?;
    let names = names(&statement);
    let mut rows = statement.query(params_from_iter(args))?;
    Ok(rows.next()?.map(|row| LiteRow::read(&names, row)).transpose()?)
}

fn names(statement: &CachedStatement<'_>) -> Arc<[String]> {
    statement.column_names().map(ToOwned::to_owned).collect()
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Int(None) | Self::Text(None) | Self::Blob(None) => ValueRef::Null,
            Self::Int(Some(number)) => ValueRef::Integer(*number),
            Self::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Self::Blob(Some(blob)) => ValueRef::Blob(blob),
        }))
    }
}

/// One row of an answer.
pub(crate) struct LiteRow {
    names: Arc<[String]>,
    cells: Vec<Cell>,
}

impl LiteRow {
    fn read(names: &Arc<[String]>, row: &rusqlite::Row<'_>) -> Result<Self, rusqlite::Error> {
        let cells = (0..names.len()).map(|column| row.get(column)).collect::<Result<_, _>>()?;
        Ok(Self { names: Arc::clone(names), cells })
    }

    pub(super) fn get<T: Column>(&self, column: &str) -> Result<T, StoreError> {
        let cell = self.names.iter().position(|name| name == column).and_then(|at| self.cells.get(at));
        cell.and_then(T::read).ok_or_else(|| StoreError::Bug(format!("column {column}: {cell:?}")))
    }
}

/// What can be read from a cell.
pub(crate) trait Column: Sized {
    fn read(cell: &Cell) -> Option<Self>;
}

macro_rules! columns {
    ($($type:ty => $cell:ident),+) => {$(
        impl Column for $type {
            fn read(cell: &Cell) -> Option<Self> {
                if let Cell::$cell(value) = cell { Some(value.clone()) } else { None }
            }
        }
    )+};
}

columns!(i64 => Integer, String => Text, Vec<u8> => Blob);

impl<T: Column> Column for Option<T> {
    fn read(cell: &Cell) -> Option<Self> {
        if *cell == Cell::Null { Some(None) } else { T::read(cell).map(Some) }
    }
}
