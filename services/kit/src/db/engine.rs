//! The two engines, and all in which they differ.

/// What kind of database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// SQLite, a file.
    Sqlite,
    /// PostgreSQL, a server.
    Postgres,
}

impl Engine {
    /// Its name in the semantic conventions of OpenTelemetry (`db.system.name`).
    pub(super) fn system(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
        }
    }

    /// What starts a transaction that may write.
    pub(super) fn begin(self) -> &'static str {
        match self {
            // Queues writers, where `BEGIN` alone would let them fail at their first write.
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// What makes a transaction wait for all others that did the same with the text `$1`. `None`: a transaction is
    /// alone anyway.
    pub(super) fn lock(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"),
        }
    }

    /// What each new connection is set to.
    pub(super) fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[
                "PRAGMA busy_timeout = 5000",
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = NORMAL",
                "PRAGMA foreign_keys = ON",
            ],
            Self::Postgres => &[
                // The wait for a lock counts too, so that a deadlock of ours ends here at the latest.
                "SET statement_timeout = '5s'",
                // Longer than any request: who is still idle then has been forgotten.
                "SET idle_in_transaction_session_timeout = '30s'",
            ],
        }
    }

    /// What a connection is set to before it brings the schema up to date, which may take long, or wait for another
    /// process that does so.
    pub(super) fn settings_for_migrations(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[],
            Self::Postgres => &["SET statement_timeout = 0"],
        }
    }
}
