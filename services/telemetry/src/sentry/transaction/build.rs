//! What a transaction looks like in Sentry's terms.

use opentelemetry::{
    Array, StringValue, Value as OtelValue,
    trace::{SpanId, SpanKind, Status},
};
use opentelemetry_sdk::trace::SpanData;
use sentry::protocol::{Context, Map, Request, Span, SpanStatus, TraceContext, Transaction, Url, Value};

use super::super::trace_link;

/// The transaction of a local root and the spans below it, all of them redacted. `thread` is where the root began;
/// `profiler_id` is set if it was profiled; `trace_ui` is the base URL of Jaeger's UI.
pub(super) fn build_transaction(
    root: &SpanData,
    spans: &[SpanData],
    thread: u64,
    profiler_id: Option<&str>,
    trace_ui: Option<&str>,
) -> Transaction<'static> {
    let mut contexts = Map::new();
    let mut data = data_of(root);
    data.insert("thread.id".to_owned(), thread.to_string().into());
    let trace = TraceContext {
        span_id: root.span_context.span_id().to_bytes().into(),
        trace_id: root.span_context.trace_id().to_bytes().into(),
        parent_span_id: parent_of(root),
        op: op_of(root),
        status: Some(status_of(root)),
        origin: Some("auto.otel".to_owned()),
        data,
        ..TraceContext::default()
    };
    contexts.insert("trace".to_owned(), trace.into());
    if let Some(id) = profiler_id {
        let profile = [("profiler_id".to_owned(), id.into())].into();
        contexts.insert("profile".to_owned(), Context::Other(profile));
    }
    if let Some(base) = trace_ui {
        let link = trace_link(base, &root.span_context.trace_id().to_string());
        contexts.insert("jaeger".to_owned(), link);
    }
    Transaction {
        name: Some(root.name.clone().into_owned()),
        tags: tags_of(root),
        timestamp: Some(root.end_time),
        start_timestamp: root.start_time,
        spans: spans.iter().map(span_of).collect(),
        contexts,
        request: request_of(root),
        ..Transaction::default()
    }
}

fn span_of(span: &SpanData) -> Span {
    Span {
        span_id: span.span_context.span_id().to_bytes().into(),
        trace_id: span.span_context.trace_id().to_bytes().into(),
        parent_span_id: parent_of(span),
        same_process_as_parent: Some(true),
        op: op_of(span),
        description: Some(description_of(span)),
        timestamp: Some(span.end_time),
        start_timestamp: span.start_time,
        status: Some(status_of(span)),
        data: data_of(span),
        ..Span::default()
    }
}

fn parent_of(span: &SpanData) -> Option<sentry::protocol::SpanId> {
    (span.parent_span_id != SpanId::INVALID).then(|| span.parent_span_id.to_bytes().into())
}

fn attribute<'a>(span: &'a SpanData, key: &str) -> Option<&'a OtelValue> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| &attribute.value)
}

fn text(span: &SpanData, key: &str) -> Option<String> {
    attribute(span, key).map(|value| value.as_str().into_owned())
}

/// The kind of operation, by Sentry's names; `None` for a function of the service itself.
/// Source: develop.sentry.dev/sdk/telemetry/traces/span-operations
fn op_of(span: &SpanData) -> Option<String> {
    let has = |key| attribute(span, key).is_some();
    let op = match span.span_kind {
        _ if has("db.system.name") => "db",
        SpanKind::Server if has("http.request.method") => "http.server",
        SpanKind::Client if has("http.request.method") => "http.client",
        SpanKind::Producer => "queue.publish",
        SpanKind::Consumer => "queue.process",
        SpanKind::Server | SpanKind::Client | SpanKind::Internal => return None,
    };
    Some(op.to_owned())
}

/// What was done, in Sentry's way: the statement of a query, method and URL of a call, else the span's name.
fn description_of(span: &SpanData) -> String {
    let call = || {
        Some(format!(
            "{} {}",
            text(span, "http.request.method")?,
            text(span, "url.full")?
        ))
    };
    let specific = match span.span_kind {
        SpanKind::Client => text(span, "db.query.text").or_else(call),
        _ => None,
    };
    specific.unwrap_or_else(|| span.name.clone().into_owned())
}

fn status_of(span: &SpanData) -> SpanStatus {
    let code = match attribute(span, "http.response.status_code") {
        Some(OtelValue::I64(code)) => Some(*code),
        _ => None,
    };
    match (code, text(span, "error.type").as_deref()) {
        (_, Some("cancelled")) => SpanStatus::Cancelled,
        (_, Some("timeout")) => SpanStatus::DeadlineExceeded,
        (Some(code @ 400..), _) => status_of_code(code),
        _ if matches!(span.status, Status::Error { .. }) => SpanStatus::InternalError,
        _ => SpanStatus::Ok,
    }
}

/// Source: develop.sentry.dev/sdk/telemetry/traces/#http-status-codes
fn status_of_code(code: i64) -> SpanStatus {
    match code {
        401 => SpanStatus::Unauthenticated,
        403 => SpanStatus::PermissionDenied,
        404 => SpanStatus::NotFound,
        409 => SpanStatus::AlreadyExists,
        413 => SpanStatus::FailedPrecondition,
        429 => SpanStatus::ResourceExhausted,
        499 => SpanStatus::Cancelled,
        501 => SpanStatus::Unimplemented,
        503 => SpanStatus::Unavailable,
        504 => SpanStatus::DeadlineExceeded,
        500.. => SpanStatus::InternalError,
        _ => SpanStatus::InvalidArgument,
    }
}

/// The same tags as on error events, so that a search finds both.
fn tags_of(root: &SpanData) -> Map<String, String> {
    let tags = [
        ("http.method", "http.request.method"),
        ("http.route", "http.route"),
        ("http.status_code", "http.response.status_code"),
    ];
    tags.into_iter()
        .filter_map(|(tag, key)| Some((tag.to_owned(), text(root, key)?)))
        .collect()
}

fn request_of(root: &SpanData) -> Option<Request> {
    if root.span_kind != SpanKind::Server {
        return None;
    }
    let method = text(root, "http.request.method")?;
    let host = text(root, "server.address").unwrap_or_default();
    let port = text(root, "server.port")
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let scheme = text(root, "url.scheme").unwrap_or_default();
    let path = text(root, "url.path").unwrap_or_default();
    Some(Request {
        url: Url::parse(&format!("{scheme}://{host}{port}{path}")).ok(),
        method: Some(method),
        ..Request::default()
    })
}

fn data_of(span: &SpanData) -> Map<String, Value> {
    let attributes = span.attributes.iter();
    attributes
        .map(|attribute| (attribute.key.to_string(), json(&attribute.value)))
        .collect()
}

fn json(value: &OtelValue) -> Value {
    match value {
        OtelValue::Bool(value) => (*value).into(),
        OtelValue::I64(value) => (*value).into(),
        OtelValue::F64(value) => (*value).into(),
        OtelValue::Array(Array::Bool(values)) => values.clone().into(),
        OtelValue::Array(Array::I64(values)) => values.clone().into(),
        OtelValue::Array(Array::F64(values)) => values.clone().into(),
        OtelValue::Array(Array::String(values)) => values.iter().map(StringValue::as_str).collect(),
        // Strings, and kinds that a later version may add.
        other => other.as_str().into(),
    }
}
