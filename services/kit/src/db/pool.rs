//! A pool of connections, measured.

use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt as _, path::Path, time::Duration};

use sqlx::{
    Any, AnyPool, SqlSafeStr as _, Transaction,
    any::AnyPoolOptions,
    pool::{PoolConnection, PoolConnectionMetadata},
};
use tracewell_telemetry::{ConnectionCounts, PoolMeter, db};

use super::{DatabaseUrl, DbError};

/// Readers wait this long for SQLite's locks, and callers for a connection, before the answer is "busy".
const PATIENCE: Duration = Duration::from_secs(5);

/// The statement that queues writers, where `BEGIN` alone would let them fail at their first write.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// Connections to one database. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    connections: AnyPool,
    meter: PoolMeter,
}

impl Pool {
    /// Opens the database with at most `size` connections; `name` is the pool's in the metrics.
    pub(super) async fn open(name: &'static str, url: &DatabaseUrl, size: u32) -> Result<Self, DbError> {
        let connections = connect(url, size).await?;
        let counted = connections.clone();
        let meter = PoolMeter::new(name, move || {
            // The two are read one after the other, so that their difference may be off by a moment.
            let idle = u32::try_from(counted.num_idle()).unwrap_or(u32::MAX);
            ConnectionCounts {
                used: counted.size().saturating_sub(idle),
                idle,
            }
        });
        Ok(Self { connections, meter })
    }

    /// A connection for one query.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<Any>, sqlx::Error> {
        let timed_out = |error: &sqlx::Error| matches!(error, sqlx::Error::PoolTimedOut);
        self.meter.wait(self.connections.acquire(), timed_out).await
    }

    /// Starts a transaction that may write.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        let connection = self.acquire().await?;
        // Not `Pool::begin_with`, where the wait for a connection would look like a slow statement.
        let begin = Transaction::begin(connection, Some(BEGIN.into_sql_str()));
        db("BEGIN", "", BEGIN).run(begin).await
    }

    /// The pool itself, for what needs no measure.
    pub(super) fn connections(&self) -> &AnyPool {
        &self.connections
    }

    pub(super) async fn close(&self) {
        self.connections.close().await;
    }
}

/// Makes the file, for its owner only: it holds personal data and keys. SQLite gives the files beside it
/// the same mode.
pub(super) fn create_private(path: &Path) -> io::Result<()> {
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
