//! What looks at a Platform's metrics: the pods that offer them, who is told of these, alerts and dashboards.

mod alerts;
mod dashboards;
mod monitors;
mod panels;

pub(super) use self::alerts::alert_rules;
use self::dashboards::build_dashboards;
use self::monitors::build_monitors;
use super::Part;
use super::{collector, jaeger, pipeline};
use crate::resolve::{Backend, Resolved};

/// Name of a pod's port that answers with metrics.
pub(super) const METRICS_PORT_NAME: &str = "metrics";

/// Pods that offer metrics.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Value of the pods' label `app.kubernetes.io/name`.
    pub app: String,
    /// Their port.
    pub port: i32,
    /// Path that answers.
    pub path: String,
}

/// Every workload of the Platform that offers metrics, besides a Prometheus of its own.
pub(super) fn list_targets(resolved: &Resolved) -> Vec<Target> {
    let services = resolved.services.iter().filter_map(|service| {
        let metrics = service.metrics.as_ref()?;
        Some(Target {
            app: service.name.to_string(),
            port: metrics.port,
            path: metrics.path.clone(),
        })
    });
    let backend = resolved.tracing.as_ref().map(|tracing| &tracing.backend);
    let jaeger = matches!(backend, Some(Backend::Managed { .. })).then(|| Target {
        app: jaeger::APP.to_owned(),
        port: jaeger::metrics_port(resolved),
        path: pipeline::METRICS_PATH.to_owned(),
    });
    let collectors = collector::tiers(resolved).into_iter().map(|(app, _)| Target {
        app: app.to_owned(),
        port: pipeline::METRICS_PORT,
        path: pipeline::METRICS_PATH.to_owned(),
    });
    services.chain(jaeger).chain(collectors).collect()
}

/// Monitors and dashboards, as far as the Platform has them.
pub(super) fn build_monitoring(resolved: &Resolved) -> Vec<Part> {
    let mut parts = build_monitors(resolved);
    parts.extend(build_dashboards(resolved));
    parts
}

/// A query with the Platform's own labels in the place of the word SELECTOR. The names of the labels are those that
/// Prometheus makes of the pods' labels, whichever way it found the pods.
fn select(query: &str, resolved: &Resolved) -> String {
    let selector = format!(
        r#"namespace="{}",tracewell_dev_platform="{}""#,
        resolved.namespace, resolved.name
    );
    query.replace("SELECTOR", &selector)
}
