//! The operations routes: health, readiness, metrics. Probes and scrapers call them every few seconds, so
//! they are neither traced nor logged.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Map, Value, json};

use crate::{
    Readiness,
    metrics::{Format, Metrics},
};

/// `/healthz`, `/readyz` and `/metrics`.
pub(crate) fn routes(readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(readiness)
}

/// Answers as long as the event loop turns. It must never touch a backend: a restart heals no database.
async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    if readiness.is_draining() {
        return unready(json!({"status": "draining"}));
    }
    let mut checks = Map::new();
    let mut failing = Vec::new();
    for (name, outcome) in readiness.outcomes().await {
        if let Err(error) = &outcome {
            tracing::warn!(check = name, %error, "not ready");
            failing.push(name);
        }
        checks.insert(
            name.to_owned(),
            json!(if outcome.is_ok() { "ok" } else { "failing" }),
        );
    }
    if failing.is_empty() {
        return Json(json!({"status": "ready", "checks": checks})).into_response();
    }
    unready(json!({"status": "unready", "checks": checks, "failing": failing}))
}

fn unready(body: Value) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

async fn metrics(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|types| types.to_str().ok());
    let format = Format::accepted_by(accept.unwrap_or_default());
    let headers = [(header::CONTENT_TYPE, format.content_type())];
    (headers, Metrics::global().render(format)).into_response()
}
