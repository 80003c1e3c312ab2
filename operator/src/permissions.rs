//! What the operator may do in a cluster: derived from [`KINDS`], so that the chart's role and the code cannot differ.

use platform_core::{
    api::GROUP,
    kinds::{KINDS, Kind},
};

/// Verbs on one resource of all namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Name of the resource, with its sub-resource after a slash.
    pub resource: String,
    /// What is done with it.
    pub verbs: Vec<&'static str>,
}

/// Everything that the operator asks of an API server, and nothing else.
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
    let kinds = KINDS.iter().map(|kind| {
        let mut verbs = vec!["list", "watch"];
        if matches!(kind.kind, Kind::ConfigMap | Kind::Secret) {
            // Those that a Platform refers to are looked up by name.
            verbs.insert(0, "get");
        }
        if kind.is_managed() {
            // Server-side apply is a patch, which creates what is not there.
            verbs.extend(["create", "patch"]);
        }
        if kind.is_prunable() {
            verbs.push("delete");
        }
        Permission {
            group: kind.group,
            resource: kind.plural.to_owned(),
            verbs,
        }
    });
    // A repeated event is patched to count up.
    let events = Permission {
        group: "events.k8s.io",
        resource: "events".to_owned(),
        verbs: vec!["create", "patch"],
    };
    own.into_iter().chain(kinds).chain([events]).collect()
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
