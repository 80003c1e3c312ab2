//! `/metrics` as Prometheus' own checker reads it.

use http::Method;

use crate::fixture::{Answer, Greeter, Tools, promtool_complaints};

#[tokio::test]
async fn promtool_has_nothing_to_say_about_the_metrics() {
    let Some(tools) = Tools::find() else { return };
    let greeter = Greeter::start(&[]).await;
    greeter.get("/hello/ada").await;
    greeter.get("/hello/nobody").await;
    greeter.get("/debug/panic").await;
    Answer::to(greeter.request(Method::DELETE, "/nowhere")).await;

    let exposition = greeter.get("/metrics").await.body;
    for name in [
        "http_server_request_duration_seconds_bucket",
        "http_server_active_requests",
        "db_client_operation_duration_seconds_count",
        "process_resident_memory_bytes",
        "telemetry_spans_dropped_total",
    ] {
        assert!(exposition.contains(name), "no {name} in\n{exposition}");
    }
    assert_eq!(promtool_complaints(&tools, &exposition), "", "on\n{exposition}");
}
