//! Where the data lives.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

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
