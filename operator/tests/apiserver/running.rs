//! The operator as a process: it waits for its CRD, answers its probes, follows changes, and ends when told to.

use std::{path::Path, time::Duration};

use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Service},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, CustomResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject},
    runtime::wait::await_condition,
};
use platform_core::api::Platform;
use platform_envtest::{ControlPlane, Operator, assets, create_namespace, install_crd};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{PROGRAM, fixture::manifest};

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// The Platform CRD without its schema, as a cluster has it whose CRD is older or newer than the operator.
fn crd_without_schema() -> CustomResourceDefinition {
    let mut crd = serde_json::to_value(Platform::crd()).unwrap();
    crd["spec"]["versions"][0]["schema"] =
        json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    serde_json::from_value(crd).unwrap()
}

async fn apply(client: &Client, name: &str, spec: Value) {
    let resource = ApiResource::erase::<Platform>(&());
    let platforms = Api::<DynamicObject>::namespaced_with(client.clone(), "shop", &resource);
    let body = manifest("shop", name, &spec);
    platforms
        .patch(name, &PatchParams::apply("kubectl"), &Patch::Apply(&body))
        .await
        .unwrap();
}

/// Waits until the Deployment is as asked for.
async fn wait_for(
    deployments: &Api<Deployment>,
    name: &str,
    what: &str,
    is_so: impl Fn(&Deployment) -> bool,
) {
    let condition = |deployment: Option<&Deployment>| deployment.is_some_and(&is_so);
    let waiting = await_condition(deployments.clone(), name, condition);
    timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("{name} is not {what}"))
        .unwrap();
}

/// A Platform finds an object of somebody else's under a name that it needs, and is made once that is gone.
async fn conflict_goes_with_its_cause(client: &Client, deployments: &Api<Deployment>) {
    let theirs: Service = serde_json::from_value(json!({
        "metadata": {"name": "late-auth"}, "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]},
    }))
    .unwrap();
    let services = Api::<Service>::namespaced(client.clone(), "shop");
    services.create(&PostParams::default(), &theirs).await.unwrap();
    apply(client, "late", json!({"services": [{"name": "auth"}]})).await;
    let platforms = Api::<Platform>::namespaced(client.clone(), "shop");
    let stalled = await_condition(platforms, "late", |platform: Option<&Platform>| {
        let status = platform.and_then(|platform| platform.status.as_ref());
        let mut conditions = status.into_iter().flat_map(|status| &status.conditions);
        conditions.any(|condition| condition.type_ == "Stalled" && condition.reason == "ApplyConflict")
    });
    timeout(PATIENCE, stalled)
        .await
        .expect("the conflict is told")
        .unwrap();
    services
        .delete("late-auth", &DeleteParams::default())
        .await
        .unwrap();
    wait_for(
        deployments,
        "late-auth",
        "made once somebody else's Service is gone, which no watch tells",
        |_| true,
    )
    .await;
}

#[tokio::test]
async fn the_operator_follows_changes_and_a_poisoned_platform_stops_nobody() {
    let Some(assets) = assets() else { return };
    let plane = ControlPlane::start(&assets).await.unwrap();
    let client = plane.client().await.unwrap();
    create_namespace(&client, "shop").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut operator =
        Operator::start(Path::new(PROGRAM), plane.kubeconfig(), directory.path(), &[]).unwrap();
    // It is started before its CRD, as by a chart.
    install_crd(&client, &crd_without_schema()).await.unwrap();
    operator.answer("/readyz", "200").await.unwrap();

    apply(&client, "poison", json!({"services": "nonsense"})).await;
    apply(&client, "demo", json!({"services": [{"name": "auth"}]})).await;
    let deployments = Api::<Deployment>::namespaced(client.clone(), "shop");
    wait_for(&deployments, "demo-auth", "made", |_| true).await;

    let first = deployments.get("demo-auth").await.unwrap().metadata.uid;
    deployments
        .delete("demo-auth", &DeleteParams::background())
        .await
        .unwrap();
    wait_for(&deployments, "demo-auth", "made again", |found| {
        found.metadata.uid != first
    })
    .await;

    let edit = json!({"spec": {"replicas": 3}});
    deployments
        .patch("demo-auth", &PatchParams::default(), &Patch::Merge(&edit))
        .await
        .unwrap();
    let replicas = |found: &Deployment| found.spec.as_ref().and_then(|spec| spec.replicas);
    wait_for(&deployments, "demo-auth", "edited back", |found| {
        replicas(found) == Some(1)
    })
    .await;

    apply(&client, "poison", json!({"services": [{"name": "billing"}]})).await;
    wait_for(
        &deployments,
        "poison-billing",
        "made once its Platform is cured",
        |_| true,
    )
    .await;

    conflict_goes_with_its_cause(&client, &deployments).await;

    operator.answer("/livez", "200").await.unwrap();
    let metrics = operator.answer("/metrics", "200").await.unwrap();
    assert!(
        metrics.contains("tracewell_operator_drift_repairs_total{kind=\"Deployment\"}"),
        "{metrics}"
    );
    assert!(
        metrics.contains("tracewell_operator_reconciles_total{result=\"invalid\"}"),
        "the poison is counted"
    );
    assert_eq!(operator.terminate().unwrap(), Some(0));
}
