//! Probes and metrics, on a port of their own.

use std::{sync::Arc, time::Instant};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use kube::runtime::reflector::Store;
use serde_json::json;
use tokio::sync::watch;
use tracewell_telemetry::{Readiness, Telemetry};

use crate::controller::{Progress, Watched};

/// Ready once the first list of Platforms is in.
pub fn readiness(platforms: watch::Receiver<Option<Store<Watched>>>) -> Readiness {
    Readiness::new().check("platforms", move || {
        let mut platforms = platforms.clone();
        async move {
            let store = platforms.wait_for(Option::is_some).await?.clone();
            if let Some(store) = store {
                store.wait_until_ready().await?;
            }
            Ok(())
        }
    })
}

/// `/livez`, and what every Tracewell process has: `/healthz`, `/readyz`, `/metrics`.
pub fn router(telemetry: &Telemetry, readiness: Readiness, progress: Arc<Progress>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .with_state(progress)
        .merge(telemetry.ops_routes(readiness))
}

/// 503 when Platforms are not looked at any more: a restart is then the cure.
async fn livez(State(progress): State<Arc<Progress>>) -> impl IntoResponse {
    let forgotten: Vec<_> = progress
        .forgotten(Instant::now())
        .iter()
        .map(ToString::to_string)
        .collect();
    let status = if forgotten.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({"forgotten": forgotten})))
}
