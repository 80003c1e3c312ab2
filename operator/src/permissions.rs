//! What the operator may do in a cluster: derived from [`KINDS`], so that the chart's role and the code cannot differ.

use platform_core::{
    api::GROUP,
    kinds::{KINDS, Kind, KindInfo},
};

/// Verbs on one resource of a namespace, or of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Name of the resource, with its sub-resource after a slash.
    pub resource: String,
    /// What is done with it.
    pub verbs: Vec<&'static str>,
}

/// What an election needs in the namespace of its Lease: the first two on that Lease alone, the last to make it.
pub fn lease_permissions() -> [Permission; 2] {
    [vec!["get", "update"], vec!["create"]].map(|verbs| Permission {
        group: "coordination.k8s.io",
        resource: "leases".to_owned(),
        verbs,
    })
}

/// What the operator needs in a namespace to make the passwords of a Platform, and to follow the Secrets that it refers to.
pub fn secret_permissions() -> Permission {
    of_kind(Kind::Secret.info())
}

/// Everything else that the operator asks of an API server, in each namespace that it watches.
pub fn permissions() -> Vec<Permission> {
    let own = [
        ("platforms", vec!["get", "list", "watch"]),
        ("platforms/status", vec!["patch"]),
    ]
    .map(|(resource, verbs)| Permission {
        group: GROUP,
        resource: resource.to_owned(),
        verbs,
    });
    let kinds = KINDS.iter().filter(|info| info.kind != Kind::Secret).map(of_kind);
    // A repeated event is patched to count up.
    let events = Permission {
        group: "events.k8s.io",
        resource: "events".to_owned(),
        verbs: vec!["create", "patch"],
    };
    own.into_iter().chain(kinds).chain([events]).collect()
}

fn of_kind(info: &KindInfo) -> Permission {
    let mut verbs = vec!["list", "watch"];
    if matches!(info.kind, Kind::ConfigMap | Kind::Secret) {
        // Those that a Platform refers to are looked up by name.
        verbs.insert(0, "get");
    }
    if info.is_managed() {
        // Server-side apply is a patch, which creates what is not there.
        verbs.extend(["create", "patch"]);
    }
    if info.is_prunable() {
        verbs.push("delete");
    }
    Permission {
        group: info.group,
        resource: info.plural.to_owned(),
        verbs,
    }
}

impl Permission {
    /// Resource and group in kubectl's notation: `deployments.apps`, `pods`.
    pub fn name(&self) -> String {
        match self.group {
            "" => self.resource.clone(),
            group => format!("{}.{group}", self.resource),
        }
    }
}
