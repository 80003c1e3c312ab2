//! Tail sampling.

use serde_json::json;

use crate::{
    rendered::Configs,
    running::{Running, jaeger},
    spans::Span,
};

/// Traces that nobody would miss.
const OTHERS: u32 = 20;

/// The number of a counter whose line has all of these parts; 0 where there is none.
fn counted(metrics: &str, parts: &[&str]) -> u32 {
    let mut lines = metrics
        .lines()
        .filter(|line| parts.iter().all(|part| line.contains(part)));
    let value = lines.next().and_then(|line| line.rsplit(' ').next());
    value.map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn tail_sampling_keeps_errors_and_slow_traces_and_no_others() {
    let Some(program) = jaeger() else { return };
    let folder = tempfile::tempdir().unwrap();
    let managed = Configs::of_spec(&json!({})).jaeger();
    let jaeger = Running::start(&program, &folder, "jaeger", &managed, &[]).await;
    let spec = json!({"telemetry": {
        "tracing": {"jaeger": {"type": "External", "external": {"endpoint": jaeger.url(4318, "")}}},
        "collector": {"mode": "Gateway", "gateway": {"tailSampling": {
            "errors": "Keep", "slowerThanMilliseconds": 500, "otherPercent": 0,
        }}},
    }});
    let config = Configs::of_spec(&spec).collector();
    let collector = Running::start(&program, &folder, "collector", &config, &[]).await;

    let others: Vec<_> = (1..=OTHERS).map(|number| Span::new(number, 400)).collect();
    let kept = [
        Span::new(101, 1).with("status", json!({"code": 2})),
        Span::new(102, 600),
        Span::new(103, 1).with("traceState", json!("tracewell=probe")),
    ];
    for span in others.iter().chain(&kept) {
        collector.post(&span.to_request()).await;
    }
    for span in &kept {
        jaeger.wait_for_trace(&span.trace_id).await;
    }
    collector
        .wait_for("through with deciding", async || {
            let metrics = collector.metrics(8888).await;
            let decided = |sampled: &str| {
                counted(
                    &metrics,
                    &[
                        "tail_sampling_global_count_traces_sampled",
                        &format!("sampled=\"{sampled}\""),
                    ],
                )
            };
            (decided("true"), decided("false")) == (3, OTHERS)
        })
        .await;
    for span in &others {
        assert_eq!(jaeger.trace(&span.trace_id).await, None, "a trace like any other");
    }
}
