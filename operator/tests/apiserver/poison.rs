//! Poison: objects that nobody would write, labelled as a Platform's. The operator must not panic, must stay within its
//! memory, must go on with the others, and must bring the Platform itself to what it asks for.

use std::{path::Path, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, CustomResourceExt as _, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject},
    runtime::wait::await_condition,
};
use platform_core::{
    api::Platform,
    kinds::{KINDS, Kind},
    labels,
};
use platform_envtest::{ControlPlane, Operator, assets, create_namespace, install_crd};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout};

use crate::{PROGRAM, fixture::World};

/// What the chart grants the operator.
const MEMORY_LIMIT: u64 = 256 << 20;
/// The longest that a change may wait for the poison of somebody else.
const FEW_SECONDS: Duration = Duration::from_secs(10);
/// A change of the poisoned Platform itself.
const PATIENCE: Duration = Duration::from_mins(1);
/// The pause between two looks.
const POLL: Duration = Duration::from_millis(200);
/// So much the API server takes as a `ConfigMap`'s data, and as annotations.
const MOST_DATA: usize = 1 << 20;
const MOST_ANNOTATIONS: usize = 256 << 10;
/// `ConfigMap`s of the largest size.
const LARGE_ONES: usize = 100;

/// The Platform CRD of a later version: each choice has more values, and the status other fields.
fn later_crd() -> CustomResourceDefinition {
    let mut crd = json!(Platform::crd());
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    drop_choices(schema);
    schema["properties"]["status"] = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    serde_json::from_value(crd).unwrap()
}

fn drop_choices(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("enum").is_some_and(Value::is_array) {
                fields.remove("enum");
            }
            // A rule may compare with a choice, which a later version writes anew.
            fields.remove("x-kubernetes-validations");
            fields.values_mut().for_each(drop_choices);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_choices),
        _ => {}
    }
}

/// The rest of an object of this kind, as small as the API server takes it.
fn smallest(kind: Kind) -> Value {
    let selector = json!({"matchLabels": {"app": "poison"}});
    let pod = json!({
        "metadata": {"labels": {"app": "poison"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "poison", "image": "poison"}]},
    });
    let lasting = json!({
        "metadata": pod["metadata"], "spec": {"containers": pod["spec"]["containers"]},
    });
    match kind {
        Kind::ConfigMap | Kind::Secret => json!({}),
        Kind::PersistentVolumeClaim => json!({"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        }}),
        Kind::Service => json!({"spec": {"ports": [{"port": 80}]}}),
        Kind::NetworkPolicy => json!({"spec": {"podSelector": selector}}),
        Kind::StatefulSet => {
            json!({"spec": {"serviceName": "poison", "selector": selector, "template": lasting}})
        }
        Kind::Deployment => json!({"spec": {"selector": selector, "template": lasting}}),
        Kind::Job => json!({"spec": {"template": pod}}),
        Kind::CronJob => {
            json!({"spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": pod}}}})
        }
        Kind::HorizontalPodAutoscaler => json!({"spec": {
            "maxReplicas": 2_147_483_647,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "demo-auth"},
        }}),
        Kind::PodDisruptionBudget => json!({"spec": {"selector": selector}}),
        Kind::Ingress => {
            json!({"spec": {"defaultBackend": {"service": {"name": "poison", "port": {"number": 80}}}}})
        }
        Kind::Pod => json!({"spec": pod["spec"]}),
        Kind::HttpRoute | Kind::PodMonitor | Kind::PrometheusRule => unreachable!("not on this cluster"),
    }
}

/// Annotations and labels that say nonsense where others say a number or a time.
fn odd_metadata() -> (Value, Value) {
    let annotations = json!({
        labels::APPLIED_HASH: "NaN",
        "deployment.kubernetes.io/revision": "-99999999999999999999",
        "deployment.kubernetes.io/desired-replicas": "1e999",
        "kubectl.kubernetes.io/restartedAt": "the day before yesterday",
        "pv.kubernetes.io/bind-completed": "\u{0}\u{feff}\"{{",
        "batch.kubernetes.io/job-completion-index": "many",
    });
    (
        annotations,
        json!({labels::COMPONENT: "nonsense", "app": "", "pod-template-hash": "0"}),
    )
}

/// As many as the API server takes.
fn many_metadata() -> (Value, Value) {
    let each = "x".repeat(1000);
    let annotations: Map<_, _> = (0..(MOST_ANNOTATIONS - 8192) / 1020)
        .map(|number| (format!("poison/{number:05}"), json!(each)))
        .collect();
    let labels: Map<_, _> = (0..10_000)
        .map(|number| (format!("poison/{number:05}"), json!("x")))
        .collect();
    (json!(annotations), json!(labels))
}

struct Poison {
    world: World,
    uid: String,
}

impl Poison {
    /// Puts an object next to those of the Platform `demo`.
    async fn lay(&self, kind: Kind, name: &str, (annotations, mut labels): (Value, Value), more: Value) {
        let info = kind.info();
        labels[labels::PLATFORM] = json!("demo");
        labels[labels::PLATFORM_UID] = json!(self.uid);
        labels[labels::MANAGED_BY] = json!(labels::OPERATOR);
        let mut object = smallest(kind);
        object["apiVersion"] = json!(if info.group.is_empty() {
            info.version.to_owned()
        } else {
            format!("{}/{}", info.group, info.version)
        });
        object["kind"] = json!(info.name);
        object["metadata"] = json!({"name": name, "labels": labels, "annotations": annotations});
        if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
            object.extend(more);
        }
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let created = self
            .world
            .objects(kind)
            .create(&PostParams::default(), &object)
            .await;
        created.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }

    /// One object of each kind, with odd metadata and with much of it.
    async fn lay_one_of_each_kind(&self) {
        for info in KINDS.iter().filter(|info| info.is_everywhere()) {
            self.lay(info.kind, "odd", odd_metadata(), json!({})).await;
            self.lay(info.kind, "many", many_metadata(), json!({})).await;
        }
        let odd = json!({"status": {
            "phase": "Running",
            "containerStatuses": [{
                "name": "poison", "image": "", "imageID": "", "ready": false, "restartCount": 2_147_483_647,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "x".repeat(100_000)}},
                "lastState": {"terminated": {
                    "exitCode": -2_147_483_648, "finishedAt": "0001-01-01T00:00:00Z", "message": "\u{0}{{\u{feff}",
                }},
            }],
        }});
        let pods = self.world.objects(Kind::Pod);
        pods.patch_status("odd", &PatchParams::default(), &Patch::Merge(&odd))
            .await
            .unwrap();
    }

    /// Makes the Platform's own objects odd, as far as their fields are nobody's.
    async fn spoil_what_is_there(&self) {
        let (annotations, _) = odd_metadata();
        let (_, labels) = many_metadata();
        let spoiled = json!({"metadata": {"annotations": annotations, "labels": labels}});
        for kind in [
            Kind::Deployment,
            Kind::Service,
            Kind::NetworkPolicy,
            Kind::ConfigMap,
        ] {
            for object in self.world.objects(kind).list(&own()).await.unwrap() {
                let name = object.name_any();
                if name.starts_with("demo-") {
                    let patched = self.world.objects(kind);
                    patched
                        .patch(&name, &PatchParams::default(), &Patch::Merge(&spoiled))
                        .await
                        .unwrap();
                }
            }
        }
    }

    /// The largest `ConfigMap`s, and a Secret.
    async fn lay_large_ones(&self) {
        let large = "x".repeat(MOST_DATA - 1024);
        let data = json!({"data": {"x": large}});
        stream::iter(0..LARGE_ONES)
            .map(async |number| {
                let name = format!("large-{number}");
                self.lay(Kind::ConfigMap, &name, odd_metadata(), data.clone())
                    .await;
                Ok::<_, kube::Error>(())
            })
            .buffer_unordered(4)
            .try_collect::<()>()
            .await
            .unwrap();
        let secret = json!({"stringData": {"x": "x".repeat(MOST_DATA - 1024)}});
        self.lay(Kind::Secret, "large", odd_metadata(), secret).await;
    }

    /// Platforms as the API server has them, whatever they are.
    fn untyped(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<Platform>(&());
        Api::namespaced_with(self.world.client.clone(), &self.world.namespace, &resource)
    }

    /// Waits until the Platform of a later version says which of its values is not known.
    async fn the_later_one_says_so(&self) {
        let told = |platform: Option<&DynamicObject>| {
            let status = platform.map(|platform| platform.data["status"].to_string());
            status.is_some_and(|status| status.contains("SpecUnreadable") && status.contains("Mesh"))
        };
        let waiting = await_condition(self.untyped(), "later", told);
        timeout(PATIENCE, waiting).await.expect("it says so").unwrap();
    }

    /// Platforms of a later version, of an unreadable status, and of a great size.
    async fn lay_platforms(&self) {
        let platforms = self.untyped();
        let many = |count: usize| -> Vec<_> {
            (0..count)
                .map(|number| json!({"name": format!("V{number}"), "value": "x".repeat(1000)}))
                .collect()
        };
        let (annotations, labels) = many_metadata();
        for (name, spec, metadata) in [
            ("later", json!({"exposure": {"type": "Mesh"}}), json!({})),
            (
                "latest",
                json!({"telemetry": {"collector": {"mode": "DaemonSet", "redaction": "None"}}}),
                json!({}),
            ),
            ("garbage", json!({"services": [{"name": "auth"}]}), json!({})),
            (
                "large",
                json!({"services": [{"name": "auth", "env": many(64)}]}),
                json!({"annotations": annotations, "labels": labels}),
            ),
        ] {
            let mut metadata = metadata;
            metadata["name"] = json!(name);
            let body = json!({
                "apiVersion": "tracewell.dev/v1alpha1", "kind": "Platform", "metadata": metadata, "spec": spec,
            });
            let platform: DynamicObject = serde_json::from_value(body).unwrap();
            platforms
                .create(&PostParams::default(), &platform)
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let garbage = json!({"status": {
            "conditions": "nonsense", "observedGeneration": "7", "services": {"a": 1}, "x": "x".repeat(500_000),
        }});
        platforms
            .patch_status("garbage", &PatchParams::default(), &Patch::Merge(&garbage))
            .await
            .unwrap();
    }
}

fn own() -> kube::api::ListParams {
    kube::api::ListParams::default().labels(&labels::name_selector("demo"))
}

/// The services of a Platform that needs no database.
fn services(names: &[&str]) -> Value {
    let service = |name: &&str| json!({"name": name, "image": "shop:1", "port": 8080});
    json!({"services": names.iter().map(service).collect::<Vec<_>>()})
}

/// Waits until the Platform is ready, while everything is rolled out; gives how long its Deployment took to be there.
async fn change(world: &World, platform: &str, service: &str) -> Duration {
    let started = Instant::now();
    world.apply(platform, services(&["first", service])).await;
    let deployment = format!("{platform}-{service}");
    let made = async {
        while world
            .objects(Kind::Deployment)
            .get_metadata_opt(&deployment)
            .await
            .unwrap()
            .is_none()
        {
            tokio::time::sleep(POLL).await;
        }
    };
    timeout(PATIENCE, made)
        .await
        .unwrap_or_else(|_| panic!("{deployment} is not made"));
    let took = started.elapsed();
    let ready = async {
        while !world.lacking(platform, "Ready", "True").await.is_empty() {
            world.roll_out().await;
            tokio::time::sleep(POLL).await;
        }
    };
    let is_ready = timeout(PATIENCE, ready).await.is_ok();
    assert!(is_ready, "{}", world.lacking(platform, "Ready", "True").await);
    took
}

#[tokio::test]
async fn poison_on_anything_that_is_watched_stops_nobody() {
    let Some(assets) = assets() else { return };
    let plane = ControlPlane::start(&assets).await.unwrap();
    let client = plane.client().await.unwrap();
    install_crd(&client, &later_crd()).await.unwrap();
    let [shop, other] = ["shop", "other"].map(|namespace| World::new(client.clone(), namespace));
    for world in [&shop, &other] {
        create_namespace(&client, &world.namespace).await.unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let mut operator =
        Operator::start(Path::new(PROGRAM), plane.kubeconfig(), directory.path(), &[]).unwrap();
    operator.answer("/readyz", "200").await.unwrap();
    change(&shop, "demo", "before").await;
    change(&other, "calm", "before").await;

    let uid = shop.platforms().get("demo").await.unwrap().uid().unwrap();
    let poison = Poison { world: shop, uid };
    let steps: [(&str, futures::future::BoxFuture<'_, ()>); 4] = [
        ("each-kind", Box::pin(poison.lay_one_of_each_kind())),
        ("spoiled", Box::pin(poison.spoil_what_is_there())),
        ("platforms", Box::pin(poison.lay_platforms())),
        ("large-ones", Box::pin(poison.lay_large_ones())),
    ];
    for (step, laid) in steps {
        laid.await;
        let others = change(&other, "calm", step).await;
        assert!(
            others < FEW_SECONDS,
            "{step}: the other Platform waited {others:?}"
        );
        change(&poison.world, "demo", step).await;
        let log = operator.log().unwrap();
        assert!(!log.contains("panicked"), "{step}: {log}");
        let peak = operator.usage().unwrap().peak;
        assert!(peak < MEMORY_LIMIT, "{step}: {} MiB", peak >> 20);
        println!(
            "{step}: the other Platform's change took {others:?}; the operator's peak is {} MiB",
            peak >> 20
        );
    }
    poison.the_later_one_says_so().await;
    operator.answer("/livez", "200").await.unwrap();
    assert_eq!(operator.terminate().unwrap(), Some(0));
}
