//! A database of its own for each test.

use tempfile::TempDir;

use super::{Setup, postgres};
use crate::db::{DatabaseUrl, Db, Engine, Migration};

/// An empty database that nobody else uses.
#[derive(Debug)]
pub struct TestDatabase {
    url: DatabaseUrl,
    /// Of a file, which goes with it. A server's databases go with the server.
    _folder: Option<TempDir>,
}

impl TestDatabase {
    /// Makes one. PostgreSQL is started by the first test that needs it.
    pub async fn create(engine: Engine) -> Setup<Self> {
        Ok(match engine {
            Engine::Sqlite => {
                let folder = tempfile::tempdir()?;
                Self {
                    url: DatabaseUrl::file(folder.path().join("service.db")),
                    _folder: Some(folder),
                }
            }
            Engine::Postgres => Self {
                url: postgres::create_database().await?,
                _folder: None,
            },
        })
    }

    /// Where it is.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// The value of `DATABASE_URL`, with the password.
    pub fn variable(&self) -> String {
        self.url.expose()
    }

    /// Opens it, with this schema.
    pub async fn open(&self, migrations: &[Migration]) -> Setup<Db> {
        let db = Db::open(&self.url).await?;
        db.migrate(migrations).await?;
        Ok(db)
    }
}
