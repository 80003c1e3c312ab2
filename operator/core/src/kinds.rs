//! Every kind of object that the operator touches: the single source of what is watched, listed, applied and
//! pruned, and of the operator's permissions.

use std::collections::BTreeSet;
use std::fmt;

use kube::core::{ApiResource, GroupVersionKind};

/// A kind of object below a Platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Configuration of Jaeger and of the collectors.
    ConfigMap,
    /// Credentials that the operator made.
    Secret,
    /// Data of a service.
    PersistentVolumeClaim,
    /// Name and ports of a workload.
    Service,
    /// Who may speak to a workload.
    NetworkPolicy,
    /// A database.
    StatefulSet,
    /// Something that is done once, before the pods that need it.
    Job,
    /// A workload.
    Deployment,
    /// Something that is done again and again.
    CronJob,
    /// How many pods a workload has.
    HorizontalPodAutoscaler,
    /// How many pods of a workload may be away at once.
    PodDisruptionBudget,
    /// Way in from outside the cluster.
    Ingress,
    /// Way in by a Gateway.
    HttpRoute,
    /// Pods whose metrics a Prometheus scrapes.
    PodMonitor,
    /// Alerts of a Prometheus.
    PrometheusRule,
    /// Written by workloads; read to say why one is not available.
    Pod,
}

/// Where a kind's objects live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace: always the Platform's own.
    Namespaced,
}

/// Position of a kind in the order of applying: what others refer to comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wave {
    /// Configuration and storage that pods mount.
    Config,
    /// Names that pods look up, and who may speak to whom.
    Network,
    /// The databases of the services.
    Databases,
    /// What brings a database to the state that the pods need.
    Migrations,
    /// The pods, and how many of them there are.
    Workloads,
    /// Ways in from outside.
    Exposure,
    /// What others watch.
    Monitoring,
}

impl fmt::Display for Wave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "config",
            Self::Network => "network",
            Self::Databases => "databases",
            Self::Migrations => "migrations",
            Self::Workloads => "workloads",
            Self::Exposure => "exposure",
            Self::Monitoring => "monitoring",
        })
    }
}

/// What the operator does with a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It watches, lists and applies the objects.
    Managed {
        /// When the objects are applied.
        wave: Wave,
        /// What becomes of an object that is not wanted any more while its Platform lives.
        disposal: Disposal,
    },
    /// It only reads them.
    ReadOnly,
}

/// What becomes of an object that is not wanted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposal {
    /// It is deleted.
    Pruned,
    /// It is kept: it holds what cannot be made again.
    Kept,
    /// That never happens: it is wanted for as long as its Platform lives.
    Unneeded,
}

/// Whether every cluster has a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is Kubernetes' own.
    Always,
    /// It comes with a CRD of somebody else's; where that is missing, the operator does without.
    WithCrd,
}

/// One row of [`KINDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindInfo {
    /// The kind.
    pub kind: Kind,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Name of the kind, as in a manifest.
    pub name: &'static str,
    /// Name of the resource, as in a URL.
    pub plural: &'static str,
    /// Where its objects live.
    pub scope: Scope,
    /// What the operator does with it.
    pub access: Access,
    /// Whether every cluster has it.
    pub presence: Presence,
}

/// Every kind that the operator touches, in the order of applying.
pub const KINDS: &[KindInfo] = &[
    KindInfo::new(Kind::ConfigMap, "", "v1", "ConfigMap", "configmaps").managed(Wave::Config),
    // A password that is lost locks its owner out of the data.
    KindInfo::new(Kind::Secret, "", "v1", "Secret", "secrets")
        .managed(Wave::Config)
        .disposed_of(Disposal::Kept),
    // Data outlives the removal of its service from the list; it goes with the Platform.
    KindInfo::new(
        Kind::PersistentVolumeClaim,
        "",
        "v1",
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
    )
    .managed(Wave::Config)
    .disposed_of(Disposal::Kept),
    KindInfo::new(Kind::Service, "", "v1", "Service", "services").managed(Wave::Network),
    KindInfo::new(
        Kind::NetworkPolicy,
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
    )
    .managed(Wave::Network),
    // A Platform's kind of database cannot be changed.
    KindInfo::new(Kind::StatefulSet, "apps", "v1", "StatefulSet", "statefulsets")
        .managed(Wave::Databases)
        .disposed_of(Disposal::Unneeded),
    KindInfo::new(Kind::Job, "batch", "v1", "Job", "jobs").managed(Wave::Migrations),
    KindInfo::new(Kind::Deployment, "apps", "v1", "Deployment", "deployments").managed(Wave::Workloads),
    KindInfo::new(Kind::CronJob, "batch", "v1", "CronJob", "cronjobs").managed(Wave::Workloads),
    KindInfo::new(
        Kind::HorizontalPodAutoscaler,
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
    )
    .managed(Wave::Workloads),
    KindInfo::new(
        Kind::PodDisruptionBudget,
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
    )
    .managed(Wave::Workloads),
    KindInfo::new(Kind::Ingress, "networking.k8s.io", "v1", "Ingress", "ingresses").managed(Wave::Exposure),
    KindInfo::new(
        Kind::HttpRoute,
        "gateway.networking.k8s.io",
        "v1",
        "HTTPRoute",
        "httproutes",
    )
    .managed(Wave::Exposure)
    .with_crd(),
    KindInfo::new(
        Kind::PodMonitor,
        "monitoring.coreos.com",
        "v1",
        "PodMonitor",
        "podmonitors",
    )
    .managed(Wave::Monitoring)
    .with_crd(),
    KindInfo::new(
        Kind::PrometheusRule,
        "monitoring.coreos.com",
        "v1",
        "PrometheusRule",
        "prometheusrules",
    )
    .managed(Wave::Monitoring)
    .with_crd(),
    KindInfo::new(Kind::Pod, "", "v1", "Pod", "pods"),
];

impl Kind {
    /// The row of this kind in [`KINDS`].
    pub const fn info(self) -> &'static KindInfo {
        // The rows stand in the order of the variants; a test compares them.
        &KINDS[self as usize]
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.info().name)
    }
}

impl KindInfo {
    /// A kind that every cluster has and that the operator only reads.
    const fn new(
        kind: Kind,
        group: &'static str,
        version: &'static str,
        name: &'static str,
        plural: &'static str,
    ) -> Self {
        Self {
            kind,
            group,
            version,
            name,
            plural,
            scope: Scope::Namespaced,
            access: Access::ReadOnly,
            presence: Presence::Always,
        }
    }

    const fn managed(self, wave: Wave) -> Self {
        let access = Access::Managed {
            wave,
            disposal: Disposal::Pruned,
        };
        Self { access, ..self }
    }

    const fn disposed_of(self, disposal: Disposal) -> Self {
        let access = match self.access {
            Access::Managed { wave, .. } => Access::Managed { wave, disposal },
            Access::ReadOnly => Access::ReadOnly,
        };
        Self { access, ..self }
    }

    const fn with_crd(self) -> Self {
        Self {
            presence: Presence::WithCrd,
            ..self
        }
    }

    /// Whether every cluster has this kind.
    pub const fn is_everywhere(&self) -> bool {
        matches!(self.presence, Presence::Always)
    }

    /// Whether a cluster has this kind that knows these of others' CRDs.
    pub fn is_known(&self, kinds: &BTreeSet<Kind>) -> bool {
        self.is_everywhere() || kinds.contains(&self.kind)
    }

    /// The kind as a client needs it to address objects of it.
    pub fn api_resource(&self) -> ApiResource {
        let gvk = GroupVersionKind::gvk(self.group, self.version, self.name);
        ApiResource::from_gvk_with_plural(&gvk, self.plural)
    }

    /// Whether the operator writes objects of this kind.
    pub const fn is_managed(&self) -> bool {
        matches!(self.access, Access::Managed { .. })
    }

    /// Whether an object that is not wanted any more is deleted while its Platform lives.
    pub const fn is_prunable(&self) -> bool {
        matches!(
            self.access,
            Access::Managed {
                disposal: Disposal::Pruned,
                ..
            }
        )
    }

    /// Whether an object outlives that it is wanted: it holds what cannot be made again.
    pub const fn is_kept(&self) -> bool {
        matches!(
            self.access,
            Access::Managed {
                disposal: Disposal::Kept,
                ..
            }
        )
    }

    /// When objects of this kind are applied; None for kinds that are only read.
    pub const fn wave(&self) -> Option<Wave> {
        match self.access {
            Access::Managed { wave, .. } => Some(wave),
            Access::ReadOnly => None,
        }
    }
}

/// Address of an object below a Platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace: the Platform's.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_variants() {
        for (position, info) in KINDS.iter().enumerate() {
            assert_eq!(info.kind as usize, position, "{}", info.name);
            assert_eq!(info.kind.info(), info);
        }
    }

    #[test]
    fn waves_never_go_back() {
        let waves: Vec<_> = KINDS.iter().filter_map(KindInfo::wave).collect();
        assert!(waves.is_sorted());
    }
}
