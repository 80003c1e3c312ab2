//! The operator as a process: it waits for its CRD, answers its probes, follows changes, and ends when told to.

use std::{
    fmt::Debug,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
    time::Duration,
};

use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Service},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, CustomResourceExt as _, Resource,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject},
    runtime::wait::await_condition,
};
use platform_core::api::{Condition, Platform};
use platform_envtest::{ControlPlane, Operator, assets, create_namespace, install_crd};
use serde::de::DeserializeOwned;
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

/// Waits until the object is as asked for.
async fn wait_for<K>(api: &Api<K>, name: &str, what: &str, is_so: impl Fn(&K) -> bool)
where
    K: Clone + Debug + DeserializeOwned + Resource + Send + 'static,
{
    let condition = |object: Option<&K>| object.is_some_and(&is_so);
    let waiting = await_condition(api.clone(), name, condition);
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

/// What is logged is changed by whoever reaches the pod's own loopback, and by nobody else.
async fn the_log_follows_who_may_say(operator: &Operator) {
    let url = |host: IpAddr| format!("http://{}/log-filter", SocketAddr::from((host, operator.port())));
    let (client, own) = (reqwest::Client::new(), url(Ipv4Addr::LOCALHOST.into()));
    let now = async || client.get(&own).send().await.unwrap().text().await.unwrap();
    assert_eq!(now().await, "info\n");
    let put = async |url: &str, directives: &'static str| {
        let answer = client.put(url).body(directives).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(
        put(&own, "info,kube=debug").await,
        (200, "info,kube=debug\n".to_owned())
    );
    let (status, told) = put(&own, "kube=loud").await;
    assert_eq!(status, 422);
    assert!(told.contains("\"kube=loud\" are no filter directives"), "{told}");
    let (status, _) = put(&url(other_address()), "trace").await;
    assert_eq!((status, now().await.as_str()), (403, "info,kube=debug\n"));
}

/// An address of this machine besides its loopback: that from which it would leave. No packet is sent.
fn other_address() -> IpAddr {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.connect("192.0.2.1:9").unwrap();
    socket.local_addr().unwrap().ip()
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

    let platforms =
        Api::<DynamicObject>::namespaced_with(client.clone(), "shop", &ApiResource::erase::<Platform>(&()));
    let told = |found: &DynamicObject| {
        let conditions = found.data.pointer("/status/conditions").cloned();
        let conditions: Vec<Condition> =
            serde_json::from_value(conditions.unwrap_or_default()).unwrap_or_default();
        let said = |type_: &str, status: &str| {
            conditions.iter().any(|condition| {
                condition.type_ == type_
                    && condition.status == status
                    && condition.reason == "SpecUnreadable"
                    && condition
                        .message
                        .contains("does not understand spec.services: \"nonsense\" must be a list")
            })
        };
        said("Accepted", "False") && said("Stalled", "True") && said("Ready", "False")
    };
    wait_for(&platforms, "poison", "told what is not understood", told).await;
    apply(&client, "poison", json!({"services": [{"name": "billing"}]})).await;
    wait_for(
        &deployments,
        "poison-billing",
        "made once its Platform is cured",
        |_| true,
    )
    .await;

    conflict_goes_with_its_cause(&client, &deployments).await;

    the_log_follows_who_may_say(&operator).await;
    operator.answer("/livez", "200").await.unwrap();
    let metrics = operator.answer("/metrics", "200").await.unwrap();
    assert!(
        metrics.contains("tracewell_operator_drift_repairs_total{kind=\"Deployment\"}"),
        "{metrics}"
    );
    assert_eq!(operator.terminate().unwrap(), Some(0));
}
