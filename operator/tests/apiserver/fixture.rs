//! What the tests of this binary share: a namespace with Platforms in it, and one reconcile at a time.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, CustomResourceExt as _, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    core::DynamicObject,
};
use platform_core::{
    api::Platform,
    kinds::{KINDS, Kind},
    labels,
    references::references,
    settings::{SecretsGrant, Settings},
    step::Requeue,
};
use platform_envtest::{ControlPlane, assets, create_namespace, install_crd};
use platform_operator::{
    cluster::{Cluster, KubeCluster, PlatformKey, known_kinds},
    controller::{Holdings, Knowledge, ReconcileError, Referrers, Snapshot, reconcile},
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// A Platform of services that wait for each other is ready after so many reconciles.
const MAX_RECONCILES: usize = 16;

/// A namespace on a control plane.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// A new namespace; `None` is a loud skip.
pub(crate) async fn world(namespace: &str) -> Option<World> {
    let plane = control_plane().await?;
    let client = plane.client().await.unwrap();
    create_namespace(&client, namespace).await.unwrap();
    Some(World::new(client, namespace))
}

/// The shared control plane, started by the first test that asks; `None` where the binaries are missing and nobody
/// demanded them.
pub(crate) async fn control_plane() -> Option<&'static ControlPlane> {
    static SHARED: OnceCell<Option<ControlPlane>> = OnceCell::const_new();
    SHARED
        .get_or_init(|| async {
            let plane = ControlPlane::start(&assets()?).await.unwrap();
            let client = plane.client().await.unwrap();
            install_crd(&client, &Platform::crd()).await.unwrap();
            install_crd(&client, &http_route_crd()).await.unwrap();
            Some(plane)
        })
        .await
        .as_ref()
}

/// The part of the Gateway API's CRD that has the fields of our routes, and takes no others.
fn http_route_crd() -> CustomResourceDefinition {
    let text = json!({"type": "string"});
    let object = |fields: Value| json!({"type": "object", "properties": fields});
    let list = |items: Value| json!({"type": "array", "items": items});
    let parent = object(json!({
        "group": text, "kind": text, "name": text, "namespace": text, "sectionName": text,
    }));
    let rule = object(json!({
        "matches": list(object(json!({"path": object(json!({"type": text, "value": text}))}))),
        "backendRefs": list(object(json!({
            "group": text, "kind": text, "name": text, "port": {"type": "integer"},
        }))),
    }));
    let spec =
        object(json!({"parentRefs": list(parent), "hostnames": list(text.clone()), "rules": list(rule)}));
    serde_json::from_value(json!({
        "metadata": {
            "name": "httproutes.gateway.networking.k8s.io",
            // The group is protected: its CRDs have to name who approved them.
            "annotations": {"api-approved.kubernetes.io": "unapproved, a test's"},
        },
        "spec": {
            "group": "gateway.networking.k8s.io",
            "names": {"kind": "HTTPRoute", "plural": "httproutes", "singular": "httproute"},
            "scope": "Namespaced",
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": object(json!({
                    "spec": spec, "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }))},
            }],
        },
    }))
    .unwrap()
}

/// Settings that stay the same from one version of the operator to the next.
pub(crate) fn settings() -> Settings {
    Settings {
        operator_version: "1.2.3".into(),
        image_repository: "registry.example/tracewell".into(),
        image_tag: "1.2.3".into(),
        jaeger_image: "registry.example/jaeger:2".into(),
        postgres_image: "registry.example/postgres:4".into(),
        prometheus_image: "registry.example/prometheus:3".into(),
        collector_image: "registry.example/collector:2".into(),
        secrets_grant: SecretsGrant {
            cluster_role: "tracewell-secrets".into(),
            service_account: "tracewell-system:tracewell".into(),
        },
    }
}

/// A manifest of a Platform.
pub(crate) fn manifest(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "tracewell.dev/v1alpha1",
        "kind": "Platform",
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    })
}

impl World {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
        }
    }

    pub(crate) fn platforms(&self) -> Api<Platform> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates or changes a Platform as `kubectl apply --server-side` does.
    pub(crate) async fn try_apply(&self, name: &str, spec: Value) -> Result<Platform, kube::Error> {
        let manifest = manifest(&self.namespace, name, &spec);
        let params = PatchParams::apply("kubectl").validation_strict();
        self.platforms()
            .patch(name, &params, &Patch::Apply(&manifest))
            .await
    }

    pub(crate) async fn apply(&self, name: &str, spec: Value) -> Platform {
        self.try_apply(name, spec).await.unwrap()
    }

    pub(crate) fn cluster(&self) -> KubeCluster {
        KubeCluster::new(self.client.clone(), Some("test".into()))
    }

    pub(crate) async fn reconcile(&self, name: &str) -> Result<Requeue, ReconcileError> {
        self.reconcile_with(&self.cluster(), name).await
    }

    pub(crate) async fn reconcile_with<C: Cluster>(
        &self,
        cluster: &C,
        name: &str,
    ) -> Result<Requeue, ReconcileError> {
        let key = PlatformKey::new(self.namespace.clone(), name);
        let knowledge = Knowledge {
            settings: &settings(),
            kinds: &known_kinds(&self.client).await.unwrap(),
            evidence: None,
            referrers: &Referrers::default(),
            holdings: &Holdings::default(),
            fresh_for: Duration::ZERO,
            uid: None,
            is_edited: false,
        };
        let looking = reconcile(cluster, &knowledge, &key, Snapshot::default(), Timestamp::now);
        let reconciled = Box::pin(looking).await?;
        Ok(reconciled.requeue)
    }

    pub(crate) fn objects(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind.info().api_resource())
    }

    /// Reconciles, with every workload rolled out and everything there that the Platform refers to, until it is ready.
    pub(crate) async fn bring_up(&self, name: &str) -> Result<(), ReconcileError> {
        self.bring_up_with(&self.cluster(), name).await
    }

    /// The same, through another client.
    pub(crate) async fn bring_up_with<C: Cluster>(
        &self,
        cluster: &C,
        name: &str,
    ) -> Result<(), ReconcileError> {
        self.provide_references(name).await;
        for _ in 0..MAX_RECONCILES {
            self.reconcile_with(cluster, name).await?;
            self.roll_out().await;
            if self.condition(name, "Ready").await["status"] == "True" {
                return Ok(());
            }
        }
        panic!("{name} is not ready: {}", self.condition(name, "Ready").await);
    }

    /// Takes a Platform away, and its Services: node ports are shared by all namespaces, and nothing collects garbage here.
    pub(crate) async fn delete_everything(&self, name: &str) {
        let gone = DeleteParams::default();
        self.platforms().delete(name, &gone).await.unwrap();
        let services = self.objects(Kind::Service);
        let of_it = ListParams::default().labels(&labels::name_selector(name));
        for service in services.list(&of_it).await.unwrap() {
            services.delete(&service.name_any(), &gone).await.unwrap();
        }
    }

    /// The condition of a Platform, as stored.
    pub(crate) async fn condition(&self, platform: &str, type_: &str) -> Value {
        let status = json!(self.platforms().get_status(platform).await.unwrap().status);
        let conditions = status["conditions"].as_array().expect("conditions").clone();
        conditions
            .into_iter()
            .find(|condition| condition["type"] == type_)
            .expect(type_)
    }

    /// Why the condition has not this status yet; empty when it has.
    pub(crate) async fn lacking(&self, platform: &str, type_: &str, status: &str) -> String {
        let found = json!(self.platforms().get_status(platform).await.unwrap().status);
        let conditions = found["conditions"].as_array().into_iter().flatten();
        let mut of_type = conditions.filter(|condition| condition["type"] == type_);
        match of_type.next() {
            Some(condition) if condition["status"] == status => String::new(),
            condition => format!("{platform} {type_}: {condition:?}"),
        }
    }

    /// Makes the Secrets and `ConfigMap`s that the Platform refers to.
    pub(crate) async fn provide_references(&self, name: &str) {
        let platform = self.platforms().get(name).await.unwrap();
        for reference in references(&platform) {
            let info = reference.kind.info();
            let object = json!({
                "apiVersion": info.version, "kind": info.name, "metadata": {"name": reference.name},
            });
            self.objects(reference.kind)
                .patch(
                    &reference.name,
                    &PatchParams::apply("somebody"),
                    &Patch::Apply(&object),
                )
                .await
                .unwrap();
        }
    }

    /// Says that every workload is rolled out and every Job done, as their controllers would.
    pub(crate) async fn roll_out(&self) {
        for autoscaler in self
            .objects(Kind::HorizontalPodAutoscaler)
            .list(&ListParams::default())
            .await
            .unwrap()
        {
            // No autoscaler leaves fewer pods than it may, whatever it knows of their load.
            let least = json!({"spec": {"replicas": autoscaler.data["spec"]["minReplicas"]}});
            let target = autoscaler.data["spec"]["scaleTargetRef"]["name"]
                .as_str()
                .unwrap();
            let (deployments, params) = (self.objects(Kind::Deployment), PatchParams::default());
            expect_unless_gone(
                deployments
                    .patch_scale(target, &params, &Patch::Merge(&least))
                    .await,
            );
        }
        for kind in [Kind::Deployment, Kind::StatefulSet, Kind::Job] {
            let objects = self.objects(kind);
            for object in objects.list(&ListParams::default()).await.unwrap() {
                let status = json!({"status": status_of(kind, &object)});
                let (name, params) = (object.name_any(), PatchParams::default());
                expect_unless_gone(objects.patch_status(&name, &params, &Patch::Merge(&status)).await);
            }
        }
    }

    /// Every object of the managed kinds and every Platform in the namespace, as stored.
    pub(crate) async fn snapshot(&self) -> BTreeMap<String, Value> {
        let mut snapshot = BTreeMap::new();
        for info in KINDS
            .iter()
            .filter(|info| info.is_managed() && info.is_everywhere())
        {
            for object in self
                .objects(info.kind)
                .list(&ListParams::default())
                .await
                .unwrap()
            {
                // Written by kube-apiserver itself.
                if object.name_any() != "kube-root-ca.crt" {
                    snapshot.insert(format!("{}/{}", info.name, object.name_any()), json!(object));
                }
            }
        }
        for platform in self.platforms().list(&ListParams::default()).await.unwrap() {
            snapshot.insert(format!("Platform/{}", platform.name_any()), json!(platform));
        }
        snapshot
    }
}

/// An operator that runs besides may have deleted it, or not made it yet.
fn expect_unless_gone<T>(written: Result<T, kube::Error>) {
    match written {
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        written => drop(written.unwrap()),
    }
}

/// The status of an object that is as it should be.
fn status_of(kind: Kind, object: &DynamicObject) -> Value {
    if kind == Kind::Job {
        let condition = |type_: &str| json!({"type": type_, "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"});
        return json!({
            "startTime": "2026-01-01T00:00:00Z",
            "completionTime": "2026-01-01T00:00:01Z",
            "succeeded": 1,
            "uncountedTerminatedPods": {},
            "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
        });
    }
    let replicas = &object.data["spec"]["replicas"];
    let mut status = json!({
        "observedGeneration": object.metadata.generation,
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": replicas,
        "availableReplicas": replicas,
    });
    if kind == Kind::Deployment {
        status["conditions"] = json!([{"type": "Available", "status": "True"}]);
    }
    status
}

/// Names of a snapshot's objects, without those of Platforms.
pub(crate) fn names(snapshot: &BTreeMap<String, Value>) -> Vec<&str> {
    snapshot
        .keys()
        .map(String::as_str)
        .filter(|name| !name.starts_with("Platform/"))
        .collect()
}
