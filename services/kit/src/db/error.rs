//! What can go wrong with the database.

use sqlx::{error::DatabaseError, migrate::MigrateError};

use super::DatabaseUrl;

/// What went wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The file cannot be opened or created, or the server cannot be reached or lets nobody in.
    #[error("cannot open the database {url}")]
    Open {
        /// The database, without its password.
        url: String,
        /// The driver's reason.
        #[source]
        source: sqlx::Error,
    },
    /// The server showed a certificate that is not to be trusted.
    #[error(
        "cannot open the database {url}: nobody trusted vouches for the server's certificate, or it is that of another \
         host; sslrootcert names the file of an authority that is trusted besides the public ones"
    )]
    Untrusted {
        /// The database, without its password.
        url: String,
        /// The driver's reason.
        #[source]
        source: sqlx::Error,
    },
    /// The file of an authority to trust cannot be read.
    #[error("cannot read the file that sslrootcert names, {path}")]
    Authority {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
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
    /// No connection became free in time, or a statement took too long or lost a conflict of locks.
    #[error("the database is busy")]
    Busy(#[source] sqlx::Error),
    /// The server is away or shutting down.
    #[error("the database is away")]
    Away(#[source] sqlx::Error),
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

impl DbError {
    /// What kept the database from being opened.
    pub(super) fn open(url: &DatabaseUrl, source: sqlx::Error) -> Self {
        let url = url.to_string();
        if is_about_certificate(&source) {
            Self::Untrusted { url, source }
        } else {
            Self::Open { url, source }
        }
    }
}

/// Whether the other end of a connection could not be trusted.
fn is_about_certificate(error: &sqlx::Error) -> bool {
    let sqlx::Error::Io(error) = error else {
        return false;
    };
    let reason = error.get_ref().and_then(|reason| reason.downcast_ref());
    matches!(reason, Some(rustls::Error::InvalidCertificate(_)))
}

/// Whether a statement took too long or lost a conflict of locks.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    // SQLite: SQLITE_BUSY, with its variants. PostgreSQL: serialization_failure, deadlock_detected, too_many_connections,
    // lock_not_available, query_canceled, which is what a timeout is.
    let busy = ["5", "261", "517", "40001", "40P01", "53300", "55P03", "57014"];
    code.is_some_and(|code| busy.contains(&&*code))
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut => Self::Busy(error),
            _ if is_busy(&error) => Self::Busy(error),
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) => Self::Away(error),
            sqlx::Error::Database(database) if database.is_unique_violation() => Self::UniqueViolation,
            sqlx::Error::Database(database) => match database.code().as_deref() {
                // admin_shutdown, crash_shutdown, cannot_connect_now.
                Some("57P01" | "57P02" | "57P03") => Self::Away(error),
                _ => Self::Query(error),
            },
            _ => Self::Query(error),
        }
    }
}
