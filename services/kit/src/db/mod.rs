//! The database behind one small facade: SQLite or PostgreSQL, by one SQL text.
//!
//! Rules of the subset that both share: `$1` placeholders; ids are TEXT, instants BIGINT microseconds UTC, money
//! BIGINT minor units; no BOOLEAN (a nullable instant says more), no TIMESTAMPTZ, no UUID;
//! `CAST(SUM(x) AS BIGINT)`, since PostgreSQL sums to NUMERIC; no U+0000 in a TEXT.
//!
//! Reads take the [`Db`] itself or a transaction. Writes take a [`Tx`] only, so the one writer of SQLite
//! is never contended: `BEGIN IMMEDIATE` queues in the pool instead of failing with "database is locked".
//!
//! What a transaction writes and needs no answer to is [queued](Query::queue), and reaches SQLite together with the next
//! statement that does, or with the end: each time that its thread is asked costs more than most statements do.
//!
//! A transaction of SQLite is alone. One of PostgreSQL is not, at its default level, READ COMMITTED: each statement
//! sees what was committed before it began. What is read and then written on the strength of it takes one statement
//! (`UPDATE … WHERE … RETURNING`), a row that was written before it is read, or [`Tx::lock`].

mod engine;
mod error;
mod pool;
mod query;
mod schema;
mod sending;
mod transaction;
mod url;

use std::num::NonZeroU32;

use sqlx::AnyConnection;

pub use engine::Engine;
pub use error::DbError;
use pool::{Pool, create_private};
pub use query::{Query, Reader, Row, Value, query};
pub use schema::Migration;
pub use transaction::Tx;
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

    /// Starts a transaction that may write. Its beginning goes with its first statement, which is what waits for SQLite's lock then.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        Ok(Tx::new(self.engine(), self.writer.acquire().await?))
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        let answer = self.read(async |connection| sqlx::query("SELECT 1").execute(connection).await);
        Ok(answer.await.map(drop)?)
    }

    /// Runs `read` on a connection that reads.
    async fn read<T>(
        &self,
        read: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let mut connection = self.readers.acquire().await?;
        let result = read(&mut connection).await;
        connection.give_back_after(&result);
        result
    }

    /// Closes every connection, which lets SQLite fold its write-ahead log into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
