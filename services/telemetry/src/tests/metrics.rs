//! The Prometheus text: names, labels, buckets. The registry is the process's own, so each test has a route
//! of its own.

use axum::{Router, routing::get as on_get};

use super::harness::{Harness, get, serve};
use crate::{counter, db, histogram, metrics::Metrics};

fn rendered() -> String {
    Metrics::global().render().unwrap()
}

#[track_caller]
fn assert_line(text: &str, line: &str) {
    let name = line.split(['{', ' ']).next().unwrap();
    let near: Vec<_> = text.lines().filter(|other| other.starts_with(name)).collect();
    assert!(
        text.lines().any(|other| other == line),
        "no {line:?} among {near:#?}"
    );
}

#[tokio::test]
async fn requests_calls_and_queries_are_measured_by_template() {
    let harness = Harness::new();
    let back = serve(Router::new()).await;
    let client = harness.telemetry.client(reqwest::Client::new());
    let handler = move || async move {
        client
            .request(reqwest::Method::PATCH, format!("http://{back}/1"))
            .send()
            .await
            .unwrap();
        let failing = db("DELETE", "measured", "DELETE FROM measured").run(async { Err::<(), _>("locked") });
        failing.await.unwrap_err()
    };
    let router = Router::new().route("/measured/{id}", on_get(handler));
    harness.call(router.clone(), get("/measured/1")).await;
    harness.call(router, get("/measured/2")).await;

    let text = rendered();
    let server = r#"http_request_method="GET",http_response_status_code="200",http_route="/measured/{id}""#;
    assert_line(
        &text,
        &format!("http_server_request_duration_seconds_count{{{server}}} 2"),
    );
    assert_line(
        &text,
        &format!("http_server_request_duration_seconds_bucket{{{server},le=\"10\"}} 2"),
    );
    let call = r#"http_request_method="PATCH",http_response_status_code="404",server_address="127.0.0.1""#;
    assert_line(
        &text,
        &format!("http_client_request_duration_seconds_count{{{call}}} 2"),
    );
    let query = r#"db_collection_name="measured",db_operation_name="DELETE",db_system_name="sqlite",error_type="error""#;
    assert_line(
        &text,
        &format!("db_client_operation_duration_seconds_count{{{query}}} 2"),
    );
    assert!(!text.contains("/measured/1"), "a path is no label");
}

#[tokio::test]
async fn active_requests_return_to_zero() {
    let harness = Harness::new();
    let during = || async { rendered() };
    let request = axum::extract::Request::options("/active")
        .body(axum::body::Body::empty())
        .unwrap();
    let (_, body) = harness
        .call(
            Router::new().route("/active", axum::routing::options(during)),
            request,
        )
        .await;
    let during = String::from_utf8(body).unwrap();
    assert_line(
        &during,
        r#"http_server_active_requests{http_request_method="OPTIONS"} 1"#,
    );
    assert_line(
        &rendered(),
        r#"http_server_active_requests{http_request_method="OPTIONS"} 0"#,
    );
}

#[test]
fn services_define_their_own_metrics() {
    let signin = counter("test.signin", "Sign-ins by outcome.");
    signin.add(2, &[("outcome", "ok")]);
    signin.clone().add(1, &[("outcome", "refused")]);
    histogram("test.hash.wait", "Wait for a hash.", "s", &[0.1, 1.0]).record(0.5, &[]);
    let text = rendered();
    assert_line(&text, "# HELP test_signin_total Sign-ins by outcome.");
    assert_line(&text, r#"test_signin_total{outcome="ok"} 2"#);
    assert_line(&text, r#"test_signin_total{outcome="refused"} 1"#);
    assert_line(&text, r#"test_hash_wait_seconds_bucket{le="0.1"} 0"#);
    assert_line(&text, r#"test_hash_wait_seconds_bucket{le="1"} 1"#);
}

#[test]
fn process_and_losses_are_there_from_the_start() {
    let text = rendered();
    for name in [
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
        "process_open_fds ",
        "telemetry_log_lines_dropped_total ",
        "telemetry_spans_dropped_total{reason=\"queue_full\"} ",
        "telemetry_spans_dropped_total{reason=\"export_failed\"} ",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "no {name} in {text}"
        );
    }
}
