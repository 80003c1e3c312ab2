//! Metrics: where they are stored, who finds them, and what is drawn and warned of.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Metrics of the services and of Jaeger: where they are stored, and how they are found.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.prometheus.type != 'Managed' || self.discovery in ['Auto', 'None']")
        .message("discovery must be Auto or None when prometheus.type is Managed: each pod is scraped by one Prometheus")
)]
pub struct MetricsSpec {
    /// The Prometheus that stores them.
    #[serde(default)]
    pub prometheus: PrometheusSpec,
    /// How a Prometheus that Tracewell does not run finds the pods. Each pod is told of in exactly one way.
    #[serde(default)]
    pub discovery: MetricsDiscovery,
    /// Whether Grafana's dashboards are made. Default: `ConfigMap` with a Managed or External Prometheus, else Disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dashboards: Option<Dashboards>,
}

/// The Prometheus that stores the metrics.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.type == 'External') == has(self.external)")
        .message("prometheus.external is required when type is External, and allowed only then"),
    validation = Rule::new("self.type == 'Managed' || !has(self.managed)")
        .message("prometheus.managed is allowed only when type is Managed"),
    validation = Rule::new("self.type != 'Managed' || !has(oldSelf.managed) || oldSelf.managed.storage.type != 'Volume' || (has(self.managed) && self.managed.storage.type == 'Volume')")
        .message("prometheus.managed.storage.type cannot be changed from Volume to Memory: the volume with its samples would be deleted")
)]
pub struct PrometheusSpec {
    /// Who runs it.
    #[serde(default, rename = "type")]
    pub type_: PrometheusType,
    /// Settings of the Prometheus that Tracewell runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedPrometheus>,
    /// Address of a Prometheus that exists already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalPrometheus>,
}

/// Who runs the Prometheus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PrometheusType {
    /// Nobody that the Platform knows of.
    #[default]
    Disabled,
    /// Tracewell runs one for this Platform; it scrapes this Platform's pods and nothing else.
    Managed,
    /// Somebody else runs it, and finds the pods as discovery says.
    External,
}

/// Settings of a Prometheus that Tracewell runs.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedPrometheus {
    /// Its image. Default: the operator's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[^\s]+$"))]
    pub image: Option<String>,
    /// Hours that a sample is kept. The oldest go earlier where the storage is full.
    #[serde(default = "retention_hours")]
    #[schemars(range(min = 1, max = 8760))]
    pub retention_hours: i32,
    /// Where it keeps the samples.
    #[serde(default)]
    pub storage: PrometheusStorage,
}

impl Default for ManagedPrometheus {
    fn default() -> Self {
        Self {
            image: None,
            retention_hours: retention_hours(),
            storage: PrometheusStorage::default(),
        }
    }
}

fn retention_hours() -> i32 {
    24
}

/// Where a managed Prometheus keeps its samples.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == 'Volume' || !has(self.volume)")
        .message("storage.volume is allowed only when type is Volume"),
    validation = Rule::new("oldSelf.type != 'Volume' || quantity(has(self.volume) ? self.volume.size : '2Gi').compareTo(quantity(has(oldSelf.volume) ? oldSelf.volume.size : '2Gi')) >= 0")
        .message("storage.volume.size cannot be made smaller, and is 2Gi where it is left out: volumes do not shrink")
)]
pub struct PrometheusStorage {
    /// Kind of storage.
    #[serde(default, rename = "type")]
    pub type_: PrometheusStorageType,
    /// Settings of storage on a volume. Left out, its defaults are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<PrometheusVolume>,
}

/// Kind of a managed Prometheus' storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PrometheusStorageType {
    /// In the pod's memory, at most 256 MiB: gone when the pod goes.
    #[default]
    Memory,
    /// On a volume of its own.
    Volume,
}

/// The volume of a managed Prometheus.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusVolume {
    /// Its size, for example 2Gi. It cannot shrink, and grows only where the storage class lets it.
    #[serde(default = "volume_size")]
    #[schemars(length(min = 3, max = 20), regex(pattern = r"^[1-9][0-9]*(Mi|Gi|Ti)$"))]
    pub size: String,
}

impl Default for PrometheusVolume {
    fn default() -> Self {
        Self { size: volume_size() }
    }
}

fn volume_size() -> String {
    "2Gi".to_owned()
}

/// A Prometheus that somebody else runs.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalPrometheus {
    /// Base URL of its query API as the cluster reaches it, for example `http://prometheus.monitoring.svc:9090`.
    #[schemars(
        length(min = 8, max = 512),
        regex(pattern = r"^https?://[^\s/?#@]+(/[^\s?#]*[^\s?#/])?$")
    )]
    pub url: String,
}

/// How a Prometheus that Tracewell does not run finds the pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MetricsDiscovery {
    /// `PodMonitor` where the cluster has its CRD, else Annotations; None with a Managed Prometheus.
    #[default]
    Auto,
    /// By objects of the Prometheus operator: a `PodMonitor` for each workload, and a `PrometheusRule` with the alerts.
    PodMonitor,
    /// By annotations of the pods: prometheus.io/scrape, /port and /path.
    Annotations,
    /// Not at all.
    None,
}

/// Whether Grafana's dashboards are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Dashboards {
    /// As `ConfigMap`s with the label `grafana_dashboard`, which Grafana's sidecar looks for.
    ConfigMap,
    /// They are not.
    Disabled,
}

/// Where a service offers its metrics.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(self.port in [4317, 4318, 8888])")
        .message("metrics.port must not be 4317, 4318 or 8888: the collector listens there in the same pod")
)]
pub struct ServiceMetrics {
    /// TCP port of the container; it is told to it as `METRICS_PORT`.
    #[serde(default = "metrics_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// HTTP path that answers in the Prometheus text format.
    #[serde(default = "metrics_path")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^/[^\s]*$"))]
    pub path: String,
}

impl Default for ServiceMetrics {
    fn default() -> Self {
        Self {
            port: metrics_port(),
            path: metrics_path(),
        }
    }
}

fn metrics_port() -> i32 {
    9464
}

fn metrics_path() -> String {
    "/metrics".to_owned()
}
