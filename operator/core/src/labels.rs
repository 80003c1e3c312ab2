//! Labels and annotations: how an object says whose it is.

/// Label: name of the service or component.
pub const NAME: &str = "app.kubernetes.io/name";
/// Label: name of the Platform.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label: role of the object, see [`Component`].
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Label: the system that the object is part of.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// Label: who writes the object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label: name of the Platform, for people and selectors.
pub const PLATFORM: &str = "tracewell.dev/platform";
/// Label: uid of the Platform; the operator lists and prunes by it, so that a Platform that was deleted and made
/// again under the same name never takes the old one's objects for its own.
pub const PLATFORM_UID: &str = "tracewell.dev/platform-uid";
/// Annotation: hash of what the operator applied; see [`diff`](crate::diff).
pub const APPLIED_HASH: &str = "tracewell.dev/applied-hash";

/// Annotation of pods: changes whenever a Secret or a `ConfigMap` changes that they read and that somebody else keeps.
pub const INPUTS_HASH: &str = "tracewell.dev/inputs-hash";

/// Annotation of a Job's pods: uid of what the Job is done to.
pub const DONE_TO: &str = "tracewell.dev/done-to";
/// Annotation of events: trace of the reconcile that tells of it.
pub const TRACE_ID: &str = "tracewell.dev/trace-id";
/// Label of a `ConfigMap`: Grafana's sidecar loads the dashboards in it.
pub const GRAFANA_DASHBOARD: &str = "grafana_dashboard";

/// Value of [`PART_OF`].
pub const PART_OF_VALUE: &str = "tracewell";
/// Value of [`MANAGED_BY`], and what the field manager of every object begins with.
pub const OPERATOR: &str = "tracewell-operator";
/// Field manager of a Platform's status.
pub const STATUS_FIELD_MANAGER: &str = "tracewell-operator/status";

/// Role of an object in its Platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// One of the Platform's services.
    Service,
    /// The managed tracing backend.
    Jaeger,
    /// Configuration of a managed Jaeger.
    JaegerConfig,
    /// Configuration of the collectors.
    CollectorConfig,
    /// Configuration of the collectors that decide about whole traces.
    SamplerConfig,
    /// Collectors in pods of their own.
    Collector,
    /// Who may speak to whom.
    Network,
    /// The managed PostgreSQL.
    Database,
    /// Configuration of a managed PostgreSQL.
    DatabaseConfig,
    /// Passwords.
    Credentials,
    /// Keys that services seal what they store with.
    EncryptionKey,
    /// What makes the roles of the services.
    Roles,
    /// Scripts that make the roles.
    RolesConfig,
    /// What brings a schema up to date.
    Migration,
    /// Backups.
    Backup,
    /// Scripts of the backups.
    BackupConfig,
    /// The managed Prometheus.
    Prometheus,
    /// Configuration of a managed Prometheus.
    PrometheusConfig,
    /// What tells a Prometheus of pods and of alerts.
    Monitoring,
    /// A dashboard of Grafana.
    Dashboard,
}

impl Component {
    /// Value of the label [`COMPONENT`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Jaeger => "jaeger",
            Self::JaegerConfig => "jaeger-config",
            Self::CollectorConfig => "collector-config",
            Self::SamplerConfig => "sampler-config",
            Self::Collector => "collector",
            Self::Network => "network",
            Self::Database => "database",
            Self::DatabaseConfig => "database-config",
            Self::Credentials => "credentials",
            Self::EncryptionKey => "encryption-key",
            Self::Roles => "database-roles",
            Self::RolesConfig => "database-roles-config",
            Self::Migration => "migration",
            Self::Backup => "backup",
            Self::BackupConfig => "backup-config",
            Self::Prometheus => "prometheus",
            Self::PrometheusConfig => "prometheus-config",
            Self::Monitoring => "monitoring",
            Self::Dashboard => "dashboard",
        }
    }
}

/// Field manager of the objects of the Platforms with this name: where two Platforms of a namespace mean the same object
/// (`shop-eu` with a service `auth`, and `shop` with `eu-auth`), the API server keeps the second from taking it.
pub fn field_manager(platform: &str) -> String {
    format!("{OPERATOR}/{platform}")
}

/// Selects every object of the Platforms that have, or had, this name in the namespace.
pub fn name_selector(name: &str) -> String {
    format!("{PLATFORM}={name}")
}

/// Selects every object of the Platform with this uid.
pub fn platform_selector(uid: &str) -> String {
    format!("{PLATFORM_UID}={uid}")
}
