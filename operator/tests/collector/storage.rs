//! What Jaeger keeps, and what it makes of spans.

use serde_json::json;

use crate::{
    rendered::Configs,
    running::{Running, jaeger},
    spans::Span,
};

#[tokio::test]
async fn traces_on_a_volume_survive_a_restart_of_jaeger() {
    let Some(program) = jaeger() else { return };
    let folder = tempfile::tempdir().unwrap();
    let storage = json!({"type": "Badger", "badger": {"retentionHours": 24}});
    let spec = json!({"telemetry": {"tracing": {"jaeger": {"managed": {"storage": storage}}}}});
    let config = Configs::of_spec(&spec).jaeger();
    let span = Span::new(1, 5);

    let jaeger = Running::start(&program, &folder, "jaeger", &config, &[]).await;
    jaeger.post(&span.to_request()).await;
    let before = jaeger.wait_for_trace(&span.trace_id).await;
    jaeger.terminate();

    let jaeger = Running::start(&program, &folder, "jaeger", &config, &[]).await;
    assert_eq!(jaeger.trace(&span.trace_id).await, Some(before));
}

#[tokio::test]
async fn metrics_of_spans_and_its_own_are_on_one_port() {
    let Some(program) = jaeger() else { return };
    let folder = tempfile::tempdir().unwrap();
    let spec = json!({"telemetry": {
        "tracing": {"jaeger": {"managed": {"monitor": "Enabled"}}},
        "metrics": {"prometheus": {"type": "Managed"}},
    }});
    let config = Configs::of_spec(&spec).jaeger();
    let jaeger = Running::start(&program, &folder, "jaeger", &config, &[]).await;
    jaeger.post(&Span::new(1, 5).to_request()).await;
    jaeger
        .wait_for("telling of the span", async || {
            let metrics = jaeger.metrics(8889).await;
            let has = |begin: &str, part: &str| {
                metrics
                    .lines()
                    .any(|line| line.starts_with(begin) && line.contains(part))
            };
            has("traces_span_metrics_calls_total{", "span_name=\"GET /orders\"")
                && has(
                    "traces_span_metrics_duration_milliseconds_bucket{",
                    "service_name=\"auth\"",
                )
                && has("otelcol_receiver_accepted_spans", "receiver=\"otlp\"")
        })
        .await;
}
