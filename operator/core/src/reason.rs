//! Reasons of conditions and events: one table, with what each means and what to do about it.

use std::fmt;

use crate::step::FailureCategory;

/// Declares the reasons once: the variant is the word in the status, the text is its documentation.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Why a condition is as it is. The order is that of urgency: where several causes stand, the first is shown.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word in the status.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// What it means, and what to do about it.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc,)+).trim_ascii(),)+
                }
            }
        }
    };
}

reasons! {
    /// The spec breaks rules that the API server cannot see; nothing was applied. The message names each one and what is allowed.
    SpecInvalid,
    /// The spec has a value that this version of the operator does not know, such as one of a newer version; nothing was applied, and what runs is left as it is. The message names the field. Install the operator that the CRD belongs to, or take the value back.
    SpecUnreadable,
    /// The operator lacks a permission. Install the chart of the operator's own version: its role belongs to it.
    ApplyForbidden,
    /// The API server refuses an object. The message is its own; a field of the Platform leads there, such as a node port that is taken.
    ApplyInvalid,
    /// A resource quota of the namespace is used up. Raise the quota, or ask for less.
    QuotaExceeded,
    /// An object that the Platform needs is somebody else's, and is left alone. Delete or rename it, or take the service that needs its name out of the Platform; the operator looks again every minute.
    ApplyConflict,
    /// An object changed while it was being written; the operator tries again by itself.
    ObjectChanged,
    /// The API server does not answer; the operator tries again by itself.
    ClusterUnavailable,
    /// A Secret or a ConfigMap that the Platform refers to is missing. The message names it and who needs it: create it. What runs goes on as it is; changes of it wait.
    ReferenceMissing,
    /// The Platform needs a Secret of the operator's making, and the operator may not use Secrets in its namespace. The message has the command that allows it; the operator looks again within 15 seconds.
    SecretsForbidden,
    /// The spec asks for an object of a kind that the cluster does not have. Install the CRD that the message names; the operator sees it within a minute.
    KindMissing,
    /// A service's database could not be brought to the schema of its image, so that the image's pods are not started; those of the version before go on serving. The message has the last words of the migration. It is tried again when the service changes, or when its Job is deleted.
    MigrationFailed,
    /// The roles and databases of the services cannot be made in the Platform's PostgreSQL. The message has the last words of the Job, which goes on trying.
    RolesNotMade,
    /// An image cannot be pulled. Check its name, its tag and the access to its registry.
    ImagePullFailed,
    /// A container cannot be made, most often because a Secret, a ConfigMap or a key in one is missing. The message names it.
    ContainerConfigInvalid,
    /// A container was killed for using more memory than its limit. Raise resources.limits.memory.
    OutOfMemory,
    /// A container ends again and again. The message has its exit code and its last words.
    ContainerCrashed,
    /// A volume is not provided. Check that the storage class that the message names exists, and has room.
    VolumePending,
    /// The volume of a managed Jaeger has less than a twentieth of its size left. A full one ends Jaeger: raise storage.badger.size where the storage class can grow volumes, or lower storage.badger.retentionHours or tracing.samplingPercent.
    VolumeFull,
    /// No node takes the pod. The message is the scheduler's.
    Unschedulable,
    /// The cluster refuses to make pods. The message is its own; often a policy of the namespace stands against it.
    PodsRefused,
    /// A container runs, but its probe fails. Check the paths in probes, the port, and the container's log.
    ProbeFailing,
    /// A rollout made no progress for 300 seconds, and no pod says why.
    ProgressDeadlineExceeded,
    /// The spec asks for monitors of the Prometheus operator, and the cluster has no such kind: no Prometheus finds the pods. Install the Prometheus operator, or set metrics.discovery to Auto or Annotations.
    MonitorsUnknown,
    /// Every service serves, but an autoscaler is not told of the load and keeps the number of pods as it is. The message has its words. Install metrics-server, or name replicas instead of autoscaling.
    AutoscalerBlind,
    /// Work is under way.
    Progressing,
    /// The spec is invalid, so this was not looked at.
    NotAccepted,
    /// Every rule holds.
    Accepted,
    /// Every Secret and ConfigMap that the Platform refers to is there.
    AllReferencesFound,
    /// The Platform refers to Secrets of a namespace in which the operator may not look at any: they reach the pods, but nothing is said when one is missing, and no pod is restarted when one changes. The message has the command that allows it.
    SecretsNotChecked,
    /// Every rule holds, but managementState is Paused: nothing is written besides the status. Set it to Managed to go on.
    Paused,
    /// Jaeger has not been asked for spans yet: that is done once every service serves.
    NotAskedYet,
    /// A span of every service arrived in Jaeger when one was asked for last.
    SpansArrive,
    /// A request was sent through each service, and of some no span arrived in Jaeger. The message names them, and the hop that loses their spans as far as the collectors' counters tell.
    SpansMissing,
    /// Jaeger's query API cannot be asked for spans. The message says why; for an external Jaeger check queryURL, and that the operator's pod may reach it; by https its certificate has to be of a public authority.
    JaegerUnanswered,
    /// No DSN is named in telemetry.errors: the services log what they would send.
    ErrorTrackingDisabled,
    /// The Secret that telemetry.errors names for the DSN is there.
    DsnFound,
    /// exposure.type is None: the gateway is reached from inside the cluster.
    InsideOnly,
    /// The spec asks for a way in from outside, and its list of services has no gateway.
    NoGateway,
    /// Users get in.
    EntranceOpen,
    /// Whoever opens the way in has not done so yet: an ingress controller, or a Gateway. The message says which, and what it said.
    EntranceWaiting,
    /// Every service and the tracing backend serve.
    AllComponentsReady,
    /// Every service has all its pods, of the current version, and they serve.
    AllServicesAvailable,
    /// The managed Jaeger serves.
    JaegerAvailable,
    /// The last backup did not succeed. The message has its last words; the next one is made when the schedule says.
    BackupFailed,
    /// The last backup succeeded; the message says when.
    BackupSucceeded,
    /// The spec asks for backups, and none was due yet.
    BackupNotDue,
    /// The spec asks for no backups of a database that Tracewell runs.
    NoBackup,
    /// Every database serves, and its schema is up to date.
    DatabaseAvailable,
    /// No service has a database.
    NoDatabase,
    /// The databases are not Tracewell's, so that it cannot say whether they serve.
    ExternalDatabase,
    /// Spans go to a backend that Tracewell does not run, so that it cannot say whether it serves.
    ExternalBackend,
    /// The managed Prometheus serves.
    PrometheusAvailable,
    /// Metrics are stored by a Prometheus that Tracewell does not run, so that it cannot say whether it serves.
    ExternalPrometheus,
    /// The Platform knows of no Prometheus; one that finds the pods by metrics.discovery may be there all the same.
    NoPrometheus,
    /// The spec asks for no traces.
    TracingDisabled,
    /// The cluster has what the spec asks for; there is nothing to do.
    Completed,
    /// Nothing stands in the way.
    NotStalled,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<FailureCategory> for Reason {
    fn from(category: FailureCategory) -> Self {
        match category {
            FailureCategory::Contested => Self::ApplyConflict,
            FailureCategory::Conflict => Self::ObjectChanged,
            FailureCategory::Forbidden => Self::ApplyForbidden,
            FailureCategory::Invalid => Self::ApplyInvalid,
            FailureCategory::Quota => Self::QuotaExceeded,
            FailureCategory::Throttled | FailureCategory::Unavailable | FailureCategory::Timeout => {
                Self::ClusterUnavailable
            }
        }
    }
}

impl Reason {
    /// Whether somebody has to look: it has a page in `docs/runbooks/reasons`. The others say that all is well, that it
    /// will be soon, or what the spec itself chose. A new reason is a problem until it is listed here.
    pub const fn is_problem(self) -> bool {
        !matches!(
            self,
            Self::Progressing
                | Self::NotAccepted
                | Self::Accepted
                | Self::AllReferencesFound
                | Self::Paused
                | Self::NotAskedYet
                | Self::SpansArrive
                | Self::ErrorTrackingDisabled
                | Self::DsnFound
                | Self::InsideOnly
                | Self::EntranceOpen
                | Self::AllComponentsReady
                | Self::AllServicesAvailable
                | Self::JaegerAvailable
                | Self::BackupSucceeded
                | Self::BackupNotDue
                | Self::NoBackup
                | Self::DatabaseAvailable
                | Self::NoDatabase
                | Self::ExternalDatabase
                | Self::ExternalBackend
                | Self::PrometheusAvailable
                | Self::ExternalPrometheus
                | Self::NoPrometheus
                | Self::TracingDisabled
                | Self::Completed
                | Self::NotStalled
        )
    }

    /// Whether the operator may get over it by trying again, without anybody's help.
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::ObjectChanged | Self::ClusterUnavailable | Self::Progressing
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_camel_case_and_explained() {
        for reason in Reason::ALL {
            let word = reason.as_str();
            assert!(word.starts_with(|c: char| c.is_ascii_uppercase()), "{word}");
            assert!(word.chars().all(|c| c.is_ascii_alphanumeric()), "{word}");
            assert!(reason.meaning().ends_with('.'), "{word}: {}", reason.meaning());
        }
    }
}
