//! Work that outlives the request that caused it: a WebSocket, a delivery from an outbox.
//!
//! As a child of the request's span it would end minutes or days after its parent, and a trace would never be
//! complete. So it is the root of a trace of its own, and a span link leads back to its cause.

use std::{borrow::Cow, collections::HashMap, fmt::Display, future::Future};

use opentelemetry::{
    Context, KeyValue, Value,
    propagation::TextMapPropagator,
    trace::{FutureExt, SpanContext, SpanKind, TraceContextExt},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Instrument;

use super::OpenSpan;

const TRACEPARENT: &str = "traceparent";

/// Describes background work that the current span, if there is one, causes. `name` is of low cardinality
/// (`deliver mail`) and names the span.
///
/// ```no_run
/// # use tracewell_telemetry::{background, span_attribute};
/// # struct Row { traceparent: String }
/// # async fn send(row: &Row) -> Result<(), std::io::Error> { Ok(()) }
/// # async fn deliver(row: Row, attempt: i64) -> Result<(), std::io::Error> {
/// background("deliver mail")
///     .caused_by(&row.traceparent)
///     .run(async {
///         span_attribute("outbox.attempt", attempt);
///         send(&row).await
///     })
///     .await
/// # }
/// ```
pub fn background(name: impl Into<Cow<'static, str>>) -> Background {
    Background {
        name: name.into(),
        cause: Context::map_current(|context| context.span().span_context().clone()),
    }
}

/// Described background work, waiting for the future that performs it.
#[derive(Debug)]
#[must_use = "nothing is recorded until `run`"]
pub struct Background {
    name: Cow<'static, str>,
    /// Invalid where nothing is known to have caused the work.
    cause: SpanContext,
}

impl Background {
    /// Names the cause by what [`current_traceparent`] gave when it was the current span: for work that
    /// was stored in between, such as a row of an outbox. A malformed text names none.
    pub fn caused_by(mut self, traceparent: &str) -> Self {
        let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
        let cause = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
        self.cause = cause.span().span_context().clone();
        self
    }

    /// Awaits `work` inside a root span that links to the cause. An error marks the span as failed.
    pub async fn run<T, E: Display>(self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let name = || self.name;
        let span = OpenSpan::start(&Context::new(), SpanKind::Internal, name, |_| {});
        span.link(self.cause);
        let work = work.instrument(span.stand_in());
        let result = work.with_context(span.context().clone()).await;
        if let Err(error) = &result {
            span.fail("error", &error.to_string());
        }
        result
    }
}

/// The current span as the value of a `traceparent` header (W3C Trace Context), to be stored with work that
/// it causes. `None` outside any span.
pub fn current_traceparent() -> Option<String> {
    let mut carrier = HashMap::new();
    Context::map_current(|context| TraceContextPropagator::new().inject_context(context, &mut carrier));
    carrier.remove(TRACEPARENT)
}

/// Adds an attribute to the current span. Its name should be one of the semantic conventions', or begin with
/// the name of the service; secrets are redacted as in the log.
pub fn span_attribute(name: &'static str, value: impl Into<AttributeValue>) {
    let attribute = KeyValue::new(name, value.into().0);
    Context::map_current(|context| context.span().set_attribute(attribute));
}

/// A text, a whole number, a fraction or a truth value.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeValue(Value);

macro_rules! attribute_value_from {
    ($($kind:ty),+) => {$(
        impl From<$kind> for AttributeValue {
            fn from(value: $kind) -> Self {
                Self(value.into())
            }
        }
    )+};
}
attribute_value_from!(&'static str, String, i64, f64, bool);
