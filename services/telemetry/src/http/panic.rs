//! A panic in a handler becomes a 500 that the HTTP layer reports.

use std::any::Any;

use axum::{
    body::Body,
    http::{Response, StatusCode, header},
    response::IntoResponse,
};
use serde_json::json;

use crate::{ErrorReport, current_trace_id};

/// The type under which a panic is reported: `error.type` of the span, `err.type` of the log.
pub(crate) const PANIC: &str = "panic";

/// An `application/problem+json` that tells the client nothing but the trace id.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that the catch-panic layer asks for"
)]
pub(crate) fn problem_for_panic(payload: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let problem = json!({
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "The service failed unexpectedly. Quote the trace id when you report this.",
        "code": "internal",
        "trace_id": current_trace_id(),
    });
    let headers = [(header::CONTENT_TYPE, "application/problem+json")];
    let mut response = (StatusCode::INTERNAL_SERVER_ERROR, headers, problem.to_string()).into_response();
    response.extensions_mut().insert(ErrorReport {
        kind: PANIC,
        message: panic_message(&*payload).to_owned(),
        causes: Vec::new(),
    });
    response
}

/// The text of a panic's payload.
pub(crate) fn panic_message(payload: &dyn Any) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text")
}
