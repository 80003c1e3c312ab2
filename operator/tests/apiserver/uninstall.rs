//! Platforms, their namespaces, the operator and its CRD are taken away in every order, with Kubernetes' own garbage
//! collector: nothing waits for somebody who is gone, nothing is left, and data that was to be kept is kept.

use std::{collections::BTreeMap, path::Path, time::Duration};

use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, CustomResourceExt as _, ResourceExt as _,
    api::{DeleteParams, ListParams},
    core::DynamicObject,
};
use platform_core::{
    api::Platform,
    kinds::{KINDS, Kind},
    labels,
};
use platform_envtest::{ControlPlane, Operator, assets, create_namespace, install_crd, start_controllers};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{PROGRAM, fixture::World};

/// The garbage collector learns twice a minute which kinds there are.
const PATIENCE: Duration = Duration::from_mins(3);

/// The pause between two looks.
const POLL: Duration = Duration::from_millis(200);

/// What takes away what is left when something is deleted.
const COLLECTORS: [&str; 3] = [
    "garbage-collector-controller",
    "namespace-controller",
    "persistentvolumeclaim-protection-controller",
];

fn spec(deletion_policy: &str) -> Value {
    json!({
        "services": [{"name": "auth"}],
        "deletionPolicy": deletion_policy,
        "database": {"type": "Postgres", "postgres": {}},
    })
}

/// The uid of each object of the operator's in a namespace, by kind and name.
async fn managed(world: &World) -> BTreeMap<String, Option<String>> {
    let ours = ListParams::default().labels(&format!("{}={}", labels::MANAGED_BY, labels::OPERATOR));
    let mut found = BTreeMap::new();
    for info in KINDS
        .iter()
        .filter(|info| info.is_managed() && info.is_everywhere())
    {
        for object in world.objects(info.kind).list(&ours).await.unwrap() {
            found.insert(format!("{}/{}", info.kind, object.name_any()), object.uid());
        }
    }
    found
}

/// Waits until the namespace has these objects of the operator's, and no others.
async fn until_left(world: &World, what: &str, expected: &BTreeMap<String, Option<String>>) {
    until(what, async || {
        let left = managed(world).await;
        (left != *expected).then(|| format!("there are {:?}", left.keys()))
    })
    .await;
}

/// Waits until nothing is lacking.
async fn until(what: &str, lacking: impl AsyncFn() -> Option<String>) {
    let started = Instant::now();
    while let Some(lacking) = lacking().await {
        assert!(started.elapsed() < PATIENCE, "{what}: {lacking}");
        sleep(POLL).await;
    }
}

struct Cluster {
    client: Client,
    plane: ControlPlane,
    folder: tempfile::TempDir,
}

impl Cluster {
    fn start_operator(&self) -> Operator {
        let kubeconfig = self.plane.kubeconfig();
        Operator::start(Path::new(PROGRAM), kubeconfig, self.folder.path(), &[]).unwrap()
    }

    /// A Platform in a namespace of its own, with everything that it has until its pods would have to run.
    async fn with_platform(&self, namespace: &str, deletion_policy: &str) -> World {
        create_namespace(&self.client, namespace).await.unwrap();
        let world = World::new(self.client.clone(), namespace);
        world.apply("demo", spec(deletion_policy)).await;
        until("everything is made", async || {
            world.roll_out().await;
            let lacking = world.lacking("demo", "Ready", "True").await;
            (!lacking.is_empty()).then_some(lacking)
        })
        .await;
        world
    }

    async fn delete_crd(&self) {
        let crds = Api::<CustomResourceDefinition>::all(self.client.clone());
        let name = Platform::crd().name_any();
        crds.delete(&name, &DeleteParams::default()).await.unwrap();
        until("the CRD is gone", async || {
            let found = crds.get_opt(&name).await.unwrap();
            found.map(|crd| format!("{:?}", crd.status.map(|status| status.conditions)))
        })
        .await;
    }
}

async fn delete_platform(world: &World) {
    let platforms = world.platforms();
    platforms.delete("demo", &DeleteParams::default()).await.unwrap();
}

/// Those of the kinds that are kept.
fn data(objects: &BTreeMap<String, Option<String>>) -> BTreeMap<String, Option<String>> {
    let is_kept = |name: &str| {
        [Kind::PersistentVolumeClaim, Kind::Secret]
            .iter()
            .any(|kind| name.starts_with(&format!("{kind}/")))
    };
    let mut kept = objects.clone();
    kept.retain(|name, _| is_kept(name));
    kept
}

#[tokio::test]
async fn whatever_goes_first_nothing_waits_and_nothing_is_left_but_data_that_is_retained() {
    let Some(assets) = assets() else { return };
    let plane = ControlPlane::start(&assets).await.unwrap();
    let client = plane.client().await.unwrap();
    install_crd(&client, &Platform::crd()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let _collectors = start_controllers(&assets, &plane, folder.path(), &COLLECTORS).unwrap();
    let cluster = Cluster {
        client: client.clone(),
        plane,
        folder,
    };
    let nothing = BTreeMap::new();
    let mut operator = cluster.start_operator();
    let first = cluster.with_platform("platform-first", "Delete").await;
    let orphaned = cluster.with_platform("operator-first", "Delete").await;
    let whole = cluster.with_platform("namespace-later", "Delete").await;
    let retained = cluster.with_platform("retained", "RetainStorage").await;
    let volumes = data(&managed(&retained).await);
    assert!(
        volumes.len() >= 3,
        "the database's volume and passwords: {volumes:?}"
    );

    delete_platform(&first).await;
    until_left(&first, "the Platform goes while the operator runs", &nothing).await;

    assert_eq!(operator.terminate().unwrap(), Some(0));
    delete_platform(&orphaned).await;
    until_left(&orphaned, "the Platform goes after the operator", &nothing).await;

    let namespaces = Api::<Namespace>::all(client.clone());
    namespaces
        .delete(&whole.namespace, &DeleteParams::default())
        .await
        .unwrap();
    until("the namespace goes after the operator", async || {
        let found = namespaces.get_opt(&whole.namespace).await.unwrap();
        found.map(|namespace| format!("{:?}", namespace.status))
    })
    .await;

    // The CRD goes while the operator runs, which leaves everything alone and goes on when it is there again.
    let mut operator = cluster.start_operator();
    operator.answer("/readyz", "200").await.unwrap();
    let with_crd = cluster.with_platform("crd-first", "Delete").await;
    cluster.delete_crd().await;
    until_left(&with_crd, "all goes with the CRD", &nothing).await;
    until_left(&retained, "data outlives even the CRD", &volumes).await;
    operator.answer("/livez", "200").await.unwrap();
    install_crd(&client, &Platform::crd()).await.unwrap();
    retained.apply("demo", spec("RetainStorage")).await;
    until("it is made again", async || {
        retained.roll_out().await;
        let lacking = retained.lacking("demo", "Ready", "True").await;
        (!lacking.is_empty()).then_some(lacking)
    })
    .await;
    assert_eq!(
        data(&managed(&retained).await),
        volumes,
        "its data is found again"
    );

    // The operator goes, then the CRD with the last Platform.
    assert_eq!(operator.terminate().unwrap(), Some(0));
    cluster.delete_crd().await;
    until_left(&retained, "the CRD goes after the operator", &volumes).await;
    let claims: Api<DynamicObject> = retained.objects(Kind::PersistentVolumeClaim);
    for claim in claims.list(&ListParams::default()).await.unwrap() {
        claims
            .delete(&claim.name_any(), &DeleteParams::default())
            .await
            .unwrap();
    }
    let secrets = data(&volumes)
        .into_iter()
        .filter(|(name, _)| name.starts_with("Secret/"))
        .collect();
    until_left(&retained, "a volume is deleted by hand", &secrets).await;
}
