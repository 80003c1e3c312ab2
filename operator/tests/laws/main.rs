//! Laws that hold for the objects of every Platform.
#![expect(clippy::expect_used, reason = "a test ends where its setting cannot be made")]

mod changes;
mod objects;
mod pods;
mod secrets;
mod telemetry;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, PodTemplateSpec};
use kube::ResourceExt;
use kube::core::DynamicObject;
use platform_core::api::Platform;
use platform_core::desired::Desired;
use platform_core::kinds::Kind;
use platform_core::resolve::{Resolved, resolve};
use platform_core::step::{Facts, Live};
use platform_testkit::settings;
use proptest::test_runner::Config;
use serde::de::DeserializeOwned;

/// Platforms that each law is tried with, unless `PROPTEST_CASES` says how many.
const CASES: u32 = 64;

fn config() -> Config {
    let config = Config::default();
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => Config {
            cases: CASES,
            ..config
        },
    }
}

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
