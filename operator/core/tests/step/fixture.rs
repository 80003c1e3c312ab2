//! A Platform, and what a cluster has of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use platform_core::api::{Platform, PlatformSpec, PlatformStatus};
use platform_core::kinds::{Kind, ObjectKey};
use platform_core::labels;
use platform_core::passwords::Entropy;
use platform_core::settings::Settings;
use platform_core::step::{ApplyFailure, Facts, Input, Live, Output, step};
use serde_json::{Value, json};

pub(crate) use crate::settings::settings;

pub(crate) const NOW: i64 = 1_000_000;

pub(crate) fn platform(spec: Value) -> Platform {
    let spec: PlatformSpec = serde_json::from_value(spec).expect("a spec has the right types");
    let mut platform = Platform::new("demo", spec);
    platform.metadata.namespace = Some("shop".to_owned());
    platform.metadata.uid = Some("uid-1".to_owned());
    platform.metadata.generation = Some(1);
    platform
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).expect("a valid instant")
}

pub(crate) fn decide(platform: &Platform, live: &Live) -> Output {
    decide_at(platform, live, 0, None)
}

pub(crate) fn decide_at(
    platform: &Platform,
    live: &Live,
    seconds: i64,
    failure: Option<&ApplyFailure>,
) -> Output {
    step(Input {
        now: at(seconds),
        last_apply: failure,
        ..input(platform, live, &Facts::default(), &settings())
    })
}

/// A decision in a cluster with these facts.
pub(crate) fn decide_with(platform: &Platform, live: &Live, facts: &Facts) -> Output {
    step(input(platform, live, facts, &settings()))
}

pub(crate) fn input<'a>(
    platform: &'a Platform,
    live: &'a Live,
    facts: &'a Facts,
    settings: &'a Settings,
) -> Input<'a> {
    Input {
        platform,
        live,
        facts,
        settings,
        now: at(0),
        entropy: Entropy::new([7; 32]),
        trace_id: Some("trace-1"),
        last_apply: None,
    }
}

pub(crate) fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey {
        kind,
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    }
}

/// Everything applied, again until nothing is left: some objects are named by the uids of others.
pub(crate) fn applied(platform: &Platform) -> Live {
    let mut live = Live::default();
    loop {
        let changes = decide(platform, &live).changes;
        if changes.is_empty() {
            return live;
        }
        let now = changes.waves.into_iter().flat_map(|wave| wave.applies);
        let later = changes.held.into_iter().map(|held| held.apply);
        for apply in now.chain(later) {
            let mut object = apply.object;
            object.metadata.uid = Some(format!("uid of {}", apply.key));
            object.metadata.resource_version = Some("7".to_owned());
            object.metadata.generation = Some(1);
            live.objects.insert(apply.key, object);
        }
        for prune in changes.prunes {
            live.objects.remove(&prune.key);
        }
    }
}

pub(crate) fn deployment_mut<'a>(live: &'a mut Live, name: &str) -> &'a mut DynamicObject {
    live.objects
        .get_mut(&key(Kind::Deployment, name))
        .expect("the Deployment is there")
}

/// Everything applied, every pod serves, and every Job is done.
pub(crate) fn serving(platform: &Platform) -> Live {
    let mut live = applied(platform);
    for (key, object) in &mut live.objects {
        let replicas = object.data["spec"]["replicas"].clone();
        object.data["status"] = match key.kind {
            Kind::Deployment | Kind::StatefulSet => json!({
                "observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas,
                "availableReplicas": replicas,
            }),
            Kind::Job => json!({"conditions": [{"type": "Complete", "status": "True"}]}),
            _ => continue,
        };
    }
    live
}

/// Takes a workload's pods away and puts this one there.
pub(crate) fn with_pod(live: &mut Live, app: &str, status: &Value) {
    deployment_mut(live, &format!("demo-{app}")).data["status"] =
        json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1});
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": format!("demo-{app}-xyz"), "labels": {labels::NAME: app}},
        "spec": {"containers": [{"name": app, "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}}}]},
        "status": status,
    }))
    .expect("a pod");
    live.pods.push(pod);
}

/// (status, reason, message) of each condition.
pub(crate) fn conditions(status: &PlatformStatus) -> BTreeMap<&str, (&str, &str, &str)> {
    status
        .conditions
        .iter()
        .map(|c| {
            (
                c.type_.as_str(),
                (c.status.as_str(), c.reason.as_str(), c.message.as_str()),
            )
        })
        .collect()
}

/// (status, reason) of the condition of this type.
pub(crate) fn state<'a>(status: &'a PlatformStatus, type_: &str) -> (&'a str, &'a str) {
    let (status, reason, _) = conditions(status)[type_];
    (status, reason)
}

pub(crate) fn states(status: &PlatformStatus) -> Vec<String> {
    status
        .conditions
        .iter()
        .map(|c| format!("{}={} {}", c.type_, c.status, c.reason))
        .collect()
}
