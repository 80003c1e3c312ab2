//! Queries, where they run, and what they give.

use std::fmt;

use sqlx::{
    Any, Decode, Row as _, SqlSafeStr as _, Type,
    any::{AnyArguments, AnyRow},
};
use tracewell_telemetry::{DbCall, db};

use super::{Db, DbError, Engine, Tx, sending};

/// A statement with its values. It runs inside a span that carries its text, never its values.
#[must_use = "a query does nothing until it runs"]
pub struct Query {
    pub(super) table: &'static str,
    pub(super) sql: &'static str,
    pub(super) values: Vec<Value>,
}

/// What stands for a placeholder, of the types that both engines share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// TEXT, or null.
    Text(Option<String>),
    /// BIGINT, or null.
    Integer(Option<i64>),
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Integer(number)
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            table,
            sql,
            values: _,
        } = self;
        f.debug_struct("Query")
            .field("table", table)
            .field("sql", sql)
            .finish_non_exhaustive()
    }
}

/// A query on `table` (the main one, for the span's name) with `$1`-style placeholders in `sql`, which has no other `$`.
pub fn query(table: &'static str, sql: &'static str) -> Query {
    Query {
        table,
        sql,
        values: Vec::new(),
    }
}

impl Query {
    /// The value of the next placeholder.
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// The only row, or none.
    pub async fn optional<'c, T>(
        self,
        on: impl Into<Reader<'c>>,
        read: impl Fn(&Row) -> Result<T, DbError>,
    ) -> Result<Option<T>, DbError> {
        let row = match on.into() {
            Reader::Pool(db) => {
                let (call, statement) = self.prepare(db.engine())?;
                db.read(async |connection| call.run(statement.fetch_optional(connection)).await)
                    .await?
            }
            Reader::Tx(tx) => tx.run(self).await?.rows.into_iter().next(),
            Reader::Ending(tx) => tx.run_last(self).await?.rows.into_iter().next(),
        };
        row.map(|row| read(&Row(row))).transpose()
    }

    /// Every row.
    pub async fn all<'c, T>(
        self,
        on: impl Into<Reader<'c>>,
        read: impl Fn(&Row) -> Result<T, DbError>,
    ) -> Result<Vec<T>, DbError> {
        let rows = match on.into() {
            Reader::Pool(db) => {
                let (call, statement) = self.prepare(db.engine())?;
                db.read(async |connection| call.run(statement.fetch_all(connection)).await)
                    .await?
            }
            Reader::Tx(tx) => tx.run(self).await?.rows,
            Reader::Ending(tx) => tx.run_last(self).await?.rows,
        };
        rows.into_iter().map(|row| read(&Row(row))).collect()
    }

    /// Writes, and gives the number of rows that changed.
    pub async fn execute(self, tx: &mut Tx) -> Result<u64, DbError> {
        Ok(tx.run(self).await?.changed)
    }

    /// Writes at the latest with the transaction's end, which then fails where this does. For what needs no answer.
    pub fn queue(self, tx: &mut Tx) {
        tx.queue(self);
    }

    /// Its verb.
    pub(super) fn operation(&self) -> &'static str {
        self.sql.split_whitespace().next().unwrap_or_default()
    }

    /// Whether it begins or ends a transaction.
    pub(super) fn is_control(&self) -> bool {
        matches!(self.operation(), "BEGIN" | "COMMIT")
    }

    fn prepare(
        self,
        engine: Engine,
    ) -> Result<(DbCall, sqlx::query::Query<'static, Any, AnyArguments>), DbError> {
        let call = db(self.operation(), self.table, self.sql).system(engine.system());
        let arguments = sending::arguments(self.values).map_err(sqlx::Error::Encode)?;
        Ok((call, sqlx::query_with(self.sql.into_sql_str(), arguments)))
    }
}

/// Where a reading query runs: the database at large, or a transaction that must see its own writes.
#[derive(Debug)]
pub enum Reader<'c> {
    /// Any connection of the reading pool.
    Pool(&'c Db),
    /// The transaction's own connection.
    Tx(&'c mut Tx),
    /// The same, for the last time: the transaction is committed with the query.
    Ending(Tx),
}

impl<'c> From<&'c Db> for Reader<'c> {
    fn from(db: &'c Db) -> Self {
        Self::Pool(db)
    }
}

impl<'c> From<&'c mut Tx> for Reader<'c> {
    fn from(tx: &'c mut Tx) -> Self {
        Self::Tx(tx)
    }
}

/// A row of an answer.
pub struct Row(AnyRow);

impl Row {
    /// The value of a column.
    pub fn get<'r, T: Decode<'r, Any> + Type<Any>>(&'r self, column: &'static str) -> Result<T, DbError> {
        Ok(self.0.try_get(column)?)
    }

    /// The instant in a column of microseconds.
    pub fn instant(&self, column: &'static str) -> Result<jiff::Timestamp, DbError> {
        crate::clock::from_micros(self.get(column)?).ok_or(DbError::Corrupt { column })
    }

    /// The instant in a column of microseconds that may be null.
    pub fn optional_instant(&self, column: &'static str) -> Result<Option<jiff::Timestamp>, DbError> {
        self.get::<Option<i64>>(column)?
            .map(|micros| crate::clock::from_micros(micros).ok_or(DbError::Corrupt { column }))
            .transpose()
    }
}
