//! What `profile: Production` makes of a service that is named and nothing else.

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use serde_json::json;
use tracewell_e2e::platform::{Handle, is_true};

use crate::database::until_ready;

#[tokio::test]
async fn a_service_for_users_has_two_pods_on_one_database_server() -> Result<()> {
    let spec = json!({
        "profile": "Production",
        "services": [{"name": "auth"}],
        "database": {"postgres": {"storage": {"size": "256Mi"}}},
        "telemetry": {"tracing": {"jaeger": {"type": "Disabled"}}},
    });
    let platform = Handle::create_with_secrets("production", spec).await?;
    until_ready(&platform).await?;
    let seen = platform.get().await?;
    assert!(is_true(&seen, "DatabaseReady"));
    let status = seen.status.context("a status")?;
    let auth = &status.services[0];
    assert_eq!((auth.desired_replicas, auth.ready_replicas), (2, 2));

    let name = platform.object_name("auth");
    let budgets: Api<PodDisruptionBudget> = platform.cluster.namespaced(&platform.namespace);
    let budget = budgets
        .get(&name)
        .await?
        .status
        .context("the controller's count")?;
    assert_eq!(
        (budget.current_healthy, budget.disruptions_allowed),
        (2, 1),
        "one may be evicted at a time"
    );
    let deployments: Api<Deployment> = platform.cluster.namespaced(&platform.namespace);
    let pods = deployments
        .get(&name)
        .await?
        .spec
        .context("a spec")?
        .template
        .spec;
    let spread = pods.and_then(|pods| pods.topology_spread_constraints);
    assert!(spread.is_some_and(|constraints| !constraints.is_empty()));
    platform.remove().await
}
