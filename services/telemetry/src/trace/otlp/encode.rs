//! Spans in OTLP's binary form, written from where they are. The exporter would first copy each attribute, name and value,
//! into a message of its own: half of what a span costs, on the cores that the requests need.
//!
//! Source of the field numbers: `opentelemetry/proto/trace/v1/trace.proto` and `common/v1/common.proto`.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::{
    Array, InstrumentationScope, KeyValue, Value,
    trace::{Event, Link, SpanContext, SpanId, SpanKind, Status},
};
use opentelemetry_sdk::trace::SpanData;

/// Wire types, the lower three bits of a field's key.
const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const LENGTH: u8 = 2;
const FIXED_32: u8 = 5;

/// A span's flags: whether its parent is another process's is known, and is so.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Appends the field `scope_spans` of a message `ResourceSpans`, once for each row of spans that have the same scope.
pub(super) fn scope_spans(out: &mut Vec<u8>, spans: &[SpanData]) {
    for spans in spans.chunk_by(|one, next| one.instrumentation_scope == next.instrumentation_scope) {
        let Some(first) = spans.first() else {
            continue;
        };
        let scope = &first.instrumentation_scope;
        message(out, 2, |out| {
            message(out, 1, |out| write_scope(out, scope));
            for span in spans {
                message(out, 2, |out| write_span(out, span));
            }
            text(out, 3, scope.schema_url().unwrap_or_default());
        });
    }
}

fn write_scope(out: &mut Vec<u8>, scope: &InstrumentationScope) {
    text(out, 1, scope.name());
    text(out, 2, scope.version().unwrap_or_default());
    for attribute in scope.attributes() {
        message(out, 3, |out| write_attribute(out, attribute));
    }
}

fn write_span(out: &mut Vec<u8>, span: &SpanData) {
    write_context(out, &span.span_context);
    if span.parent_span_id != SpanId::INVALID {
        bytes(out, 4, &span.parent_span_id.to_bytes());
    }
    text(out, 5, &span.name);
    let kind = match span.span_kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    };
    number(out, 6, kind);
    time(out, 7, span.start_time);
    time(out, 8, span.end_time);
    for attribute in &span.attributes {
        message(out, 9, |out| write_attribute(out, attribute));
    }
    number(out, 10, span.dropped_attributes_count.into());
    for event in &span.events.events {
        message(out, 11, |out| write_event(out, event));
    }
    number(out, 12, span.events.dropped_count.into());
    for link in &span.links.links {
        message(out, 13, |out| write_link(out, link));
    }
    number(out, 14, span.links.dropped_count.into());
    message(out, 15, |out| write_status(out, &span.status));
    flags(out, 16, &span.span_context, span.parent_span_is_remote);
}

/// The ids and the state, which spans and links have in the same fields.
fn write_context(out: &mut Vec<u8>, context: &SpanContext) {
    bytes(out, 1, &context.trace_id().to_bytes());
    bytes(out, 2, &context.span_id().to_bytes());
    if *context.trace_state() != opentelemetry::trace::TraceState::NONE {
        text(out, 3, &context.trace_state().header());
    }
}

fn write_event(out: &mut Vec<u8>, event: &Event) {
    time(out, 1, event.timestamp);
    text(out, 2, &event.name);
    for attribute in &event.attributes {
        message(out, 3, |out| write_attribute(out, attribute));
    }
    number(out, 4, event.dropped_attributes_count.into());
}

fn write_link(out: &mut Vec<u8>, link: &Link) {
    write_context(out, &link.span_context);
    for attribute in &link.attributes {
        message(out, 4, |out| write_attribute(out, attribute));
    }
    number(out, 5, link.dropped_attributes_count.into());
    flags(out, 6, &link.span_context, link.span_context.is_remote());
}

fn write_status(out: &mut Vec<u8>, status: &Status) {
    match status {
        Status::Unset => {}
        Status::Ok => number(out, 3, 1),
        Status::Error { description } => {
            text(out, 2, description);
            number(out, 3, 2);
        }
    }
}

fn write_attribute(out: &mut Vec<u8>, attribute: &KeyValue) {
    text(out, 1, attribute.key.as_str());
    message(out, 2, |out| write_value(out, &attribute.value));
}

/// One of several fields is written, also where its value is empty.
fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Bool(value) => {
            key(out, 2, VARINT);
            out.push(u8::from(*value));
        }
        Value::I64(value) => {
            key(out, 3, VARINT);
            varint(out, value.cast_unsigned());
        }
        Value::F64(value) => {
            key(out, 4, FIXED_64);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Value::Array(array) => message(out, 5, |out| write_array(out, array)),
        // Strings, and kinds that a later version may add.
        other => {
            let text = other.as_str();
            key(out, 1, LENGTH);
            varint(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

fn write_array(out: &mut Vec<u8>, array: &Array) {
    let mut write = |value: Value| message(out, 1, |out| write_value(out, &value));
    match array {
        Array::Bool(values) => values.iter().for_each(|value| write((*value).into())),
        Array::I64(values) => values.iter().for_each(|value| write((*value).into())),
        Array::F64(values) => values.iter().for_each(|value| write((*value).into())),
        Array::String(values) => values.iter().for_each(|value| write(value.clone().into())),
        _ => {}
    }
}

/// Appends the field `tag`, a message that `write` fills.
pub(super) fn message(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
    key(out, tag, LENGTH);
    let start = out.len();
    write(out);
    // The length goes before what was written, which only now is known to have it.
    let length = out.len() - start;
    varint(out, length as u64);
    let shift = out.len() - start - length;
    out[start..].rotate_right(shift);
}

/// Empty ones are left out, as the format wants it.
fn text(out: &mut Vec<u8>, tag: u8, text: &str) {
    bytes(out, tag, text.as_bytes());
}

fn bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        key(out, tag, LENGTH);
        varint(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }
}

/// Zeros are left out.
fn number(out: &mut Vec<u8>, tag: u8, number: u64) {
    if number != 0 {
        key(out, tag, VARINT);
        varint(out, number);
    }
}

fn time(out: &mut Vec<u8>, tag: u8, time: SystemTime) {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    // The year 2554 is the last that fits.
    let since_epoch = u64::try_from(since_epoch).unwrap_or(u64::MAX);
    if since_epoch != 0 {
        key(out, tag, FIXED_64);
        out.extend_from_slice(&since_epoch.to_le_bytes());
    }
}

fn flags(out: &mut Vec<u8>, tag: u8, context: &SpanContext, is_remote: bool) {
    let remote = if is_remote { IS_REMOTE } else { 0 };
    let flags = u32::from(context.trace_flags().to_u8()) | HAS_IS_REMOTE | remote;
    key(out, tag, FIXED_32);
    out.extend_from_slice(&flags.to_le_bytes());
}

fn key(out: &mut Vec<u8>, tag: u8, wire_type: u8) {
    varint(out, u64::from(tag) << 3 | u64::from(wire_type));
}

/// Seven bits a byte, the lowest first; all but the last byte have the highest bit set.
pub(super) fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}
