//! What all pods have in common: they pass Pod Security `restricted`, and they say how they are.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar,
    HTTPGetAction, KeyToPath, PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements,
    SeccompProfile, SecurityContext, TCPSocketAction, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::config::FILE;
use super::network::selector;
use crate::resolve::{ContainerSizes, Discovery, Resolved, Scale};

/// Name of the port that serves a service's API.
pub(super) const HTTP_PORT: &str = "http";
/// User and group of every process: the one of distroless images, which our own images have too.
pub(super) const USER: i64 = 65532;
/// Old ReplicaSets kept, to look back at.
const REVISIONS: i32 = 3;

/// How a Deployment replaces its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rollout {
    /// A new pod serves before an old one goes.
    SurgeFirst,
    /// The old pod goes first: it holds the volume.
    Recreate,
}

/// What is particular to a Deployment.
pub(super) struct Workload<'a> {
    /// Value of the label `app.kubernetes.io/name`.
    pub app: &'a str,
    /// Number of its pods.
    pub scale: &'a Scale,
    /// How it replaces them.
    pub rollout: Rollout,
    /// Annotations of the pods.
    pub annotations: BTreeMap<String, String>,
    /// The pods.
    pub pod: PodSpec,
}

/// A Deployment of the pods of `app`.
pub(super) fn build_deployment(resolved: &Resolved, workload: Workload<'_>) -> Deployment {
    let Workload {
        app,
        scale,
        rollout,
        annotations,
        mut pod,
    } = workload;
    if scale.max() > 1 {
        pod.topology_spread_constraints = Some(spread(resolved, app));
    }
    let strategy = match rollout {
        Rollout::Recreate => DeploymentStrategy {
            type_: Some("Recreate".to_owned()),
            rolling_update: None,
        },
        Rollout::SurgeFirst => DeploymentStrategy {
            type_: Some("RollingUpdate".to_owned()),
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(IntOrString::Int(1)),
                max_unavailable: Some(IntOrString::Int(0)),
            }),
        },
    };
    Deployment {
        spec: Some(DeploymentSpec {
            // Who scales decides: a number here would be written over the autoscaler's with every change.
            replicas: match scale {
                Scale::Fixed(replicas) => Some(*replicas),
                Scale::Automatic(_) => None,
            },
            selector: LabelSelector {
                match_labels: Some(selector(resolved, app)),
                match_expressions: None,
            },
            strategy: Some(strategy),
            progress_deadline_seconds: Some(resolved.progress_deadline_seconds),
            revision_history_limit: Some(REVISIONS),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    annotations: (!annotations.is_empty()).then_some(annotations),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

/// Pods keep apart where they can: a node or a zone that goes should not take all of them.
fn spread(resolved: &Resolved, app: &str) -> Vec<TopologySpreadConstraint> {
    ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        .map(|topology_key| TopologySpreadConstraint {
            topology_key: topology_key.to_owned(),
            max_skew: 1,
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(LabelSelector {
                match_labels: Some(selector(resolved, app)),
                match_expressions: None,
            }),
            // Pods of the version before are about to go and must not decide where the new ones are.
            match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
            ..TopologySpreadConstraint::default()
        })
        .into()
}

/// A pod that passes Pod Security `restricted`.
pub(super) fn restricted_pod(
    init_containers: Vec<Container>,
    containers: Vec<Container>,
    volumes: Vec<Volume>,
    termination_grace_period_seconds: i64,
) -> PodSpec {
    PodSpec {
        init_containers: (!init_containers.is_empty()).then_some(init_containers),
        containers,
        volumes: Some(volumes),
        automount_service_account_token: Some(false),
        // Kubernetes would otherwise put variables of every Service into every container: DEMO_AUTH_PORT and so on.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(termination_grace_period_seconds),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        ..PodSpec::default()
    }
}

/// A container that passes Pod Security `restricted`. If it ends with an error and leaves no message of its own, its
/// last log lines become the message, which the status then shows.
pub(super) fn restricted_container(name: &str, image: &str, sizes: &ContainerSizes) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        resources: Some(requirements(sizes)),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                add: None,
            }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

fn requirements(sizes: &ContainerSizes) -> ResourceRequirements {
    let amount = |name: &str, value: &str| (name.to_owned(), Quantity(value.to_owned()));
    let mut limits = BTreeMap::from([amount("memory", &sizes.memory_limit)]);
    limits.extend(sizes.cpu_limit.as_deref().map(|limit| amount("cpu", limit)));
    ResourceRequirements {
        requests: Some(BTreeMap::from([
            amount("cpu", &sizes.cpu_request),
            amount("memory", &sizes.memory_request),
        ])),
        limits: Some(limits),
        claims: None,
    }
}

/// How often a probe asks, and when it gives up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Seconds between two questions.
    pub period: i32,
    /// Failures in a row that count.
    pub failures: i32,
}

/// Asks every second, for a minute: the pod is ready as soon as it can be.
pub(super) const STARTUP: Patience = Patience {
    period: 1,
    failures: 60,
};
/// A process is restarted after half a minute without an answer.
pub(super) const LIVENESS: Patience = Patience {
    period: 10,
    failures: 3,
};
/// A pod gets no requests after 10 seconds without an answer.
pub(super) const READINESS: Patience = Patience {
    period: 5,
    failures: 2,
};

/// A probe that asks for a path on a named port.
pub(super) fn http_probe(port: &str, path: &str, patience: Patience) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(port.to_owned()),
            ..HTTPGetAction::default()
        }),
        ..probe(patience)
    }
}

/// A probe that connects to a named port.
pub(super) fn tcp_probe(port: &str, patience: Patience) -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction {
            host: None,
            port: IntOrString::String(port.to_owned()),
        }),
        ..probe(patience)
    }
}

fn probe(patience: Patience) -> Probe {
    Probe {
        period_seconds: Some(patience.period),
        failure_threshold: Some(patience.failures),
        timeout_seconds: Some(3),
        ..Probe::default()
    }
}

/// A port of a container.
pub(super) fn container_port(name: &str, port: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: port,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

/// A plain variable.
pub(super) fn variable(name: impl Into<String>, value: impl Into<String>) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: Some(value.into()),
        value_from: None,
    }
}

/// A configuration file, mounted as `{directory}/config.yaml`.
pub(super) fn config_volume(volume: &str, config_map: &str) -> Volume {
    Volume {
        name: volume.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: config_map.to_owned(),
            items: Some(vec![KeyToPath {
                key: FILE.to_owned(),
                path: FILE.to_owned(),
                mode: None,
            }]),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// A small writable directory in memory, for a container whose root is read-only.
pub(super) fn memory_volume(volume: &str, size: &str) -> Volume {
    Volume {
        name: volume.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: Some("Memory".to_owned()),
            size_limit: Some(Quantity(size.to_owned())),
        }),
        ..Volume::default()
    }
}

/// Mounts a volume.
pub(super) fn mount(volume: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

/// Annotations by which a Prometheus without its operator finds the metrics of a pod; none where it is told in another
/// way, or not at all.
pub(super) fn scrape_annotations(resolved: &Resolved, port: i32, path: &str) -> BTreeMap<String, String> {
    if resolved.metrics.discovery != Discovery::Annotations {
        return BTreeMap::new();
    }
    [
        ("scrape", "true".to_owned()),
        ("port", port.to_string()),
        ("path", path.to_owned()),
    ]
    .map(|(key, value)| (format!("prometheus.io/{key}"), value))
    .into()
}
