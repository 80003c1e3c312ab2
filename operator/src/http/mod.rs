//! Probes, metrics and the level of the log, on a port of their own.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use axum::{
    Json, Router,
    extract::{ConnectInfo, State},
    http::StatusCode,
    routing::get,
};
use kube::runtime::reflector::Store;
use serde_json::{Value, json};
use tokio::sync::watch;
use tracewell_telemetry::{LogFilter, Readiness, Telemetry};

use crate::{
    cluster::Hearing,
    controller::{Progress, Watched},
};

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

/// `/livez`, `/log-filter`, and what every Tracewell process has: `/healthz`, `/readyz`, `/metrics`.
pub fn router(
    telemetry: &Telemetry,
    readiness: Readiness,
    progress: Arc<Progress>,
    hearing: Arc<Hearing>,
) -> Router {
    let routes = Router::new()
        .route("/livez", get(livez))
        .with_state((progress, hearing))
        .merge(telemetry.ops_routes(readiness));
    match telemetry.log_filter() {
        Some(filter) => routes.merge(log_filter_routes(filter)),
        None => routes,
    }
}

fn log_filter_routes(filter: LogFilter) -> Router {
    Router::new()
        .route("/log-filter", get(show_log_filter).put(set_log_filter))
        .with_state(filter)
}

/// The directives of `RUST_LOG` that are in force.
async fn show_log_filter(State(filter): State<LogFilter>) -> String {
    format!("{}\n", filter.directives())
}

/// Puts other directives in force, until the process ends. Whoever may forward a port of the pod comes from its own
/// loopback; nobody else of the cluster has a say in what is logged.
async fn set_log_filter(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    State(filter): State<LogFilter>,
    directives: String,
) -> (StatusCode, String) {
    if !peer.ip().is_loopback() {
        let how = "only from the pod itself, as through kubectl port-forward\n";
        return (StatusCode::FORBIDDEN, how.to_owned());
    }
    match filter.set(directives.trim()) {
        Ok(()) => {
            tracing::info!(
                directives = filter.directives(),
                "the log follows other directives"
            );
            (StatusCode::OK, format!("{}\n", filter.directives()))
        }
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")),
    }
}

/// 503 when Platforms are not looked at any more, or watches hear nothing any more: a restart is then the cure.
async fn livez(
    State((progress, hearing)): State<(Arc<Progress>, Arc<Hearing>)>,
) -> (StatusCode, Json<Value>) {
    let now = Instant::now();
    let forgotten = progress.forgotten(now);
    let forgotten: Vec<_> = forgotten.iter().map(ToString::to_string).collect();
    let deaf = hearing.deaf(now);
    let status = if forgotten.is_empty() && deaf.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({"forgotten": forgotten, "deaf": deaf})))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_watch_that_hears_nothing_is_a_reason_to_restart() {
        let (progress, hearing) = (Arc::new(Progress::default()), Arc::new(Hearing::default()));
        let ask = || livez(State((progress.clone(), hearing.clone())));
        let _listener = hearing.listen("/api/v1/services", Instant::now());
        assert_eq!(ask().await.0, StatusCode::OK);
        let long_ago = Instant::now().checked_sub(Duration::from_hours(1)).unwrap();
        let _listener = hearing.listen("/api/v1/pods", long_ago);
        let (status, Json(body)) = ask().await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body, json!({"forgotten": [], "deaf": ["/api/v1/pods"]}));
    }
}
