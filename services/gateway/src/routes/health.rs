//! `GET /v1/health`: one look at all services.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use futures::future::join_all;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tracewell_kit::problem::{PROBLEM_JSON, Problem};
use tracewell_telemetry::TracedClient;
use utoipa::ToSchema;

use crate::app::GatewayState;
use crate::routing::Upstream;

/// A service that takes longer to say whether it is ready is not.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The health of the platform behind the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthSummary {
    /// `ready` when every service is.
    pub status: Health,
    /// The services behind the gateway, sorted by name.
    pub services: Vec<ServiceHealth>,
}

/// The health of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceHealth {
    /// Its name.
    #[schema(example = "auth")]
    pub name: String,
    /// What it says of itself.
    pub status: Health,
    /// How long it took to say so, in milliseconds.
    #[schema(example = 3)]
    pub latency_ms: u64,
}

/// Whether requests are welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// They are.
    Ready,
    /// The service answers, but asks for none; of the whole platform: a service is not ready.
    NotReady,
    /// The service does not answer.
    Unreachable,
}

/// Asks every service whether it is ready.
///
/// 200 when all are, else 503; the body is the same in both cases.
#[utoipa::path(
    get,
    path = "/health",
    tag = "health",
    responses(
        (status = 200, description = "Every service is ready", body = HealthSummary),
        (status = 429, description = "`rate_limited`: Retry-After says when to come again",
            body = Problem, content_type = PROBLEM_JSON),
        (status = 503, description = "At least one is not", body = HealthSummary),
    )
)]
pub async fn health(State(state): State<GatewayState>) -> (StatusCode, Json<HealthSummary>) {
    let services = join_all(
        state
            .upstreams
            .iter()
            .map(|upstream| ask(&state.client, upstream)),
    )
    .await;
    let all_ready = services.iter().all(|service| service.status == Health::Ready);
    let (code, status) = if all_ready {
        (StatusCode::OK, Health::Ready)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Health::NotReady)
    };
    (code, Json(HealthSummary { status, services }))
}

async fn ask(client: &TracedClient, upstream: &Arc<Upstream>) -> ServiceHealth {
    let started = Instant::now();
    let answer = client
        .get(upstream.address("/readyz", None))
        .timeout(TIMEOUT)
        .send()
        .await;
    let status = match answer {
        Ok(answer) if answer.status().is_success() => Health::Ready,
        Ok(_) => Health::NotReady,
        Err(_) => Health::Unreachable,
    };
    let latency_ms = started.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
    ServiceHealth {
        name: upstream.name.clone(),
        status,
        latency_ms,
    }
}
