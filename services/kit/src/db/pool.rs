//! A pool of connections, measured.

use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt as _, path::Path, time::Duration};

use sqlx::{
    Any, AnyConnection, AnyPool, Connection as _, SqlSafeStr as _, Transaction,
    any::AnyPoolOptions,
    pool::{PoolConnection, PoolConnectionMetadata},
};
use tracewell_telemetry::{ConnectionCounts, PoolMeter, db};

use super::{DatabaseUrl, DbError, Engine};

/// Readers wait this long for SQLite's locks, and callers for a connection, before the answer is "busy".
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections to one database. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    engine: Engine,
    connections: AnyPool,
    meter: PoolMeter,
}

impl Pool {
    /// Opens the database with at most `size` connections; `name` is the pool's in the metrics.
    pub(super) async fn open(name: &'static str, url: &DatabaseUrl, size: u32) -> Result<Self, DbError> {
        let engine = url.engine();
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
        Ok(Self {
            engine,
            connections,
            meter,
        })
    }

    /// The kind of database behind it.
    pub(super) fn engine(&self) -> Engine {
        self.engine
    }

    /// A connection for one query.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<Any>, sqlx::Error> {
        let timed_out = |error: &sqlx::Error| matches!(error, sqlx::Error::PoolTimedOut);
        self.meter.wait(self.connections.acquire(), timed_out).await
    }

    /// Starts a transaction that may write.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        let connection = self.acquire().await?;
        let statement = self.engine.begin();
        // Not `Pool::begin_with`, where the wait for a connection would look like a slow statement.
        let begin = Transaction::begin(connection, Some(statement.into_sql_str()));
        db("BEGIN", "", statement)
            .system(self.engine.system())
            .run(begin)
            .await
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
    let engine = url.engine();
    let open_error = |source| DbError::open(url, source);
    if let Some(path) = url.authority() {
        // The driver would say that there is no such file, and not which.
        tokio::fs::metadata(&*path)
            .await
            .map_err(|source| DbError::Authority {
                path: path.clone().into_owned(),
                source,
            })?;
    }
    let target = url.expose();
    if engine == Engine::Postgres {
        // Once without the pool, which takes a refused connection for a server that is about to start: it would wait,
        // and then say no more than that it waited.
        tokio::time::timeout(PATIENCE, AnyConnection::connect(&target))
            .await
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
            .map_err(open_error)?
            .close()
            .await
            .map_err(open_error)?;
    }
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        // A server may have gone away since. A file is asked in vain, by way of its connection's thread and back.
        .test_before_acquire(engine == Engine::Postgres)
        .after_connect(move |connection, _: PoolConnectionMetadata| {
            Box::pin(async move { set(connection, engine.settings()).await })
        })
        .connect(&target)
        .await
        .map_err(open_error)
}

/// Runs statements that set up a connection.
pub(super) async fn set(
    connection: &mut AnyConnection,
    statements: &'static [&'static str],
) -> Result<(), sqlx::Error> {
    for statement in statements {
        sqlx::query(*statement).execute(&mut *connection).await?;
    }
    Ok(())
}
