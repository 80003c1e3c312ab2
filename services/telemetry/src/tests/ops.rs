//! Health, readiness and metrics routes.

use axum::http::StatusCode;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::harness::{DSN, Harness, get};
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

#[tokio::test]
async fn debug_routes_fail_on_purpose_and_in_full_view() {
    let harness = Harness::with_env(&[DSN, ("DEBUG_ENDPOINTS", "1"), ("SENTRY_TRACES_SAMPLE_RATE", "0")]);
    let ask = async |path| ask(&harness, &Readiness::new(), path).await;
    for (path, status, events) in [
        ("/debug", 200, 0),
        ("/debug/error", 500, 1),
        ("/debug/panic", 500, 1),
        ("/debug/4xx", 404, 1),
        ("/debug/message", 200, 1),
        ("/debug/breadcrumbs", 200, 1),
        ("/debug/slow?milliseconds=1", 200, 0),
        ("/debug/cpu?milliseconds=1", 200, 0),
        ("/debug/cpu?milliseconds=fast", 400, 1),
        ("/debug/sentry", 200, 0),
        ("/debug/pprof/profile?seconds=0", 400, 1),
    ] {
        let before = harness.sent("event").len();
        assert_eq!(ask(path).await.0, status, "{path}");
        assert_eq!(harness.sent("event").len() - before, events, "{path}");
    }
    assert_eq!(
        harness.span("debug.first_half").parent_span_id,
        harness.span("GET /debug/slow").span_context.span_id()
    );
    let (_, configured) = ask("/debug/sentry").await;
    let configured: Value = serde_json::from_str(&configured).unwrap();
    assert_eq!(
        (&configured["sending"], &configured["dsn"], &configured["release"]),
        (
            &json!(true),
            &json!("http://127.0.0.1:1/42"),
            &json!("shop@1.2.3")
        )
    );
    let trail = harness
        .sent("event")
        .into_iter()
        .find(|event| event["transaction"] == Value::Null && event.get("exception").is_some())
        .unwrap();
    let messages: Vec<_> = trail["breadcrumbs"]["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|crumb| crumb["message"].clone())
        .collect();
    assert_eq!(
        messages,
        ["loading the debug page", "asked the disk", "the disk is warm"]
    );
    assert!(!trail.to_string().contains("never sent"));
}

#[tokio::test]
async fn debug_routes_are_there_only_where_they_are_asked_for() {
    let harness = Harness::new();
    let (status, _) = ask(&harness, &Readiness::new(), "/debug/panic").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_scraper_gets_openmetrics_where_it_accepts_that() {
    let harness = Harness::new();
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    for (accept, kind, is_ended) in [
        (
            prometheus,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            true,
        ),
        ("*/*", "text/plain; version=0.0.4", false),
    ] {
        let mut request = get("/metrics");
        request.headers_mut().insert("accept", accept.parse().unwrap());
        let router = harness.telemetry.ops_routes(Readiness::new());
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], kind);
        let body = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap();
        assert_eq!(body.ends_with(b"# EOF\n"), is_ended, "{accept}");
    }
}
