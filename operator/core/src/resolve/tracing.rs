//! How services are traced, with the defaults.

use super::{Violation, check_percent};
use crate::api::{
    BadgerStorage, CollectorMode, CollectorSpec, ExporterSpec, JaegerSpec, JaegerStorageType, JaegerType,
    Redaction, TailSampling, TelemetrySpec,
};
use crate::settings::Settings;

/// How services are traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracing {
    /// Share of new traces that are recorded, 0–100.
    pub sampling_percent: i32,
    /// The collector between services and backend; None if services send their spans themselves.
    pub collector: Option<Collector>,
    /// Where spans go.
    pub backend: Backend,
    /// Where spans go besides.
    pub exporters: Vec<ExporterSpec>,
}

/// The collector between services and backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// Its image.
    pub image: String,
    /// What it takes out of spans.
    pub redaction: Redaction,
    /// Where it runs.
    pub tier: CollectorTier,
}

/// Where collectors run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CollectorTier {
    /// One beside each service.
    Sidecar,
    /// In pods of their own.
    Gateway {
        /// Their number.
        replicas: i32,
        /// Which traces are kept; None: all.
        tail_sampling: Option<TailSampling>,
    },
}

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// To a Jaeger of this Platform.
    Managed {
        /// Its image.
        image: String,
        /// Where it keeps traces.
        storage: JaegerStorage,
    },
    /// To a backend of somebody else's.
    External {
        /// Base URL of its OTLP/HTTP receiver.
        endpoint: String,
        /// Base URL of its user interface.
        query_url: Option<String>,
    },
}

/// Where a managed Jaeger keeps traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JaegerStorage {
    /// So many in memory.
    Memory {
        /// Number of traces.
        max_traces: i32,
    },
    /// On a volume.
    Badger(BadgerStorage),
}

/// Resolves the traces, and reports every rule that they break.
pub(super) fn resolve_tracing(
    spec: &TelemetrySpec,
    settings: &Settings,
    violations: &mut Vec<Violation>,
) -> Option<Tracing> {
    let sampling_percent = spec.tracing.sampling_percent;
    check_percent("tracing.samplingPercent", sampling_percent, violations);
    let backend = resolve_backend(&spec.tracing.jaeger, settings, violations);
    let collector = resolve_collector(&spec.collector, settings, violations);
    let is_traced = spec.tracing.jaeger.type_ != JaegerType::Disabled;
    if let (None, Some(Backend::External { endpoint, .. })) = (&collector, &backend)
        && !endpoint.starts_with("http://")
    {
        violations.push(Violation::EndpointNeedsCollector {
            endpoint: endpoint.clone(),
        });
    }
    if !spec.tracing.exporters.is_empty() && (collector.is_none() || !is_traced) {
        violations.push(Violation::ExportersNeedCollector);
    }
    let unneeded = |exporter: &&ExporterSpec| {
        exporter.ca_secret_ref.is_some() && !exporter.endpoint.starts_with("https://")
    };
    for exporter in spec.tracing.exporters.iter().filter(unneeded) {
        violations.push(Violation::NotAllowed {
            field: format!("telemetry.tracing.exporters[{}].caSecretRef", exporter.name),
            only: "endpoint begins with https://",
        });
    }
    Some(Tracing {
        sampling_percent,
        collector,
        backend: backend?,
        exporters: spec.tracing.exporters.clone(),
    })
}

/// None if nothing is traced, or nobody knows where to.
fn resolve_backend(
    spec: &JaegerSpec,
    settings: &Settings,
    violations: &mut Vec<Violation>,
) -> Option<Backend> {
    check_settings(spec, violations);
    match (spec.type_, &spec.external) {
        (JaegerType::Disabled, _) => None,
        (JaegerType::Managed, _) => {
            let storage = spec.managed.clone().unwrap_or_default().storage;
            Some(Backend::Managed {
                image: settings.jaeger_image.clone(),
                storage: match storage.type_ {
                    JaegerStorageType::Memory => JaegerStorage::Memory {
                        max_traces: storage.memory.max_traces,
                    },
                    JaegerStorageType::Badger => JaegerStorage::Badger(storage.badger.unwrap_or_default()),
                },
            })
        }
        (JaegerType::External, Some(external)) => Some(Backend::External {
            endpoint: external.endpoint.clone(),
            query_url: external.query_url.clone(),
        }),
        (JaegerType::External, None) => {
            violations.push(Violation::ExternalMissing);
            None
        }
    }
}

/// Settings stand only beside the type that they belong to.
fn check_settings(spec: &JaegerSpec, violations: &mut Vec<Violation>) {
    let storage = spec.managed.as_ref().map(|managed| &managed.storage);
    let badger = storage.filter(|storage| storage.badger.is_some());
    let rules = [
        (
            spec.external.is_some() && spec.type_ != JaegerType::External,
            "external",
            "type is External",
        ),
        (
            spec.managed.is_some() && spec.type_ != JaegerType::Managed,
            "managed",
            "type is Managed",
        ),
        (
            badger.is_some_and(|storage| storage.type_ != JaegerStorageType::Badger),
            "managed.storage.badger",
            "storage.type is Badger",
        ),
    ];
    for (_, field, only) in rules.into_iter().filter(|rule| rule.0) {
        violations.push(Violation::NotAllowed {
            field: format!("telemetry.tracing.jaeger.{field}"),
            only,
        });
    }
}

fn resolve_collector(
    spec: &CollectorSpec,
    settings: &Settings,
    violations: &mut Vec<Violation>,
) -> Option<Collector> {
    if spec.mode != CollectorMode::Gateway && spec.gateway.is_some() {
        violations.push(Violation::NotAllowed {
            field: "telemetry.collector.gateway".to_owned(),
            only: "mode is Gateway: a decision about a trace needs all of its spans in one place",
        });
    }
    let tier = match spec.mode {
        CollectorMode::None => return None,
        CollectorMode::Sidecar => CollectorTier::Sidecar,
        CollectorMode::Gateway => {
            let gateway = spec.gateway.clone().unwrap_or_default();
            if gateway.replicas > 1 && gateway.tail_sampling.is_some() && spec.image.is_none() {
                violations.push(Violation::BalancedCollectorImage {
                    replicas: gateway.replicas,
                });
            }
            CollectorTier::Gateway {
                replicas: gateway.replicas,
                tail_sampling: gateway.tail_sampling,
            }
        }
    };
    Some(Collector {
        image: spec
            .image
            .clone()
            .unwrap_or_else(|| settings.collector_image.clone()),
        redaction: spec.redaction,
        tier,
    })
}
