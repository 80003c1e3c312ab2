//! Laws that hold for the objects of every Platform.
#![expect(clippy::expect_used, reason = "a test ends where its setting cannot be made")]

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, PodSpec, PodTemplateSpec, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt;
use kube::core::DynamicObject;
use platform_core::api::{
    DebugEndpoints, DeletionPolicy, EnvVarSource, KeyRef, MetricsDiscovery, Platform, PrometheusType,
};
use platform_core::desired::Desired;
use platform_core::diff::{Cause, diff};
use platform_core::holds::Holds;
use platform_core::kinds::{Kind, ObjectKey};
use platform_core::labels;
use platform_core::resolve::{Resolved, resolve};
use platform_core::step::{Facts, Live};
use platform_testkit::{platforms, settings};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::de::DeserializeOwned;

fn resolved(platform: &Platform) -> Resolved {
    resolve(platform, &Facts::default(), &settings()).expect("a generated Platform keeps every rule")
}

fn desired(platform: &Platform) -> Desired {
    Desired::new(&resolved(platform))
}

fn all<T: DeserializeOwned + kube::Resource>(desired: &Desired, kind: Kind) -> Vec<T> {
    let objects = desired.iter().filter(|(key, _)| key.kind == kind);
    objects
        .map(|(_, object)| {
            object
                .clone()
                .try_parse()
                .expect("an object has the type of its kind")
        })
        .collect()
}

fn pod_spec(deployment: &Deployment) -> &PodSpec {
    deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref())
        .expect("a Deployment has pods")
}

/// What an object makes pods from.
struct Pods {
    name: String,
    labels: BTreeMap<String, String>,
    spec: PodSpec,
}

/// Everything that makes pods.
fn pods(desired: &Desired) -> Vec<Pods> {
    let template = |object: &DynamicObject| {
        let pointers = ["/spec/template", "/spec/jobTemplate/spec/template"];
        pointers
            .iter()
            .find_map(|pointer| object.data.pointer(pointer).cloned())
    };
    desired
        .iter()
        .filter_map(|(key, object)| Some((key.name.clone(), template(object)?)))
        .map(|(name, template)| {
            let template: PodTemplateSpec = serde_json::from_value(template).expect("pods are described");
            let labels = template.metadata.and_then(|metadata| metadata.labels);
            Pods {
                name,
                labels: labels.expect("pods have labels"),
                spec: template.spec.expect("pods have a spec"),
            }
        })
        .collect()
}

fn containers(pod: &PodSpec) -> impl Iterator<Item = &Container> {
    pod.init_containers.iter().flatten().chain(&pod.containers)
}

fn env(container: &Container) -> &[EnvVar] {
    container.env.as_deref().unwrap_or_default()
}

fn value<'a>(container: &'a Container, name: &str) -> Option<&'a str> {
    env(container)
        .iter()
        .find(|entry| entry.name == name)
        .and_then(|entry| entry.value.as_deref())
}

fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// What a cluster has right after everything was applied.
fn live_of(desired: &Desired) -> Live {
    let mut live = Live::default();
    for (index, (key, object)) in desired.iter().enumerate() {
        let mut object = object.clone();
        object.metadata.uid = Some(format!("uid-{index}"));
        object.metadata.resource_version = Some("1".to_owned());
        live.objects.insert(key.clone(), object);
    }
    live
}

fn uid(platform: &Platform) -> String {
    platform.uid().expect("a generated Platform has a uid")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn building_is_deterministic_and_keys_are_unique(platform in platforms()) {
        let one = desired(&platform);
        prop_assert_eq!(&one, &desired(&platform));
        let keys: BTreeSet<&ObjectKey> = one.iter().map(|(key, _)| key).collect();
        prop_assert_eq!(keys.len(), one.len());
    }

    #[test]
    fn every_object_says_whose_it_is(platform in platforms()) {
        let uid = uid(&platform);
        for (key, object) in desired(&platform).iter() {
            prop_assert_eq!(object.namespace(), platform.namespace());
            prop_assert_eq!(object.name_any(), key.name.clone());
            let owners: Vec<_> = object.owner_references().iter().map(|o| (o.uid.clone(), o.controller)).collect();
            let kept = matches!(key.kind, Kind::PersistentVolumeClaim | Kind::Secret);
            let outlives = kept && platform.spec.deletion_policy == DeletionPolicy::RetainStorage;
            prop_assert_eq!(owners, if outlives { vec![] } else { vec![(uid.clone(), Some(true))] });
            for label in [labels::NAME, labels::INSTANCE, labels::COMPONENT, labels::PART_OF, labels::MANAGED_BY] {
                prop_assert!(object.labels().get(label).is_some_and(|value| value.len() <= 63), "{} {}", key, label);
            }
            prop_assert_eq!(object.labels().get(labels::PLATFORM_UID), Some(&uid));
            prop_assert!(object.annotations().contains_key(labels::APPLIED_HASH));
        }
    }

    #[test]
    fn names_fit(platform in platforms()) {
        for (key, _) in desired(&platform).iter() {
            let max = match key.kind {
                Kind::Service | Kind::Deployment | Kind::Job => 63,
                // The cluster adds to these for their pods and Jobs.
                Kind::StatefulSet | Kind::CronJob => 52,
                _ => 253,
            };
            prop_assert!(key.name.len() <= max, "{}", key);
        }
    }

    #[test]
    fn selectors_find_their_pods_and_ports_exist(platform in platforms()) {
        let desired = desired(&platform);
        let pods = pods(&desired);
        let selected = |selector: &BTreeMap<String, String>| -> Vec<&Pods> {
            pods.iter().filter(|pods| selects(selector, &pods.labels)).collect()
        };
        for deployment in all::<Deployment>(&desired, Kind::Deployment) {
            let spec = deployment.spec.as_ref().expect("a Deployment has a spec");
            let selector = spec.selector.match_labels.clone().expect("a Deployment selects by labels");
            let names: Vec<_> = selected(&selector).into_iter().map(|pods| pods.name.clone()).collect();
            prop_assert_eq!(names, [deployment.name_any()]);
        }
        for service in all::<Service>(&desired, Kind::Service) {
            let spec = service.spec.as_ref().expect("a Service has a spec");
            let selector = spec.selector.clone().expect("a Service selects");
            let targets = selected(&selector);
            prop_assert_eq!(targets.len(), 1, "{}", service.name_any());
            let named: BTreeSet<_> = containers(&targets[0].spec)
                .flat_map(|container| container.ports.iter().flatten())
                .map(|port| (port.name.clone(), port.container_port))
                .collect();
            for port in spec.ports.iter().flatten() {
                prop_assert!(named.contains(&(port.name.clone(), port.port)), "{} {:?}", service.name_any(), port);
            }
        }
    }

    #[test]
    fn every_url_in_the_environment_leads_to_a_port(platform in platforms()) {
        let desired = desired(&platform);
        let mut open: BTreeSet<String> = BTreeSet::new();
        for service in all::<Service>(&desired, Kind::Service) {
            let ports = service.spec.as_ref().and_then(|spec| spec.ports.clone()).unwrap_or_default();
            open.extend(ports.iter().map(|port| format!("http://{}:{}", service.name_any(), port.port)));
        }
        open.extend(["http://127.0.0.1:4318", "http://jaeger.test:4318"].map(str::to_owned));
        for deployment in all::<Deployment>(&desired, Kind::Deployment) {
            for container in &pod_spec(&deployment).containers {
                let routes = value(container, "GATEWAY_ROUTES").unwrap_or_default();
                let routes = routes.split(',').filter_map(|route| route.split_once('=')).map(|(_, url)| url);
                // These are opened by people, from wherever the Platform is exposed.
                let for_people = ["TRACE_UI_URL", "PASSKEY_ORIGINS"];
                let for_programs = env(container).iter().filter(|entry| !for_people.contains(&entry.name.as_str()));
                let urls = for_programs.filter_map(|entry| entry.value.as_deref());
                for url in urls.filter(|url| url.starts_with("http://")).chain(routes) {
                    prop_assert!(open.contains(url), "{} in {}", url, deployment.name_any());
                }
                if let Some(port) = value(container, "PORT") {
                    let http = container.ports.iter().flatten().find(|p| p.name.as_deref() == Some("http"));
                    prop_assert_eq!(http.map(|p| p.container_port.to_string()), Some(port.to_owned()));
                }
            }
        }
    }

    #[test]
    fn the_environment_is_unique_and_refers_backwards_only(platform in platforms()) {
        for pods in pods(&desired(&platform)) {
            for container in containers(&pods.spec) {
                let mut defined: BTreeSet<&str> = BTreeSet::new();
                for entry in env(container) {
                    for reference in entry.value.iter().flat_map(|value| value.split("$(").skip(1)) {
                        let name = reference.split(')').next().unwrap_or_default();
                        prop_assert!(defined.contains(name), "{} refers to {} ahead", entry.name, name);
                    }
                    prop_assert!(defined.insert(&entry.name), "{} twice", entry.name);
                }
            }
        }
    }

    #[test]
    fn what_tracewell_sets_wins_over_the_author(platform in platforms()) {
        for deployment in all::<Deployment>(&desired(&platform), Kind::Deployment) {
            for container in &pod_spec(&deployment).containers {
                for name in ["PORT", "OTEL_SERVICE_NAME"] {
                    prop_assert_ne!(value(container, name), Some("by-hand"));
                }
            }
        }
    }

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
    fn every_mount_and_volume_has_its_source(platform in platforms()) {
        let desired = desired(&platform);
        let has = |kind: Kind, name: &str| desired.iter().any(|(key, _)| key.kind == kind && key.name == name);
        for Pods { spec: pod, .. } in &pods(&desired) {
            let volumes = pod.volumes.as_deref().unwrap_or_default();
            for volume in volumes {
                if let Some(config) = &volume.config_map {
                    prop_assert!(has(Kind::ConfigMap, &config.name));
                }
                if let Some(claim) = &volume.persistent_volume_claim {
                    prop_assert!(has(Kind::PersistentVolumeClaim, &claim.claim_name));
                }
                let used = containers(pod).flat_map(|container| container.volume_mounts.iter().flatten());
                prop_assert!(used.into_iter().any(|mount| mount.name == volume.name), "{} unused", volume.name);
            }
            for mount in containers(pod).flat_map(|container| container.volume_mounts.iter().flatten()) {
                prop_assert!(volumes.iter().any(|volume| volume.name == mount.name));
            }
        }
    }

    #[test]
    fn every_pod_passes_pod_security_restricted(platform in platforms()) {
        for Pods { spec: pod, .. } in &pods(&desired(&platform)) {
            prop_assert_eq!(pod.automount_service_account_token, Some(false));
            let security = pod.security_context.as_ref().expect("a pod has a security context");
            prop_assert_eq!(security.run_as_non_root, Some(true));
            let seccomp = security.seccomp_profile.as_ref().map(|profile| profile.type_.as_str());
            prop_assert_eq!(seccomp, Some("RuntimeDefault"));
            for container in containers(pod) {
                let security = container.security_context.as_ref().expect("a container has a security context");
                prop_assert_eq!(security.allow_privilege_escalation, Some(false));
                prop_assert_eq!(security.read_only_root_filesystem, Some(true));
                let dropped = security.capabilities.as_ref().and_then(|capabilities| capabilities.drop.clone());
                prop_assert_eq!(dropped, Some(vec!["ALL".to_owned()]));
                let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
                prop_assert!(limits.is_some_and(|limits| limits.contains_key("memory")));
            }
        }
    }

    #[test]
    fn values_of_the_author_stand_in_the_environment_only(mut platform in platforms()) {
        for service in &mut platform.spec.services {
            service.env.iter_mut().for_each(|entry| entry.value = Some("hunter2".to_owned()));
        }
        let desired = desired(&platform);
        for config in all::<ConfigMap>(&desired, Kind::ConfigMap) {
            prop_assert!(!config.data.unwrap_or_default().values().any(|text| text.contains("hunter2")));
        }
        for pods in pods(&desired) {
            for container in containers(&pods.spec) {
                let mut words = container.command.iter().chain(&container.args).flatten();
                prop_assert!(!words.any(|word| word.contains("hunter2")));
            }
        }
    }

    #[test]
    fn passwords_are_in_secrets_alone_and_reach_programs_by_reference(platform in platforms()) {
        let desired = desired(&platform);
        for (key, object) in desired.iter().filter(|(key, _)| key.kind == Kind::Secret) {
            prop_assert_eq!(&object.data, &serde_json::json!({}), "{} has content", key);
        }
        for pods in pods(&desired) {
            let from_secret = |entry: &EnvVar| {
                entry.value_from.as_ref().is_some_and(|from| from.secret_key_ref.is_some())
            };
            for entry in containers(&pods.spec).flat_map(env).filter(|entry| entry.name.contains("PASSWORD")) {
                prop_assert!(from_secret(entry), "{} of {}", entry.name, pods.name);
            }
            for entry in containers(&pods.spec).flat_map(env).filter(|entry| entry.name == "DATABASE_URL") {
                let url = entry.value.as_deref().unwrap_or_default();
                let refers = url.starts_with("postgres://") && url.contains(":$(DATABASE_PASSWORD)@");
                prop_assert!(refers || url.starts_with("sqlite:///data/") || from_secret(entry), "{}", url);
            }
        }
    }

    #[test]
    fn a_secret_is_referred_to_and_never_read(mut platform in platforms()) {
        let reference = KeyRef { name: "smtp".to_owned(), key: "password".to_owned() };
        for service in &mut platform.spec.services {
            service.env = vec![platform_core::api::EnvVar {
                name: "SMTP_PASSWORD".to_owned(),
                value: None,
                value_from: Some(EnvVarSource { secret_key_ref: Some(reference.clone()), config_map_key_ref: None }),
            }];
        }
        for deployment in all::<Deployment>(&desired(&platform), Kind::Deployment) {
            let container = &pod_spec(&deployment).containers[0];
            for entry in env(container).iter().filter(|entry| entry.name == "SMTP_PASSWORD") {
                let source = entry.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
                prop_assert_eq!(source.map(|secret| secret.name.as_str()), Some("smtp"));
                prop_assert_eq!(entry.value.as_deref(), None);
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

    #[test]
    fn what_was_just_applied_needs_nothing(platform in platforms()) {
        let desired = desired(&platform);
        let changes = diff(&desired, &live_of(&desired), &uid(&platform), true, &Holds::new());
        prop_assert!(changes.is_empty(), "{:?}", changes);
        prop_assert_eq!(changes.kept, desired.len());
    }

    #[test]
    fn the_order_of_the_services_means_nothing(platform in platforms()) {
        let mut turned = platform.clone();
        turned.spec.services.reverse();
        let (one, other) = (desired(&platform), desired(&turned));
        let changes = diff(&one, &live_of(&other), &uid(&platform), true, &Holds::new());
        prop_assert!(changes.is_empty(), "{:?}", changes);
    }

    #[test]
    fn a_service_starts_after_those_it_calls(platform in platforms()) {
        let services = resolved(&platform).services;
        for (position, service) in services.iter().enumerate() {
            let before: BTreeSet<_> = services[..position].iter().map(|s| &s.name).collect();
            prop_assert!(service.depends_on.iter().all(|name| before.contains(name)), "{}", service.name);
        }
    }

    #[test]
    fn policies_let_in_exactly_those_who_depend_on_a_service(platform in platforms()) {
        let (resolved, desired) = (resolved(&platform), desired(&platform));
        let policies: Vec<NetworkPolicy> = all(&desired, Kind::NetworkPolicy);
        prop_assert_eq!(policies.is_empty(), !resolved.network_policies);
        for service in resolved.services.iter().filter(|_| resolved.network_policies) {
            let name = resolved.name.workload(&service.name);
            let policy = policies.iter().find(|policy| policy.name_any() == name).expect("each service has one");
            let rules = policy.spec.as_ref().and_then(|spec| spec.ingress.clone()).unwrap_or_default();
            // The gateway on a port of the nodes is open to everybody.
            let Some(peers) = rules.first().and_then(|rule| rule.from.clone()) else {
                prop_assert!(service.name.as_str() == "gateway" && resolved.node_ports().is_some());
                continue;
            };
            let inside = peers.iter().filter(|peer| peer.namespace_selector.is_none());
            let let_in: BTreeSet<String> = inside
                .filter_map(|peer| peer.pod_selector.as_ref()?.match_labels.as_ref()?.get(labels::NAME).cloned())
                .collect();
            let depend: BTreeSet<String> = resolved
                .services
                .iter()
                .filter(|other| other.depends_on.contains(&service.name))
                .map(|other| other.name.to_string())
                .collect();
            prop_assert_eq!(let_in, depend);
        }
    }

    #[test]
    fn who_scales_is_the_only_one_who_says_how_many(platform in platforms()) {
        let desired = desired(&platform);
        let scaled: BTreeSet<String> = all::<HorizontalPodAutoscaler>(&desired, Kind::HorizontalPodAutoscaler)
            .iter()
            .map(ResourceExt::name_any)
            .collect();
        for deployment in all::<Deployment>(&desired, Kind::Deployment) {
            let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
            prop_assert_eq!(replicas.is_none(), scaled.contains(&deployment.name_any()));
        }
    }

    #[test]
    fn removing_a_service_prunes_exactly_its_objects(platform in platforms(), index in any::<Index>()) {
        prop_assume!(platform.spec.services.len() > 1);
        let before = desired(&platform);
        let mut smaller = platform.clone();
        let removed = smaller.spec.services.remove(index.index(smaller.spec.services.len())).name;
        for service in &mut smaller.spec.services {
            if let Some(names) = &mut service.depends_on {
                names.retain(|name| *name != removed);
            }
        }
        let changes = diff(&desired(&smaller), &live_of(&before), &uid(&platform), true, &Holds::new());
        let is_of_removed = |object: &DynamicObject| {
            object.labels().get(labels::NAME) == Some(&removed)
                && object.labels().get(labels::COMPONENT).is_some_and(|c| c == "service" || c == "monitoring")
        };
        let expected: BTreeSet<_> = before
            .iter()
            .filter(|(key, object)| is_of_removed(object) && key.kind != Kind::PersistentVolumeClaim)
            .map(|(key, _)| key.clone())
            .collect();
        // Its role and its schema are done with, and what is done once for all roles is another Job then.
        let is_done_once = |key: &&ObjectKey| {
            let component = before.get(key).and_then(|object| object.labels().get(labels::COMPONENT));
            component.is_some_and(|component| component == "migration" || component.starts_with("database-roles"))
        };
        let pruned = changes.prunes.iter().map(|prune| &prune.key);
        prop_assert_eq!(pruned.filter(|key| !is_done_once(key)).cloned().collect::<BTreeSet<_>>(), expected);
        for apply in changes.waves.iter().flat_map(|wave| &wave.applies) {
            let is_new = before.get(&apply.key).is_none();
            prop_assert_eq!(apply.cause == Cause::Changed, !is_new, "{}", apply.key);
        }
    }
}
