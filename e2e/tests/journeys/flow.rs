//! `TelemetryFlowing` is evidence: true where spans arrive, false with the hop that loses them where they do not.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::LogParams;
use platform_core::api::Platform;
use serde_json::json;
use tracewell_e2e::platform::{Handle, billing_alone, condition, is_true};

/// Asked once everything serves; an answer that does not come takes 20 s, and the next question a minute.
const LIMIT: Duration = Duration::from_mins(3);

fn flow_is(platform: &Platform, status: &str, reason: &str) -> bool {
    condition(platform, "TelemetryFlowing").is_some_and(|flow| flow.status == status && flow.reason == reason)
}

#[tokio::test]
async fn spans_of_every_service_are_seen() -> Result<()> {
    let demo = Handle::demo().await?;
    let seen = demo
        .until("spans of all four services are seen", LIMIT, |platform| {
            flow_is(platform, "True", "SpansArrive")
        })
        .await?;
    let services = seen.status.unwrap_or_default().services;
    let heard: Vec<_> = services
        .iter()
        .filter(|service| service.traces_seen == Some(true))
        .collect();
    assert_eq!(heard.len(), 4, "{services:?}");
    Ok(())
}

#[tokio::test]
async fn a_service_without_documents_is_asked_for_a_span_alone() -> Result<()> {
    let mut spec = billing_alone();
    spec["apiDocs"] = json!("Disabled");
    let platform = Handle::create("no-documents", spec).await?;
    platform.until_ready().await?;
    platform
        .until("its span is seen", LIMIT, |platform| {
            flow_is(platform, "True", "SpansArrive")
        })
        .await?;
    let pods = platform
        .cluster
        .pods(&platform.namespace, &platform.name, "billing")
        .await?;
    let pod = pods.first().context("a pod of billing")?.name_any();
    let of_service = LogParams {
        container: Some("billing".to_owned()),
        ..LogParams::default()
    };
    let log = platform
        .cluster
        .namespaced::<Pod>(&platform.namespace)
        .logs(&pod, &of_service)
        .await?;
    assert!(log.contains("/healthz/span"), "{log}");
    assert!(
        !log.contains("/api-docs.json"),
        "what it does not have is not asked for: {log}"
    );
    platform.remove().await
}

/// The collector beside the service, and collectors that choose among traces, are in other journeys.
#[tokio::test]
async fn spans_arrive_without_a_collector_and_by_several() -> Result<()> {
    let ways = [
        ("no-collector", json!({"mode": "None"})),
        (
            "two-collectors",
            json!({"mode": "Gateway", "gateway": {"replicas": 2}}),
        ),
    ];
    let seen = ways.map(|(name, collector)| async move {
        let mut spec = billing_alone();
        spec["telemetry"] = json!({"collector": collector});
        let platform = Handle::create(name, spec).await?;
        platform.until_ready().await?;
        platform
            .until("the span is seen", LIMIT, |platform| {
                flow_is(platform, "True", "SpansArrive")
            })
            .await?;
        platform.remove().await
    });
    for seen in futures::future::join_all(seen).await {
        seen?;
    }
    Ok(())
}

#[tokio::test]
async fn whole_traces_are_sampled_by_collectors_of_their_own_and_kept_on_a_volume() -> Result<()> {
    let tail_sampling = json!({"errors": "Keep", "slowerThanMilliseconds": 2000, "otherPercent": 0});
    let platform = Handle::create(
        "tail-sampling",
        json!({
            "services": [{"name": "billing"}],
            "telemetry": {
                "tracing": {"jaeger": {"managed": {"storage": {"type": "Badger", "badger": {"size": "1Gi"}}}}},
                "collector": {"mode": "Gateway", "redaction": "Strict", "gateway": {"tailSampling": tail_sampling}},
            },
        }),
    )
    .await?;
    platform.until_ready().await?;
    // Nothing but failures, slow traces and what the operator asks with is kept: so its own span says that this works.
    platform
        .until("the span of the question passes the sampler", LIMIT, |platform| {
            flow_is(platform, "True", "SpansArrive")
        })
        .await?;
    platform.remove().await
}

#[tokio::test]
async fn the_hop_that_loses_spans_is_named() -> Result<()> {
    let platform = Handle::create(
        "lost-spans",
        json!({
            "services": [{"name": "billing"}],
            "telemetry": {"tracing": {"jaeger": {"type": "External", "external": {
                // Nobody listens there, and another Platform's Jaeger is asked.
                "endpoint": "http://127.0.0.1:9",
                "queryURL": "http://demo-jaeger.shop.svc:16686",
            }}}},
        }),
    )
    .await?;
    let seen = platform
        .until("the loss is told", LIMIT, |platform| {
            flow_is(platform, "False", "SpansMissing")
        })
        .await?;
    let message = condition(&seen, "TelemetryFlowing")
        .map(|flow| flow.message.clone())
        .unwrap_or_default();
    assert!(
        message.contains("billing its collector received spans and could send none on"),
        "{message}"
    );
    assert!(is_true(&seen, "Ready"), "telemetry takes no service down");
    platform.remove().await
}
