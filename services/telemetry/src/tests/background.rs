//! Work that outlives what caused it.

use std::convert::Infallible;

use axum::{Router, routing::get as on_get};
use opentelemetry::trace::{SpanId, Status};
use opentelemetry_sdk::trace::SpanData;

use super::harness::{Harness, attribute, get};
use crate::{background, current_traceparent, span_attribute};

#[track_caller]
fn assert_root_linked_to(span: &SpanData, cause: &SpanData) {
    assert_eq!(span.parent_span_id, SpanId::INVALID);
    assert_ne!(span.span_context.trace_id(), cause.span_context.trace_id());
    let [link] = &span.links.links[..] else {
        panic!("one link, not {:?}", span.links)
    };
    assert_eq!(link.span_context.trace_id(), cause.span_context.trace_id());
    assert_eq!(link.span_context.span_id(), cause.span_context.span_id());
}

#[tokio::test]
async fn it_is_a_root_that_links_to_the_span_that_caused_it() {
    let harness = Harness::new();
    let handler = || async {
        let work = background("compact").run(async {
            span_attribute("shop.rows", 3);
            tracing::info!("compacted");
            Ok::<_, Infallible>(())
        });
        work.await.ok();
    };
    harness
        .call(Router::new().route("/x", on_get(handler)), get("/x"))
        .await;
    let work = harness.span("compact");
    assert_root_linked_to(&work, &harness.span("GET /x"));
    assert_eq!(attribute(&work, "shop.rows").as_deref(), Some("3"));
    assert_eq!(work.status, Status::Unset);
    assert_eq!(
        harness.log_line("compacted")["trace_id"],
        work.span_context.trace_id().to_string()
    );
}

#[tokio::test]
async fn the_request_does_not_wait_for_the_work_that_it_leaves_behind() {
    let harness = Harness::new();
    let (finish, finished) = tokio::sync::oneshot::channel::<()>();
    let finished = std::sync::Mutex::new(Some(finished));
    let handler = || async move {
        let finished = finished.lock().unwrap().take().unwrap();
        tokio::spawn(background("linger").run(finished));
    };
    let handler = std::sync::Arc::new(tokio::sync::Mutex::new(Some(handler)));
    let route = on_get(move || async move {
        let handler = handler.lock().await.take().unwrap();
        handler().await;
    });
    harness.call(Router::new().route("/x", route), get("/x")).await;
    let request = harness.span("GET /x");
    finish.send(()).unwrap();
    harness.spans_reach(2).await;
    assert_root_linked_to(&harness.span("linger"), &request);
}

#[tokio::test]
async fn a_stored_traceparent_names_the_cause_later() {
    let harness = Harness::new();
    let (_, row) = harness
        .call(
            Router::new().route(
                "/order",
                on_get(|| async { current_traceparent().unwrap_or_default() }),
            ),
            get("/order"),
        )
        .await;
    let row = String::from_utf8(row).unwrap();
    let delivery = background("deliver mail").caused_by(&row);
    let failed = delivery
        .run(async { Err::<(), _>("refused: password=hunter2") })
        .await;
    assert!(failed.is_err());
    let span = harness.span("deliver mail");
    assert_root_linked_to(&span, &harness.span("GET /order"));
    assert_eq!(span.status, Status::error("refused: password=[redacted]"));
    assert!(attribute(&span, "error.type").is_some());
}

#[tokio::test]
async fn an_unknown_cause_is_no_link() {
    let harness = Harness::new();
    assert_eq!(current_traceparent(), None);
    for (name, cause) in [
        ("empty", ""),
        ("malformed", "00-zz-1-01"),
        ("zero", "00-00000000000000000000000000000000-0000000000000000-01"),
    ] {
        background(name)
            .caused_by(cause)
            .run(async { Ok::<_, Infallible>(()) })
            .await
            .ok();
        assert!(harness.span(name).links.links.is_empty(), "{cause}");
    }
}
