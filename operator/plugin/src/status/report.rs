//! What there is to say about a Platform: a pure function of the Platform and its pods.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use kube::ResourceExt as _;
use platform_core::{
    api::{Condition, Platform, PlatformStatus, ServiceStatus},
    labels::{self, Component},
    observe::pod_cause,
    status::ConditionType,
};
use serde::Serialize;

use crate::advice::fix;

/// Conditions that sum up others.
const SUMS: [ConditionType; 3] = [
    ConditionType::Ready,
    ConditionType::Reconciling,
    ConditionType::Stalled,
];

/// A Platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformReport {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it is ready as it is written now.
    pub ready: bool,
    /// Why it is or is not.
    pub reason: String,
    /// The same in a sentence.
    pub message: String,
    /// Its services.
    pub services: Vec<WorkloadReport>,
    /// What runs beside them: Jaeger, databases and the like.
    pub parts: Vec<WorkloadReport>,
    /// What is known of each of its sides.
    pub conditions: Vec<ConditionReport>,
    /// Where everything is.
    pub places: Vec<Place>,
}

/// A service, or what runs beside services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadReport {
    /// Its name.
    pub name: String,
    /// What the operator says of a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ServiceStatus>,
    /// Its pods.
    pub pods: Vec<PodReport>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodReport {
    /// Its name.
    pub name: String,
    /// Its phase; Terminating while it is being deleted.
    pub phase: String,
    /// Containers that are ready, of those that have to be.
    pub ready_containers: usize,
    /// Containers that have to be ready.
    pub containers: usize,
    /// How often its containers were started again.
    pub restarts: i32,
    /// Seconds since it was made.
    pub age_seconds: i64,
    /// Why it does not serve; None if it serves or is on the way.
    pub cause: Option<CauseReport>,
}

/// Why a pod does not serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CauseReport {
    /// Its class.
    pub reason: String,
    /// The cause itself.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

/// What is known of one side of a Platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConditionReport {
    /// Which side.
    #[serde(rename = "type")]
    pub type_: String,
    /// True, False or Unknown.
    pub status: String,
    /// Its class.
    pub reason: String,
    /// The same in a sentence.
    pub message: String,
    /// What to do about it; None if there is nothing to do.
    pub fix: Option<String>,
}

/// Where something is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// What.
    pub name: String,
    /// Its address; None if it has none.
    pub url: Option<String>,
    /// What else there is to say.
    pub note: Option<String>,
}

/// Says how a Platform is.
pub fn report(platform: &Platform, pods: &[Pod], now: Timestamp) -> PlatformReport {
    let status = platform.status.clone().unwrap_or_default();
    let is_current = status.observed_generation == platform.metadata.generation;
    let ready = find(&status, ConditionType::Ready);
    let (reason, message) = match ready {
        Some(ready) if is_current => (ready.reason.clone(), ready.message.clone()),
        _ => (
            "NotSeenYet".to_owned(),
            "the operator has not looked at the spec as it is now; does it run?".to_owned(),
        ),
    };
    let services = spec_services(platform).map(|name| WorkloadReport {
        status: status
            .services
            .iter()
            .find(|service| service.name == name)
            .cloned(),
        pods: pods_of(pods, Component::Service, name, now),
        name: name.to_owned(),
    });
    PlatformReport {
        namespace: platform.namespace().unwrap_or_default(),
        name: platform.name_any(),
        ready: is_current && ready.is_some_and(|ready| ready.status == "True"),
        reason,
        message,
        services: services.collect(),
        parts: report_parts(pods, now),
        conditions: report_conditions(&status),
        places: list_places(&status),
    }
}

fn find(status: &PlatformStatus, type_: ConditionType) -> Option<&Condition> {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_.as_str())
}

/// Names of the services, in order.
fn spec_services(platform: &Platform) -> impl Iterator<Item = &str> {
    let mut names: Vec<_> = platform
        .spec
        .services
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    names.sort_unstable();
    names.into_iter()
}

fn label<'a>(pod: &'a Pod, label: &str) -> &'a str {
    pod.labels().get(label).map_or("", String::as_str)
}

fn pods_of(pods: &[Pod], component: Component, name: &str, now: Timestamp) -> Vec<PodReport> {
    let own = pods.iter().filter(|pod| {
        label(pod, labels::COMPONENT) == component.as_str() && label(pod, labels::NAME) == name
    });
    let mut own: Vec<_> = own.map(|pod| report_pod(pod, now)).collect();
    own.sort_by(|one, other| one.name.cmp(&other.name));
    own
}

/// What runs beside services; a Job's pods are gone once they have done their work.
fn report_parts(pods: &[Pod], now: Timestamp) -> Vec<WorkloadReport> {
    let is_part = |pod: &&Pod| label(pod, labels::COMPONENT) != Component::Service.as_str();
    let is_done =
        |pod: &&Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Succeeded");
    let mut parts: Vec<WorkloadReport> = Vec::new();
    for pod in pods.iter().filter(is_part).filter(|pod| !is_done(pod)) {
        let (name, pod_report) = (label(pod, labels::NAME), report_pod(pod, now));
        match parts.iter_mut().find(|part| part.name == name) {
            Some(part) => part.pods.push(pod_report),
            None => parts.push(WorkloadReport {
                name: name.to_owned(),
                status: None,
                pods: vec![pod_report],
            }),
        }
    }
    parts.sort_by(|one, other| one.name.cmp(&other.name));
    parts
}

fn report_pod(pod: &Pod, now: Timestamp) -> PodReport {
    let status = pod.status.clone().unwrap_or_default();
    let is_sidecar = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let lasting: Vec<&str> = pod
        .spec
        .iter()
        .flat_map(|spec| {
            let sidecars = spec.init_containers.iter().flatten().filter(is_sidecar);
            sidecars.chain(&spec.containers)
        })
        .map(|container| container.name.as_str())
        .collect();
    let containers: Vec<ContainerStatus> = [status.init_container_statuses, status.container_statuses]
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    let is_ready =
        |container: &&ContainerStatus| container.ready && lasting.contains(&container.name.as_str());
    let created = pod.creation_timestamp().map_or(now, |created| created.0);
    PodReport {
        name: pod.name_any(),
        phase: match pod.metadata.deletion_timestamp {
            Some(_) => "Terminating".to_owned(),
            None => status.phase.unwrap_or_else(|| "Pending".to_owned()),
        },
        ready_containers: containers.iter().filter(is_ready).count(),
        containers: lasting.len(),
        restarts: containers.iter().map(|container| container.restart_count).sum(),
        age_seconds: now.duration_since(created).as_secs().max(0),
        cause: pod_cause(pod, now).map(|cause| CauseReport {
            reason: cause.reason.to_string(),
            message: cause.message,
            fix: cause.reason.meaning().to_owned(),
        }),
    }
}

fn report_conditions(status: &PlatformStatus) -> Vec<ConditionReport> {
    let is_sum = |condition: &&Condition| SUMS.iter().any(|sum| sum.as_str() == condition.type_);
    let sides = status.conditions.iter().filter(|condition| !is_sum(condition));
    sides
        .map(|condition| ConditionReport {
            type_: condition.type_.clone(),
            status: condition.status.clone(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            fix: fix(condition).map(str::to_owned),
        })
        .collect()
}

/// Where the way in, the traces, the documents, the errors and the metrics are.
fn list_places(status: &PlatformStatus) -> Vec<Place> {
    let message = |type_| find(status, type_).map(|condition| condition.message.clone());
    let place = |name: &str, endpoint: &str, part: &str, without: Option<String>| {
        let found = status.endpoints.iter().find(|found| found.name == endpoint);
        Place {
            name: name.to_owned(),
            url: found.map(|found| found.url.clone()),
            note: match found {
                Some(found) if is_inside(&found.url) => {
                    Some(format!("inside the cluster; kubectl platform open {part}"))
                }
                Some(_) => None,
                None => without.or_else(|| Some("there is none".to_owned())),
            },
        }
    };
    let shut = find(status, ConditionType::Exposed).filter(|exposed| exposed.status == "False");
    let shut = shut.map(|exposed| exposed.message.clone());
    vec![
        place("gateway", "gateway", "gateway", shut),
        place("docs", "api-docs", "docs", None),
        place(
            "traces",
            "jaeger",
            "jaeger",
            message(ConditionType::TracingAvailable),
        ),
        place(
            "metrics",
            "prometheus",
            "prometheus",
            message(ConditionType::MetricsAvailable),
        ),
        Place {
            name: "errors".to_owned(),
            url: None,
            note: message(ConditionType::ErrorTrackingConfigured),
        },
    ]
}

/// Whether a URL is one that only the cluster resolves.
fn is_inside(url: &str) -> bool {
    url.parse()
        .is_ok_and(|url| crate::reach::target(&url, &[]).is_some())
}
