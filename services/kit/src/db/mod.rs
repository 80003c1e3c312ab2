//! The database behind one small facade: SQLite by file, and SQL in a subset that PostgreSQL shares.
//!
//! Rules of the subset: `$1` placeholders; ids are TEXT, instants BIGINT microseconds UTC, money BIGINT
//! minor units; no BOOLEAN (a nullable instant says more), no TIMESTAMPTZ, no UUID;
//! `CAST(SUM(x) AS BIGINT)`, since PostgreSQL sums to NUMERIC.
//!
//! Reads take the [`Db`] itself or a transaction. Writes take a [`Tx`] only, so the one writer of SQLite
//! is never contended: `BEGIN IMMEDIATE` queues in the pool instead of failing with "database is locked".

mod pool;
mod schema;
mod url;

use sqlx::{
    Any, Decode, Encode, Row as _, SqlSafeStr, Transaction, Type,
    any::{AnyArguments, AnyRow},
    migrate::MigrateError,
};
use tokio::runtime::Handle;
use tracewell_telemetry::{DbCall, db};
use tracing::Instrument as _;

use pool::{Pool, create_private};
pub use schema::Migration;
pub use url::{DatabaseUrl, InvalidDatabaseUrl};

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
    /// Steps of the schema are missing, although they were applied when the service started.
    #[error("the database has schema version {found}, but this release needs {expected}")]
    OlderSchema {
        /// Version of the last step that was applied.
        found: i64,
        /// Version that this release needs.
        expected: i64,
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

/// A handle to the database; clones share its pools.
#[derive(Debug, Clone)]
pub struct Db {
    readers: Pool,
    writer: Pool,
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
        let writer = Pool::open("writer", url, 1).await?;
        let readers = Pool::open("readers", url, 4).await?;
        Ok(Self { readers, writer })
    }

    /// Starts a transaction that may write.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        Ok(Tx(Some(self.writer.begin().await?)))
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        let mut connection = self.readers.acquire().await?;
        sqlx::query("SELECT 1").execute(&mut *connection).await?;
        Ok(())
    }

    /// Closes every connection, which lets SQLite fold its write-ahead log into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// A transaction; dropped without [`Tx::commit`], it is rolled back.
#[derive(Debug)]
pub struct Tx(
    /// Taken by its end.
    Option<Transaction<'static, Any>>,
);

impl Tx {
    /// Makes what the transaction wrote last.
    pub async fn commit(mut self) -> Result<(), DbError> {
        match self.0.take() {
            Some(transaction) => Ok(db("COMMIT", "", "COMMIT").run(transaction.commit()).await?),
            None => Ok(()),
        }
    }

    fn connection(&mut self) -> Result<&mut sqlx::AnyConnection, sqlx::Error> {
        // Only its end takes the transaction, and nothing is called after that.
        self.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        let Some(transaction) = self.0.take() else {
            return;
        };
        // Without a runtime the driver rolls back when the connection is next used.
        if let Ok(runtime) = Handle::try_current() {
            let rollback = db("ROLLBACK", "", "ROLLBACK").run(transaction.rollback());
            // A connection that cannot roll back is closed, which does it too.
            runtime.spawn(async { drop(rollback.await) }.in_current_span());
        }
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

    /// The instant in a column of microseconds that may be null.
    pub fn optional_instant(&self, column: &'static str) -> Result<Option<jiff::Timestamp>, DbError> {
        self.get::<Option<i64>>(column)?
            .map(|micros| crate::clock::from_micros(micros).ok_or(DbError::Corrupt { column }))
            .transpose()
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
        let row = match on.into() {
            Reader::Pool(db) => {
                let mut connection = db.readers.acquire().await?;
                call.run(statement.fetch_optional(&mut *connection)).await?
            }
            Reader::Tx(tx) => call.run(statement.fetch_optional(tx.connection()?)).await?,
        };
        row.map(|row| read(&Row(row))).transpose()
    }

    /// Every row.
    pub async fn all<'c, T>(
        self,
        on: impl Into<Reader<'c>>,
        read: impl Fn(&Row) -> Result<T, DbError>,
    ) -> Result<Vec<T>, DbError> {
        let (call, statement) = self.prepare()?;
        let rows = match on.into() {
            Reader::Pool(db) => {
                let mut connection = db.readers.acquire().await?;
                call.run(statement.fetch_all(&mut *connection)).await?
            }
            Reader::Tx(tx) => call.run(statement.fetch_all(tx.connection()?)).await?,
        };
        rows.into_iter().map(|row| read(&Row(row))).collect()
    }

    /// Writes, and gives the number of rows that changed.
    pub async fn execute(self, tx: &mut Tx) -> Result<u64, DbError> {
        let (call, statement) = self.prepare()?;
        Ok(call
            .run(statement.execute(tx.connection()?))
            .await?
            .rows_affected())
    }

    fn prepare(self) -> Result<(DbCall, sqlx::query::Query<'static, Any, AnyArguments>), DbError> {
        let operation = self.sql.split_whitespace().next().unwrap_or_default();
        let call = db(operation, self.table, self.sql);
        let values = self
            .values
            .map_err(|error| DbError::Query(sqlx::Error::Encode(error)))?;
        Ok((call, sqlx::query_with(self.sql.into_sql_str(), values)))
    }
}
