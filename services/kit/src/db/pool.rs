//! A pool of connections, measured.

use std::{
    fs::OpenOptions,
    io,
    ops::{Deref, DerefMut},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use deadpool::{
    Runtime,
    managed::{self, Metrics, Object, PoolError, QueueMode, RecycleResult, WeakPool},
};
use sqlx::{
    Any, AnyConnection, AnyPool, Connection as _,
    any::AnyPoolOptions,
    pool::{PoolConnection, PoolConnectionMetadata},
};
use tracewell_telemetry::{ConnectionCounts, PoolMeter};

use super::{DatabaseUrl, DbError, Engine};

/// Readers wait this long for SQLite's locks, and callers for a connection, before the answer is "busy".
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that nobody has needed for so long is closed: it has a part of the file in memory. sqlx's pool does the same.
const IDLE: Duration = Duration::from_mins(10);

/// Connections to one database. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    engine: Engine,
    connections: Connections,
    meter: PoolMeter,
}

#[derive(Debug, Clone)]
enum Connections {
    /// To a server, which may have gone away: each is asked whether it is there.
    Server(AnyPool),
    /// To a file, which is there. sqlx's pool would ask each that is given back, by way of the connection's thread and back:
    /// as far as a query has to go.
    File(managed::Pool<File>),
}

/// A connection, given back when it is dropped.
#[derive(Debug)]
pub(super) enum Connection {
    Server(PoolConnection<Any>),
    File(Object<File>),
}

impl Pool {
    /// Opens the database with at most `size` connections; `name` is the pool's in the metrics.
    pub(super) async fn open(name: &'static str, url: &DatabaseUrl, size: u32) -> Result<Self, DbError> {
        let engine = url.engine();
        let connections = match engine {
            Engine::Sqlite => Connections::to_file(url, size).await?,
            Engine::Postgres => Connections::to_server(url, size).await?,
        };
        let counted = connections.clone();
        let meter = PoolMeter::new(name, move || counted.counts());
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

    /// A connection for one query, or for a transaction.
    pub(super) async fn acquire(&self) -> Result<Connection, sqlx::Error> {
        let timed_out = |error: &sqlx::Error| matches!(error, sqlx::Error::PoolTimedOut);
        self.meter.wait(self.connections.acquire(), timed_out).await
    }

    pub(super) async fn close(&self) {
        match &self.connections {
            Connections::Server(pool) => pool.close().await,
            Connections::File(pool) => {
                for connection in pool.retain(|_, _| false).removed {
                    // It is closed in any case, now or by its thread.
                    let _ = connection.close().await;
                }
                pool.close();
            }
        }
    }
}

impl Connections {
    async fn to_file(url: &DatabaseUrl, size: u32) -> Result<Self, DbError> {
        let file = File { url: url.expose() };
        let pool = managed::Pool::builder(file)
            .max_size(usize::try_from(size).unwrap_or(usize::MAX))
            .wait_timeout(Some(PATIENCE))
            .runtime(Runtime::Tokio1)
            // What was used last has most of what is needed in its cache.
            .queue_mode(QueueMode::Lifo)
            .build()
            .map_err(|error| DbError::open(url, sqlx::Error::Configuration(error.into())))?;
        let first = pool.get().await;
        drop(first.map_err(|error| DbError::open(url, not_acquired(error)))?);
        tokio::spawn(close_idle(pool.weak()));
        Ok(Self::File(pool))
    }

    async fn to_server(url: &DatabaseUrl, size: u32) -> Result<Self, DbError> {
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
        // Once without the pool, which takes a refused connection for a server that is about to start: it would wait,
        // and then say no more than that it waited.
        tokio::time::timeout(PATIENCE, AnyConnection::connect(&target))
            .await
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
            .map_err(open_error)?
            .close()
            .await
            .map_err(open_error)?;
        let options = AnyPoolOptions::new()
            .max_connections(size)
            .acquire_timeout(PATIENCE)
            .after_connect(|connection, _: PoolConnectionMetadata| {
                Box::pin(async move { set(connection, Engine::Postgres.settings()).await })
            });
        options
            .connect(&target)
            .await
            .map(Self::Server)
            .map_err(open_error)
    }

    async fn acquire(&self) -> Result<Connection, sqlx::Error> {
        Ok(match self {
            Self::Server(pool) => Connection::Server(pool.acquire().await?),
            Self::File(pool) => Connection::File(pool.get().await.map_err(not_acquired)?),
        })
    }

    fn counts(&self) -> ConnectionCounts {
        let (size, idle) = match self {
            // The two are read one after the other, so that their difference may be off by a moment.
            Self::Server(pool) => (
                usize::try_from(pool.size()).unwrap_or(usize::MAX),
                pool.num_idle(),
            ),
            Self::File(pool) => {
                let status = pool.status();
                (status.size, status.available)
            }
        };
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        ConnectionCounts {
            used: count(size.saturating_sub(idle)),
            idle: count(idle),
        }
    }
}

impl Connection {
    /// Ends it, instead of giving it back.
    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Server(connection) => connection.close().await,
            Self::File(connection) => Object::take(connection).close().await,
        }
    }

    /// The same where nobody can wait for it.
    pub(super) fn discard(self) {
        match self {
            Self::Server(connection) => drop(connection.detach()),
            Self::File(connection) => drop(Object::take(connection)),
        }
    }
}

impl Deref for Connection {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match self {
            Self::Server(connection) => connection,
            Self::File(connection) => connection,
        }
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match self {
            Self::Server(connection) => connection,
            Self::File(connection) => connection,
        }
    }
}

/// Makes connections to a file.
#[derive(Debug)]
pub(super) struct File {
    url: String,
}

impl managed::Manager for File {
    type Type = AnyConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<AnyConnection, sqlx::Error> {
        let mut connection = AnyConnection::connect(&self.url).await?;
        set(&mut connection, Engine::Sqlite.settings()).await?;
        Ok(connection)
    }

    async fn recycle(&self, _: &mut AnyConnection, _: &Metrics) -> RecycleResult<sqlx::Error> {
        Ok(())
    }
}

/// Why there is no connection, as sqlx's own pool says it.
fn not_acquired(error: PoolError<sqlx::Error>) -> sqlx::Error {
    match error {
        PoolError::Backend(error) => error,
        PoolError::Timeout(_) => sqlx::Error::PoolTimedOut,
        PoolError::Closed => sqlx::Error::PoolClosed,
        other => sqlx::Error::Configuration(other.to_string().into()),
    }
}

/// Closes what nobody needs, for as long as the pool is open.
async fn close_idle(pool: WeakPool<File>) {
    loop {
        tokio::time::sleep(IDLE).await;
        let Some(pool) = pool.upgrade().filter(|pool| !pool.is_closed()) else {
            return;
        };
        pool.retain(|_, metrics| metrics.last_used() < IDLE);
    }
}

/// Makes the file, for its owner only: it holds personal data and keys. SQLite gives the files beside it
/// the same mode.
pub(super) fn create_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).open(path).map(drop)
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
