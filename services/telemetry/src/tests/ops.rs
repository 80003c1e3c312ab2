//! Health, readiness and metrics routes.

use axum::http::StatusCode;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::harness::{Harness, get};
use crate::Readiness;

async fn ask(harness: &Harness, readiness: &Readiness, path: &str) -> (StatusCode, String) {
    let response = harness
        .telemetry
        .ops_routes(readiness.clone())
        .oneshot(get(path))
        .await
        .unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn readiness_names_the_failing_checks() {
    let harness = Harness::new();
    let readiness = Readiness::new()
        .check("database", || async {
            Err("connection to db:5432 refused for user shop".into())
        })
        .check("schema", || async { Ok(()) });
    let (status, body) = ask(&harness, &readiness, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let body: Value = serde_json::from_str(&body).unwrap();
    let checks = json!({"database": "failing", "schema": "ok"});
    assert_eq!(
        body,
        json!({"status": "unready", "checks": checks, "failing": ["database"]})
    );
    assert_eq!(
        harness.log_line("not ready")["check"],
        "database",
        "the reason is in the log only"
    );
    assert_eq!(
        ask(&harness, &readiness, "/healthz").await.0,
        StatusCode::OK,
        "health never asks a backend"
    );
}

#[tokio::test]
async fn draining_ends_readiness_for_every_clone() {
    let harness = Harness::new();
    let readiness = Readiness::new().check("database", || async { Ok(()) });
    let (status, body) = ask(&harness, &readiness, "/readyz").await;
    assert_eq!(
        (status, body.as_str()),
        (StatusCode::OK, r#"{"checks":{"database":"ok"},"status":"ready"}"#)
    );
    readiness.clone().drain();
    let (status, body) = ask(&harness, &readiness, "/readyz").await;
    assert_eq!(
        (status, body.as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#)
    );
    assert_eq!(ask(&harness, &readiness, "/healthz").await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_fails() {
    let harness = Harness::new();
    let readiness = Readiness::new().check("database", std::future::pending);
    assert_eq!(
        ask(&harness, &readiness, "/readyz").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn operations_leave_no_trace() {
    let harness = Harness::new();
    let readiness = Readiness::new();
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(ask(&harness, &readiness, path).await.0, StatusCode::OK, "{path}");
    }
    assert!(harness.spans().is_empty() && harness.log_lines().is_empty());
}
