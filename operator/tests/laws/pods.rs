//! What is in every pod.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use platform_core::kinds::Kind;
use platform_testkit::platforms;
use proptest::prelude::*;

use crate::{Pods, all, config, containers, desired, env, pod_spec, pods, value};

proptest! {
    #![proptest_config(config())]

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
                let for_people = ["TRACE_UI_URL", "SENTRY_UI_URL", "PASSKEY_ORIGINS"];
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
}
