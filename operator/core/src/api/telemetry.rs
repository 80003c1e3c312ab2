//! What is observed of services. Traces: sampling, transport and storage.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ErrorsSpec, KeyRef, MetricsSpec};

/// What a Platform observes of its services, and how.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.tracing.exporters) || self.tracing.exporters.size() == 0 || (self.collector.mode != 'None' && self.tracing.jaeger.type != 'Disabled')")
        .message("tracing.exporters need a collector: collector.mode must not be None, and tracing.jaeger.type not Disabled"),
    validation = Rule::new("self.collector.mode != 'None' || !has(self.tracing.jaeger.external) || self.tracing.jaeger.external.endpoint.startsWith('http://')")
        .message("an https endpoint needs collector.mode Sidecar or Gateway: without a collector the services send their spans themselves, over http only"),
    validation = Rule::new("self.metrics.prometheus.type != 'Disabled' || !has(self.tracing.jaeger.managed) || !has(self.tracing.jaeger.managed.monitor) || self.tracing.jaeger.managed.monitor == 'Disabled'")
        .message("jaeger.managed.monitor Enabled needs metrics.prometheus of type Managed or External: Jaeger reads from there what it shows")
)]
pub struct TelemetrySpec {
    /// Distributed traces.
    #[serde(default)]
    pub tracing: TracingSpec,
    /// The OpenTelemetry collector between the services and the backend.
    #[serde(default)]
    pub collector: CollectorSpec,
    /// Where errors are reported. Left out, the services log them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<ErrorsSpec>,
    /// Metrics: where they are stored, and how they are found.
    #[serde(default)]
    pub metrics: MetricsSpec,
}

/// Distributed traces.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TracingSpec {
    /// Share of new traces that are recorded, in percent. A request that already carries a decision keeps it.
    #[serde(default = "all")]
    #[schemars(range(min = 0, max = 100))]
    pub sampling_percent: i32,
    /// Where traces are stored.
    #[serde(default)]
    pub jaeger: JaegerSpec,
    /// Further backends that get every span, besides Jaeger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub exporters: Vec<ExporterSpec>,
}

impl Default for TracingSpec {
    fn default() -> Self {
        Self {
            sampling_percent: all(),
            jaeger: JaegerSpec::default(),
            exporters: Vec::new(),
        }
    }
}

fn all() -> i32 {
    100
}

/// The tracing backend.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.type == 'External') == has(self.external)")
        .message("external is required when type is External, and allowed only then"),
    validation = Rule::new("self.type == 'Managed' || !has(self.managed)")
        .message("managed is allowed only when type is Managed"),
    validation = Rule::new("self.type != 'Managed' || oldSelf.type != 'Managed' || (has(self.managed) ? self.managed.storage.type : 'Memory') == (has(oldSelf.managed) ? oldSelf.managed.storage.type : 'Memory')")
        .message("managed.storage.type cannot be changed: traces are not moved between storages")
)]
pub struct JaegerSpec {
    /// Who runs the backend.
    #[serde(default, rename = "type")]
    pub type_: JaegerType,
    /// Settings of the Jaeger that Tracewell runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedJaeger>,
    /// Address of a backend that exists already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalJaeger>,
}

/// Who runs the tracing backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JaegerType {
    /// Tracewell runs a Jaeger for this Platform.
    #[default]
    Managed,
    /// Somebody else runs it; spans are sent there.
    External,
    /// No traces, and no collectors.
    Disabled,
}

/// Settings of a Jaeger that Tracewell runs.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedJaeger {
    /// Where it keeps its traces.
    #[serde(default)]
    pub storage: JaegerStorage,
    /// Whether the Monitor tab of its user interface shows rates, errors and durations, which it makes of all spans that
    /// reach it and reads back from the Platform's Prometheus. Default: Enabled where there is one, else Disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<JaegerMonitor>,
}

/// Whether Jaeger makes metrics of spans, and shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JaegerMonitor {
    /// It does.
    Enabled,
    /// It does not.
    Disabled,
}

/// Where a managed Jaeger keeps its traces.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type == 'Badger' || !has(self.badger)").message("badger is allowed only when type is Badger"))]
pub struct JaegerStorage {
    /// Kind of storage.
    #[serde(default, rename = "type")]
    pub type_: JaegerStorageType,
    /// Settings of storage in memory.
    #[serde(default)]
    pub memory: MemoryStorage,
    /// Settings of storage on a volume. Left out, its defaults are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub badger: Option<BadgerStorage>,
}

/// Kind of a managed Jaeger's storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JaegerStorageType {
    /// In the pod's memory: the newest traces, gone when the pod goes.
    #[default]
    Memory,
    /// On a volume, in a Badger database that one Jaeger alone opens: traces outlive the pod.
    Badger,
}

/// Settings of storage in memory.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryStorage {
    /// Number of traces kept; the oldest go first.
    #[serde(default = "max_traces")]
    #[schemars(range(min = 100, max = 1_000_000))]
    pub max_traces: i32,
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self {
            max_traces: max_traces(),
        }
    }
}

fn max_traces() -> i32 {
    20_000
}

/// Settings of storage on a volume.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0")
        .message("size can only grow: a volume cannot shrink"),
    validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)")
        .message("storageClassName cannot be changed: data is not moved between volumes")
)]
pub struct BadgerStorage {
    /// Size of the volume.
    #[serde(default = "badger_size")]
    #[schemars(length(min = 2, max = 20), regex(pattern = r"^[0-9]+(Mi|Gi|Ti)$"))]
    pub size: String,
    /// Storage class of the volume. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// How long a trace is kept, in hours.
    #[serde(default = "retention_hours")]
    #[schemars(range(min = 1, max = 8760))]
    pub retention_hours: i32,
}

impl Default for BadgerStorage {
    fn default() -> Self {
        Self {
            size: badger_size(),
            storage_class_name: None,
            retention_hours: retention_hours(),
        }
    }
}

fn badger_size() -> String {
    "5Gi".to_owned()
}

fn retention_hours() -> i32 {
    72
}

/// A further backend that gets every span.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.endpoint.startsWith('https://') || !has(self.caSecretRef)").message("caSecretRef is allowed only with an https endpoint"))]
pub struct ExporterSpec {
    /// Name of the backend, unique in the Platform.
    #[schemars(length(min = 1, max = 30), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// OTLP over which transport.
    #[serde(default)]
    pub protocol: OtlpProtocol,
    /// Base URL of its OTLP receiver, for example `https://otlp.example.com:4318` (without /v1/traces).
    #[schemars(
        length(min = 8, max = 512),
        regex(pattern = r"^https?://[^\s/?#@]+(/[^\s?#]*[^\s?#/])?$")
    )]
    pub endpoint: String,
    /// Headers of every request, most often a credential.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub headers: Vec<ExporterHeader>,
    /// Key of a Secret with the certificate authority that signed the receiver's certificate, in PEM. Default: the
    /// authorities of the collector's image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<KeyRef>,
}

/// How OTLP travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OtlpProtocol {
    /// OTLP/HTTP with protobuf, mostly on port 4318.
    #[default]
    #[serde(rename = "HTTP")]
    Http,
    /// OTLP/gRPC, mostly on port 4317.
    #[serde(rename = "GRPC")]
    Grpc,
}

/// A header whose value comes from a Secret.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExporterHeader {
    /// Name of the header, in lower case.
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// Key of a Secret with the header's value.
    pub secret_key_ref: KeyRef,
}

/// A backend that somebody else runs.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalJaeger {
    /// Base URL of its OTLP/HTTP receiver, for example `http://jaeger.observability.svc:4318` (without /v1/traces).
    #[schemars(
        length(min = 8, max = 512),
        regex(pattern = r"^https?://[^\s/?#@]+(/[^\s?#]*[^\s?#/])?$")
    )]
    pub endpoint: String,
    /// Base URL of its user interface, shown in the status, and of its query API, which the operator asks whether spans
    /// arrive. By https the certificate has to be of a public authority: the operator knows no other.
    #[serde(default, rename = "queryURL", skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 8, max = 512),
        regex(pattern = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")
    )]
    pub query_url: Option<String>,
}

/// The OpenTelemetry collector between the services and the backend.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.mode == 'Gateway' || !has(self.gateway)")
        .message("gateway, and so tailSampling, is allowed only when mode is Gateway: a decision about a trace needs all of its spans in one place"),
    validation = Rule::new("!has(self.gateway) || !has(self.gateway.tailSampling) || self.gateway.replicas == 1 || has(self.image)")
        .message("several replicas with tailSampling need an image that has the loadbalancing exporter, which the default does not: name it, or use one replica")
)]
pub struct CollectorSpec {
    /// Where collectors run.
    #[serde(default)]
    pub mode: CollectorMode,
    /// Image of the collector. Default: the operator's setting, which is Jaeger's own image, as Jaeger v2 is an
    /// OpenTelemetry collector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[^\s]+$"))]
    pub image: Option<String>,
    /// What is taken out of spans before they leave the collector, chosen by the names of attributes: Standard takes what
    /// may hold credentials (authorization, cookies, passwords, secrets, tokens, API keys), Strict also what may tell of a
    /// person or of data (client addresses, user ids and agents, URLs with queries, statements of databases). An event of
    /// a span that has such an attribute is left out as a whole. Attributes of resources and of links pass, since nothing in
    /// Jaeger's image can take them out: an image has to keep there what is confidential to itself, such as its command line.
    #[serde(default)]
    pub redaction: Redaction,
    /// Settings of the collectors in mode Gateway. Left out, it is one that samples nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<CollectorGateway>,
}

/// What is taken out of spans. Attributes are chosen by their names; an event of a span that has one of them is left out
/// as a whole. Attributes of resources and of links pass: no processor of Jaeger's image reaches them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Redaction {
    /// Attributes that may hold credentials: authorization, cookies, passwords, secrets, tokens, API keys.
    #[default]
    Standard,
    /// Also what may tell of a person or of data: client addresses, user ids and agents, queries of URLs, statements of
    /// databases.
    Strict,
    /// Nothing.
    Off,
}

/// Collectors in pods of their own.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CollectorGateway {
    /// Number of collectors.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10))]
    pub replicas: i32,
    /// Which traces are kept, decided when they are whole. Left out, all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail_sampling: Option<TailSampling>,
}

impl Default for CollectorGateway {
    fn default() -> Self {
        Self {
            replicas: one(),
            tail_sampling: None,
        }
    }
}

fn one() -> i32 {
    1
}

/// Which traces are kept, decided when they are whole.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TailSampling {
    /// What becomes of traces with an error.
    #[serde(default)]
    pub errors: TailErrors,
    /// Every trace that lasts longer is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 600_000))]
    pub slower_than_milliseconds: Option<i32>,
    /// Share of the other traces that are kept, in percent.
    #[serde(default = "ten")]
    #[schemars(range(min = 0, max = 100))]
    pub other_percent: i32,
}

/// What becomes of traces with an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TailErrors {
    /// Every one is kept.
    #[default]
    Keep,
    /// They are sampled like the others.
    Sample,
}

fn ten() -> i32 {
    10
}

/// Where collectors run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CollectorMode {
    /// One beside each service, in the same pod: it starts before the service and ends after it.
    #[default]
    Sidecar,
    /// In pods of their own, one set for the whole Platform.
    Gateway,
    /// None: services send their spans to the backend themselves.
    None,
}
