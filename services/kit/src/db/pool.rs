//! A pool of connections, measured.

use std::{
    fs::OpenOptions,
    io,
    ops::{Deref, DerefMut},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use deadpool::{
    Runtime,
    managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult, WeakPool},
};
use sqlx::{
    Any, AnyConnection, AnyPool, Connection as _,
    any::AnyPoolOptions,
    pool::{PoolConnection, PoolConnectionMetadata},
};
use tokio::time::sleep;
use tracewell_telemetry::{ConnectionCounts, PoolMeter};

use super::{DatabaseUrl, DbError, Engine, error::is_busy};

/// Readers wait this long for SQLite's locks, and callers for a connection, before the answer is "busy".
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that nobody has needed for so long is closed: it has a part of the file in memory. sqlx's pool does the same.
const IDLE: Duration = Duration::from_mins(10);

/// And one that is so old, since there may be another file in the place of the one that it has open. This is sqlx's bound too.
const OLD: Duration = Duration::from_mins(30);

/// How often it is tried again to open a file that another process just sets up, and to close what is lent.
const AGAIN: Duration = Duration::from_millis(5);

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

/// A connection. One that is dropped, not [given back](Connection::give_back), is used no more: its user was cut off, so that
/// it may be busy with what nobody waits for, or in the middle of a transaction. sqlx's pool sees to that itself.
#[derive(Debug)]
pub(super) enum Connection {
    Server(PoolConnection<Any>),
    File(Object<File>),
}

/// A connection to a file.
#[derive(Debug)]
pub(super) struct Opened {
    connection: AnyConnection,
    /// Whether its last user gave it back.
    is_free: bool,
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
                loop {
                    for opened in pool.retain(|_, _| false).removed {
                        // It is closed in any case, now or by its thread.
                        let _ = opened.connection.close().await;
                    }
                    if pool.status().size == 0 {
                        break;
                    }
                    // The others are lent, to a rollback for instance.
                    sleep(AGAIN).await;
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
        tokio::spawn(close_idle(pool.weak()));
        let connections = Self::File(pool);
        let first = connections.acquire().await;
        first.map_err(|error| DbError::open(url, error))?.give_back();
        Ok(connections)
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
            Self::File(pool) => {
                let mut opened = pool.get().await.map_err(not_acquired)?;
                opened.is_free = false;
                Connection::File(opened)
            }
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
    /// For the next one: nothing of what was done with it goes on.
    pub(super) fn give_back(self) {
        if let Self::File(mut opened) = self {
            opened.is_free = true;
        }
    }

    /// The same after `result`, unless it says that the connection is none any more.
    pub(super) fn give_back_after<T>(self, result: &Result<T, sqlx::Error>) {
        if matches!(result, Ok(_) | Err(sqlx::Error::Database(_))) {
            self.give_back();
        }
    }

    /// Ends it.
    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Server(connection) => connection.close().await,
            Self::File(opened) => Object::take(opened).connection.close().await,
        }
    }

    /// The same where nobody can wait for it.
    pub(super) fn discard(self) {
        match self {
            Self::Server(connection) => drop(connection.detach()),
            Self::File(opened) => drop(Object::take(opened)),
        }
    }
}

impl Deref for Connection {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match self {
            Self::Server(connection) => connection,
            Self::File(opened) => &opened.connection,
        }
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match self {
            Self::Server(connection) => connection,
            Self::File(opened) => &mut opened.connection,
        }
    }
}

/// Makes connections to a file.
#[derive(Debug)]
pub(super) struct File {
    url: String,
}

impl File {
    async fn open(&self) -> Result<AnyConnection, sqlx::Error> {
        let mut connection = AnyConnection::connect(&self.url).await?;
        set(&mut connection, Engine::Sqlite.settings()).await?;
        Ok(connection)
    }
}

impl managed::Manager for File {
    type Type = Opened;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Opened, sqlx::Error> {
        let started = Instant::now();
        loop {
            match self.open().await {
                // Of two processes that turn on the write-ahead log at once, one is refused without a wait.
                Err(error) if is_busy(&error) && started.elapsed() < PATIENCE => sleep(AGAIN).await,
                opened => {
                    return opened.map(|connection| Opened {
                        connection,
                        is_free: true,
                    });
                }
            }
        }
    }

    async fn recycle(&self, opened: &mut Opened, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if opened.is_free && metrics.age() < OLD {
            Ok(())
        } else {
            Err(RecycleError::message("cut off, or old"))
        }
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
        sleep(IDLE).await;
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
