//! What Jaeger keeps, and what it makes of spans.

use std::{collections::BTreeMap, path::Path};

use platform_core::evidence::{Questions, Volume};
use platform_operator::evidence::{Clients, ask};
use serde_json::{Value, json};

use crate::{
    rendered::Configs,
    running::{Running, jaeger},
    spans::Span,
};

/// Jaeger on a volume, with more of its own settings.
fn on_a_volume(jaeger: &Value) -> Value {
    let mut managed = json!({"storage": {"type": "Badger", "badger": {"retentionHours": 24}}});
    managed
        .as_object_mut()
        .unwrap()
        .extend(jaeger.as_object().unwrap().clone());
    Configs::of_spec(&with_prometheus(&managed)).jaeger()
}

fn with_prometheus(managed: &Value) -> Value {
    json!({"telemetry": {
        "tracing": {"jaeger": {"managed": managed}},
        "metrics": {"prometheus": {"type": "Managed"}},
    }})
}

#[tokio::test]
async fn traces_on_a_volume_survive_a_restart_of_jaeger() {
    let Some(program) = jaeger() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = on_a_volume(&json!({}));
    let span = Span::new(1, 5);

    let jaeger = Running::start(&program, &folder, "jaeger", &config, &[]).await;
    jaeger.post(&span.to_request()).await;
    let before = jaeger.wait_for_trace(&span.trace_id).await;
    jaeger.terminate();

    let jaeger = Running::start(&program, &folder, "jaeger", &config, &[]).await;
    assert_eq!(jaeger.trace(&span.trace_id).await, Some(before));
}

#[tokio::test]
async fn a_volume_is_full_once_jaeger_says_that_less_is_left_than_there_should_be() {
    let Some(program) = jaeger() else { return };
    tokio::join!(
        tells_of_its_room(&program, on_a_volume(&json!({})), 8888),
        tells_of_its_room(&program, on_a_volume(&monitored()), 8889),
    );
}

async fn tells_of_its_room(program: &Path, config: Value, metrics_port: u64) {
    let folder = tempfile::tempdir().unwrap();
    let jaeger = Running::start(program, &folder, "jaeger", &config, &[]).await;
    let is_full = async |least_room: u64| {
        let questions = Questions {
            query_url: jaeger.url(16_686, ""),
            services: BTreeMap::new(),
            volume: Some(Volume {
                url: jaeger.url(metrics_port, "/metrics"),
                least_room,
            }),
        };
        ask(&Clients::default(), &questions).await.volume_is_full
    };
    assert!(!is_full(u64::MAX).await, "it has not looked yet");
    jaeger
        .wait_for("telling how much is left", async || is_full(u64::MAX).await)
        .await;
    assert!(!is_full(1).await);
    let metrics = jaeger.metrics(metrics_port).await;
    // What the alert about the volume looks at.
    let key_log = "jaeger_storage_badger_key_log_bytes_available{";
    assert!(metrics.lines().any(|line| line.starts_with(key_log)), "{metrics}");
}

fn monitored() -> Value {
    json!({"monitor": "Enabled"})
}

#[tokio::test]
async fn metrics_of_spans_and_its_own_are_on_one_port() {
    let Some(program) = jaeger() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = Configs::of_spec(&with_prometheus(&monitored())).jaeger();
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
