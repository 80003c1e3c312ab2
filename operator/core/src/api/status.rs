//! What the operator answers.

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Observed state of a Platform: evidence, not intent.
// Without a status, kstatus takes an object for current: `helm --wait` would not wait for the operator's first look.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {"observedGeneration": -1}))]
pub struct PlatformStatus {
    /// Generation of the spec that this status speaks about; -1 where the operator has not looked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Generation of the spec with which the Platform was Ready last. Left out once a loss, or something in the way, was told since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_generation: Option<i64>,
    /// Version of the operator that wrote this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_version: Option<String>,
    /// Ready services of all services, for example "3/4".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_services: Option<String>,
    /// Where a user reaches the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where a user reaches the gateway, the API documents and Jaeger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub endpoints: Vec<Endpoint>,
    /// The services, as they run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub services: Vec<ServiceStatus>,
    /// Trace of the reconcile that last changed this status.
    #[serde(
        default,
        rename = "lastReconcileTraceID",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_reconcile_trace_id: Option<String>,
    /// `Ready`, `Reconciling` and `Stalled` sum up; `Accepted` is about the spec; each of the others is about one part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = whole_items)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// The API server keeps who wrote each item, not each of its fields.
fn whole_items(list: &mut schemars::Schema) {
    if let Some(items) = list.get_mut("items").and_then(serde_json::Value::as_object_mut) {
        items.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
    }
}

/// A place that a user can open.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// What it is: gateway, api-docs, jaeger or prometheus.
    pub name: String,
    /// Its address, as seen from where `spec.exposure` says. Prometheus, and Jaeger unless the type is `NodePort`, are reached
    /// from inside the cluster only, and by `kubectl platform open`.
    pub url: String,
}

/// One service, as it runs.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Name of the service.
    pub name: String,
    /// Image that the Platform asks for.
    pub image: String,
    /// Pods of the current version that serve.
    pub ready_replicas: i32,
    /// Pods that the Platform asks for.
    pub desired_replicas: i32,
    /// Changes whenever the service's pods have to be replaced.
    pub config_hash: String,
    /// Whether a span of it arrived in Jaeger when one was asked for last. Left out while nobody could ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces_seen: Option<bool>,
    /// The migration of its database for this image. Left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<MigrationStatus>,
}

/// A migration of a service's database.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationStatus {
    /// How far it is.
    pub state: MigrationState,
    /// The image that brings the schema up to date.
    pub image: String,
}

/// How far a migration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MigrationState {
    /// It waits for its database.
    Pending,
    /// It is under way.
    Running,
    /// The schema is up to date.
    Succeeded,
    /// It was given up. The condition DatabaseReady says why; pods of the version before go on serving.
    Failed,
}
