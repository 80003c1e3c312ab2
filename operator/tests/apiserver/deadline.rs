//! A rollout that does not progress, as Kubernetes' own controllers see it: no kubelet runs the pods, and none of them says
//! why.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, CustomResourceExt as _, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
    runtime::wait::await_condition,
};
use platform_core::{api::Platform, kinds::Kind};
use platform_envtest::{ControlPlane, assets, create_namespace, install_crd, start_controllers};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::fixture::World;

/// Four times the deadline of the Platform, for a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

const CONTROLLERS: [&str; 2] = ["deployment-controller", "replicaset-controller"];

/// The shortest deadline that a Platform may have.
fn spec() -> Value {
    json!({
        "services": [{"name": "gateway"}],
        "telemetry": {"tracing": {"jaeger": {"type": "Disabled"}}},
        "rollout": {"progressDeadlineSeconds": 30},
    })
}

async fn until_deployment(world: &World, is_so: fn(&Value) -> bool) {
    let deployments: Api<Deployment> = Api::namespaced(world.client.clone(), &world.namespace);
    let holds = |found: Option<&Deployment>| found.is_some_and(|found| is_so(&json!(found.status)));
    let waited = timeout(PATIENCE, await_condition(deployments, "demo-gateway", holds)).await;
    waited.unwrap().unwrap();
}

fn is_overdue(status: &Value) -> bool {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["reason"] == "ProgressDeadlineExceeded")
}

/// Says what a kubelet says of a pod that serves.
async fn run_pods(world: &World) {
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    for pod in pods.list(&ListParams::default()).await.unwrap() {
        let ready =
            json!({"type": "Ready", "status": "True", "lastTransitionTime": Timestamp::now().to_string()});
        let status = json!({"status": {"phase": "Running", "conditions": [ready]}});
        pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&status))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_rollout_that_is_overdue_is_told_and_may_still_succeed() {
    let Some(assets) = assets() else { return };
    let plane = ControlPlane::start(&assets).await.unwrap();
    let client = plane.client().await.unwrap();
    install_crd(&client, &Platform::crd()).await.unwrap();
    create_namespace(&client, "deadline").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let _controllers = start_controllers(&assets, &plane, folder.path(), &CONTROLLERS).unwrap();
    let world = World::new(client, "deadline");
    world.apply("demo", spec()).await;
    world.reconcile("demo").await.unwrap();
    assert_eq!(world.condition("demo", "Stalled").await["status"], "False");

    until_deployment(&world, is_overdue).await;
    world.reconcile("demo").await.unwrap();
    let stalled = world.condition("demo", "Stalled").await;
    assert_eq!(
        (&stalled["status"], &stalled["reason"]),
        (&json!("True"), &json!("ProgressDeadlineExceeded"))
    );
    let message = stalled["message"].as_str().unwrap();
    assert!(
        message.starts_with("gateway: ") && message.contains("timed out progressing"),
        "{message}"
    );
    let deployment = world.objects(Kind::Deployment).get("demo-gateway").await.unwrap();
    assert_eq!(deployment.data["spec"]["progressDeadlineSeconds"], 30);

    run_pods(&world).await;
    until_deployment(&world, |status| status["availableReplicas"] == 1).await;
    world.reconcile("demo").await.unwrap();
    for (type_, status) in [("Ready", "True"), ("Stalled", "False")] {
        assert_eq!(world.lacking("demo", type_, status).await, "");
    }
}
