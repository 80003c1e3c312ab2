//! Secrets out of events, at the last moment before they are queued.

use std::collections::BTreeMap;

use sentry::protocol::{Context, Event, Request, Value};

use crate::log::{REDACTED, is_card_number, is_secret_name, scrub};

/// Removes what looks like a secret, or stands under a secret's name, from every text of `event` that
/// can come from outside.
pub(crate) fn scrub_event(event: &mut Event<'static>) {
    let exceptions = event.exception.values.iter_mut();
    let texts = exceptions.filter_map(|exception| exception.value.as_mut());
    texts.chain(event.message.as_mut()).for_each(scrub_text);
    for breadcrumb in &mut event.breadcrumbs.values {
        breadcrumb.message.iter_mut().for_each(scrub_text);
        scrub_values(&mut breadcrumb.data);
    }
    scrub_values(&mut event.extra);
    event
        .tags
        .iter_mut()
        .for_each(|(name, value)| scrub_named(name, value));
    for context in event.contexts.values_mut() {
        if let Context::Other(values) = context {
            scrub_values(values);
        }
    }
    if let Some(user) = &mut event.user {
        let texts = [&mut user.id, &mut user.email, &mut user.username];
        texts.into_iter().flatten().for_each(scrub_text);
    }
    if let Some(request) = &mut event.request {
        scrub_request(request);
    }
}

fn scrub_request(request: &mut Request) {
    request.cookies = None;
    request.query_string.iter_mut().for_each(scrub_text);
    request
        .headers
        .iter_mut()
        .for_each(|(name, value)| scrub_named(name, value));
    if let Some(url) = &mut request.url {
        let path = scrub(url.path()).into_owned();
        url.set_path(&path);
    }
}

fn scrub_text(text: &mut String) {
    if let std::borrow::Cow::Owned(clean) = scrub(text) {
        *text = clean;
    }
}

fn scrub_named(name: &str, text: &mut String) {
    if is_secret_name(name) {
        REDACTED.clone_into(text);
    } else {
        scrub_text(text);
    }
}

fn scrub_values(values: &mut BTreeMap<String, Value>) {
    for (name, value) in values {
        scrub_value(name, value);
    }
}

fn scrub_value(name: &str, value: &mut Value) {
    match value {
        Value::Null => {}
        secret if is_secret_name(name) => *secret = REDACTED.into(),
        Value::String(text) => scrub_text(text),
        Value::Array(items) => items.iter_mut().for_each(|item| scrub_value("", item)),
        Value::Object(map) => map.iter_mut().for_each(|(name, value)| scrub_value(name, value)),
        Value::Number(number) if number.as_i64().is_some_and(is_card_number) => *value = REDACTED.into(),
        Value::Bool(_) | Value::Number(_) => {}
    }
}
