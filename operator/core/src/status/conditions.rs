//! Conditions, as `metav1.Condition` has them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::MESSAGE_MAX;
use crate::api::Platform;
use crate::reason::Reason;

/// Types of the conditions of a Platform. `Reconciling` and `Stalled` are kstatus's, so that `kubectl wait`,
/// `helm --wait` and `GitOps` tools understand a Platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// Whether every service and what Tracewell runs beside them serve now.
    Ready,
    /// Whether work is under way.
    Reconciling,
    /// Whether something stands in the way that does not go by itself.
    Stalled,
    /// Whether the spec keeps every rule.
    Accepted,
    /// Whether the Secrets and `ConfigMap`s that the spec refers to are there.
    SecretsResolved,
    /// Whether the databases serve, with the schemas that the services need.
    DatabaseReady,
    /// Whether the last backup of the databases succeeded.
    BackupSucceeded,
    /// Whether every service serves now.
    ServicesAvailable,
    /// Whether the tracing backend serves now.
    TracingAvailable,
    /// Whether the Platform's Prometheus serves now.
    MetricsAvailable,
    /// Whether spans of every service arrive, by evidence.
    TelemetryFlowing,
    /// Whether errors are reported somewhere.
    ErrorTrackingConfigured,
    /// Whether users get in.
    Exposed,
}

impl ConditionType {
    /// Those that say how one part of the Platform is. The others sum up.
    pub(super) const PARTS: &'static [Self] = &[
        Self::SecretsResolved,
        Self::DatabaseReady,
        Self::BackupSucceeded,
        Self::ServicesAvailable,
        Self::TracingAvailable,
        Self::MetricsAvailable,
        Self::TelemetryFlowing,
        Self::ErrorTrackingConfigured,
        Self::Exposed,
    ];

    /// The type in the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Accepted => "Accepted",
            Self::SecretsResolved => "SecretsResolved",
            Self::DatabaseReady => "DatabaseReady",
            Self::BackupSucceeded => "BackupSucceeded",
            Self::ServicesAvailable => "ServicesAvailable",
            Self::TracingAvailable => "TracingAvailable",
            Self::MetricsAvailable => "MetricsAvailable",
            Self::TelemetryFlowing => "TelemetryFlowing",
            Self::ErrorTrackingConfigured => "ErrorTrackingConfigured",
            Self::Exposed => "Exposed",
        }
    }
}

/// A condition before it is compared with the one that was written last.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub type_: ConditionType,
    /// None: unknown.
    pub status: Option<bool>,
    pub reason: Reason,
    pub message: String,
}

impl Finding {
    pub(super) fn new(type_: ConditionType, status: bool, reason: Reason, message: String) -> Self {
        Self {
            type_,
            status: Some(status),
            reason,
            message,
        }
    }
}

/// Conditions with their instants: one moves only when its status flips.
pub(super) fn stamp_conditions(
    findings: Vec<Finding>,
    old: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    findings
        .into_iter()
        .map(|finding| {
            let status = match finding.status {
                Some(true) => "True",
                Some(false) => "False",
                None => "Unknown",
            };
            let same = find(old, finding.type_).filter(|condition| condition.status == status);
            Condition {
                type_: finding.type_.as_str().to_owned(),
                status: status.to_owned(),
                reason: finding.reason.to_string(),
                message: cut(finding.message),
                observed_generation: generation,
                last_transition_time: same.map_or_else(
                    || Time(whole_second(now)),
                    |condition| condition.last_transition_time.clone(),
                ),
            }
        })
        .collect()
}

/// The API keeps whole seconds; a status with more would never equal the one that was read back.
fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn cut(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MESSAGE_MAX));
    message
}

/// The condition of a type.
pub(super) fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions
        .iter()
        .find(|condition| condition.type_ == type_.as_str())
}

/// What the status says already, if it is for one of these reasons.
pub(super) fn last_answer(platform: &Platform, type_: ConditionType, reasons: &[Reason]) -> Option<Finding> {
    let condition = find(&platform.status.as_ref()?.conditions, type_)?;
    let reason = reasons
        .iter()
        .find(|reason| reason.as_str() == condition.reason)?;
    let is_so = condition.status == "True";
    Some(Finding::new(type_, is_so, *reason, condition.message.clone()))
}

/// Whether the condition of a type is there and true.
pub(super) fn is_true(conditions: &[Condition], type_: ConditionType) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}
