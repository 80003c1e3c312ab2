//! The Prometheus text: names, labels, buckets. The registry is the process's own, so each test has a route
//! of its own.

use axum::{Router, routing::get as on_get};

use super::harness::{Harness, attribute, get, serve};
use crate::{
    ConnectionCounts, PoolMeter, counter, db, histogram,
    metrics::{Format, Metrics},
};

fn rendered() -> String {
    Metrics::global().render(Format::Text)
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
        &format!("http_server_request_duration_seconds_bucket{{{server},le=\"10.0\"}} 2"),
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
async fn from_a_bucket_one_gets_to_the_last_sampled_request_that_fell_into_it() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let harness = Harness::new();
    let handler = || async {
        let query = db("SELECT", "exemplary", "SELECT 1");
        query.run(async { Ok::<_, String>(()) }).await.unwrap();
    };
    let router = Router::new().route("/exemplary", on_get(handler));
    // What is not sampled leads nowhere.
    for (trace, flags) in [("1", "01"), (TRACE, "01"), ("2", "00")] {
        let request = axum::extract::Request::get("/exemplary")
            .header("traceparent", format!("00-{trace:0>32}-b7ad6b7169203331-{flags}"));
        harness
            .call(router.clone(), request.body(axum::body::Body::empty()).unwrap())
            .await;
    }
    let spans = harness.spans();
    let text = Metrics::global().render(Format::OpenMetrics);
    for (series, name) in [
        ("http_server_request_duration_seconds_bucket", "GET /exemplary"),
        ("db_client_operation_duration_seconds_bucket", "SELECT exemplary"),
    ] {
        let span = spans
            .iter()
            .rfind(|span| span.name == name)
            .map(|span| &span.span_context);
        let exemplar = format!(
            " # {{trace_id=\"{TRACE}\",span_id=\"{}\"}} 0.",
            span.unwrap().span_id()
        );
        assert!(
            text.lines()
                .any(|line| line.starts_with(series) && line.contains(&exemplar)),
            "no {exemplar} in {text}"
        );
    }
    let unsampled = format!("{:0>32}", 2);
    assert!(!text.contains(&unsampled), "{text}");
    assert!(
        !rendered().contains(TRACE),
        "the other format has no place for it"
    );
}

#[tokio::test]
async fn failures_of_queries_are_told_apart_by_the_names_that_code_has_for_them() {
    #[derive(Debug, thiserror::Error)]
    #[error("no")]
    enum Refusal {
        PoolTimedOut,
        Database(&'static str),
        Io { _kind: u8 },
    }
    async fn fail(query: &'static str, error: impl std::fmt::Display + std::fmt::Debug) {
        let call = db("SELECT", "refused", query);
        call.run(async { Err::<(), _>(error) }).await.unwrap_err();
    }
    let harness = Harness::new();
    fail("1", Refusal::PoolTimedOut).await;
    fail("2", Refusal::Database("row 7 of ada")).await;
    fail("3", Refusal::Io { _kind: 1 }).await;
    fail("4", format_args!("Cannot open ada")).await;
    fail("5", "Ada").await;
    let kinds = ["PoolTimedOut", "Database", "Io", "error", "error"];
    let spans = harness.spans();
    let told: Vec<_> = spans
        .iter()
        .map(|span| attribute(span, "error.type").unwrap())
        .collect();
    assert_eq!(told, kinds);
    let text = rendered();
    for (kind, count) in [("PoolTimedOut", 1), ("Database", 1), ("Io", 1), ("error", 2)] {
        let labels = format!(
            r#"db_collection_name="refused",db_operation_name="SELECT",db_system_name="sqlite",error_type="{kind}""#
        );
        assert_line(
            &text,
            &format!("db_client_operation_duration_seconds_count{{{labels}}} {count}"),
        );
    }
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
    assert_line(&text, r#"test_hash_wait_seconds_bucket{le="1.0"} 1"#);
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
        "telemetry_spans_dropped_total{reason=\"shutdown\"} ",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "no {name} in {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_runtime_is_measured_where_a_scrape_is_answered() {
    let busy = || {
        let text = rendered();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("tokio_worker_busy_time_seconds_total "));
        (line.unwrap().parse::<f64>().unwrap(), text)
    };
    // Asked by a task: only what runs on a worker makes it busy.
    let (before, text) = tokio::spawn(async move { busy() }).await.unwrap();
    assert_line(&text, "tokio_workers 2");
    assert!(text.contains("\ntokio_tasks_alive ") && text.contains("\ntokio_global_queue_depth "));
    let grows = async { while tokio::spawn(async move { busy() }).await.unwrap().0 <= before {} };
    tokio::time::timeout(std::time::Duration::from_secs(30), grows)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_pool_tells_its_connections_and_who_waits_for_them() {
    let pool = |used| move || ConnectionCounts { used, idle: 3 };
    let _replaced = PoolMeter::new("test-pool", pool(9));
    let meter = PoolMeter::new("test-pool", pool(1));
    let (give, given) = tokio::sync::oneshot::channel();
    let waiting = meter.wait(given, |_| false);
    let mut waiting = Box::pin(waiting);
    assert!(futures::poll!(&mut waiting).is_pending());
    let text = rendered();
    let of = |state: &str| {
        format!(
            r#"db_client_connection_count{{db_client_connection_pool_name="test-pool",db_client_connection_state="{state}"}}"#
        )
    };
    assert_line(&text, &format!("{} 1", of("used")));
    assert_line(&text, &format!("{} 3", of("idle")));
    let name = r#"{db_client_connection_pool_name="test-pool"}"#;
    assert_line(&text, &format!("db_client_connection_pending_requests{name} 1"));
    give.send(()).unwrap();
    waiting.await.unwrap();
    meter
        .wait(async { Err::<(), _>("timeout") }, |error| *error == "timeout")
        .await
        .unwrap_err();
    let text = rendered();
    assert_line(&text, &format!("db_client_connection_pending_requests{name} 0"));
    assert_line(
        &text,
        &format!("db_client_connection_wait_time_seconds_count{name} 2"),
    );
    assert_line(&text, &format!("db_client_connection_timeouts_total{name} 1"));
}

#[test]
fn labels_without_bound_end_in_one_series() {
    let careless = counter("test.cardinality", "By something that never repeats.");
    for id in 0..5000 {
        careless.add(1, &[("id", &id.to_string())]);
    }
    let text = rendered();
    let series = text
        .lines()
        .filter(|line| line.starts_with("test_cardinality_total{"))
        .count();
    assert!(series <= 2001, "{series} series");
    assert_line(
        &text,
        r#"test_cardinality_total{otel_metric_overflow="true"} 3000"#,
    );
}
