//! A service's own `tracing` spans and events, as OpenTelemetry's.

use std::{error::Error, io};

use opentelemetry::{
    Value,
    trace::{SpanId, SpanKind, Status},
};
use tracing::{field, info_span};

use super::harness::{Harness, attribute};

#[test]
fn fields_become_attributes_and_those_of_otel_the_span_s_own_parts() {
    let harness = Harness::new();
    let span = info_span!(
        "shown",
        otel.name = "charge card",
        otel.kind = "producer",
        otel.status_code = field::Empty,
        attempt = 2_i64,
        share = 0.5,
        first = true,
        shop.id = "s1",
        list = ?["a"],
        outcome = field::Empty,
    );
    span.record("outcome", "refused");
    span.record("otel.status_code", "ERROR");
    drop(span);
    let span = harness.span("charge card");
    assert_eq!(span.span_kind, SpanKind::Producer);
    assert_eq!(span.status, Status::error(""));
    for (key, value) in [
        ("attempt", "2"),
        ("share", "0.5"),
        ("first", "true"),
        ("shop.id", "s1"),
        ("list", "[\"a\"]"),
        ("outcome", "refused"),
    ] {
        assert_eq!(attribute(&span, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(span.attributes.len(), 6, "{:?}", span.attributes);
    let attempt = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == "attempt");
    assert_eq!(attempt.unwrap().value, Value::I64(2));
}

#[test]
fn spans_nest_as_tracing_nests_them() {
    let harness = Harness::new();
    let outer = info_span!("outer");
    outer.in_scope(|| {
        info_span!("inner").in_scope(|| drop(info_span!("innermost")));
        drop(info_span!(parent: None, "apart"));
    });
    drop(info_span!(parent: &outer, "explicit"));
    // Left in another order than they were entered.
    let (one, two) = (info_span!("one"), info_span!("two"));
    let (inside_one, inside_two) = (one.enter(), two.enter());
    drop(inside_one);
    drop(info_span!("below two"));
    drop(inside_two);
    drop(info_span!("outside"));
    drop((one, two, outer));

    let id = |name: &str| harness.span(name).span_context.span_id();
    for (name, parent) in [
        ("inner", id("outer")),
        ("innermost", id("inner")),
        ("explicit", id("outer")),
        ("below two", id("two")),
        ("apart", SpanId::INVALID),
        ("outside", SpanId::INVALID),
    ] {
        assert_eq!(harness.span(name).parent_span_id, parent, "{name}");
    }
}

#[test]
fn events_are_the_span_s_and_an_error_marks_it_failed() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot charge")]
    struct ChargeError(#[source] io::Error);

    let harness = Harness::new();
    let (calm, failed) = (info_span!("calm"), info_span!("failed"));
    calm.in_scope(|| {
        tracing::warn!(attempt = 1_i64, "slow");
        tracing::debug!("beneath notice");
        let error = ChargeError(io::Error::other("disk on fire"));
        tracing::error!(parent: &failed, error = &error as &dyn Error, "gave up");
    });
    drop((calm, failed));
    let calm = harness.span("calm");
    assert_eq!((calm.events.len(), &calm.status), (1, &Status::Unset));
    let slow = &calm.events[0];
    let shown: Vec<_> = slow
        .attributes
        .iter()
        .map(|found| (found.key.as_str(), found.value.to_string()))
        .collect();
    assert_eq!(slow.name, "slow");
    assert_eq!(shown, [("attempt", "1".to_owned()), ("level", "WARN".to_owned())]);

    let failed = harness.span("failed");
    assert_eq!(failed.status, Status::error(""));
    let exception = format!("{:?}", failed.events[0].attributes);
    for text in [
        "exception.message",
        "cannot charge",
        "exception.stacktrace",
        "disk on fire",
    ] {
        assert!(exception.contains(text), "no {text} in {exception}");
    }
}
