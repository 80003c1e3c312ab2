//! Streamed bodies that fail after a good head.

use axum::{
    Router,
    body::{Body, Bytes},
    response::{IntoResponse, Response},
    routing::get as on_get,
};
use futures::{StreamExt as _, stream};
use opentelemetry::trace::Status;
use serde_json::json;
use tower::ServiceExt as _;

use super::{
    harness::{DSN, Harness, attribute, get},
    sentry::{functions, hook_panics},
};
use crate::user;

async fn stumbling() -> Response {
    user("usr_7", None);
    Body::from_stream(stream::iter([true, false]).map(|good| {
        assert!(good, "the reason");
        Ok::<_, std::convert::Infallible>(Bytes::from_static(b"so far"))
    }))
    .into_response()
}

async fn broken() -> Response {
    let reset = std::io::Error::other("upstream reset");
    Body::from_stream(stream::iter([Err::<Bytes, _>(reset)])).into_response()
}

/// Has the route answer, and its body read until it fails.
async fn fail(harness: &Harness, path: &str) {
    let router = Router::new()
        .route("/stumbling", on_get(stumbling))
        .route("/broken", on_get(broken));
    let response = harness.telemetry.wrap(router).oneshot(get(path)).await.unwrap();
    assert_eq!(response.status(), 200);
    let read = axum::body::to_bytes(response.into_body(), usize::MAX);
    let error = read.await.unwrap_err().to_string();
    assert!(!error.contains("the reason"), "no one but operators may read it");
}

#[tokio::test]
async fn a_panic_is_reported_as_one_in_a_handler_is() {
    hook_panics();
    let harness = Harness::with_env(&[DSN]);
    fail(&harness, "/stumbling").await;

    let span = harness.span("GET /stumbling");
    assert_eq!(span.status, Status::error("the reason"));
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("panic"));
    let event = harness.event();
    let panic = &event["exception"]["values"][0];
    assert_eq!(
        (&event["level"], &panic["type"], &event["user"]["id"]),
        (&json!("fatal"), &json!("panic"), &json!("usr_7"))
    );
    let functions = functions(panic);
    assert!(functions.last().unwrap().contains("stumbling"), "{functions:#?}");
    let line = harness.log_line("response failed midway");
    assert_eq!(
        (&line["level"], &line["err"]["type"], &line["err"]["message"]),
        (&json!(60), &json!("panic"), &json!("the reason"))
    );
    assert_eq!(line["sentry_event_id"], event["event_id"]);
    assert_eq!(
        attribute(&span, "sentry.event_id").as_deref(),
        event["event_id"].as_str()
    );
    assert_eq!(harness.sent("sessions")[0]["aggregates"][0]["crashed"], 1);
}

#[tokio::test]
async fn the_reason_of_a_failure_is_in_the_log() {
    let harness = Harness::new();
    fail(&harness, "/broken").await;
    let line = harness.log_line("response failed midway");
    assert_eq!(
        (&line["err"]["type"], &line["err"]["message"]),
        (&json!("body"), &json!("upstream reset"))
    );
}
