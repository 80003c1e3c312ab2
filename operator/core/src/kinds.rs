//! Every kind of object that the operator touches: the single source of what is watched, listed, applied and
//! pruned, and of the operator's permissions.

use std::fmt;

use kube::core::{ApiResource, GroupVersionKind};

/// A kind of object below a Platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Configuration of Jaeger and of the collectors.
    ConfigMap,
    /// Data of a service.
    PersistentVolumeClaim,
    /// Name and ports of a workload.
    Service,
    /// A workload.
    Deployment,
    /// Written by Deployments; read to say why a workload is not available.
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
    /// Names that pods look up.
    Network,
    /// The pods.
    Workloads,
}

impl fmt::Display for Wave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "config",
            Self::Network => "network",
            Self::Workloads => "workloads",
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
        /// Whether an object that is not wanted any more is deleted while its Platform lives.
        prunable: bool,
    },
    /// It only reads them.
    ReadOnly,
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
}

/// Every kind that the operator touches, in the order of applying.
pub const KINDS: &[KindInfo] = &[
    KindInfo {
        kind: Kind::ConfigMap,
        group: "",
        version: "v1",
        name: "ConfigMap",
        plural: "configmaps",
        scope: Scope::Namespaced,
        access: Access::Managed {
            wave: Wave::Config,
            prunable: true,
        },
    },
    KindInfo {
        kind: Kind::PersistentVolumeClaim,
        group: "",
        version: "v1",
        name: "PersistentVolumeClaim",
        plural: "persistentvolumeclaims",
        scope: Scope::Namespaced,
        // Data outlives the removal of its service from the list; it goes with the Platform.
        access: Access::Managed {
            wave: Wave::Config,
            prunable: false,
        },
    },
    KindInfo {
        kind: Kind::Service,
        group: "",
        version: "v1",
        name: "Service",
        plural: "services",
        scope: Scope::Namespaced,
        access: Access::Managed {
            wave: Wave::Network,
            prunable: true,
        },
    },
    KindInfo {
        kind: Kind::Deployment,
        group: "apps",
        version: "v1",
        name: "Deployment",
        plural: "deployments",
        scope: Scope::Namespaced,
        access: Access::Managed {
            wave: Wave::Workloads,
            prunable: true,
        },
    },
    KindInfo {
        kind: Kind::Pod,
        group: "",
        version: "v1",
        name: "Pod",
        plural: "pods",
        scope: Scope::Namespaced,
        access: Access::ReadOnly,
    },
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
        matches!(self.access, Access::Managed { prunable: true, .. })
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
