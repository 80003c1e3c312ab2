//! Bounds of a span, and the malformed contexts that clients send.

use std::net::SocketAddr;

use axum::{Router, body::Body, extract::Request, http::HeaderValue, routing::get as on_get};
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceState},
};

use super::harness::{Harness, attribute, serve, settings};
use crate::{background, span_attribute};

#[test]
fn texts_are_cut_and_numbers_of_things_bounded() {
    let harness = Harness::with_env(&[
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "3"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "5"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "1"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "1"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "0"),
    ]);
    let span = tracing::info_span!("bounded");
    span.in_scope(|| {
        for name in ["a", "b", "c", "d"] {
            span_attribute(name, "äöüßx and more".to_owned());
        }
        let context = Context::current();
        for name in ["one", "two"] {
            context
                .span()
                .add_event(name, vec![KeyValue::new("k", "123456"), KeyValue::new("l", 1)]);
        }
        let cause = SpanContext::new(
            1.into(),
            2.into(),
            TraceFlags::SAMPLED,
            true,
            TraceState::default(),
        );
        context.span().add_link(cause, Vec::new());
    });
    drop(span);
    let span = harness.span("bounded");
    assert_eq!((span.attributes.len(), span.dropped_attributes_count), (3, 1));
    assert_eq!(attribute(&span, "a").as_deref(), Some("äöüßx"));
    assert_eq!((span.events.len(), span.events.dropped_count), (1, 1));
    assert_eq!(span.events[0].attributes, [KeyValue::new("k", "12345")]);
    assert_eq!((span.links.len(), span.links.dropped_count), (0, 1));
}

#[test]
fn the_variable_for_spans_wins_over_the_general_one() {
    let limits = settings(&[
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "9"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "7"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "9"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "7"),
    ])
    .unwrap()
    .span_limits;
    assert_eq!(
        (limits.counts.max_attributes_per_span, limits.value_length),
        (7, 7)
    );
    assert_eq!(limits.counts.max_attributes_per_event, 9);
    let wrong = settings(&[
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "many"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "-1"),
    ]);
    let named: Vec<_> = wrong.unwrap_err().iter().map(|problem| problem.name).collect();
    assert_eq!(
        named,
        ["OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT"]
    );
}

#[tokio::test]
async fn what_a_client_sends_cannot_fill_the_queue() {
    let harness = Harness::new();
    let router = Router::new().fallback(|| async { "x" });
    let path = format!("/{}", "x".repeat(60_000));
    let request = Request::get(&path)
        .header("user-agent", "y".repeat(60_000))
        .body(Body::empty())
        .unwrap();
    harness.call(router, request).await;
    let span = harness.span("GET");
    for key in ["url.path", "user_agent.original"] {
        assert_eq!(attribute(&span, key).unwrap().len(), 4096, "{key}");
    }
}

#[test]
fn names_and_descriptions_are_cut_too() {
    // As long as they are by default, whatever attributes may have.
    let harness = Harness::with_env(&[("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "5")]);
    let long = "x".repeat(60_000);
    tracing::info_span!("span", otel.name = long).in_scope(|| {
        let context = Context::current();
        context.span().add_event(long.clone(), Vec::new());
        context.span().set_status(Status::error(long.clone()));
    });
    let spans = harness.spans();
    let [span] = spans.as_slice() else {
        panic!("{spans:?}")
    };
    let Status::Error { description } = &span.status else {
        panic!("{:?}", span.status)
    };
    assert_eq!(
        (span.name.len(), span.events[0].name.len(), description.len()),
        (4096, 4096, 4096)
    );
}

#[test]
fn a_secret_is_redacted_before_it_is_cut_in_two() {
    let harness = Harness::with_env(&[("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "20")]);
    tracing::info_span!("cut")
        .in_scope(|| span_attribute("note", "card 4111 1111 1111 1111 and much more".to_owned()));
    assert_eq!(
        attribute(&harness.span("cut"), "note").as_deref(),
        Some("card [redacted] and ")
    );
}

#[tokio::test]
async fn a_malformed_context_begins_a_new_trace_and_fails_nothing() {
    for malformed in [
        "",
        "garbage",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
        "00-0af7651916cd43dd8448eb211c8031é9-b7ad6b7169203331-01",
    ] {
        let harness = Harness::new();
        let request = Request::get("/x")
            .header("traceparent", malformed.as_bytes())
            .header("tracestate", &b"\xff=,,="[..])
            .header("baggage", "=,;,a=%zz,%%%")
            .body(Body::empty())
            .unwrap();
        let router = Router::new().route("/x", on_get(|| async { "x" }));
        let (head, _) = harness.call(router, request).await;
        assert_eq!(head.status, 200, "{malformed}");
        let span = harness.span("GET /x");
        assert_eq!(span.parent_span_id, SpanId::INVALID, "{malformed}");
        assert!(span.span_context.is_valid());
    }
}

/// Answers how many bytes of baggage it was sent.
async fn weigher() -> SocketAddr {
    serve(Router::new().fallback(|request: Request| async move {
        let baggage = request.headers().get("baggage");
        baggage.map_or(0, HeaderValue::len).to_string()
    }))
    .await
}

#[tokio::test]
async fn work_in_the_background_starts_without_baggage() {
    let harness = Harness::new();
    let (client, upstream) = (harness.telemetry.client(reqwest::Client::new()), weigher().await);
    let work = move || async move {
        let call = client.get(format!("http://{upstream}/")).send();
        let answer = background("empty-handed").run(call).await.unwrap();
        answer.text().await.unwrap()
    };
    let request = Request::get("/x")
        .header("baggage", "a=1")
        .body(Body::empty())
        .unwrap();
    let (_, body) = harness
        .call(Router::new().route("/x", on_get(work)), request)
        .await;
    assert_eq!(body, b"0");
}

#[tokio::test]
async fn large_baggage_is_passed_on_within_the_limit_of_the_standard() {
    /// Of W3C Baggage, section 3.3.2.
    const LIMIT: usize = 8192;
    let upstream = weigher().await;
    for (entries, expected) in [
        (0, 0..=0),
        (8, 1000..=LIMIT),
        (64, 8191..=LIMIT),
        (500, 0..=LIMIT),
    ] {
        let harness = Harness::new();
        let client = harness.telemetry.client(reqwest::Client::new());
        let call = move || async move {
            let answer = client.get(format!("http://{upstream}/")).send().await.unwrap();
            answer.text().await.unwrap()
        };
        let baggage: Vec<_> = (100..100 + entries)
            .map(|key| format!("k{key}={}", "v".repeat(122)))
            .collect();
        let request = Request::get("/x")
            .header("baggage", baggage.join(","))
            .body(Body::empty())
            .unwrap();
        let router = Router::new().route("/x", on_get(call));
        let (head, body) = harness.call(router, request).await;
        assert_eq!(head.status, 200, "{entries}");
        let passed_on: usize = String::from_utf8(body).unwrap().parse().unwrap();
        assert!(
            expected.contains(&passed_on),
            "{passed_on} bytes of {entries} entries"
        );
        assert!(harness.span("GET /x").span_context.is_valid());
    }
}
