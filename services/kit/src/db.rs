//! The database behind one small facade: SQLite by file, and SQL in a subset that PostgreSQL shares.
//!
//! Rules of the subset: `$1` placeholders; ids are TEXT, instants BIGINT microseconds UTC, money BIGINT
//! minor units; no BOOLEAN (a nullable instant says more), no TIMESTAMPTZ, no UUID;
//! `CAST(SUM(x) AS BIGINT)`, since PostgreSQL sums to NUMERIC.
//!
//! Reads take the [`Db`] itself or a transaction. Writes take a [`Tx`] only, so the one writer of SQLite
//! is never contended: `BEGIN IMMEDIATE` queues in the pool instead of failing with "database is locked".

use std::{
    fmt,
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sqlx::{
    Any, AnyPool, Decode, Encode, Row as _, SqlSafeStr, SqlStr, Transaction, Type,
    any::{AnyArguments, AnyPoolOptions, AnyRow},
    migrate::{MigrateError, MigrationType, Migrator},
    pool::PoolConnectionMetadata,
};
use tracewell_telemetry::DbCall;

/// Where the data lives: `sqlite://<path>`, where a path that starts with `/` is absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    path: PathBuf,
}

impl DatabaseUrl {
    /// A file of SQLite.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file that holds the data.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("sqlite://") {
            // A private in-memory database would be another one for each connection of the pools.
            Some(path) if !path.is_empty() && path != ":memory:" && !path.contains(['?', '#', '%']) => {
                Ok(Self::file(path))
            }
            _ => Err(InvalidDatabaseUrl),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite://{}", self.path.display())
    }
}

/// The text names no database that a service can use.
#[derive(Debug, thiserror::Error)]
#[error("not sqlite://<path of a file>")]
pub struct InvalidDatabaseUrl;

/// One step of the schema. Steps are applied in order of version, each once, and never edited afterwards.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Position in the order, from 1.
    pub version: i64,
    /// What it brings, in a few words.
    pub name: &'static str,
    /// The statements.
    pub sql: &'static str,
}

/// What went wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The file cannot be opened or created.
    #[error("cannot open the database {url}")]
    Open {
        /// The database.
        url: String,
        /// The driver's reason.
        #[source]
        source: sqlx::Error,
    },
    /// The schema was brought forward by a newer release than this one.
    #[error(
        "the database has schema version {found}, newer than this release knows: run the release that wrote it"
    )]
    NewerSchema {
        /// Version that this release does not know.
        found: i64,
    },
    /// A step of the schema failed or was changed after it had been applied.
    #[error("the schema cannot be brought up to date")]
    Migrate(#[source] MigrateError),
    /// A row with the same unique value exists.
    #[error("a row with the same unique value exists")]
    UniqueViolation,
    /// No connection became free in time.
    #[error("the database is busy")]
    Busy,
    /// A stored value is not what the schema promises.
    #[error("column {column} holds a value outside its domain")]
    Corrupt {
        /// Name of the column.
        column: &'static str,
    },
    /// Anything else that the driver reports.
    #[error("a query failed")]
    Query(#[source] sqlx::Error),
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::Database(ref database) if database.is_unique_violation() => Self::UniqueViolation,
            other => Self::Query(other),
        }
    }
}

/// Readers wait this long for SQLite's locks, and callers for a connection, before the answer is "busy".
const PATIENCE: Duration = Duration::from_secs(5);

/// A handle to the database; clones share its pools.
#[derive(Debug, Clone)]
pub struct Db {
    readers: AnyPool,
    writer: AnyPool,
}

impl Db {
    /// Opens the database, creating its file if there is none. Its folder must exist.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, DbError> {
        sqlx::any::install_default_drivers();
        create_private(url.path()).map_err(|error| DbError::Open {
            url: url.to_string(),
            source: error.into(),
        })?;
        // The writer first: it turns on write-ahead logging, which stays on.
        let writer = connect(url, 1).await?;
        let readers = connect(url, 4).await?;
        Ok(Self { readers, writer })
    }

    /// Brings the schema up to date; refuses a schema that is newer than `migrations`.
    pub async fn migrate(&self, migrations: &[Migration]) -> Result<(), DbError> {
        let steps = migrations.iter().map(|step| {
            let sql = SqlStr::from_static(step.sql);
            sqlx::migrate::Migration::new(step.version, step.name.into(), MigrationType::Simple, sql, false)
        });
        Migrator::with_migrations(steps.collect())
            .run(&self.writer)
            .await
            .map_err(|error| match error {
                MigrateError::VersionMissing(found) => DbError::NewerSchema { found },
                other => DbError::Migrate(other),
            })
    }

    /// Starts a transaction that may write.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        Ok(Tx(self.writer.begin_with("BEGIN IMMEDIATE").await?))
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }

    /// Closes every connection, which lets SQLite fold its write-ahead log into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Makes the file, for its owner only: it holds personal data and keys. SQLite gives the files beside it
/// the same mode.
fn create_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).open(path).map(drop)
}

async fn connect(url: &DatabaseUrl, connections: u32) -> Result<AnyPool, DbError> {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .after_connect(|connection, _: PoolConnectionMetadata| {
            Box::pin(async move {
                for pragma in [
                    "PRAGMA busy_timeout = 5000",
                    "PRAGMA journal_mode = WAL",
                    "PRAGMA synchronous = NORMAL",
                    "PRAGMA foreign_keys = ON",
                ] {
                    sqlx::query(pragma).execute(&mut *connection).await?;
                }
                Ok(())
            })
        })
        .connect(&url.to_string())
        .await
        .map_err(|source| DbError::Open {
            url: url.to_string(),
            source,
        })
}

/// A transaction; dropped without [`Tx::commit`], it is rolled back.
#[derive(Debug)]
pub struct Tx(Transaction<'static, Any>);

impl Tx {
    /// Makes what the transaction wrote last.
    pub async fn commit(self) -> Result<(), DbError> {
        Ok(self.0.commit().await?)
    }
}

/// Where a reading query runs: the database at large, or a transaction that must see its own writes.
#[derive(Debug)]
pub enum Reader<'c> {
    /// Any connection of the reading pool.
    Pool(&'c Db),
    /// The transaction's own connection.
    Tx(&'c mut Tx),
}

impl<'c> From<&'c Db> for Reader<'c> {
    fn from(db: &'c Db) -> Self {
        Self::Pool(db)
    }
}

impl<'c> From<&'c mut Tx> for Reader<'c> {
    fn from(tx: &'c mut Tx) -> Self {
        Self::Tx(tx)
    }
}

/// A row of an answer.
pub struct Row(AnyRow);

impl Row {
    /// The value of a column.
    pub fn get<'r, T: Decode<'r, Any> + Type<Any>>(&'r self, column: &'static str) -> Result<T, DbError> {
        Ok(self.0.try_get(column)?)
    }

    /// The instant in a column of microseconds.
    pub fn instant(&self, column: &'static str) -> Result<jiff::Timestamp, DbError> {
        crate::clock::from_micros(self.get(column)?).ok_or(DbError::Corrupt { column })
    }
}

/// A statement with its values. It runs inside a span that carries its text, never its values.
#[must_use = "a query does nothing until it runs"]
pub struct Query {
    table: &'static str,
    sql: &'static str,
    values: Result<AnyArguments, sqlx::error::BoxDynError>,
}

/// A query on `table` (the main one, for the span's name) with `$1`-style placeholders in `sql`.
pub fn query(table: &'static str, sql: &'static str) -> Query {
    Query {
        table,
        sql,
        values: Ok(AnyArguments::default()),
    }
}

impl Query {
    /// The value of the next placeholder.
    pub fn bind<'q, T: Encode<'q, Any> + Type<Any>>(mut self, value: T) -> Self {
        use sqlx::Arguments as _;
        self.values = self
            .values
            .and_then(|mut values| values.add(value).map(|()| values));
        self
    }

    /// The only row, or none.
    pub async fn optional<'c, T>(
        self,
        on: impl Into<Reader<'c>>,
        read: impl Fn(&Row) -> Result<T, DbError>,
    ) -> Result<Option<T>, DbError> {
        let (call, statement) = self.prepare()?;
        let row = call.run(async move {
            match on.into() {
                Reader::Pool(db) => statement.fetch_optional(&db.readers).await,
                Reader::Tx(tx) => statement.fetch_optional(&mut *tx.0).await,
            }
        });
        row.await?.map(|row| read(&Row(row))).transpose()
    }

    /// Every row.
    pub async fn all<'c, T>(
        self,
        on: impl Into<Reader<'c>>,
        read: impl Fn(&Row) -> Result<T, DbError>,
    ) -> Result<Vec<T>, DbError> {
        let (call, statement) = self.prepare()?;
        let rows = call.run(async move {
            match on.into() {
                Reader::Pool(db) => statement.fetch_all(&db.readers).await,
                Reader::Tx(tx) => statement.fetch_all(&mut *tx.0).await,
            }
        });
        rows.await?.into_iter().map(|row| read(&Row(row))).collect()
    }

    /// Writes, and gives the number of rows that changed.
    pub async fn execute(self, tx: &mut Tx) -> Result<u64, DbError> {
        let (call, statement) = self.prepare()?;
        Ok(call.run(statement.execute(&mut *tx.0)).await?.rows_affected())
    }

    fn prepare(self) -> Result<(DbCall, sqlx::query::Query<'static, Any, AnyArguments>), DbError> {
        let operation = self.sql.split_whitespace().next().unwrap_or_default();
        let call = tracewell_telemetry::db(operation, self.table, self.sql);
        let values = self
            .values
            .map_err(|error| DbError::Query(sqlx::Error::Encode(error)))?;
        Ok((call, sqlx::query_with(self.sql.into_sql_str(), values)))
    }
}
