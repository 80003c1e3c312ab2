//! What is observed of services. Traces: sampling, transport and storage.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ErrorsSpec;

/// What a Platform observes of its services, and how.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.collector.mode != 'None' || !has(self.tracing.jaeger.external) || self.tracing.jaeger.external.endpoint.startsWith('http://')")
        .message("an https endpoint needs collector.mode Sidecar: without a collector the services send their spans themselves, over http only")
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
}

impl Default for TracingSpec {
    fn default() -> Self {
        Self {
            sampling_percent: all(),
            jaeger: JaegerSpec::default(),
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
        .message("managed is allowed only when type is Managed")
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
}

/// Where a managed Jaeger keeps its traces.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JaegerStorage {
    /// Kind of storage.
    #[serde(default, rename = "type")]
    pub type_: JaegerStorageType,
    /// Settings of storage in memory.
    #[serde(default)]
    pub memory: MemoryStorage,
}

/// Kind of a managed Jaeger's storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JaegerStorageType {
    /// In the pod's memory: the newest traces, gone when the pod goes.
    #[default]
    Memory,
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

/// A backend that somebody else runs.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalJaeger {
    /// Base URL of its OTLP/HTTP receiver, for example `http://jaeger.observability.svc:4318` (without /v1/traces).
    #[schemars(
        length(min = 8, max = 512),
        regex(pattern = r"^https?://[^\s/?#]+(/[^\s?#]*[^\s?#/])?$")
    )]
    pub endpoint: String,
    /// Base URL of its user interface, shown in the status.
    #[serde(default, rename = "queryURL", skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 8, max = 512),
        regex(pattern = r"^https?://[^\s/?#]+(/[^\s?#]*)?$")
    )]
    pub query_url: Option<String>,
}

/// The OpenTelemetry collector between the services and the backend.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CollectorSpec {
    /// Where collectors run.
    #[serde(default)]
    pub mode: CollectorMode,
    /// Image of the collector. Default: the operator's setting, which is Jaeger's own image, as Jaeger v2 is an
    /// OpenTelemetry collector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[^\s]+$"))]
    pub image: Option<String>,
}

/// Where collectors run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CollectorMode {
    /// One beside each service, in the same pod: it starts before the service and ends after it.
    #[default]
    Sidecar,
    /// None: services send their spans to the backend themselves.
    None,
}
