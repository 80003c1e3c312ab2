//! The controllers of workloads and Jobs, and the kubelet, in one step: everything that has pods reaches its fate.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use platform_core::kinds::{Kind, ObjectKey};
use platform_core::labels;
use serde_json::{Value, json};

use crate::fake::from_value;

/// What becomes of the pods of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// All of them serve; a Job succeeds.
    Serve,
    /// Their image is not to be had.
    ImageMissing,
    /// Their container ends with exit code 1 and these last words; a Job is given up.
    Crash(&'static str),
    /// The namespace's quota is used up: there are none.
    QuotaExceeded,
}

/// Gives every workload and Job the status, and the pods, of its fate by the name of its service or component.
pub(crate) fn settle(
    objects: &mut BTreeMap<ObjectKey, DynamicObject>,
    fate: impl Fn(&str) -> Fate,
) -> Vec<Pod> {
    autoscale(objects);
    let mut pods = Vec::new();
    let has_pods = |kind| matches!(kind, Kind::Deployment | Kind::StatefulSet | Kind::Job);
    for (key, object) in objects.iter_mut().filter(|(key, _)| has_pods(key.kind)) {
        let labels = object.metadata.labels.clone().unwrap_or_default();
        let fate = fate(labels.get(labels::NAME).map_or("", String::as_str));
        let replicas = object
            .data
            .pointer("/spec/replicas")
            .and_then(Value::as_i64)
            .unwrap_or(1);
        let (status, pod) = if key.kind == Kind::Job {
            (job_status(fate), job_pod(key, object, fate))
        } else {
            (
                workload_status(fate, replicas, object.metadata.generation),
                pod(object, fate),
            )
        };
        let count = if fate == Fate::QuotaExceeded { 0 } else { replicas };
        pods.extend((0..count).filter_map(|_| pod.clone()));
        if let Value::Object(fields) = &mut object.data {
            fields.insert("status".to_owned(), status);
        }
    }
    pods
}

/// No autoscaler leaves fewer pods than it may, whatever it knows of their load.
fn autoscale(objects: &mut BTreeMap<ObjectKey, DynamicObject>) {
    let least = |object: &DynamicObject| object.data.pointer("/spec/minReplicas").and_then(Value::as_i64);
    let scaled: Vec<_> = objects
        .iter()
        .filter(|(key, _)| key.kind == Kind::HorizontalPodAutoscaler)
        .filter_map(|(key, object)| {
            let target = object.data.pointer("/spec/scaleTargetRef/name")?.as_str()?;
            let target = ObjectKey {
                kind: Kind::Deployment,
                namespace: key.namespace.clone(),
                name: target.to_owned(),
            };
            Some((target, least(object)?))
        })
        .collect();
    for (target, least) in scaled {
        let Some(deployment) = objects.get_mut(&target) else {
            continue;
        };
        let replicas = deployment.data.pointer("/spec/replicas").and_then(Value::as_i64);
        if replicas.unwrap_or(1) < least {
            deployment.data["spec"]["replicas"] = json!(least);
            deployment.metadata.generation = deployment.metadata.generation.map(|generation| generation + 1);
        }
    }
}

fn job_status(fate: Fate) -> Value {
    let condition = |type_: &str, message: &str| json!({"conditions": [{"type": type_, "status": "True", "message": message}]});
    match fate {
        Fate::Serve => condition("Complete", "Reached expected number of succeeded pods"),
        Fate::Crash(_) => condition("Failed", "Job has reached the specified backoff limit"),
        Fate::ImageMissing | Fate::QuotaExceeded => json!({"active": 1}),
    }
}

/// The pod of a Job, which stays when it has ended.
fn job_pod(key: &ObjectKey, job: &DynamicObject, fate: Fate) -> Option<Pod> {
    let mut pod = pod(job, fate)?;
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert("batch.kubernetes.io/job-name".to_owned(), key.name.clone());
    let status = pod.status.get_or_insert_default();
    match fate {
        Fate::Serve => status.phase = Some("Succeeded".to_owned()),
        Fate::Crash(_) => status.phase = Some("Failed".to_owned()),
        Fate::ImageMissing | Fate::QuotaExceeded => {}
    }
    Some(pod)
}

fn workload_status(fate: Fate, replicas: i64, generation: Option<i64>) -> Value {
    match fate {
        Fate::Serve => json!({
            "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
            "readyReplicas": replicas, "availableReplicas": replicas,
        }),
        Fate::ImageMissing | Fate::Crash(_) => json!({
            "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
            "unavailableReplicas": replicas,
        }),
        Fate::QuotaExceeded => json!({
            "observedGeneration": generation, "unavailableReplicas": replicas,
            "conditions": [{
                "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
                "message": "pods is forbidden: exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3",
            }],
        }),
    }
}

fn pod(workload: &DynamicObject, fate: Fate) -> Option<Pod> {
    let template = workload.data.pointer("/spec/template")?;
    let container = template.pointer("/spec/containers/0")?;
    let state = match fate {
        Fate::Serve => json!({"state": {"running": {}}, "ready": true, "restartCount": 0}),
        Fate::ImageMissing => json!({
            "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}, "ready": false, "restartCount": 0,
        }),
        Fate::Crash(words) => json!({
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": words}},
            "ready": false, "restartCount": 3,
        }),
        Fate::QuotaExceeded => return None,
    };
    let mut status = json!({"name": container.get("name"), "image": container.get("image"), "imageID": ""});
    if let (Value::Object(status), Value::Object(state)) = (&mut status, state) {
        status.extend(state);
    }
    let ready = if fate == Fate::Serve { "True" } else { "False" };
    Some(from_value(json!({
        "metadata": {"namespace": workload.metadata.namespace, "labels": template.pointer("/metadata/labels")},
        "spec": template.get("spec"),
        "status": {"conditions": [{"type": "Ready", "status": ready}], "containerStatuses": [status]},
    })))
}
