//! Objects of the Prometheus operator, for clusters that have it.

use serde_json::json;

use super::alerts::alert_rules;
use super::{METRICS_PORT_NAME, Target, list_targets};
use crate::build::network::selector;
use crate::build::{Body, Part};
use crate::kinds::Kind;
use crate::labels::{self, Component};
use crate::resolve::{Discovery, Resolved};

/// A `PodMonitor` for each workload that offers metrics, and the alerts; nothing where pods are found in another way.
pub(super) fn build_monitors(resolved: &Resolved) -> Vec<Part> {
    if resolved.metrics.discovery != Discovery::Monitors {
        return Vec::new();
    }
    let mut parts: Vec<Part> = list_targets(resolved)
        .iter()
        .map(|target| build_monitor(resolved, target))
        .collect();
    parts.push(Part {
        name: resolved.name.alerts(),
        app: Component::Monitoring.as_str().to_owned(),
        component: Component::Monitoring,
        body: Body::new(Kind::PrometheusRule, json!({"spec": alert_rules(resolved)})),
    });
    parts
}

fn build_monitor(resolved: &Resolved, target: &Target) -> Part {
    let spec = json!({
        "selector": {"matchLabels": selector(resolved, &target.app)},
        "podTargetLabels": [labels::NAME, labels::PLATFORM],
        "podMetricsEndpoints": [{"port": METRICS_PORT_NAME, "path": target.path}],
    });
    Part {
        name: resolved.name.monitor(&target.app),
        app: target.app.clone(),
        component: Component::Monitoring,
        body: Body::new(Kind::PodMonitor, json!({"spec": spec})),
    }
}
