//! Where the data lives.

use std::{
    borrow::Cow,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use reqwest::Url;

use super::Engine;

/// What is allowed, for people.
pub const EXPECTED: &str = "sqlite://<path of a file>, or postgres://<user>:<password>@<host>:<port>/<database> with \
     ?sslmode=disable, prefer, require, verify-ca or verify-full, and sslrootcert=<file> for a certificate authority of \
     your own";

/// Parameters of a PostgreSQL URL that are let through. The driver only warns about others, with their values.
const PARAMETERS: [&str; 5] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "application_name"];
/// How a certificate begins, which the driver takes in the place of the name of a file.
const PEM: &str = "-----BEGIN";
const SSL_MODES: [&str; 5] = ["disable", "prefer", "require", "verify-ca", "verify-full"];

/// Where the data lives: `sqlite://<path>`, where a path that starts with `/` is absolute, or
/// `postgres://<user>:<password>@<host>:<port>/<database>`. It is shown without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Place);

#[derive(Clone, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    Server(Url),
}

impl DatabaseUrl {
    /// A file of SQLite.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Place::File(path.into()))
    }

    /// What kind of database it is.
    pub fn engine(&self) -> Engine {
        match self.0 {
            Place::File(_) => Engine::Sqlite,
            Place::Server(_) => Engine::Postgres,
        }
    }

    /// The file that holds the data; none with a server.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Place::File(path) => Some(path),
            Place::Server(_) => None,
        }
    }

    /// The file of the authority that vouches for the server, where one is named.
    pub(super) fn authority(&self) -> Option<Cow<'_, str>> {
        let Place::Server(url) = &self.0 else {
            return None;
        };
        let mut parameters = url.query_pairs();
        parameters
            .find(|(name, value)| name == "sslrootcert" && !value.starts_with(PEM))
            .map(|(_, path)| path)
    }

    /// The URL as the driver takes it, with the password.
    pub(crate) fn expose(&self) -> String {
        match &self.0 {
            Place::File(_) => self.to_string(),
            Place::Server(url) => url.to_string(),
        }
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
            Some(_) => Err(InvalidDatabaseUrl),
            None => server(text)
                .map(|url| Self(Place::Server(url)))
                .ok_or(InvalidDatabaseUrl),
        }
    }
}

/// The URL of a server, if it says all that it must and nothing that would be passed over.
fn server(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let known = |(name, value): (Cow<'_, str>, Cow<'_, str>)| match &*name {
        "sslmode" => SSL_MODES.contains(&&*value),
        name => PARAMETERS.contains(&name) && !value.is_empty(),
    };
    let is_whole = matches!(url.scheme(), "postgres" | "postgresql")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && !url.username().is_empty()
        && url.path().len() > 1
        && !url.path()[1..].contains('/')
        && url.fragment().is_none()
        && url.query_pairs().all(known);
    is_whole.then_some(url)
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::File(path) => write!(f, "sqlite://{}", path.display()),
            Place::Server(url) => f.write_str(&crate::config::without_password(url)),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// The text names no database that a service can use.
#[derive(Debug, thiserror::Error)]
#[error("not {EXPECTED}")]
pub struct InvalidDatabaseUrl;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let url: DatabaseUrl = "postgres://auth:hunter2@db.example:5432/auth?sslmode=verify-full"
            .parse()
            .unwrap();
        assert_eq!(
            url.to_string(),
            "postgres://auth:***@db.example:5432/auth?sslmode=verify-full"
        );
        assert!(!format!("{url:?}").contains("hunter2"));
        assert!(url.expose().contains("hunter2"));
        assert_eq!((url.engine(), url.path()), (Engine::Postgres, None));
    }

    #[test]
    fn what_names_no_database_is_refused() {
        for text in [
            "",
            "sqlite://",
            "sqlite://:memory:",
            "sqlite://a.db?mode=ro",
            "mysql://a:b@c/d",
            "postgres://host/db",
            "postgres://user@host",
            "postgres://user@host/",
            "postgres://user@host/a/b",
            "postgres:///db",
            "postgres://user@host/db?sslmode=maybe",
            "postgres://user@host/db?ssl=true",
        ] {
            assert!(text.parse::<DatabaseUrl>().is_err(), "{text}");
        }
        for text in ["postgresql://user@host/db", "postgres://user@[::1]:5433/db"] {
            assert!(text.parse::<DatabaseUrl>().is_ok(), "{text}");
        }
    }
}
