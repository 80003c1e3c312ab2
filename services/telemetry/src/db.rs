//! A span and a duration for each database call: sqlx emits events, not spans.

use std::{borrow::Cow, fmt::Display, future::Future, time::Instant};

use opentelemetry::trace::Status;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{log::scrub, metrics::Metrics};

/// Describes one query: `operation` is its verb (`SELECT`), `table` the table it is about (empty if none, as for
/// `COMMIT`), `query_text` its text with placeholders. Never pass a text with values in it: it is sent to the tracing backend.
pub fn db(operation: &'static str, table: &'static str, query_text: impl Into<Cow<'static, str>>) -> DbCall {
    DbCall {
        system: "sqlite",
        operation,
        table,
        query_text: query_text.into(),
    }
}

/// A described query, waiting for the future that performs it.
#[derive(Debug)]
#[must_use = "nothing is recorded until `run`"]
pub struct DbCall {
    system: &'static str,
    operation: &'static str,
    table: &'static str,
    query_text: Cow<'static, str>,
}

impl DbCall {
    /// Names another database than `sqlite`, by its OpenTelemetry name (`postgresql`).
    pub fn system(mut self, system: &'static str) -> Self {
        self.system = system;
        self
    }

    /// Awaits `query` inside a CLIENT span named `SELECT users`, and records its duration and failure.
    pub async fn run<T, E: Display>(self, query: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut running = Running {
            span: self.span(),
            call: self,
            started: Instant::now(),
            error_type: "cancelled",
        };
        let result = query.instrument(running.span.clone()).await;
        running.error_type = match &result {
            Ok(_) => "",
            Err(error) => {
                running
                    .span
                    .set_status(Status::error(scrub(&error.to_string()).into_owned()));
                "error"
            }
        };
        result
    }

    fn span(&self) -> Span {
        tracing::info_span!(
            "db",
            otel.name = format!("{} {}", self.operation, self.table).trim_end(),
            otel.kind = "client",
            db.system.name = self.system,
            db.operation.name = self.operation,
            db.collection.name = (!self.table.is_empty()).then_some(self.table),
            db.query.text = %self.query_text,
        )
    }
}

/// A query under way. Dropping it reports it, so that one whose caller gave up counts too.
struct Running {
    span: Span,
    call: DbCall,
    started: Instant,
    /// Empty once the query has succeeded.
    error_type: &'static str,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.error_type.is_empty() {
            self.span.set_attribute("error.type", self.error_type);
        }
        let DbCall {
            system,
            operation,
            table,
            ..
        } = self.call;
        Metrics::global().db_operation(
            [system, operation, table],
            self.error_type,
            self.started.elapsed(),
        );
    }
}
