//! Answers of other services that a proxy passes on: they were reported where they were made.

use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get as on_get,
};
use serde_json::{Value, json};

use super::harness::{DSN, Harness, attribute, get};
use crate::Relayed;

const ID: &str = "0af7651916cd43dd8448eb211c80319c";

fn relayed(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.extensions_mut().insert(Relayed);
    response
}

fn proxy() -> Router {
    Router::new()
        .route(
            "/failed",
            on_get(async || relayed((StatusCode::INTERNAL_SERVER_ERROR, [("x-sentry-event-id", ID)]))),
        )
        .route(
            "/unnamed",
            on_get(async || relayed((StatusCode::BAD_GATEWAY, [("x-sentry-event-id", "token=hunter2")]))),
        )
        .route("/missing", on_get(async || relayed(StatusCode::NOT_FOUND)))
}

#[tokio::test]
async fn a_failure_is_no_second_event_and_keeps_the_id_of_the_first() {
    let harness = Harness::with_env(&[DSN]);
    let (head, _) = harness.call(proxy(), get("/failed")).await;
    assert_eq!(harness.sent("event"), Vec::<Value>::new());
    assert_eq!(head.headers["x-sentry-event-id"], ID);
    // The release of the proxy did what it should.
    let health = harness.sent("sessions");
    let requests = &health[0]["aggregates"][0];
    assert_eq!(
        (&requests["exited"], requests.get("errored")),
        (&json!(1), None),
        "{health:?}"
    );
    let span = harness.span("GET /failed");
    assert_eq!(attribute(&span, "sentry.event_id").as_deref(), Some(ID));
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("500"));
    let line = harness.log_line("request completed");
    assert_eq!(
        (&line["sentry"], &line["sentry_event_id"], &line["level"]),
        (&json!("relayed"), &json!(ID), &json!(50))
    );
}

#[tokio::test]
async fn without_a_well_formed_id_nothing_is_said_of_sentry() {
    let harness = Harness::with_env(&[DSN]);
    harness.call(proxy(), get("/unnamed")).await;
    assert_eq!(harness.sent("event"), Vec::<Value>::new());
    let line = harness.log_line("request completed");
    assert_eq!((line.get("sentry"), line.get("sentry_event_id")), (None, None));
}

#[tokio::test]
async fn a_client_s_error_is_no_second_warning() {
    let harness = Harness::with_env(&[DSN]);
    harness.call(proxy(), get("/missing")).await;
    assert_eq!(harness.sent("event"), Vec::<Value>::new());
    let line = harness.log_line("request completed");
    assert_eq!((line.get("sentry"), &line["level"]), (None, &json!(40)));
}
