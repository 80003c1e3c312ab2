//! The `tracewell.dev/v1alpha1` API: what people write, and what the operator answers.
//!
//! The API server holds the first line: every bound, default and cross-field rule (CEL) is part of the schema
//! that these types generate. [`resolve`](crate::resolve) holds the second, for what CEL cannot see.
//!
//! A rule stands at the deepest field that has all it reads, and asks first for what is most often left out: for each field
//! that a rule reads, the API server copies the schemas of all fields beside it (`Structural.Properties` in its code).

#![expect(
    unreachable_pub,
    reason = "KubeSchema repeats each type, with its visibility, inside a function"
)]

mod database;
mod errors;
mod exposure;
mod metrics;
mod operation;
mod service;
mod status;
mod storage;
mod telemetry;

pub use database::{
    Backup, DatabaseSpec, DatabaseType, EmbeddedDatabase, ExternalDatabase, Migrations, PostgresDatabase,
    UrlSecretRef,
};
pub use errors::{DebugEndpoints, ErrorsSpec};
pub use exposure::{
    ExposureSpec, ExposureType, GatewayExposure, IngressExposure, NodePortExposure, ParentRef,
};
pub use metrics::{
    Dashboards, ExternalPrometheus, ManagedPrometheus, MetricsDiscovery, MetricsSpec, PrometheusSpec,
    PrometheusStorage, PrometheusStorageType, PrometheusType, PrometheusVolume, ServiceMetrics,
};
pub use operation::{ApiDocs, ManagementState, NetworkPolicyMode, Profile, RolloutSpec, SecuritySpec};
pub use service::{
    Autoscaling, EnvFrom, EnvVar, EnvVarSource, KeyRef, NameRef, Probes, Resources, Route, ServiceApiDocs,
    ServiceDatabase, ServiceSpec, ServiceTelemetry, Sizes,
};
pub use status::{Condition, Endpoint, MigrationState, MigrationStatus, PlatformStatus, ServiceStatus};
pub use storage::{DeletionPolicy, Storage};
pub use telemetry::{
    BadgerStorage, CollectorGateway, CollectorMode, CollectorSpec, ExporterHeader, ExporterSpec,
    ExternalJaeger, JaegerMonitor, JaegerSpec, JaegerStorage, JaegerStorageType, JaegerType, ManagedJaeger,
    MemoryStorage, OtlpProtocol, Redaction, TailErrors, TailSampling, TelemetrySpec, TracingSpec,
};

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// API group of every kind and label of Tracewell.
pub const GROUP: &str = "tracewell.dev";

/// Desired state of a Platform: a set of services that Tracewell runs and instruments.
///
/// The smallest one is complete: `spec: {}` gives gateway, auth, chat and billing with a managed Jaeger.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tracewell.dev",
    version = "v1alpha1",
    kind = "Platform",
    plural = "platforms",
    shortname = "plat",
    category = "tracewell",
    namespaced,
    status = "PlatformStatus",
    derive = "PartialEq",
    doc = "A set of services that Tracewell runs and instruments.",
    validation = Rule::new("self.metadata.name.size() <= 30 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be at most 30 characters: a lower-case letter, then lower-case letters, digits and '-', ending with a letter or digit"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether every service and the tracing backend serve now"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why the Platform is ready or not"),
    printcolumn(name = "Services", type_ = "string", json_path = ".status.readyServices", description = "Ready services of all services"),
    printcolumn(name = "Traces", type_ = "string", json_path = ".status.conditions[?(@.type==\"TelemetryFlowing\")].status", description = "Whether spans of every service arrive in Jaeger, by evidence"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url", priority = 1, description = "Where the gateway is reached"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.operatorVersion", priority = 1, description = "Version of the operator that wrote the status")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(of_database("DATABASE == DATABASE_BEFORE"))
        .message("database.type cannot be changed, and without one neither can profile, which stands for it (Local: Embedded, Production: Postgres): data is not moved between databases"),
    validation = Rule::new(of_database("!has(self.database.embedded) || DATABASE == 'Embedded'"))
        .message("database.embedded is allowed only when database.type is Embedded, as it is with profile Local when left out"),
    validation = Rule::new(of_database("!has(self.database.postgres) || DATABASE == 'Postgres'"))
        .message("database.postgres is allowed only when database.type is Postgres, as it is with profile Production when left out"),
    validation = Rule::new(of_database("DATABASE != 'Embedded' || !has(self.services) || self.services.all(s, ((!has(s.replicas) || s.replicas <= 1) && !has(s.autoscaling)) || (has(s.database) ? s.database == 'Disabled' : !(s.name in ['auth', 'chat', 'billing'])))"))
        .message("replicas must be 0 or 1, and autoscaling left out, for a service with an Embedded database: its file has one writer"),
    validation = Rule::new("(has(self.database.type) && self.database.type == 'External') || !has(self.services) || self.services.all(s, !has(s.databaseURLSecretRef))")
        .message("databaseURLSecretRef is allowed only when database.type is External"),
    validation = Rule::new("!has(self.database.type) || self.database.type != 'External' || has(self.database.external) || (has(self.services) && self.services.all(s, has(s.databaseURLSecretRef) || (has(s.database) ? s.database == 'Disabled' : !(s.name in ['auth', 'chat', 'billing']))))")
        .message("database.external is required when type is External, unless each service with a database has a databaseURLSecretRef"),
    validation = Rule::new("!has(self.database.external) || !has(self.database.external.urlSecretRef.key) || (has(self.services) && self.services.filter(s, !has(s.databaseURLSecretRef) && (has(s.database) ? s.database == 'Enabled' : s.name in ['auth', 'chat', 'billing'])).size() <= 1)")
        .message("database.external.urlSecretRef.key is allowed only where one service uses it: without it, each service uses the key of its own name")
)]
pub struct PlatformSpec {
    /// Numbers and sizes of pods where the spec names none.
    #[serde(default)]
    pub profile: Profile,

    /// Whether Tracewell writes what the spec asks for.
    #[serde(default)]
    pub management_state: ManagementState,

    /// The services to run. Left out, it means Tracewell's own: gateway, auth, chat and billing. These four names
    /// need nothing else; any other service needs an image and a port.
    // The API server must not fill this in: nobody would own the entries, and a server-side apply of a shorter list
    // would leave the others in place.
    #[serde(default = "service::known_services")]
    #[schemars(length(min = 1, max = 32), transform = without_default)]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["name".into()]),
        validation = Rule::new("self.all(s, !has(s.dependsOn) || s.dependsOn.all(d, self.exists(t, t.name == d)))")
            .message("dependsOn may only name services of the same Platform's services list"),
        validation = Rule::new("self.all(s, !has(s.route) || self.exists_one(t, has(t.route) && t.route.pathPrefix == s.route.pathPrefix))")
            .message("each route.pathPrefix may be used by one service only")
    )]
    pub services: Vec<ServiceSpec>,

    /// What becomes of data when the Platform is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,

    /// Where services with a database keep their data.
    #[serde(default)]
    pub database: DatabaseSpec,

    /// Traces: how many are sampled, how they travel and where they are stored; and where errors are reported.
    #[serde(default)]
    pub telemetry: TelemetrySpec,

    /// How the gateway and Jaeger are reached from outside the cluster.
    #[serde(default)]
    pub exposure: ExposureSpec,

    /// Where the API documents of the services are.
    #[serde(default)]
    pub api_docs: ApiDocs,

    /// Who may speak to whom.
    #[serde(default)]
    pub security: SecuritySpec,

    /// How new versions of the pods come.
    #[serde(default)]
    pub rollout: RolloutSpec,
}

impl PlatformSpec {
    /// The kind of its database: the one that it names, else the profile's.
    pub fn database_type(&self) -> DatabaseType {
        self.database.type_.unwrap_or(match self.profile {
            Profile::Local => DatabaseType::Embedded,
            Profile::Production => DatabaseType::Postgres,
        })
    }
}

/// A rule in which `DATABASE` is what [`PlatformSpec::database_type`] gives, and `DATABASE_BEFORE` what it gave before a
/// change.
fn of_database(rule: &str) -> String {
    let of = |spec: &str| {
        format!(
            "(has({spec}.database.type) ? {spec}.database.type : {spec}.profile == 'Production' ? 'Postgres' : 'Embedded')"
        )
    };
    rule.replace("DATABASE_BEFORE", &of("oldSelf"))
        .replace("DATABASE", &of("self"))
}

fn without_default(schema: &mut schemars::Schema) {
    schema.remove("default");
}
