//! What every object has, and who may reach whom.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use kube::core::DynamicObject;
use platform_core::api::{DeletionPolicy, Platform};
use platform_core::kinds::{Kind, ObjectKey};
use platform_core::labels;
use platform_core::resolve::{Database, Exposure};
use platform_testkit::platforms;
use proptest::prelude::*;

use crate::{Pods, all, config, containers, desired, pods, resolved, selects, uid};

/// Whether it is the key to what a service has sealed in a database that is not the Platform's.
fn opens_foreign_data(platform: &Platform, object: &DynamicObject) -> bool {
    let label = |name| object.labels().get(name).map(String::as_str);
    let resolved = resolved(platform);
    let service = label(labels::NAME).and_then(|name| resolved.service(name));
    label(labels::COMPONENT) == Some("encryption-key")
        && service.is_some_and(|service| matches!(service.database, Some(Database::External(_))))
}

proptest! {
    #![proptest_config(config())]

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
            let retained = platform.spec.deletion_policy == DeletionPolicy::RetainStorage;
            let outlives = kept && (retained || opens_foreign_data(&platform, object));
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
    fn policies_let_in_exactly_those_who_depend_on_a_service(platform in platforms()) {
        let (resolved, desired) = (resolved(&platform), desired(&platform));
        let policies: Vec<NetworkPolicy> = all(&desired, Kind::NetworkPolicy);
        prop_assert_eq!(policies.is_empty(), !resolved.network_policies);
        for service in resolved.services.iter().filter(|_| resolved.network_policies) {
            let name = resolved.name.workload(&service.name);
            let policy = policies.iter().find(|policy| policy.name_any() == name).expect("each service has one");
            let rules = policy.spec.as_ref().and_then(|spec| spec.ingress.clone()).unwrap_or_default();
            // The gateway is for everybody who comes in from outside, or for the cluster.
            let Some(peers) = rules.first().and_then(|rule| rule.from.clone()) else {
                prop_assert!(service.name.as_str() == "gateway" && resolved.exposure != Exposure::None);
                continue;
            };
            if service.name.as_str() == "gateway" {
                prop_assert!(peers.iter().all(|peer| peer.pod_selector.is_none()));
                continue;
            }
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
    fn policies_open_ports_on_which_their_pods_listen(platform in platforms()) {
        let desired = desired(&platform);
        let pods = pods(&desired);
        for policy in all::<NetworkPolicy>(&desired, Kind::NetworkPolicy) {
            let spec = policy.spec.as_ref().expect("a policy has a spec");
            let selector = spec.pod_selector.clone().and_then(|selector| selector.match_labels).unwrap_or_default();
            let declared: BTreeSet<i32> = pods
                .iter()
                .filter(|pods| selects(&selector, &pods.labels))
                .flat_map(|pods| containers(&pods.spec))
                .flat_map(|container| container.ports.iter().flatten())
                .map(|port| port.container_port)
                .collect();
            let open = spec.ingress.iter().flatten().flat_map(|rule| rule.ports.iter().flatten());
            for port in open {
                let Some(IntOrString::Int(number)) = port.port else { panic!("{port:?} is a number") };
                prop_assert!(declared.contains(&number), "{} opens {}", policy.name_any(), number);
            }
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
}
