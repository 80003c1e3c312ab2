//! How a Platform is run: sizes, who writes, who may speak to whom, how new versions come.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Numbers and sizes of pods where the spec names none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Profile {
    /// For a laptop: one pod of each, as small as will do, with databases in files.
    #[default]
    Local,
    /// For users: two pods of each service whose data allows it, more memory, and a PostgreSQL server for the databases.
    Production,
}

/// Whether Tracewell writes what the spec asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ManagementState {
    /// It does.
    #[default]
    Managed,
    /// It writes nothing but the status, which stays true: for repairs by hand.
    Paused,
}

/// Where the API documents of the services are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiDocs {
    /// All on one page of the gateway, /api-docs, and each service has its own as well.
    #[default]
    Portal,
    /// Each service has its own; the gateway's page has the gateway's alone.
    PerService,
    /// Nowhere.
    Disabled,
}

/// Who may speak to whom.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecuritySpec {
    /// Whether network policies let in only what the spec declares: dependsOn, the gateway's routes, telemetry. It takes a
    /// network plugin (CNI) that enforces them; without one they are made, and hold nobody back.
    #[serde(default)]
    pub network_policy: NetworkPolicyMode,
}

/// Whether network policies are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkPolicyMode {
    /// They are.
    #[default]
    Enforced,
    /// They are not: any pod of the cluster reaches any pod of the Platform.
    Disabled,
}

/// How new versions of the pods come.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSpec {
    /// A rollout that makes no progress for so many seconds is reported as stalled.
    #[serde(default = "progress_deadline_seconds")]
    #[schemars(range(min = 30, max = 3600))]
    pub progress_deadline_seconds: i32,
}

impl Default for RolloutSpec {
    fn default() -> Self {
        Self {
            progress_deadline_seconds: progress_deadline_seconds(),
        }
    }
}

fn progress_deadline_seconds() -> i32 {
    300
}
