//! One service of a Platform.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Migrations, ServiceMetrics};
use crate::known::KNOWN_SERVICES;

/// A service: a Deployment, its Service, and everything that instruments it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.name in ['gateway', 'auth', 'chat', 'billing'] || (has(self.image) && has(self.port))")
        .message("image and port are required for a service that is not one of gateway, auth, chat, billing"),
    validation = Rule::new("!has(self.autoscaling) || !has(self.replicas)")
        .message("replicas and autoscaling exclude each other: autoscaling decides the number of pods"),
    validation = Rule::new("!has(self.migrations) || (has(self.database) ? self.database == 'Enabled' : self.name in ['auth', 'chat', 'billing'])")
        .message("migrations is allowed only for a service with a database"),
    validation = Rule::new("!has(self.dependsOn) || !(self.name in self.dependsOn)")
        .message("dependsOn must not name the service itself"),
    validation = Rule::new("!has(self.metrics) || !has(self.port) || self.port != self.metrics.port")
        .message("port and metrics.port must be different"),
    validation = Rule::new("!has(self.route) || self.name != 'gateway'")
        .message("route is not allowed for gateway: it is what the routes lead through")
)]
pub struct ServiceSpec {
    /// Name of the service, unique in the Platform.
    #[schemars(length(min = 1, max = 30), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("!(self in ['jaeger', 'jaeger-query', 'collector', 'collector-sampler', 'default-deny', 'postgres', 'prometheus', 'database', 'sentry-ui', 'trace-ui'])")
        .message("name must not be jaeger, jaeger-query, collector, collector-sampler, default-deny, postgres, prometheus, database, sentry-ui, trace-ui: Tracewell's own objects or variables have these names"))]
    pub name: String,

    /// Container image. Left out for gateway, auth, chat and billing, it is the operator's own release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[^\s]+$"))]
    pub image: Option<String>,

    /// TCP port on which the container serves HTTP; it is told to it as `PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    #[x_kube(validation = Rule::new("!(self in [4317, 4318, 8888, 9464])")
        .message("port must not be 4317, 4318, 8888 or 9464: the collector and the metrics listen there in the same pod"))]
    pub port: Option<i32>,

    /// Number of pods. Left out, it is 1; 2 in the profile Production for a service whose data allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: Option<i32>,

    /// Lets the number of pods follow their load, instead of replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// Whether the service gets a database (as `DATABASE_URL`). Default: Enabled for auth, chat and billing, else
    /// Disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<ServiceDatabase>,

    /// Key of a Secret in the Platform's namespace that holds the URL of this service's database; only with a database
    /// of type External. Default: what database.external says.
    #[serde(
        default,
        rename = "databaseURLSecretRef",
        skip_serializing_if = "Option::is_none"
    )]
    pub database_url_secret_ref: Option<KeyRef>,

    /// How the image brings the schema of its database up to date, before its pods start. Default: the sub-command
    /// `migrate` for auth, chat and billing, else nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrations: Option<Migrations>,

    /// CPU and memory of the service's container. What is left out has a small default.
    #[serde(default)]
    pub resources: Resources,

    /// Additional environment. What Tracewell sets itself (`PORT`, `OTEL_*`, `SENTRY_*`, `DATABASE_URL`, …) wins,
    /// except `RUST_LOG`, `LOG_FORMAT`, `SENTRY_CAPTURE_STATUS`, `KEY_ENCRYPTION_KEY`, `TRUSTED_PROXIES`, `PASSKEY_RP_ID`,
    /// `PASSKEY_ORIGINS`, `OTEL_METRICS_EXPORTER`, `OTEL_LOGS_EXPORTER`, `OTEL_EXPORTER_PROMETHEUS_HOST` and
    /// `OTEL_EXPORTER_PROMETHEUS_PORT`; the condition Accepted names what was ignored.
    #[serde(default)]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,

    /// Secrets and config maps whose every key becomes a variable, of migrations too. An entry of env with the same name
    /// wins, and what Tracewell sets itself does too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub env_from: Vec<EnvFrom>,

    /// Services that this one calls; each is told to it as `{NAME}_URL`. Default: what is known of Tracewell's own
    /// services, as far as they are in the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 30)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub depends_on: Option<Vec<String>>,

    /// Where the gateway offers this service. Default: /auth, /chat and /billing for these services, else none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,

    /// HTTP paths that say how the service is.
    #[serde(default)]
    pub probes: Probes,

    /// Where the service has its API document.
    #[serde(default)]
    pub api_docs: ServiceApiDocs,

    /// What of the Platform's telemetry is different for this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<ServiceTelemetry>,
    /// Where the service offers metrics. Default: port 9464 and path /metrics for gateway, auth, chat and billing; any other
    /// service is scraped only if this is given, also as `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<ServiceMetrics>,
}

impl ServiceSpec {
    /// A service with every field at its default, as the API server would complete `{name: …}`.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            image: None,
            port: None,
            replicas: None,
            autoscaling: None,
            database: None,
            database_url_secret_ref: None,
            migrations: None,
            resources: Resources::default(),
            env: Vec::new(),
            env_from: Vec::new(),
            depends_on: None,
            route: None,
            probes: Probes::default(),
            api_docs: ServiceApiDocs::default(),
            telemetry: None,
            metrics: None,
        }
    }
}

/// The services of `spec: {}`.
pub(super) fn known_services() -> Vec<ServiceSpec> {
    KNOWN_SERVICES
        .iter()
        .map(|known| ServiceSpec::named(known.name))
        .collect()
}

fn one() -> i32 {
    1
}

/// How the number of pods follows their load.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.minReplicas <= self.maxReplicas").message("minReplicas must be less than or equal to maxReplicas"))]
pub struct Autoscaling {
    /// Pods that are always there.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub min_replicas: i32,
    /// Pods that there are at most.
    #[schemars(range(min = 1, max = 100))]
    pub max_replicas: i32,
    /// CPU that the pods use on average, in percent of what they request; more pods come above it.
    #[serde(default = "eighty", rename = "targetCPUPercent")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_percent: i32,
}

fn eighty() -> i32 {
    80
}

/// A Secret or a `ConfigMap` whose every key becomes a variable.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretRef) != has(self.configMapRef)").message("an envFrom entry has exactly one of secretRef and configMapRef"))]
pub struct EnvFrom {
    /// What the name of each variable begins with, before the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub prefix: Option<String>,
    /// A Secret in the Platform's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<NameRef>,
    /// A `ConfigMap` in the Platform's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<NameRef>,
}

/// An object in the Platform's namespace.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Where a service has its API document.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceApiDocs {
    /// Path of the `OpenAPI` document in JSON. A service without one answers 404 there, and the portal says so. The operator
    /// asks for it every few minutes, to see whether the span of its request arrives, so that a GET of it has to change nothing.
    #[serde(default = "document_path")]
    #[schemars(length(min = 2, max = 256), regex(pattern = r"^/[^\s,=]+$"))]
    pub path: String,
}

impl Default for ServiceApiDocs {
    fn default() -> Self {
        Self {
            path: document_path(),
        }
    }
}

fn document_path() -> String {
    "/api-docs.json".to_owned()
}

/// What of the Platform's telemetry is different for one service.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceTelemetry {
    /// Share of new traces that begin at this service and are recorded, in percent, instead of
    /// telemetry.tracing.samplingPercent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub sampling_percent: Option<i32>,
}

/// Whether a service has a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceDatabase {
    /// The service gets `DATABASE_URL` and the storage behind it.
    Enabled,
    /// The service gets none.
    Disabled,
}

/// CPU and memory of a container.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) || quantity(self.requests.cpu).compareTo(quantity(self.limits.cpu)) <= 0")
        .message("requests.cpu must be less than or equal to limits.cpu"),
    validation = Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) || quantity(self.requests.memory).compareTo(quantity(self.limits.memory)) <= 0")
        .message("requests.memory must be less than or equal to limits.memory")
)]
pub struct Resources {
    /// What the scheduler reserves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Sizes>,
    /// What the container may use at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Sizes>,
}

/// Amounts of CPU and memory, as Kubernetes quantities.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// CPU in cores, for example "50m" or "1".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20), regex(pattern = r"^[0-9]+(\.[0-9]{1,3})?m?$"))]
    pub cpu: Option<String>,
    /// Memory in bytes, for example "64Mi".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 20),
        regex(pattern = r"^[0-9]+(\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)?$")
    )]
    pub memory: Option<String>,
}

/// One environment variable.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.value) && has(self.valueFrom))").message("an env entry has value or valueFrom, not both"))]
pub struct EnvVar {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Its value; `$(NAME)` refers to a variable defined before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub value: Option<String>,
    /// Where its value is read from when the pod starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

/// The source of a variable's value.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretKeyRef) != has(self.configMapKeyRef)").message("valueFrom has exactly one of secretKeyRef and configMapKeyRef"))]
pub struct EnvVarSource {
    /// A key of a Secret in the Platform's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// A key of a ConfigMap in the Platform's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
}

/// A key of a named object in the Platform's namespace.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key inside it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A service's place behind the gateway.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(self.pathPrefix in ['/v1', '/api-docs', '/debug', '/health', '/healthz', '/metrics', '/readyz'])")
    .message("pathPrefix must not be /v1, /api-docs, /debug, /health, /healthz, /metrics or /readyz: the gateway answers these itself"))]
pub struct Route {
    /// One path segment, for example /auth. The gateway strips it: /auth/v1/me reaches the service as /v1/me.
    #[schemars(
        length(min = 2, max = 64),
        regex(pattern = r"^/[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub path_prefix: String,
}

/// HTTP paths that say how a service is.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probes {
    /// Answers 2xx as long as the process works; otherwise it is restarted.
    #[serde(default = "liveness_path")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^/[^\s]*$"))]
    pub liveness_path: String,
    /// Answers 2xx when the service can take requests; otherwise it gets none.
    #[serde(default = "readiness_path")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^/[^\s]*$"))]
    pub readiness_path: String,
}

impl Default for Probes {
    fn default() -> Self {
        Self {
            liveness_path: liveness_path(),
            readiness_path: readiness_path(),
        }
    }
}

fn liveness_path() -> String {
    "/healthz".to_owned()
}

fn readiness_path() -> String {
    "/readyz".to_owned()
}
