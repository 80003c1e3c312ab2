//! Where metrics are stored and how they are found, with their defaults.

use super::Violation;
use crate::api::{
    Dashboards, JaegerMonitor, JaegerType, MetricsDiscovery, MetricsSpec, PrometheusStorageType,
    PrometheusType, ServiceMetrics, ServiceSpec, TelemetrySpec,
};
use crate::kinds::Kind;
use crate::known::KnownService;
use crate::quantity::parse_quantity;
use crate::settings::Settings;
use crate::step::Facts;

/// Ports of the collector in the pod of a service.
const COLLECTOR_PORTS: &[i32] = &[4317, 4318, 8888];
/// Longest retention, in hours.
const RETENTION_HOURS_MAX: i32 = 8760;

/// How metrics are stored and found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// The Prometheus that stores them; None if the Platform knows of none.
    pub prometheus: Option<Prometheus>,
    /// How a Prometheus that Tracewell does not run finds the pods.
    pub discovery: Discovery,
    /// Whether the spec asks for monitors that the cluster cannot have, so that nothing is found.
    pub monitors_missing: bool,
    /// Whether Grafana's dashboards are made.
    pub dashboards: bool,
    /// Whether a managed Jaeger makes metrics of spans, and shows them.
    pub span_metrics: bool,
}

/// The Prometheus that stores a Platform's metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prometheus {
    /// The Platform's own.
    Managed {
        /// Its image.
        image: String,
        /// Hours that a sample is kept.
        retention_hours: i32,
        /// Size of its volume; None: it keeps its samples in memory.
        volume_size: Option<String>,
    },
    /// Somebody else's.
    External {
        /// Base URL of its query API.
        url: String,
    },
}

/// How a Prometheus that Tracewell does not run finds the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// By objects of the Prometheus operator.
    Monitors,
    /// By annotations of the pods.
    Annotations,
    /// Not at all.
    None,
}

/// Resolves the metrics, and reports every rule that they break.
pub(super) fn resolve_metrics(
    spec: &TelemetrySpec,
    facts: &Facts,
    settings: &Settings,
    violations: &mut Vec<Violation>,
) -> Metrics {
    let metrics = &spec.metrics;
    let prometheus = resolve_prometheus(metrics, settings, violations);
    let knows_monitors = facts.knows(Kind::PodMonitor);
    let is_managed = matches!(prometheus, Some(Prometheus::Managed { .. }));
    if is_managed && !matches!(metrics.discovery, MetricsDiscovery::Auto | MetricsDiscovery::None) {
        violations.push(Violation::ScrapedTwice);
    }
    let discovery = match metrics.discovery {
        MetricsDiscovery::Auto if is_managed => Discovery::None,
        MetricsDiscovery::Auto | MetricsDiscovery::PodMonitor if knows_monitors => Discovery::Monitors,
        MetricsDiscovery::Auto | MetricsDiscovery::Annotations => Discovery::Annotations,
        MetricsDiscovery::PodMonitor | MetricsDiscovery::None => Discovery::None,
    };
    let is_stored = prometheus.is_some();
    let jaeger = &spec.tracing.jaeger;
    let monitor = jaeger.managed.as_ref().and_then(|managed| managed.monitor);
    if monitor == Some(JaegerMonitor::Enabled) && !is_stored {
        violations.push(Violation::MonitorNeedsPrometheus);
    }
    Metrics {
        discovery,
        monitors_missing: metrics.discovery == MetricsDiscovery::PodMonitor && !knows_monitors,
        dashboards: metrics
            .dashboards
            .map_or(is_stored, |dashboards| dashboards == Dashboards::ConfigMap),
        span_metrics: jaeger.type_ == JaegerType::Managed
            && is_stored
            && monitor != Some(JaegerMonitor::Disabled),
        prometheus,
    }
}

fn resolve_prometheus(
    spec: &MetricsSpec,
    settings: &Settings,
    violations: &mut Vec<Violation>,
) -> Option<Prometheus> {
    let prometheus = &spec.prometheus;
    let storage = prometheus.managed.as_ref().map(|managed| &managed.storage);
    let unused = [
        (
            "external",
            prometheus.external.is_some() && prometheus.type_ != PrometheusType::External,
            "type is External",
        ),
        (
            "managed",
            prometheus.managed.is_some() && prometheus.type_ != PrometheusType::Managed,
            "type is Managed",
        ),
        (
            "managed.storage.volume",
            storage.is_some_and(|storage| {
                storage.volume.is_some() && storage.type_ != PrometheusStorageType::Volume
            }),
            "type is Volume",
        ),
    ];
    violations.extend(
        unused
            .into_iter()
            .filter(|(_, is_unused, _)| *is_unused)
            .map(|(field, _, only)| Violation::NotAllowed {
                field: format!("telemetry.metrics.prometheus.{field}"),
                only,
            }),
    );
    match (spec.prometheus.type_, &spec.prometheus.external) {
        (PrometheusType::Disabled, _) => None,
        (PrometheusType::External, None) => {
            violations.push(Violation::ExternalPrometheusMissing);
            None
        }
        (PrometheusType::External, Some(external)) => Some(Prometheus::External {
            url: external.url.clone(),
        }),
        (PrometheusType::Managed, _) => {
            let managed = spec.prometheus.managed.clone().unwrap_or_default();
            if !(1..=RETENTION_HOURS_MAX).contains(&managed.retention_hours) {
                violations.push(Violation::RetentionHours {
                    hours: managed.retention_hours,
                });
            }
            let volume_size = (managed.storage.type_ == PrometheusStorageType::Volume)
                .then(|| managed.storage.volume.unwrap_or_default().size);
            if let Some(size) = volume_size.as_ref().filter(|size| parse_quantity(size).is_none()) {
                violations.push(Violation::PrometheusVolumeSize { size: size.clone() });
            }
            Some(Prometheus::Managed {
                image: managed.image.unwrap_or_else(|| settings.prometheus_image.clone()),
                retention_hours: managed.retention_hours,
                volume_size,
            })
        }
    }
}

/// Where a service offers its metrics. What Tracewell does not know to offer any is not scraped unasked: a target that
/// never answers is an alert.
pub(super) fn resolve_service_metrics(
    spec: &ServiceSpec,
    known: Option<&KnownService>,
    port: Option<i32>,
    violations: &mut Vec<Violation>,
) -> Option<ServiceMetrics> {
    let Some(metrics) = &spec.metrics else {
        return known.map(|_| ServiceMetrics::default());
    };
    let is_free = (1..=65535).contains(&metrics.port)
        && !COLLECTOR_PORTS.contains(&metrics.port)
        && port != Some(metrics.port);
    if !is_free {
        violations.push(Violation::MetricsPort {
            service: spec.name.clone(),
            port: metrics.port,
        });
    }
    Some(metrics.clone())
}
