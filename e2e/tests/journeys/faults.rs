//! What cannot work is said in one sentence, and works by itself once its cause is gone.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use platform_core::api::Platform;
use serde_json::{Value, json};
use tracewell_e2e::platform::{Handle, billing_untraced, condition, is_false, is_true};

const LIMIT: Duration = Duration::from_mins(2);

/// Whether the Platform is not ready, and says why in these words.
fn blames(platform: &Platform, words: &[&str]) -> bool {
    let message = condition(platform, "Ready").map_or("", |ready| ready.message.as_str());
    is_false(platform, "Ready") && words.iter().all(|word| message.contains(word))
}

#[tokio::test]
async fn a_broken_image_is_named_in_the_status_and_its_repair_is_enough() -> Result<()> {
    const IMAGE: &str = "localhost/tracewell/there-is-no-such-image:1";
    let mut broken = billing_untraced();
    broken["services"][0]["image"] = IMAGE.into();
    let platform = Handle::create("image", billing_untraced()).await?;
    platform.until_ready().await?;

    platform.apply(broken).await?;
    let seen = platform
        .until("the broken image is blamed", LIMIT, |platform| {
            blames(platform, &["billing", IMAGE]) && is_true(platform, "Stalled")
        })
        .await?;
    assert_eq!(
        condition(&seen, "Ready").map(|ready| ready.reason.as_str()),
        Some("ImagePullFailed")
    );
    assert!(is_false(&seen, "ServicesAvailable"));

    platform.apply(billing_untraced()).await?;
    let repaired = platform.until_ready().await?;
    assert!(is_false(&repaired, "Stalled"));
    platform.remove().await
}

#[tokio::test]
async fn an_invalid_platform_is_refused_with_what_is_allowed() -> Result<()> {
    let platform = Handle::fresh_namespace("invalid").await?;
    let cases: [(Value, &str); 7] = [
        (
            json!({"telemetry": {"tracing": {"samplingPercent": 101}}}),
            "less than or equal to 100",
        ),
        (
            json!({"telemetry": {"collector": {"mode": "Daemon"}}}),
            "supported values: \"Sidecar\", \"Gateway\", \"None\"",
        ),
        (
            json!({"exposure": {"type": "NodePort", "nodePort": {"gateway": 80}}}),
            "greater than or equal to 30000",
        ),
        (
            json!({"services": [{"name": "web"}]}),
            "image and port are required",
        ),
        (
            json!({"services": [{"name": "auth", "dependsOn": ["auth"]}]}),
            "dependsOn must not name the service itself",
        ),
        (
            json!({"services": [{"name": "auth", "dependsOn": ["mail"]}]}),
            "dependsOn may only name services of",
        ),
        (
            json!({"services": [{"name": "auth", "replicas": 2}]}),
            "replicas must be 0 or 1",
        ),
    ];
    for (spec, allowed) in cases {
        let error = platform
            .apply(spec.clone())
            .await
            .err()
            .with_context(|| format!("{spec} was accepted"))?;
        let message = format!("{error:#}");
        assert!(
            message.contains(allowed),
            "{spec}\nexpected: {allowed}\ngot: {message}"
        );
    }
    platform.remove().await
}

/// What keeps the pods of a service back is told by its cause, each beside the others.
#[tokio::test]
async fn what_keeps_pods_back_is_told_by_its_cause() -> Result<()> {
    let cases = [
        (
            "crash",
            json!({"env": [{"name": "AUTH_URL", "value": "nonsense"}]}),
            "ContainerCrashed",
            "AUTH_URL",
        ),
        (
            "probe",
            json!({"probes": {"readinessPath": "/not-there"}}),
            "ProbeFailing",
            "/not-there",
        ),
        (
            "unschedulable",
            json!({"resources": {"requests": {"cpu": "900"}}}),
            "Unschedulable",
            "Insufficient cpu",
        ),
    ];
    let told = cases.map(|(name, more, reason, words)| async move {
        let mut spec = billing_untraced();
        let service = spec["services"][0].as_object_mut().context("a service")?;
        service.extend(more.as_object().context("an object")?.clone());
        let platform = Handle::create(&format!("cause-{name}"), spec).await?;
        platform
            .until("the cause is told", LIMIT, |platform| {
                condition(platform, "Stalled").is_some_and(|stalled| {
                    stalled.status == "True" && stalled.reason == reason && stalled.message.contains(words)
                })
            })
            .await?;
        platform.apply(billing_untraced()).await?;
        platform.until_ready().await?;
        platform.remove().await
    });
    for told in futures::future::join_all(told).await {
        told?;
    }
    Ok(())
}

/// The local cluster has no metrics API, as many have none.
#[tokio::test]
async fn an_autoscaler_that_is_told_of_no_load_is_named_and_stops_nothing() -> Result<()> {
    let autoscaled = json!({"name": "gateway", "autoscaling": {"minReplicas": 2, "maxReplicas": 3}});
    let mut spec = billing_untraced();
    spec["services"] = json!([autoscaled]);
    let platform = Handle::create("autoscaler", spec).await?;
    let told = platform
        .until("the autoscaler is named", LIMIT, |platform| {
            condition(platform, "ServicesAvailable")
                .is_some_and(|services| services.status == "True" && services.reason == "AutoscalerBlind")
        })
        .await?;
    let message = condition(&told, "ServicesAvailable").map_or("", |services| services.message.as_str());
    assert!(
        message.contains("gateway: ") && message.contains("metrics"),
        "{message}"
    );
    assert!(is_true(&told, "Ready"), "its pods serve");
    let status = told.status.context("a status")?;
    assert_eq!(
        status.services[0].desired_replicas, 2,
        "as few as the autoscaler may leave"
    );
    platform.remove().await
}

#[tokio::test]
async fn a_full_quota_is_blamed_and_a_raised_one_is_enough() -> Result<()> {
    let platform = Handle::fresh_namespace("quota").await?;
    let quotas: Api<ResourceQuota> = platform.cluster.namespaced(&platform.namespace);
    let quota =
        |pods: u32| json!({"metadata": {"name": "pods"}, "spec": {"hard": {"pods": pods.to_string()}}});
    quotas
        .create(&PostParams::default(), &serde_json::from_value(quota(0))?)
        .await?;
    platform.apply(billing_untraced()).await?;
    let seen = platform
        .until("the quota is blamed", LIMIT, |platform| {
            blames(platform, &["billing", "quota"])
        })
        .await?;
    assert_eq!(
        condition(&seen, "Ready").map(|ready| ready.reason.as_str()),
        Some("QuotaExceeded")
    );

    quotas
        .patch("pods", &PatchParams::default(), &Patch::Merge(quota(10)))
        .await?;
    platform.until_ready().await?;
    platform.remove().await
}
