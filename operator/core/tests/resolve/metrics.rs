//! What is said of metrics, and who scrapes.

use platform_core::kinds::Kind;
use platform_core::resolve::{Discovery, resolve};
use platform_core::step::Facts;
use serde_json::{Value, json};

use super::{accept, platform, refuse, settings};

#[test]
fn every_rule_of_metrics_that_is_broken_is_named() {
    let metrics = |metrics: Value| refuse(json!({"telemetry": {"metrics": metrics}}));
    let managed = json!({"retentionHours": 0, "storage": {"type": "Volume", "volume": {"size": "much"}}});
    let violations =
        metrics(json!({"prometheus": {"type": "Managed", "managed": managed}, "discovery": "PodMonitor"}));
    let expected = [
        "metrics.discovery: must be Auto or None when prometheus.type is Managed",
        "managed.retentionHours: 0 must be between 1 and 8760",
        "storage.volume.size: `much` must be a quantity",
    ];
    assert_eq!(violations.len(), expected.len(), "{violations:?}");
    for (violation, sentence) in violations.iter().zip(expected) {
        assert!(
            violation.contains(sentence),
            "{violation}\nshould say\n{sentence}"
        );
    }
    let without = json!({"telemetry": {"tracing": {"jaeger": {"managed": {"monitor": "Enabled"}}}}});
    assert!(refuse(without)[0].contains("managed.monitor: Enabled needs metrics.prometheus"));
}

#[test]
fn a_prometheus_brings_dashboards_and_the_monitor_tab_unless_the_spec_says_otherwise() {
    let told = |telemetry: Value| {
        let metrics = accept(json!({"telemetry": telemetry})).metrics;
        (metrics.dashboards, metrics.span_metrics)
    };
    let managed = json!({"type": "Managed"});
    assert_eq!(told(json!({})), (false, false));
    assert_eq!(
        told(json!({"metrics": {"dashboards": "ConfigMap"}})),
        (true, false)
    );
    assert_eq!(told(json!({"metrics": {"prometheus": managed}})), (true, true));
    assert_eq!(
        told(json!({
            "metrics": {"prometheus": managed, "dashboards": "Disabled"},
            "tracing": {"jaeger": {"managed": {"monitor": "Disabled"}}},
        })),
        (false, false)
    );
    let external = json!({"type": "External", "external": {"endpoint": "http://jaeger.test:4318"}});
    assert_eq!(
        told(json!({"metrics": {"prometheus": managed}, "tracing": {"jaeger": external}})),
        (true, false),
        "only a managed Jaeger makes metrics of spans"
    );
}

#[test]
fn pods_are_found_by_what_the_cluster_knows() {
    let discovery = |metrics: Value, kinds: &[Kind]| {
        let facts = Facts {
            kinds: kinds.iter().copied().collect(),
            ..Facts::default()
        };
        let spec = json!({"telemetry": {"metrics": metrics}});
        let metrics = resolve(&platform("demo", spec), &facts, &settings())
            .expect("the spec keeps every rule")
            .metrics;
        (metrics.discovery, metrics.monitors_missing)
    };
    let monitors = [Kind::PodMonitor, Kind::PrometheusRule];
    assert_eq!(discovery(json!({}), &[]), (Discovery::Annotations, false));
    assert_eq!(discovery(json!({}), &monitors), (Discovery::Monitors, false));
    assert_eq!(
        discovery(json!({"prometheus": {"type": "Managed"}}), &monitors),
        (Discovery::None, false)
    );
    let by = |discovery: &str| json!({"discovery": discovery});
    assert_eq!(
        discovery(by("Annotations"), &monitors),
        (Discovery::Annotations, false)
    );
    assert_eq!(discovery(by("None"), &monitors), (Discovery::None, false));
    assert_eq!(
        discovery(by("PodMonitor"), &monitors),
        (Discovery::Monitors, false)
    );
    assert_eq!(discovery(by("PodMonitor"), &[]), (Discovery::None, true));
}

#[test]
fn a_service_of_others_is_scraped_where_it_says_so() {
    let port = |service: Value| {
        let mut spec = json!({"name": "shop", "image": "shop:1", "port": 8080});
        for (field, value) in service.as_object().expect("fields") {
            spec[field] = value.clone();
        }
        let resolved = accept(json!({"services": [spec]}));
        resolved.services[0]
            .metrics
            .as_ref()
            .map(|metrics| (metrics.port, metrics.path.clone()))
    };
    assert_eq!(port(json!({})), None);
    assert_eq!(port(json!({"metrics": {}})), Some((9464, "/metrics".to_owned())));
    assert_eq!(
        port(json!({"metrics": {"port": 9100, "path": "/stats"}})),
        Some((9100, "/stats".to_owned()))
    );
    assert_eq!(port(json!({"name": "auth"})), Some((9464, "/metrics".to_owned())));
}
