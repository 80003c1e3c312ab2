//! Spans as log lines: what a developer sees when no backend is configured.

use std::fmt::Write as _;

use opentelemetry::trace::Status;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

use super::Backend;

/// Target of these lines, to filter them by `RUST_LOG=tracewell::span=debug`.
pub(crate) const TARGET: &str = "tracewell::span";

/// Writes one log line per finished span.
#[derive(Debug)]
pub(crate) struct LogExporter {
    at_info: bool,
}

impl LogExporter {
    /// At info level: spans were asked for on the console.
    pub(crate) fn console() -> Self {
        Self { at_info: true }
    }

    /// At debug level: silent unless someone looks.
    pub(crate) fn debug() -> Self {
        Self { at_info: false }
    }
}

impl Backend for LogExporter {}

impl SpanExporter for LogExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        if self.at_info || tracing::enabled!(target: TARGET, tracing::Level::DEBUG) {
            for span in &batch {
                self.write(span);
            }
        }
        Ok(())
    }
}

impl LogExporter {
    fn write(&self, span: &SpanData) {
        // The ids are fields, not the context: this runs on the exporter's thread, outside any span.
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: TARGET,
                    trace_id = %span.span_context.trace_id(),
                    span_id = %span.span_context.span_id(),
                    parent_span_id = %span.parent_span_id,
                    kind = ?span.span_kind,
                    duration_ms = milliseconds(span),
                    status = status(span),
                    attributes = attributes(span),
                    "span {}",
                    span.name
                )
            };
        }
        if self.at_info { line!(info) } else { line!(debug) }
    }
}

fn milliseconds(span: &SpanData) -> f64 {
    span.end_time
        .duration_since(span.start_time)
        .map_or(0.0, |duration| duration.as_secs_f64() * 1e3)
}

fn status(span: &SpanData) -> &'static str {
    match span.status {
        Status::Unset => "unset",
        Status::Ok => "ok",
        Status::Error { .. } => "error",
    }
}

fn attributes(span: &SpanData) -> String {
    span.attributes.iter().fold(String::new(), |mut text, attribute| {
        let separator = if text.is_empty() { "" } else { " " };
        // Writing into a String cannot fail.
        let _ = write!(text, "{separator}{}={}", attribute.key, attribute.value);
        text
    })
}
