//! Where spans, errors and metrics go.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, Service};
use kube::ResourceExt;
use kube::core::DynamicObject;
use platform_core::api::{DebugEndpoints, MetricsDiscovery, PrometheusType};
use platform_core::desired::Desired;
use platform_core::kinds::{Kind, ObjectKey};
use platform_core::labels;
use platform_core::resolve::resolve;
use platform_core::step::Facts;
use platform_testkit::{platforms, settings};
use proptest::prelude::*;

use crate::{all, config, containers, desired, env, pod_spec, resolved, selects, value};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn spans_go_through_the_collector_exactly_where_there_is_one(platform in platforms()) {
        for deployment in all::<Deployment>(&desired(&platform), Kind::Deployment) {
            let pod = pod_spec(&deployment);
            let Some(exporter) = value(&pod.containers[0], "OTEL_TRACES_EXPORTER") else { continue };
            let is_sidecar = |container: &&Container| container.name == "collector";
            let sidecars = pod.init_containers.iter().flatten().filter(is_sidecar).count();
            let endpoint = value(&pod.containers[0], "OTEL_EXPORTER_OTLP_ENDPOINT");
            prop_assert_eq!(exporter == "otlp", endpoint.is_some());
            prop_assert_eq!(sidecars == 1, endpoint == Some("http://127.0.0.1:4318"));
            for sidecar in pod.init_containers.iter().flatten().filter(is_sidecar) {
                prop_assert_eq!(sidecar.restart_policy.as_deref(), Some("Always"));
                prop_assert!(sidecar.startup_probe.is_some());
            }
        }
    }

    #[test]
    fn errors_go_where_the_platform_says_and_by_a_secret(platform in platforms()) {
        let errors = platform.spec.telemetry.errors.clone();
        let dsn = errors.as_ref().and_then(|errors| errors.dsn_secret_ref.as_ref()).map(|secret| secret.name.as_str());
        let debug = errors.as_ref().is_some_and(|errors| errors.debug_endpoints == DebugEndpoints::Enabled);
        let desired = desired(&platform);
        for service in &resolved(&platform).services {
            let key = ObjectKey {
                kind: Kind::Deployment,
                namespace: platform.namespace().expect("a generated Platform has a namespace"),
                name: format!("{}-{}", platform.name_any(), service.name),
            };
            let deployment: Deployment =
                desired.get(&key).expect("a service has a Deployment").clone().try_parse().expect("a Deployment");
            let container = &pod_spec(&deployment).containers[0];
            let by_secret = env(container)
                .iter()
                .find(|entry| entry.name == "SENTRY_DSN")
                .and_then(|entry| entry.value_from.as_ref()?.secret_key_ref.as_ref())
                .map(|secret| secret.name.as_str());
            prop_assert_eq!(by_secret, dsn);
            prop_assert_eq!(value(container, "DEBUG_ENDPOINTS"), Some(if debug { "1" } else { "0" }));
            prop_assert_eq!(value(container, "SENTRY_TRACES_SAMPLE_RATE").is_some(), errors.is_some());
            prop_assert_eq!(value(container, "SENTRY_ENVIRONMENT").map(str::to_owned), platform.metadata.name.clone());
        }
    }

    #[test]
    fn every_pod_is_scraped_in_exactly_one_way(platform in platforms(), has_monitors in any::<bool>()) {
        let mut facts = Facts::default();
        if has_monitors {
            facts.kinds = [Kind::PodMonitor, Kind::PrometheusRule].into();
        }
        let resolved = resolve(&platform, &facts, &settings()).expect("a generated Platform keeps every rule");
        let desired = Desired::new(&resolved);
        let monitors: Vec<&DynamicObject> =
            desired.iter().filter(|(key, _)| key.kind == Kind::PodMonitor).map(|(_, object)| object).collect();
        prop_assert!(monitors.is_empty() || has_monitors);
        let metrics = &platform.spec.telemetry.metrics;
        let is_managed = metrics.prometheus.type_ == PrometheusType::Managed;
        let is_told = is_managed
            || match metrics.discovery {
                MetricsDiscovery::Auto | MetricsDiscovery::Annotations => true,
                MetricsDiscovery::PodMonitor => has_monitors,
                MetricsDiscovery::None => false,
            };
        for deployment in all::<Deployment>(&desired, Kind::Deployment) {
            let port = containers(pod_spec(&deployment))
                .flat_map(|container| container.ports.iter().flatten())
                .find(|port| port.name.as_deref() == Some("metrics"))
                .map(|port| port.container_port);
            let template = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
            let labels = template.and_then(|metadata| metadata.labels.clone()).expect("pods have labels");
            let annotated = template
                .and_then(|metadata| metadata.annotations.as_ref()?.get("prometheus.io/port").cloned())
                .into_iter();
            let monitored = monitors
                .iter()
                .filter(|monitor| {
                    let selector = monitor.data.pointer("/spec/selector/matchLabels").cloned().unwrap_or_default();
                    selects(&serde_json::from_value(selector).expect("labels"), &labels)
                })
                .map(|_| port.map(|port| port.to_string()).unwrap_or_default());
            // Those of the managed Prometheus have no address of their own.
            let discovered = all::<Service>(&desired, Kind::Service).into_iter().filter_map(|service| {
                let is_for_metrics = service.labels().get(labels::COMPONENT).is_some_and(|c| c == "monitoring");
                let spec = service.spec?;
                (is_for_metrics && selects(&spec.selector?, &labels)).then(|| spec.ports.unwrap_or_default()[0].port.to_string())
            });
            let ways: Vec<String> = annotated.chain(monitored).chain(discovered).collect();
            let expected: Vec<String> = port.filter(|_| is_told).map(|port| port.to_string()).into_iter().collect();
            prop_assert_eq!(ways, expected, "{}", deployment.name_any());
        }
    }
}
