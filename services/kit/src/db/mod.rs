//! The database behind one small facade: SQLite or PostgreSQL, by one SQL text.
//!
//! Rules of the subset that both share: `$1` placeholders; ids are TEXT, instants BIGINT microseconds UTC, money
//! BIGINT minor units; no BOOLEAN (a nullable instant says more), no TIMESTAMPTZ, no UUID;
//! `CAST(SUM(x) AS BIGINT)`, since PostgreSQL sums to NUMERIC; no U+0000 in a TEXT.
//!
//! Reads take the [`Db`] itself or a transaction. Writes take a [`Tx`] only, so the one writer of SQLite
//! is never contended: `BEGIN IMMEDIATE` queues in the pool instead of failing with "database is locked".
//!
//! A transaction of SQLite is alone. One of PostgreSQL is not, at its default level, READ COMMITTED: each statement
//! sees what was committed before it began. What is read and then written on the strength of it takes one statement
//! (`UPDATE … WHERE … RETURNING`), a row that was written before it is read, or [`Tx::lock`].

mod engine;
mod error;
mod pool;
mod schema;
mod url;

use std::num::NonZeroU32;

use sqlx::{
    Any, Decode, Encode, Row as _, SqlSafeStr, Type,
    any::{AnyArguments, AnyRow},
};
use tokio::runtime::Handle;
use tracewell_telemetry::{DbCall, db};
use tracing::Instrument as _;

pub use engine::Engine;
pub use error::DbError;
use pool::{Connection, Pool, create_private};
pub use schema::Migration;
pub use url::{DatabaseUrl, EXPECTED, InvalidDatabaseUrl};

/// How many connections to a server a process opens at most, unless it is told otherwise.
pub const DEFAULT_CONNECTIONS: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// A handle to the database; clones share its pools.
#[derive(Debug, Clone)]
pub struct Db {
    readers: Pool,
    writer: Pool,
}

impl Db {
    /// Opens the database, with [`DEFAULT_CONNECTIONS`] at most.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, DbError> {
        Self::open_with(url, DEFAULT_CONNECTIONS).await
    }

    /// Opens the database, with at most so many connections to a server. A file is created if there is none, in a
    /// folder that must exist, and has one connection that writes and four that read.
    pub async fn open_with(url: &DatabaseUrl, connections: NonZeroU32) -> Result<Self, DbError> {
        sqlx::any::install_default_drivers();
        let Some(path) = url.path() else {
            let pool = Pool::open("connections", url, connections.get()).await?;
            return Ok(Self {
                readers: pool.clone(),
                writer: pool,
            });
        };
        create_private(path).map_err(|error| DbError::Open {
            url: url.to_string(),
            source: error.into(),
        })?;
        // The writer first: it turns on write-ahead logging, which stays on.
        let writer = Pool::open("writer", url, 1).await?;
        let readers = Pool::open("readers", url, 4).await?;
        Ok(Self { readers, writer })
    }

    /// What kind of database it is.
    pub fn engine(&self) -> Engine {
        self.writer.engine()
    }

    /// Starts a transaction that may write.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        let engine = self.engine();
        let mut tx = Tx {
            engine,
            connection: Some(self.writer.acquire().await?),
        };
        // From here on, cut off, it is rolled back, however far the beginning got.
        let begun = tx.run("BEGIN", engine.begin()).await;
        if let Err(sqlx::Error::Database(_)) = begun {
            // Refused, there is nothing to roll back.
            tx.end();
        }
        begun?;
        Ok(tx)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        let mut connection = self.readers.acquire().await?;
        let answer = sqlx::query("SELECT 1").execute(&mut *connection).await;
        connection.give_back_after(&answer);
        Ok(answer.map(drop)?)
    }

    /// Closes every connection, which lets SQLite fold its write-ahead log into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// A transaction; dropped without [`Tx::commit`], it is rolled back.
#[derive(Debug)]
pub struct Tx {
    engine: Engine,
    /// Taken by its end.
    connection: Option<Connection>,
}

impl Tx {
    /// Makes what the transaction wrote last.
    pub async fn commit(mut self) -> Result<(), DbError> {
        self.run("COMMIT", "COMMIT").await?;
        self.end();
        Ok(())
    }

    /// Waits for every other transaction that locked the same `what`, and makes later ones wait until this one ends:
    /// for what is read and then written where there may be no row yet that could be written first. To be called
    /// before the first read; several locks always in the same order.
    pub async fn lock(&mut self, what: &str) -> Result<(), DbError> {
        match self.engine.lock() {
            Some(sql) => query("", sql).bind(what.to_owned()).execute(self).await.map(drop),
            None => Ok(()),
        }
    }

    /// There is no transaction any more.
    fn end(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.give_back();
        }
    }

    /// Begins or ends it.
    async fn run(&mut self, operation: &'static str, statement: &'static str) -> Result<(), sqlx::Error> {
        let call = db(operation, "", statement).system(self.engine.system());
        let run = sqlx::raw_sql(statement).execute(self.connection()?);
        call.run(run).await.map(drop)
    }

    fn connection(&mut self) -> Result<&mut sqlx::AnyConnection, sqlx::Error> {
        // Only its end takes the connection, and nothing is called after that.
        self.connection.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let Ok(runtime) = Handle::try_current() else {
            // Nobody can wait for a rollback. The connection's end is one too.
            connection.discard();
            return;
        };
        let call = db("ROLLBACK", "", "ROLLBACK").system(self.engine.system());
        let rollback = async move {
            let run = sqlx::raw_sql("ROLLBACK").execute(&mut *connection);
            match call.run(run).await {
                Ok(_) => connection.give_back(),
                Err(_) => connection.discard(),
            }
        };
        runtime.spawn(rollback.in_current_span());
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

impl Reader<'_> {
    fn engine(&self) -> Engine {
        match self {
            Self::Pool(db) => db.engine(),
            Self::Tx(tx) => tx.engine,
        }
    }
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
        let on = on.into();
        let (call, statement) = self.prepare(on.engine())?;
        let row = match on {
            Reader::Pool(db) => {
                let mut connection = db.readers.acquire().await?;
                let row = call.run(statement.fetch_optional(&mut *connection)).await;
                connection.give_back_after(&row);
                row?
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
        let on = on.into();
        let (call, statement) = self.prepare(on.engine())?;
        let rows = match on {
            Reader::Pool(db) => {
                let mut connection = db.readers.acquire().await?;
                let rows = call.run(statement.fetch_all(&mut *connection)).await;
                connection.give_back_after(&rows);
                rows?
            }
            Reader::Tx(tx) => call.run(statement.fetch_all(tx.connection()?)).await?,
        };
        rows.into_iter().map(|row| read(&Row(row))).collect()
    }

    /// Writes, and gives the number of rows that changed.
    pub async fn execute(self, tx: &mut Tx) -> Result<u64, DbError> {
        let (call, statement) = self.prepare(tx.engine)?;
        Ok(call
            .run(statement.execute(tx.connection()?))
            .await?
            .rows_affected())
    }

    fn prepare(
        self,
        engine: Engine,
    ) -> Result<(DbCall, sqlx::query::Query<'static, Any, AnyArguments>), DbError> {
        let operation = self.sql.split_whitespace().next().unwrap_or_default();
        let call = db(operation, self.table, self.sql).system(engine.system());
        let values = self
            .values
            .map_err(|error| DbError::Query(sqlx::Error::Encode(error)))?;
        Ok((call, sqlx::query_with(self.sql.into_sql_str(), values)))
    }
}
