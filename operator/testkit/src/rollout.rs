//! The Deployment controller and the kubelet, in one step: every workload reaches its fate.

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
    /// All of them serve.
    Serve,
    /// Their image is not to be had.
    ImageMissing,
    /// Their container ends with exit code 1 and these last words.
    Crash(&'static str),
    /// The namespace's quota is used up: there are none.
    QuotaExceeded,
}

/// Gives every Deployment the status, and the pods, of its fate by the name of its service or component.
pub(crate) fn settle(
    objects: &mut BTreeMap<ObjectKey, DynamicObject>,
    fate: impl Fn(&str) -> Fate,
) -> Vec<Pod> {
    let mut pods = Vec::new();
    for deployment in objects
        .iter_mut()
        .filter(|(key, _)| key.kind == Kind::Deployment)
        .map(|(_, object)| object)
    {
        let labels = deployment.metadata.labels.clone().unwrap_or_default();
        let fate = fate(labels.get(labels::NAME).map_or("", String::as_str));
        let replicas = deployment
            .data
            .pointer("/spec/replicas")
            .and_then(Value::as_i64)
            .unwrap_or(1);
        let status = deployment_status(fate, replicas, deployment.metadata.generation);
        let count = if fate == Fate::QuotaExceeded { 0 } else { replicas };
        pods.extend((0..count).filter_map(|_| pod(deployment, fate)));
        if let Value::Object(fields) = &mut deployment.data {
            fields.insert("status".to_owned(), status);
        }
    }
    pods
}

fn deployment_status(fate: Fate, replicas: i64, generation: Option<i64>) -> Value {
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

fn pod(deployment: &DynamicObject, fate: Fate) -> Option<Pod> {
    let template = deployment.data.pointer("/spec/template")?;
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
        "metadata": {"labels": template.pointer("/metadata/labels")},
        "spec": template.get("spec"),
        "status": {"conditions": [{"type": "Ready", "status": ready}], "containerStatuses": [status]},
    })))
}
