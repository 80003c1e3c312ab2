//! The schema: steps that are applied in order, each once, and never edited afterwards.

use sqlx::{
    Row as _, SqlStr,
    migrate::{MigrateError, MigrationType, Migrator},
};

use super::{Db, DbError, Engine, pool};

/// One step of the schema.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Position in the order, from 1.
    pub version: i64,
    /// What it brings, in a few words.
    pub name: &'static str,
    /// The statements.
    pub sql: &'static str,
}

impl Db {
    /// Brings the schema up to date; refuses a schema that is newer than `migrations`. Of several processes that do
    /// so at once each waits for those before it.
    pub async fn migrate(&self, migrations: &[Migration]) -> Result<(), DbError> {
        let steps = migrations.iter().map(|step| {
            let sql = SqlStr::from_static(step.sql);
            sqlx::migrate::Migration::new(step.version, step.name.into(), MigrationType::Simple, sql, false)
        });
        let migrator = Migrator::with_migrations(steps.collect());
        let mut connection = self.writer.acquire().await?;
        let special = self.engine().settings_for_migrations();
        pool::set(&mut connection, special).await?;
        let mut migrated = migrator.run(&mut *connection).await;
        // Only PostgreSQL has a lock for all of it: on SQLite another process may have taken the same step at the same
        // time. Then it is there now.
        for _ in migrations {
            match migrated {
                Err(MigrateError::ExecuteMigration(..)) if self.engine() == Engine::Sqlite => {
                    migrated = migrator.run(&mut *connection).await;
                }
                _ => break,
            }
        }
        if special.is_empty() {
            connection.give_back();
        } else {
            // Requests must not get a connection with these settings.
            connection.close().await?;
        }
        migrated.map_err(|error| match error {
            MigrateError::VersionMissing(found) => DbError::NewerSchema { found },
            other => DbError::Migrate(other),
        })
    }

    /// Whether every step of `migrations` is applied. A schema with more steps is fine: a newer release
    /// brings the schema forward while this one still serves, and steps only ever add to it. Starting is
    /// another matter, see [`Db::migrate`].
    pub async fn check_schema(&self, migrations: &[Migration]) -> Result<(), DbError> {
        let expected = migrations
            .iter()
            .map(|step| step.version)
            .max()
            .unwrap_or_default();
        // The driver for any database cannot read a truth value, but it can compare one.
        let applied = "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) AS version FROM _sqlx_migrations WHERE success = TRUE";
        let row = self.read(async |connection| sqlx::query(applied).fetch_one(connection).await);
        let found: i64 = row.await?.try_get("version")?;
        if found < expected {
            return Err(DbError::OlderSchema { found, expected });
        }
        Ok(())
    }
}
