//! Routes that fail on purpose, to see what each kind of failure looks like in log, trace and Sentry. Served
//! only with `DEBUG_ENDPOINTS=1`.

use std::{
    convert::Infallible,
    future::ready,
    hint::black_box,
    io,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::Instrument;

use crate::{
    ErrorReport, Severity, breadcrumb, capture_error, capture_message, current_trace_id, telemetry::Errors,
};

/// The longest that `/debug/slow` and `/debug/cpu` take.
const LONGEST: Duration = Duration::from_secs(30);

pub(crate) fn routes(errors: Errors) -> Router {
    Router::new()
        .route("/debug", get(index))
        .route("/debug/error", get(error))
        .route("/debug/panic", get(panicking))
        .route("/debug/body", get(panicking_body))
        .route("/debug/4xx", get(client_error))
        .route("/debug/message", get(message))
        .route("/debug/breadcrumbs", get(breadcrumbs))
        .route("/debug/slow", get(slow))
        .route("/debug/cpu", get(cpu))
        .route("/debug/sentry", get(sentry))
        .route("/debug/pprof/profile", get(profile))
        .with_state(errors)
}

async fn index() -> Json<Value> {
    Json(json!({
        "/debug/error": "500 with a chain of causes",
        "/debug/panic": "500 by a panic",
        "/debug/body": "200, and a panic while the body is sent",
        "/debug/4xx": "404; repeated, it reaches Sentry once in 10 s",
        "/debug/message": "200, with a message to Sentry",
        "/debug/breadcrumbs": "200, with breadcrumbs and the error that they lead to",
        "/debug/slow?milliseconds=2000": "200 after waiting, in two steps",
        "/debug/cpu?milliseconds=2000": "200 after computing, for profiles",
        "/debug/sentry": "what is configured",
        "/debug/pprof/profile?seconds=10": "a CPU profile in pprof's format",
    }))
}

#[derive(Debug, thiserror::Error)]
#[error("cannot load the debug page")]
struct LoadError(#[source] ReadError);

#[derive(Debug, thiserror::Error)]
#[error("cannot read page 13")]
struct ReadError(#[source] io::Error);

impl LoadError {
    fn on_purpose() -> Self {
        Self(ReadError(io::Error::other("disk on fire, on purpose")))
    }
}

async fn error() -> Response {
    let mut response = answer(StatusCode::INTERNAL_SERVER_ERROR);
    let report = ErrorReport::new(&LoadError::on_purpose());
    response.extensions_mut().insert(report);
    response
}

#[expect(clippy::panic, reason = "a panic is what is asked for")]
async fn panicking() -> Response {
    panic!("a panic on purpose")
}

async fn panicking_body() -> Body {
    let begun = stream::once(ready(Ok(Bytes::from_static(b"so far, so good\n"))));
    Body::from_stream(begun.chain(stream::once(stumbling())))
}

#[expect(clippy::panic, reason = "a panic is what is asked for")]
async fn stumbling() -> Result<Bytes, Infallible> {
    // The server sends the head and what there is only where it has to wait for more.
    tokio::task::yield_now().await;
    panic!("a panic on purpose, midway")
}

async fn client_error() -> Response {
    answer(StatusCode::NOT_FOUND)
}

async fn message() -> Json<Value> {
    let id = capture_message(Severity::Info, "a message on purpose");
    reported(id.as_deref())
}

async fn breadcrumbs() -> Json<Value> {
    tracing::info!(page = 13, "loading the debug page");
    breadcrumb(
        "debug",
        "asked the disk",
        &[("page", "13"), ("password", "never sent")],
    );
    tracing::warn!("the disk is warm");
    let id = capture_error(&LoadError::on_purpose());
    reported(id.as_deref())
}

fn reported(event_id: Option<&str>) -> Json<Value> {
    Json(json!({"sentry_event_id": event_id, "trace_id": current_trace_id()}))
}

fn answer(status: StatusCode) -> Response {
    (status, Json(json!({"trace_id": current_trace_id()}))).into_response()
}

#[derive(Deserialize)]
struct Length {
    #[serde(default = "two_seconds")]
    milliseconds: u64,
}

fn two_seconds() -> u64 {
    2000
}

impl Length {
    fn duration(&self) -> Duration {
        Duration::from_millis(self.milliseconds).min(LONGEST)
    }
}

async fn slow(length: Result<Query<Length>, QueryRejection>) -> Result<Json<Value>, QueryRejection> {
    let half = length?.duration() / 2;
    for step in ["debug.first_half", "debug.second_half"] {
        let span = tracing::info_span!("debug", otel.name = step);
        tokio::time::sleep(half).instrument(span).await;
    }
    Ok(reported(None))
}

async fn cpu(length: Result<Query<Length>, QueryRejection>) -> Result<Json<Value>, Response> {
    let duration = length.map_err(IntoResponse::into_response)?.duration();
    let request = tracing::Span::current();
    let work = move || {
        let _request = request.entered();
        // Begun on the thread that does the work, where its profile is.
        tracing::info_span!("debug.burn").in_scope(|| burn_cpu(duration))
    };
    let sum = tokio::task::spawn_blocking(work);
    let sum = sum.await.map_err(|error| {
        let mut response = answer(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(ErrorReport::new(&error));
        response
    })?;
    Ok(Json(json!({"sum": sum, "trace_id": current_trace_id()})))
}

/// The function that a profile of `/debug/cpu` must name.
#[inline(never)]
fn burn_cpu(duration: Duration) -> u64 {
    let end = Instant::now() + duration;
    let mut sum: u64 = 0;
    while Instant::now() < end {
        for number in 0..10_000_u64 {
            sum = black_box(sum.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(number));
        }
    }
    sum
}

async fn sentry(State(errors): State<Errors>) -> Json<Value> {
    Json(errors.sentry.description())
}

#[derive(Deserialize)]
struct Seconds {
    #[serde(default = "ten")]
    seconds: u32,
}

fn ten() -> u32 {
    10
}

async fn profile(
    State(errors): State<Errors>,
    query: Result<Query<Seconds>, QueryRejection>,
) -> Result<Response, QueryRejection> {
    let seconds = query?.seconds;
    Ok(match errors.profiler.pprof_report(seconds).await {
        Ok(profile) => {
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"profile.pb\""),
            ];
            (headers, profile).into_response()
        }
        Err(error) => (error.status(), Json(json!({"error": error.to_string()}))).into_response(),
    })
}
