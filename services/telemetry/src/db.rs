//! A span and a duration for each database call: sqlx emits events, not spans.

use std::{
    borrow::Cow,
    fmt::{Debug, Display},
    future::Future,
    time::Instant,
};

use opentelemetry::{
    Context,
    trace::{FutureExt, SpanKind, TraceContextExt},
};

use crate::{
    cause::name_of,
    metrics::Metrics,
    sentry::{Note, RequestScope},
    trace::OpenSpan,
};

/// Describes one query: `operation` is its verb (`SELECT`), `table` the table it is about (empty if none, as for
/// `COMMIT`), `query_text` its text with placeholders. Never pass a text with values in it: it is sent to the tracing backend.
pub fn db(operation: &'static str, table: &'static str, query_text: impl Into<Cow<'static, str>>) -> DbCall {
    DbCall {
        system: "sqlite",
        operation,
        table,
        batch_size: None,
        query_text: query_text.into(),
    }
}

/// Describes queries that are sent together by the operation and table of each, as for [`db`]. They are named after what they have
/// in common, as in OpenTelemetry's semantic conventions for database calls.
pub fn db_batch(
    queries: &[(&'static str, &'static str)],
    query_text: impl Into<Cow<'static, str>>,
) -> DbCall {
    let common = |of: fn(&(&'static str, &'static str)) -> &'static str| {
        let first = queries.first().map(of).unwrap_or_default();
        let is_common = queries.iter().all(|query| of(query) == first);
        if is_common { first } else { "" }
    };
    let (operation, table) = (common(|query| query.0), common(|query| query.1));
    if queries.len() == 1 {
        return db(operation, table, query_text);
    }
    let operation = match operation {
        "DELETE" => "BATCH DELETE",
        "INSERT" => "BATCH INSERT",
        "SELECT" => "BATCH SELECT",
        "UPDATE" => "BATCH UPDATE",
        _ => "BATCH",
    };
    DbCall {
        batch_size: i64::try_from(queries.len()).ok(),
        ..db(operation, table, query_text)
    }
}

/// A described query, waiting for the future that performs it.
#[derive(Debug)]
#[must_use = "nothing is recorded until `run`"]
pub struct DbCall {
    system: &'static str,
    operation: &'static str,
    table: &'static str,
    /// How many queries it is, if not one.
    batch_size: Option<i64>,
    query_text: Cow<'static, str>,
}

impl DbCall {
    /// Names another database than `sqlite`, by its OpenTelemetry name (`postgresql`).
    pub fn system(mut self, system: &'static str) -> Self {
        self.system = system;
        self
    }

    /// Awaits `query` inside a CLIENT span named `SELECT users`, and records its duration and failure: by the name of the
    /// error's variant, with which its `Debug` output begins.
    pub async fn run<T, E: Display + Debug>(self, query: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut running = Running {
            span: self.span(),
            call: self,
            started: Instant::now(),
            failure: Some(("cancelled".into(), String::new())),
        };
        let result = query.with_context(running.span.context().clone()).await;
        running.failure = match &result {
            Ok(_) => None,
            Err(error) => {
                let kind = name_of(error).map_or("error".into(), Cow::from);
                Some((kind, error.to_string()))
            }
        };
        result
    }

    fn span(&self) -> OpenSpan {
        let name = || match self.table {
            "" => self.operation.into(),
            table => [self.operation, " ", table].concat().into(),
        };
        Context::map_current(|parent| {
            OpenSpan::start(parent, SpanKind::Client, name, |span| {
                span.add("db.system.name", self.system);
                span.add("db.operation.name", self.operation);
                span.add_some(
                    "db.collection.name",
                    Some(self.table).filter(|table| !table.is_empty()),
                );
                span.add_some("db.operation.batch.size", self.batch_size);
                span.add("db.query.text", self.query_text.clone());
            })
        })
    }
}

/// A query under way. Dropping it reports it, so that one whose caller gave up counts too.
struct Running {
    span: OpenSpan,
    call: DbCall,
    started: Instant,
    /// Type and reason.
    failure: Option<(Cow<'static, str>, String)>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let error_type = match self.failure.take() {
            Some((error_type, reason)) => {
                self.span.fail(error_type.clone(), &reason);
                error_type
            }
            None => "".into(),
        };
        let DbCall {
            system,
            operation,
            table,
            ref mut query_text,
            ..
        } = self.call;
        let (duration, span) = (self.started.elapsed(), self.span.context().span());
        Metrics::global().db_operation(
            [system, operation, table],
            error_type.clone(),
            duration,
            span.span_context(),
        );
        RequestScope::note(|| Note::Query {
            system,
            text: std::mem::take(query_text),
            error_type,
        });
    }
}
