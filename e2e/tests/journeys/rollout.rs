//! The operator dies midway through a rollout, and the rollout ends well.

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use std::time::Duration;
use tracewell_e2e::cluster::OPERATOR_NAMESPACE;
use tracewell_e2e::platform::{Handle, billing_untraced, is_true};
use tracewell_e2e::wait::{Look, until};

const LIMIT: Duration = Duration::from_mins(1);

fn with_rust_log(level: &str) -> Value {
    let mut spec = billing_untraced();
    spec["services"][0]["env"] = json!([{"name": "RUST_LOG", "value": level}]);
    spec
}

/// The value of a variable in the pods that the Deployment asks for.
fn rust_log(deployment: &Deployment) -> Option<String> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    let service = pod.containers.first()?;
    service
        .env
        .iter()
        .flatten()
        .find(|variable| variable.name == "RUST_LOG")?
        .value
        .clone()
}

#[tokio::test]
async fn a_rollout_that_loses_its_operator_midway_is_finished_by_the_next() -> Result<()> {
    let platform = Handle::create("rollout", with_rust_log("info")).await?;
    platform.until_ready().await?;
    let deployments = platform.cluster.namespaced::<Deployment>(&platform.namespace);
    let name = platform.object_name("billing");
    let old_pods = platform
        .cluster
        .pods(&platform.namespace, &platform.name, "billing")
        .await?;

    platform.apply(with_rust_log("debug")).await?;
    until("the rollout has begun", LIMIT, async || {
        let level = rust_log(&deployments.get(&name).await?);
        Ok(if level.as_deref() == Some("debug") {
            Look::Done(())
        } else {
            Look::NotYet(format!("{level:?}"))
        })
    })
    .await?;
    let before = platform.get().await?;
    let observed = before
        .status
        .as_ref()
        .and_then(|status| status.observed_generation);
    assert!(
        !is_true(&before, "Ready") || observed != before.metadata.generation,
        "the old pods end for seconds, so the rollout cannot be over already"
    );
    let dead = platform.cluster.operator_pods().await?;
    for pod in &dead {
        let now = DeleteParams::default().grace_period(0);
        platform
            .cluster
            .namespaced::<Pod>(OPERATOR_NAMESPACE)
            .delete(&pod.name_any(), &now)
            .await?;
    }

    let ready = platform.until_ready().await?;
    let status = ready.status.context("a ready Platform has a status")?;
    assert_eq!(status.ready_services.as_deref(), Some("1/1"));
    let new_pods = platform
        .cluster
        .pods(&platform.namespace, &platform.name, "billing")
        .await?;
    assert!(!new_pods.is_empty());
    for pod in &new_pods {
        assert!(
            old_pods.iter().all(|old| old.uid() != pod.uid()),
            "{} is of the old version",
            pod.name_any()
        );
    }
    for pod in platform.cluster.operator_pods().await? {
        assert!(
            dead.iter().all(|old| old.uid() != pod.uid()),
            "{} should be dead",
            pod.name_any()
        );
    }
    platform.remove().await
}
