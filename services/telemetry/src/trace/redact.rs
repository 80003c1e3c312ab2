//! What must never leave in a span, removed on its way out by the same rules as in the log.

use std::borrow::Cow;

use opentelemetry::{Array, KeyValue, StringValue, Value, trace::Status};
use opentelemetry_sdk::trace::SpanData;

use crate::log::{REDACTED, is_card_number, is_secret_name, scrub};

/// Redacts attributes of the span, its events and its links, by their names and by the look of their texts;
/// and the texts beside them: names, messages, the description of the status.
pub(crate) fn redact(span: &mut SpanData) {
    clean(&mut span.name);
    if let Status::Error { description } = &mut span.status {
        clean(description);
    }
    span.attributes.iter_mut().for_each(redact_attribute);
    for event in &mut span.events.events {
        clean(&mut event.name);
        event.attributes.iter_mut().for_each(redact_attribute);
    }
    for link in &mut span.links.links {
        link.attributes.iter_mut().for_each(redact_attribute);
    }
}

fn redact_attribute(attribute: &mut KeyValue) {
    if is_secret_name(attribute.key.as_str()) {
        attribute.value = REDACTED.into();
        return;
    }
    match &mut attribute.value {
        Value::String(text) => clean_value(text),
        Value::Array(Array::String(texts)) => texts.iter_mut().for_each(clean_value),
        Value::I64(number) if is_card_number(*number) => attribute.value = REDACTED.into(),
        Value::Array(Array::I64(numbers)) if numbers.iter().copied().any(is_card_number) => {
            attribute.value = REDACTED.into();
        }
        _ => {}
    }
}

fn clean_value(text: &mut StringValue) {
    if let Cow::Owned(cleaned) = scrub(text.as_str()) {
        *text = cleaned.into();
    }
}

fn clean(text: &mut Cow<'static, str>) {
    if let Cow::Owned(cleaned) = scrub(text) {
        *text = cleaned.into();
    }
}
