//! From one version of the operator to the next and back: two builds whose objects differ are the same build with another
//! release of the images.

use std::{collections::BTreeMap, path::Path, time::Duration};

use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, runtime::wait::await_condition};
use platform_envtest::Operator;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    PROGRAM,
    fixture::{World, control_plane, world},
};

const PATIENCE: Duration = Duration::from_mins(1);

const NAMESPACE: &str = "upgraded";

/// The uid of each object, by kind and name, without the Jobs of migrations: a change of the image is a new one.
async fn uids(world: &World) -> BTreeMap<String, Value> {
    let mut snapshot = world.snapshot().await;
    snapshot.retain(|name, _| !name.starts_with("Job/"));
    let uids = snapshot
        .into_iter()
        .map(|(name, object)| (name, object["metadata"]["uid"].clone()));
    uids.collect()
}

/// Runs the operator of one release until the gateway's pods are of it, and everything else is settled.
async fn run(world: &World, release: &str) {
    let plane = control_plane().await.expect("it is there");
    let folder = tempfile::tempdir().unwrap();
    let environment = [
        ("WATCH_NAMESPACE", NAMESPACE),
        ("LEASE_NAMESPACE", NAMESPACE),
        ("IMAGE_TAG", release),
    ];
    let mut operator = Operator::start(
        Path::new(PROGRAM),
        plane.kubeconfig(),
        folder.path(),
        &environment,
    )
    .unwrap();
    let is_of_it = |found: Option<&Deployment>| {
        let pod = found.and_then(|found| found.spec.as_ref()?.template.spec.as_ref());
        let image = pod.and_then(|pod| pod.containers.first()?.image.clone());
        image.is_some_and(|image| image.ends_with(&format!(":{release}")))
    };
    let deployments = Api::<Deployment>::namespaced(world.client.clone(), NAMESPACE);
    for service in ["auth", "billing", "chat", "gateway"] {
        let name = format!("demo-{service}");
        let rolled = await_condition(deployments.clone(), &name, is_of_it);
        let walk = Box::pin(async {
            tokio::pin!(rolled);
            loop {
                tokio::select! {
                    reached = &mut rolled => break reached.map(drop),
                    // What is new waits for what it depends on.
                    () = world.roll_out() => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
        timeout(PATIENCE, walk)
            .await
            .unwrap_or_else(|_| panic!("{name} is not of release {release}"))
            .unwrap();
    }
    assert_eq!(operator.terminate().unwrap(), Some(0));
}

#[tokio::test]
async fn an_operator_adopts_what_another_version_made_in_both_directions() {
    let Some(world) = world(NAMESPACE).await else {
        return;
    };
    world
        .apply("demo", json!({"database": {"type": "Postgres"}}))
        .await;
    run(&world, "1").await;
    let first = uids(&world).await;
    assert!(first.len() > 20, "{first:?}");
    for release in ["2", "1"] {
        run(&world, release).await;
        assert_eq!(
            uids(&world).await,
            first,
            "release {release}: nothing is made anew, nothing is lost"
        );
    }
}
