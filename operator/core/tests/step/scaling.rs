//! How many pods there are, where an autoscaler decides on it.

use kube::ResourceExt;
use kube::core::DynamicObject;
use platform_core::api::Platform;
use platform_core::diff::Apply;
use platform_core::kinds::Kind;
use platform_core::step::{Live, Output};
use serde_json::{Value, json};

use crate::fixture::{conditions, decide, deployment_mut, platform, serving, state};

fn gateway(more: &Value) -> Platform {
    let mut service = json!({"name": "gateway"});
    service
        .as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("another").clone());
    platform(json!({"services": [service]}))
}

fn automatic() -> Platform {
    gateway(&json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 6}}))
}

/// The autoscaler has asked for so many pods, of which so many serve.
fn scaled(live: &mut Live, wanted: i32, available: i32) {
    let deployment = deployment_mut(live, "demo-gateway");
    deployment.data["spec"]["replicas"] = json!(wanted);
    deployment.data["status"] = json!({
        "observedGeneration": 1, "replicas": wanted, "updatedReplicas": wanted, "readyReplicas": available,
        "availableReplicas": available, "unavailableReplicas": wanted - available,
    });
}

fn deployments(output: &Output) -> Vec<&Apply> {
    let applies = output.changes.waves.iter().flat_map(|wave| &wave.applies);
    applies
        .filter(|apply| apply.key.kind == Kind::Deployment && apply.object.name_any() == "demo-gateway")
        .collect()
}

#[test]
fn pods_that_an_autoscaler_has_just_asked_for_are_not_missing() {
    let platform = automatic();
    let mut live = serving(&platform);
    scaled(&mut live, 5, 2);
    let output = decide(&platform, &live);
    assert_eq!(state(&output.status, "Ready").0, "True");
    assert_eq!(output.status.services[0].desired_replicas, 5);

    scaled(&mut live, 5, 1);
    let output = decide(&platform, &live);
    assert_eq!(state(&output.status, "Ready").0, "False");
    assert!(conditions(&output.status)["Ready"].2.contains("1/5 pods ready"));
}

#[test]
fn what_an_autoscaler_takes_over_keeps_its_pods() {
    let fixed = gateway(&json!({"replicas": 4}));
    let live = serving(&fixed);
    let output = decide(&automatic(), &live);
    let applies = deployments(&output);
    assert_eq!(applies.len(), 1, "the number is left out of what is wanted");
    assert_eq!(applies[0].object.data["spec"]["replicas"], 4);

    let mut live = serving(&automatic());
    scaled(&mut live, 5, 5);
    assert!(deployments(&decide(&automatic(), &live)).is_empty());
}

#[test]
fn an_autoscaler_that_is_told_of_no_load_is_named_and_stops_nothing() {
    let platform = automatic();
    let mut live = serving(&platform);
    scaled(&mut live, 2, 2);
    let active = |status: &str, reason: &str| {
        let condition =
            json!({"type": "ScalingActive", "status": status, "reason": reason, "message": "no metrics API"});
        json!({"conditions": [{"type": "AbleToScale", "status": "True"}, condition]})
    };
    let all_well = ("True", "AllServicesAvailable");
    let available = |live: &Live| decide(&platform, live).status;
    let silent = available(&live);
    assert_eq!(
        state(&silent, "ServicesAvailable"),
        all_well,
        "its controller has said nothing yet"
    );

    autoscaler_mut(&mut live).data["status"] = active("False", "FailedGetResourceMetric");
    let blind = available(&live);
    assert_eq!(state(&blind, "ServicesAvailable"), ("True", "AutoscalerBlind"));
    assert!(
        conditions(&blind)["ServicesAvailable"]
            .2
            .contains("gateway: no metrics API")
    );
    assert_eq!(state(&blind, "Ready").0, "True");

    for (status, reason) in [("True", "ValidMetricFound"), ("False", "ScalingDisabled")] {
        autoscaler_mut(&mut live).data["status"] = active(status, reason);
        assert_eq!(
            state(&available(&live), "ServicesAvailable"),
            all_well,
            "{reason}"
        );
    }
}

fn autoscaler_mut(live: &mut Live) -> &mut DynamicObject {
    let mut objects = live.objects.iter_mut();
    let found = objects.find(|(key, _)| key.kind == Kind::HorizontalPodAutoscaler);
    found.expect("it scales").1
}
