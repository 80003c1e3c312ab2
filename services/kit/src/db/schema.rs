//! The schema: steps that are applied in order, each once, and never edited afterwards.

use sqlx::{
    Row as _, SqlStr,
    migrate::{MigrateError, MigrationType, Migrator},
};

use super::{Db, DbError};

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
    /// Brings the schema up to date; refuses a schema that is newer than `migrations`.
    pub async fn migrate(&self, migrations: &[Migration]) -> Result<(), DbError> {
        let steps = migrations.iter().map(|step| {
            let sql = SqlStr::from_static(step.sql);
            sqlx::migrate::Migration::new(step.version, step.name.into(), MigrationType::Simple, sql, false)
        });
        Migrator::with_migrations(steps.collect())
            .run(self.writer.connections())
            .await
            .map_err(|error| match error {
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
        let mut connection = self.readers.acquire().await?;
        let found: i64 = sqlx::query(applied)
            .fetch_one(&mut *connection)
            .await?
            .try_get("version")?;
        if found < expected {
            return Err(DbError::OlderSchema { found, expected });
        }
        Ok(())
    }
}
