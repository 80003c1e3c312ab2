//! What the cluster really runs: evidence for the status.

mod autoscaler;
mod backup;
mod database;
mod entrance;
mod jobs;
mod pods;

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;

use self::autoscaler::blindness;
pub use self::backup::BackupObservation;
use self::backup::observe_backup;
pub use self::database::DatabaseObservation;
use self::database::{name_claim, observe_database};
pub use self::entrance::EntranceObservation;
use self::entrance::observe_entrance;
pub use self::jobs::JobState;
use self::jobs::observe_job;
use self::pods::find_cause;
pub use self::pods::pod_cause;
use crate::api::{Platform, ServiceStatus};
use crate::build::JAEGER_APP;
use crate::claims::node_ports;
use crate::desired::Desired;
use crate::diff::{Changes, Held};
use crate::hash::short_hash_of;
use crate::kinds::{Kind, ObjectKey};
use crate::known::GATEWAY;
use crate::labels::{self, Component};
use crate::names::{PlatformName, ServiceName};
use crate::reason::Reason;
use crate::resolve::{Backend, Resolved, Scale};
use crate::step::Live;

/// How a Platform is.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Its services, by name.
    pub services: Vec<ServiceObservation>,
    /// Its tracing backend.
    pub backend: BackendObservation,
    /// Its databases.
    pub database: DatabaseObservation,
    /// The last backup of its databases.
    pub backup: BackupObservation,
    /// Its other workloads.
    pub components: Vec<ComponentObservation>,
    /// Its way in.
    pub entrance: EntranceObservation,
    /// Ports of every node that lead into it.
    pub node_ports: BTreeSet<i32>,
}

/// How a workload is that is neither a service nor the tracing backend.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentObservation {
    /// Its name: the value of the label `app.kubernetes.io/name`.
    pub name: String,
    /// How it is.
    pub workload: WorkloadState,
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
    /// Why its autoscaler keeps the number of pods as it is; None if it scales, or there is none.
    pub blindness: Option<String>,
    /// How far the migration of its database is; None where there is none.
    pub migration: Option<JobState>,
}

/// How what stores traces or metrics is.
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
    let deployment = |name: String| ObjectKey {
        kind: Kind::Deployment,
        namespace: resolved.namespace.clone(),
        name,
    };
    let services = resolved.services.iter().map(|service| {
        let key = deployment(resolved.name.workload(&service.name));
        let observed = observe_workload(&key, service.name.as_str(), service.scale.least(), live, now);
        ServiceObservation {
            name: service.name.to_string(),
            image: service.image.clone(),
            desired_replicas: match &service.scale {
                Scale::Fixed(replicas) => *replicas,
                Scale::Automatic(_) => observed.wanted_replicas,
            },
            ready_replicas: observed.ready_replicas,
            blindness: blindness(&key, live),
            config_hash: desired.get(&key).map(template_hash).unwrap_or_default(),
            workload: name_claim(
                observed.state,
                live,
                &resolved.namespace,
                resolved.name.data_claim(&service.name),
            ),
            migration: observe_job(
                desired,
                live,
                &service.name.migration(),
                Reason::MigrationFailed,
                now,
            ),
        }
    });
    let mut services: Vec<_> = services.collect();
    services.sort_by(|a, b| a.name.cmp(&b.name));
    let backend = match resolved.tracing.as_ref().map(|tracing| &tracing.backend) {
        None => BackendObservation::Disabled,
        Some(Backend::External { endpoint, .. }) => BackendObservation::External(endpoint.clone()),
        Some(Backend::Managed { .. }) => {
            let key = deployment(resolved.name.jaeger());
            let state = observe_workload(&key, JAEGER_APP, None, live, now).state;
            BackendObservation::Managed(name_claim(
                state,
                live,
                &resolved.namespace,
                resolved.name.jaeger_claim(),
            ))
        }
    };
    Observation {
        backend,
        database: observe_database(resolved, desired, live, now),
        backup: observe_backup(desired, live, now),
        components: observe_components(resolved, desired, live, now),
        entrance: observe_entrance(resolved, desired, live, is_serving(&services, GATEWAY)),
        node_ports: node_ports(live),
        services,
    }
}

fn is_serving(services: &[ServiceObservation], name: &str) -> bool {
    services
        .iter()
        .any(|service| service.name == name && service.workload == WorkloadState::Available)
}

/// How the services are that the status names, where a spec is refused: those of the spec before go on.
pub fn observe_running(platform: &Platform, live: &Live, now: Timestamp) -> Vec<ServiceStatus> {
    let told = platform.status.iter().flat_map(|status| &status.services);
    let Ok(name) = PlatformName::parse(&platform.name_any()) else {
        return Vec::new();
    };
    told.filter_map(|service| {
        let key = ObjectKey {
            kind: Kind::Deployment,
            namespace: platform.namespace().unwrap_or_default(),
            name: name.workload(&ServiceName::parse(&service.name).ok()?),
        };
        let observed = observe_workload(&key, &service.name, None, live, now);
        Some(ServiceStatus {
            ready_replicas: observed.ready_replicas,
            desired_replicas: observed.wanted_replicas,
            ..service.clone()
        })
    })
    .collect()
}

/// Components whose workloads are looked at by name.
const OBSERVED_BY_THEMSELVES: [Component; 3] = [Component::Service, Component::Jaeger, Component::Database];

/// Every other workload.
fn observe_components(
    resolved: &Resolved,
    desired: &Desired,
    live: &Live,
    now: Timestamp,
) -> Vec<ComponentObservation> {
    let is_component = |object: &DynamicObject| {
        let component = object.labels().get(labels::COMPONENT).map(String::as_str);
        !OBSERVED_BY_THEMSELVES
            .map(Component::as_str)
            .contains(&component.unwrap_or_default())
    };
    desired
        .iter()
        .filter(|(key, object)| {
            matches!(key.kind, Kind::Deployment | Kind::StatefulSet) && is_component(object)
        })
        .filter_map(|(key, object)| {
            let name = object.labels().get(labels::NAME)?.clone();
            let state = observe_workload(key, &name, None, live, now).state;
            Some(ComponentObservation {
                // Prometheus is the only one of them with a volume.
                workload: name_claim(state, live, &resolved.namespace, resolved.name.prometheus_claim()),
                name,
            })
        })
        .collect()
}

impl Observation {
    /// Says of workloads that are not there yet what they wait for.
    #[must_use]
    pub fn with_waits(mut self, resolved: &Resolved, changes: &Changes) -> Self {
        let is_workload =
            |held: &&Held| held.apply.cause.is_creation() && held.apply.key.kind == Kind::Deployment;
        for held in changes.held.iter().filter(is_workload) {
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
    wanted_replicas: i32,
    state: WorkloadState,
}

/// What the status of a Deployment or a `StatefulSet` counts. A field of the wrong type counts as missing: whoever wrote
/// it must not stop the operator.
struct Counts<'a> {
    object: &'a Value,
}

impl Counts<'_> {
    fn of(&self, pointer: &str) -> Option<i64> {
        self.object.pointer(pointer).and_then(Value::as_i64)
    }

    fn replicas(&self, field: &str) -> i32 {
        let count = self.of(&format!("/status/{field}")).unwrap_or(0);
        i32::try_from(count).unwrap_or(i32::MAX)
    }

    fn wanted(&self) -> i32 {
        i32::try_from(self.of("/spec/replicas").unwrap_or(1)).unwrap_or(i32::MAX)
    }
}

/// `least` is the smallest number of pods where an autoscaler decides how many there are: pods that it has just asked for
/// are on the way, and nothing is missing meanwhile.
fn observe_workload(
    key: &ObjectKey,
    app: &str,
    least: Option<i32>,
    live: &Live,
    now: Timestamp,
) -> ObservedWorkload {
    let Some(object) = live.objects.get(key) else {
        return ObservedWorkload {
            ready_replicas: 0,
            wanted_replicas: 0,
            state: WorkloadState::Progressing("not created yet".to_owned()),
        };
    };
    let counts = Counts { object: &object.data };
    let wanted = counts.wanted();
    // Pods of the version before may be ready too; they are not what is asked for.
    let updated = counts.replicas("updatedReplicas");
    let ready_replicas = counts.replicas("readyReplicas").min(updated);
    let state = if is_available(&counts, least, object.metadata.generation) {
        WorkloadState::Available
    } else if let Some(cause) = find_cause(live, app, now).or_else(|| workload_cause(&object.data)) {
        WorkloadState::Failing(cause)
    } else {
        WorkloadState::Progressing(format!("{ready_replicas}/{wanted} pods ready"))
    };
    ObservedWorkload {
        ready_replicas,
        wanted_replicas: wanted,
        state,
    }
}

/// Whether the rollout of this very generation is over and every pod serves, or as many as an autoscaler needs at `least`.
fn is_available(counts: &Counts<'_>, least: Option<i32>, generation: Option<i64>) -> bool {
    let is_rolled_out = counts.of("/status/observedGeneration") >= generation
        && counts.replicas("updatedReplicas") == counts.replicas("replicas");
    let available = counts.replicas("availableReplicas");
    let enough = match least {
        Some(least) => available >= least,
        None => {
            counts.replicas("replicas") == counts.wanted()
                && available == counts.wanted()
                && counts.replicas("unavailableReplicas") == 0
        }
    };
    is_rolled_out && enough
}

/// What the workload itself says, where no pod says more.
fn workload_cause(object: &Value) -> Option<Cause> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let find = |type_: &str, status: &str| {
        conditions
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == type_ && condition["status"] == status)
    };
    let message = |condition: &Value| condition["message"].as_str().unwrap_or_default().to_owned();
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
        .filter(|condition| condition["reason"] == "ProgressDeadlineExceeded")
        .map(|condition| Cause {
            reason: Reason::ProgressDeadlineExceeded,
            message: message(condition),
        })
}
