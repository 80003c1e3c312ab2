//! Transactions.

use std::mem;

use tokio::runtime::Handle;
use tracewell_telemetry::db;
use tracing::Instrument as _;

use super::{
    DbError, Engine, Query, Reader,
    pool::Connection,
    query,
    sending::{self, Answer},
};

/// A transaction; dropped without [`Tx::commit`], it is rolled back.
#[derive(Debug)]
pub struct Tx {
    engine: Engine,
    /// Taken by its end.
    connection: Option<Connection>,
    /// What waits for the next statement whose answer is needed, its own beginning first.
    queued: Vec<Query>,
    /// From the first statement on, cut off, it is rolled back, however far that got.
    has_begun: bool,
}

impl Tx {
    pub(super) fn new(engine: Engine, connection: Connection) -> Self {
        Self {
            engine,
            connection: Some(connection),
            queued: vec![query("", engine.begin())],
            has_begun: false,
        }
    }

    /// Makes what the transaction wrote last.
    pub async fn commit(mut self) -> Result<(), DbError> {
        let is_empty = !self.has_begun && self.queued.len() == 1;
        if !is_empty {
            self.run(query("", "COMMIT")).await?;
        }
        self.end();
        Ok(())
    }

    /// For the query that is its last: it is committed with it, before its answer is read.
    pub fn and_commit(self) -> Reader<'static> {
        Reader::Ending(self)
    }

    /// Waits for every other transaction that locked the same `what`, and makes later ones wait until this one ends:
    /// for what is read and then written where there may be no row yet that could be written first. To be called
    /// before the first read; several locks always in the same order.
    pub async fn lock(&mut self, what: &str) -> Result<(), DbError> {
        match self.engine.lock() {
            Some(sql) => query("", sql).bind(what).execute(self).await.map(drop),
            None => Ok(()),
        }
    }

    pub(super) fn queue(&mut self, query: Query) {
        self.queued.push(query);
    }

    /// Runs what is queued, and then `query`, whose answer it gives.
    pub(super) async fn run(&mut self, query: Query) -> Result<Answer, sqlx::Error> {
        self.queue(query);
        self.send(0).await
    }

    /// The same, and commits.
    pub(super) async fn run_last(mut self, last: Query) -> Result<Answer, sqlx::Error> {
        self.queue(last);
        self.queue(query("", "COMMIT"));
        let answer = self.send(1).await?;
        self.end();
        Ok(answer)
    }

    /// Runs what is queued, and gives the answer to the one that so many come after.
    async fn send(&mut self, after: usize) -> Result<Answer, sqlx::Error> {
        let queries = mem::take(&mut self.queued);
        let begins = !mem::replace(&mut self.has_begun, true);
        // Only its end takes the connection, and nothing is called after that.
        let connection = self.connection.as_deref_mut().ok_or(sqlx::Error::PoolClosed)?;
        let asked = queries.len() - 1 - after;
        let outcome = sending::send(self.engine, connection, queries, asked).await;
        match &outcome.answer {
            // The beginning itself was refused: there is nothing to roll back.
            Err(sqlx::Error::Database(_)) if begins && outcome.run == 0 => self.end(),
            // Nobody must go on without what came behind the one that failed.
            Err(_) => self.roll_back(),
            Ok(_) => {}
        }
        outcome.answer
    }

    /// There is no transaction any more.
    fn end(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.give_back();
        }
    }

    /// It is rolled back by the time that somebody else gets the connection.
    fn roll_back(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let Ok(runtime) = Handle::try_current() else {
            // Nobody can wait for a rollback. The connection's end is one too.
            connection.discard();
            return;
        };
        let call = db("ROLLBACK", "", "ROLLBACK").system(self.engine.system());
        let rollback = async move {
            let run = sqlx::raw_sql("ROLLBACK").execute(&mut *connection);
            match call.run(run).await {
                Ok(_) => connection.give_back(),
                Err(_) => connection.discard(),
            }
        };
        runtime.spawn(rollback.in_current_span());
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if self.has_begun {
            self.roll_back();
        } else {
            self.end();
        }
    }
}
