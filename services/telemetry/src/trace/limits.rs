//! Bounds of what one span may hold, so that a full queue has a size.

use std::borrow::Cow;

use opentelemetry::{Array, KeyValue, StringValue, Value, trace::Status};
use opentelemetry_sdk::trace::{SpanData, SpanLimits as CountLimits};

use crate::{log::scrub, settings::Env};

/// The longest text in a span. The specification sets none; but paths and user agents come from
/// clients, and a queue of 2048 spans must not hold 2048 times what a client cares to send.
const DEFAULT_VALUE_LENGTH: usize = 4096;

/// How much one span may hold. What exceeds it is left out, and counted on the span where the protocol
/// has a count.
/// Source: OpenTelemetry specification, "Attribute Limits" and "Span Limits".
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanLimits {
    /// Numbers of attributes, events and links; the SDK keeps them.
    pub(crate) counts: CountLimits,
    /// Characters of a text, or of each text in an array; the SDK knows no such limit.
    pub(crate) value_length: usize,
}

impl SpanLimits {
    /// Reads the variables of the specification; the one for spans wins over the general one.
    pub(crate) fn read(env: &mut Env<'_>) -> Self {
        let standard = CountLimits::default();
        let attributes = count(
            env,
            "OTEL_ATTRIBUTE_COUNT_LIMIT",
            standard.max_attributes_per_span,
        );
        let length = count(env, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", DEFAULT_VALUE_LENGTH);
        Self {
            counts: CountLimits {
                max_attributes_per_span: count(env, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", attributes),
                max_events_per_span: count(env, "OTEL_SPAN_EVENT_COUNT_LIMIT", standard.max_events_per_span),
                max_links_per_span: count(env, "OTEL_SPAN_LINK_COUNT_LIMIT", standard.max_links_per_span),
                max_attributes_per_event: count(env, "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", attributes),
                max_attributes_per_link: count(env, "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", attributes),
            },
            value_length: count(env, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", length),
        }
    }

    /// Shortens every text that is too long. No variable of the specification bounds names and descriptions, which may
    /// come from outside just as well.
    pub(crate) fn shorten(&self, span: &mut SpanData) {
        shorten_name(&mut span.name);
        if let Status::Error { description } = &mut span.status {
            shorten_name(description);
        }
        for event in &mut span.events.events {
            shorten_name(&mut event.name);
        }
        let events = span.events.events.iter_mut().map(|event| &mut event.attributes);
        let links = span.links.links.iter_mut().map(|link| &mut link.attributes);
        for attributes in std::iter::once(&mut span.attributes).chain(events).chain(links) {
            for attribute in attributes {
                self.shorten_value(attribute);
            }
        }
    }

    fn shorten_value(&self, attribute: &mut KeyValue) {
        match &mut attribute.value {
            Value::String(text) => self.shorten_text(text),
            Value::Array(Array::String(texts)) => texts.iter_mut().for_each(|text| self.shorten_text(text)),
            _ => {}
        }
    }

    fn shorten_text(&self, text: &mut StringValue) {
        if let Some(short) = shortened(text.as_str(), self.value_length) {
            *text = short.into();
        }
    }
}

fn shorten_name(text: &mut Cow<'static, str>) {
    if let Some(short) = shortened(text, DEFAULT_VALUE_LENGTH) {
        *text = short.into();
    }
}

/// The first `limit` characters of a text that has more.
fn shortened(text: &str, limit: usize) -> Option<String> {
    // A text has at least as many bytes as characters, so nearly all are settled by their length.
    if text.len() <= limit {
        return None;
    }
    // Secrets first: half of one would no longer be told by its look.
    let clean = scrub(text);
    let (end, _) = clean.char_indices().nth(limit)?;
    Some(clean[..end].to_owned())
}

fn count<T: std::str::FromStr>(env: &mut Env<'_>, name: &'static str, default: T) -> T {
    env.read(name, default, "a whole number from 0", |value| value.parse().ok())
}
