//! What is said to stand in the way.

use platform_core::kinds::Kind;
use platform_core::step::{ApplyFailure, FailureCategory, Live, WriteAction};
use serde_json::{Value, json};

use crate::fixture::{
    at, conditions, decide, decide_at, deployment_mut, key, platform, serving, states, with_pod,
};

/// Status of a pod of auth, with the reason and the message that it leads to.
fn pods_in_trouble() -> [(Value, &'static str, &'static str); 7] {
    let container = |state: Value| json!({"containerStatuses": [state]});
    let status = |state: Value, more: Value| {
        let mut status = json!({"name": "auth", "image": "x:1", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        status
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().cloned().unwrap_or_default());
        container(status)
    };
    let long_ago = at(-100).to_string();
    [
        (
            status(
                json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"x:1\": ErrImagePull: not found"}}),
                json!({}),
            ),
            "ImagePullFailed",
            "auth: container auth image x:1 cannot be pulled: not found",
        ),
        (
            status(
                json!({"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"smtp\" not found"}}),
                json!({}),
            ),
            "ContainerConfigInvalid",
            "auth: container auth cannot be started: secret \"smtp\" not found",
        ),
        (
            status(
                json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}),
                json!({"lastState": {"terminated": {"exitCode": 3, "reason": "Error", "message": "a\nno such table\n"}}}),
            ),
            "ContainerCrashed",
            "auth: container auth ended with exit code 3: no such table",
        ),
        (
            status(
                json!({"running": {}}),
                json!({"lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}),
            ),
            "OutOfMemory",
            "auth: container auth was killed for using more memory than its limit",
        ),
        (
            status(
                json!({"running": {"startedAt": long_ago}}),
                json!({"started": true}),
            ),
            "ProbeFailing",
            "auth: container auth runs, but does not answer /readyz with success",
        ),
        (
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": long_ago,
                "message": "0/1 nodes are available: 1 Insufficient cpu."}]}),
            "Unschedulable",
            "auth: 0/1 nodes are available: 1 Insufficient cpu.",
        ),
        (
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": long_ago,
                "message": "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."}]}),
            "VolumePending",
            "auth: 0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims; the claim demo-auth-data asks \
             the default storage class",
        ),
    ]
}

#[test]
fn the_pod_says_why() {
    let platform = platform(json!({}));
    for (pod, reason, message) in pods_in_trouble() {
        let mut live = serving(&platform);
        with_pod(&mut live, "auth", &pod);
        let output = decide(&platform, &live);
        let told = conditions(&output.status);
        assert_eq!(told["Ready"], ("False", reason, message));
        assert_eq!(told["Stalled"], ("True", reason, message));
        assert_eq!(told["Reconciling"].0, "False");
        assert_eq!(
            told["ServicesAvailable"].2,
            format!("3/4 services ready; {message}")
        );
        assert_eq!(told["TracingAvailable"].0, "True");
    }
}

#[test]
fn what_is_normal_at_first_is_no_cause() {
    let recently = at(-5).to_string();
    let platform = platform(json!({}));
    for pod in [
        json!({"conditions": [{"type": "PodScheduled", "status": "False", "lastTransitionTime": recently}]}),
        json!({"containerStatuses": [{"name": "auth", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"running": {"startedAt": recently}}}]}),
        json!({"containerStatuses": [{"name": "auth", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ContainerCreating"}}}]}),
    ] {
        let mut live = serving(&platform);
        with_pod(&mut live, "auth", &pod);
        assert_eq!(
            states(&decide(&platform, &live).status)[0],
            "Ready=False Progressing"
        );
    }
}

#[test]
fn a_sidecar_says_why_too() {
    let platform = platform(json!({}));
    let mut live = serving(&platform);
    with_pod(
        &mut live,
        "chat",
        &json!({"initContainerStatuses": [{"name": "collector", "image": "c", "imageID": "", "ready": false, "restartCount": 4,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "message": "unknown exporter"}}}]}),
    );
    let told = decide(&platform, &live).status;
    assert_eq!(
        conditions(&told)["Ready"].2,
        "chat: container collector ended with exit code 1: unknown exporter"
    );
}

#[test]
fn a_key_that_is_missing_as_a_file_is_named() {
    let platform = platform(json!({"telemetry": {"tracing": {"exporters": [{
        "name": "vendor", "endpoint": "https://vendor.example:4318", "caSecretRef": {"name": "authority", "key": "root.pem"},
    }]}}}));
    let mut live = serving(&platform);
    let template = deployment_mut(&mut live, "demo-chat").data["spec"]["template"]["spec"].clone();
    let open = "open /etc/authorities/vendor/ca.crt: no such file or directory";
    for (said, told) in [
        (
            format!("2026/11/27 02:43:00 failed to load cert: {open}"),
            "cannot be started: couldn't find key root.pem in Secret shop/authority",
        ),
        (
            "open /etc/authorities/vendor/ca.crt: permission denied".to_owned(),
            "ended with exit code 1: open /etc/authorities/vendor/ca.crt: permission denied",
        ),
    ] {
        live.pods.clear();
        with_pod(
            &mut live,
            "chat",
            &json!({"initContainerStatuses": [{"name": "collector", "image": "c", "imageID": "", "ready": false, "restartCount": 4,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 1, "message": said}}}]}),
        );
        live.pods[0].metadata.namespace = Some("shop".to_owned());
        live.pods[0].spec = serde_json::from_value(template.clone()).expect("the spec of a pod");
        assert_eq!(
            conditions(&decide(&platform, &live).status)["Ready"].2,
            format!("chat: container collector {told}")
        );
    }
}

#[test]
fn the_deployment_says_why_where_no_pod_can() {
    let platform = platform(json!({}));
    let cases = [
        (
            "ReplicaFailure",
            "True",
            "FailedCreate",
            "pods is forbidden: exceeded quota: small",
            "QuotaExceeded",
        ),
        (
            "ReplicaFailure",
            "True",
            "FailedCreate",
            "violates PodSecurity",
            "PodsRefused",
        ),
        (
            "Progressing",
            "False",
            "ProgressDeadlineExceeded",
            "has timed out progressing.",
            "ProgressDeadlineExceeded",
        ),
    ];
    for (type_, value, reason, message, expected) in cases {
        let mut live = serving(&platform);
        deployment_mut(&mut live, "demo-jaeger").data["status"] = json!({
            "observedGeneration": 1, "unavailableReplicas": 1,
            "conditions": [{"type": type_, "status": value, "reason": reason, "message": message}],
        });
        let output = decide(&platform, &live);
        let told = conditions(&output.status);
        assert_eq!(
            told["Ready"],
            ("False", expected, format!("jaeger: {message}").as_str())
        );
        assert_eq!(
            told["TracingAvailable"],
            ("False", expected, format!("jaeger: {message}").as_str())
        );
        assert_eq!(told["ServicesAvailable"].0, "True");
    }
}

#[test]
fn a_refused_write_is_told() {
    let platform = platform(json!({}));
    let failure = |category| ApplyFailure {
        action: WriteAction::Apply,
        object: key(Kind::Service, "demo-gateway"),
        category,
        message: "provided port is already allocated".to_owned(),
    };
    let invalid = decide_at(
        &platform,
        &Live::default(),
        0,
        Some(&failure(FailureCategory::Invalid)),
    );
    assert_eq!(
        conditions(&invalid.status)["Stalled"],
        (
            "True",
            "ApplyInvalid",
            "Service shop/demo-gateway could not be applied: provided port is already allocated"
        )
    );
    let undeleted = ApplyFailure {
        action: WriteAction::Delete,
        ..failure(FailureCategory::Forbidden)
    };
    let undeleted = decide_at(&platform, &Live::default(), 0, Some(&undeleted));
    assert_eq!(
        conditions(&undeleted.status)["Ready"].2,
        "Service shop/demo-gateway could not be deleted: provided port is already allocated"
    );
    let conflict = decide_at(
        &platform,
        &Live::default(),
        0,
        Some(&failure(FailureCategory::Conflict)),
    );
    assert_eq!(
        states(&conflict.status)[..3],
        [
            "Ready=False ObjectChanged",
            "Reconciling=True ObjectChanged",
            "Stalled=False NotStalled"
        ]
    );
    let serving = decide_at(
        &platform,
        &serving(&platform),
        0,
        Some(&failure(FailureCategory::Timeout)),
    );
    assert_eq!(
        states(&serving.status)[0],
        "Ready=False ClusterUnavailable",
        "even while all pods serve"
    );
}

#[test]
fn an_object_of_somebody_else_waits_for_a_person() {
    let platform = platform(json!({}));
    let failure = ApplyFailure {
        action: WriteAction::Apply,
        object: key(Kind::Service, "demo-auth"),
        category: FailureCategory::Contested,
        message: "Apply failed with 1 conflict: conflict with \"kubectl\"".to_owned(),
    };
    let output = decide_at(&platform, &Live::default(), 0, Some(&failure));
    let told = conditions(&output.status);
    let message = "Service shop/demo-auth belongs to somebody else; delete or rename it, or take the service that \
                   needs its name out of the Platform: Apply failed with 1 conflict: conflict with \"kubectl\"";
    assert_eq!(told["Ready"], ("False", "ApplyConflict", message));
    assert_eq!(told["Stalled"], ("True", "ApplyConflict", message));
    assert_eq!(told["Reconciling"].0, "False");
    let recovered = decide(&platform, &serving(&platform));
    assert_eq!(states(&recovered.status)[0], "Ready=True AllComponentsReady");
}

#[test]
fn a_sidecar_is_asked_by_its_own_probe_and_other_init_containers_by_none() {
    let platform = platform(json!({}));
    let mut live = serving(&platform);
    let running = |name: &str| {
        json!({"name": name, "image": "x", "imageID": "", "ready": false, "started": false,
        "restartCount": 0, "state": {"running": {"startedAt": at(-100).to_string()}}})
    };
    with_pod(
        &mut live,
        "chat",
        &json!({"initContainerStatuses": [running("migrate")]}),
    );
    let pod = live
        .pods
        .last_mut()
        .and_then(|pod| pod.spec.as_mut())
        .expect("a pod has a spec");
    pod.init_containers = serde_json::from_value(json!([
        {"name": "migrate"},
        {"name": "collector", "restartPolicy": "Always", "startupProbe": {"httpGet": {"path": "/metrics", "port": 8888}}},
    ]))
    .expect("containers");
    assert_eq!(
        states(&decide(&platform, &live).status)[0],
        "Ready=False Progressing"
    );

    let status = live
        .pods
        .last_mut()
        .and_then(|pod| pod.status.as_mut())
        .expect("a pod has a status");
    status.init_container_statuses = serde_json::from_value(json!([running("collector")])).expect("a status");
    assert_eq!(
        conditions(&decide(&platform, &live).status)["Ready"],
        (
            "False",
            "ProbeFailing",
            "chat: container collector runs, but does not answer /metrics with success"
        )
    );
}
