//! What the cluster really runs: evidence for the status.

mod pods;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus};
use kube::core::DynamicObject;
use serde_json::Value;

use self::pods::find_cause;
use crate::desired::Desired;
use crate::diff::Changes;
use crate::hash::short_hash_of;
use crate::kinds::{Kind, ObjectKey};
use crate::reason::Reason;
use crate::resolve::{Backend, Resolved};
use crate::step::Live;

/// How a Platform is.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Its services, by name.
    pub services: Vec<ServiceObservation>,
    /// Its tracing backend.
    pub backend: BackendObservation,
}

/// How a service is.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceObservation {
    /// Its name.
    pub name: String,
    /// The image that the Platform asks for.
    pub image: String,
    /// Pods that the Platform asks for.
    pub desired_replicas: i32,
    /// Pods of the current version that serve.
    pub ready_replicas: i32,
    /// Changes whenever its pods have to be replaced.
    pub config_hash: String,
    /// How its workload is.
    pub workload: WorkloadState,
}

/// How a tracing backend is.
#[derive(Clone, Debug, PartialEq)]
pub enum BackendObservation {
    /// There is none, and none is wanted.
    Disabled,
    /// Somebody else's, at this address.
    External(String),
    /// The Platform's own.
    Managed(WorkloadState),
}

/// How a workload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadState {
    /// All pods that are wanted serve, in the current version, and no other is left.
    Available,
    /// On the way; the text says how far.
    Progressing(String),
    /// Something stands in the way.
    Failing(Cause),
}

/// What stands in the way of a workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// Class of the cause.
    pub reason: Reason,
    /// The cause itself: which container, what it said.
    pub message: String,
}

/// Looks at every workload of a Platform.
pub fn observe(resolved: &Resolved, desired: &Desired, live: &Live, now: Timestamp) -> Observation {
    let workload = |name: String, app: &str| {
        let key = ObjectKey {
            kind: Kind::Deployment,
            namespace: resolved.namespace.clone(),
            name,
        };
        (desired.get(&key), observe_workload(&key, app, live, now))
    };
    let mut services: Vec<ServiceObservation> = resolved
        .services
        .iter()
        .map(|service| {
            let (wanted, observed) = workload(resolved.name.workload(&service.name), service.name.as_str());
            ServiceObservation {
                name: service.name.to_string(),
                image: service.image.clone(),
                desired_replicas: service.replicas,
                ready_replicas: observed.ready_replicas,
                config_hash: wanted.map(template_hash).unwrap_or_default(),
                workload: observed.state,
            }
        })
        .collect();
    services.sort_by(|a, b| a.name.cmp(&b.name));
    let backend = match resolved.tracing.as_ref().map(|tracing| &tracing.backend) {
        None => BackendObservation::Disabled,
        Some(Backend::External { endpoint, .. }) => BackendObservation::External(endpoint.clone()),
        Some(Backend::Managed { .. }) => {
            BackendObservation::Managed(workload(resolved.name.jaeger(), "jaeger").1.state)
        }
    };
    Observation { services, backend }
}

impl Observation {
    /// Says of workloads that are not there yet what they wait for.
    #[must_use]
    pub fn with_waits(mut self, resolved: &Resolved, changes: &Changes) -> Self {
        for held in changes.held.iter().filter(|held| held.apply.cause.is_creation()) {
            let waiting = self.services.iter_mut().find(|observed| {
                let service = resolved.service(&observed.name);
                service.is_some_and(|service| resolved.name.workload(&service.name) == held.apply.key.name)
            });
            if let Some(service) = waiting {
                service.workload = if held.cause.reason == Reason::Progressing {
                    WorkloadState::Progressing(held.cause.message.clone())
                } else {
                    WorkloadState::Failing(held.cause.clone())
                };
            }
        }
        self
    }
}

/// Hash of what makes the pods of a Deployment.
fn template_hash(deployment: &DynamicObject) -> String {
    short_hash_of(deployment.data.pointer("/spec/template").unwrap_or(&Value::Null))
}

struct ObservedWorkload {
    ready_replicas: i32,
    state: WorkloadState,
}

fn observe_workload(key: &ObjectKey, app: &str, live: &Live, now: Timestamp) -> ObservedWorkload {
    let Some(deployment) = live
        .objects
        .get(key)
        .and_then(|object| object.clone().try_parse::<Deployment>().ok())
    else {
        let state = WorkloadState::Progressing("not created yet".to_owned());
        return ObservedWorkload {
            ready_replicas: 0,
            state,
        };
    };
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let generation = deployment.metadata.generation;
    let status = deployment.status.unwrap_or_default();
    // Pods of the version before may be ready too; they are not what is asked for.
    let updated = status.updated_replicas.unwrap_or(0);
    let ready_replicas = status.ready_replicas.unwrap_or(0).min(updated);
    let state = if is_available(&status, wanted, generation) {
        WorkloadState::Available
    } else if let Some(cause) = find_cause(live, app, now).or_else(|| deployment_cause(&status)) {
        WorkloadState::Failing(cause)
    } else {
        WorkloadState::Progressing(format!("{ready_replicas}/{wanted} pods ready"))
    };
    ObservedWorkload {
        ready_replicas,
        state,
    }
}

/// Whether the rollout of this very generation is over and every pod serves.
fn is_available(status: &DeploymentStatus, wanted: i32, generation: Option<i64>) -> bool {
    status.observed_generation >= generation
        && status.replicas.unwrap_or(0) == wanted
        && status.updated_replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
        && status.unavailable_replicas.unwrap_or(0) == 0
}

/// What the Deployment itself says, where no pod says more.
fn deployment_cause(status: &DeploymentStatus) -> Option<Cause> {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let find = |type_: &str, value: &str| conditions.iter().find(|c| c.type_ == type_ && c.status == value);
    let message = |condition: &DeploymentCondition| condition.message.clone().unwrap_or_default();
    if let Some(condition) = find("ReplicaFailure", "True") {
        let message = message(condition);
        let reason = if message.contains("exceeded quota") {
            Reason::QuotaExceeded
        } else {
            Reason::PodsRefused
        };
        return Some(Cause { reason, message });
    }
    find("Progressing", "False")
        .filter(|condition| condition.reason.as_deref() == Some("ProgressDeadlineExceeded"))
        .map(|condition| Cause {
            reason: Reason::ProgressDeadlineExceeded,
            message: message(condition),
        })
}
