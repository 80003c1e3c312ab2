//! What is done.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::core::DynamicObject;
use platform_core::diff::Cause;
use platform_core::kinds::{Kind, Wave};
use platform_core::labels;
use platform_core::step::{EventType, Live};
use serde_json::json;

use crate::fixture::{at, decide, deployment_mut, key, platform, serving, state, states};

#[test]
fn the_first_visit_creates_everything_in_waves() {
    let output = decide(&platform(json!({})), &Live::default());
    let waves: Vec<_> = output.changes.waves.iter().map(|wave| wave.wave).collect();
    assert_eq!(waves, [Wave::Config, Wave::Network, Wave::Workloads]);
    let names: Vec<_> = output.changes.waves[2]
        .applies
        .iter()
        .map(|apply| apply.key.name.as_str())
        .collect();
    assert_eq!(names, ["demo-jaeger", "demo-auth"]);
    let held: Vec<_> = output
        .changes
        .held
        .iter()
        .map(|held| format!("{} {}", held.apply.key.name, held.cause.message))
        .collect();
    assert_eq!(
        held,
        [
            "demo-billing waits for auth",
            "demo-chat waits for auth, billing",
            "demo-gateway waits for auth, billing, chat",
        ]
    );
    assert!(
        output
            .changes
            .waves
            .iter()
            .flat_map(|w| &w.applies)
            .all(|apply| apply.cause == Cause::Created)
    );
    assert_eq!(
        states(&output.status)[..4],
        [
            "Ready=False Progressing",
            "Reconciling=True Progressing",
            "Stalled=False NotStalled",
            "Accepted=True Accepted",
        ]
    );
    assert_eq!(
        state(&output.status, "ServicesAvailable"),
        ("False", "Progressing")
    );
    assert_eq!(
        state(&output.status, "TracingAvailable"),
        ("False", "Progressing")
    );
    assert_eq!(output.status.ready_services.as_deref(), Some("0/4"));
}

#[test]
fn a_platform_that_goes_is_left_alone() {
    let mut platform = platform(json!({}));
    platform.metadata.deletion_timestamp = Some(Time(at(0)));
    assert!(decide(&platform, &Live::default()).changes.is_empty());
}

#[test]
fn drift_is_repaired_and_told() {
    let mut platform = platform(json!({}));
    let whole = serving(&platform);
    platform.status = Some(decide(&platform, &whole).status);

    let mut edited = whole.clone();
    deployment_mut(&mut edited, "demo-auth").data["spec"]["replicas"] = json!(3);
    let changes = decide(&platform, &edited).changes;
    let apply = &changes.waves[0].applies[0];
    assert_eq!(apply.cause, Cause::Edited);
    assert_eq!(apply.reason(), "replicas was edited by hand: 3 → 1");
    let event = apply.event().expect("a repair is an event");
    assert_eq!(
        (event.reason.as_str(), event.type_),
        ("DriftRepaired", EventType::Normal)
    );

    let mut less = whole.clone();
    less.objects.remove(&key(Kind::Service, "demo-chat"));
    let changes = decide(&platform, &less).changes;
    assert_eq!(changes.waves[0].applies[0].reason(), "it was deleted by hand");

    let mut foreign = whole.clone();
    let object = deployment_mut(&mut foreign, "demo-auth");
    object.data["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] =
        json!("now");
    object
        .metadata
        .labels
        .get_or_insert_default()
        .insert("theirs".to_owned(), "stays".to_owned());
    assert!(decide(&platform, &foreign).changes.is_empty());
}

#[test]
fn a_changed_spec_is_a_change_with_its_field() {
    let mut platform = platform(json!({}));
    let live = serving(&platform);
    platform.status = Some(decide(&platform, &live).status);
    platform.spec.services[1].image = Some("mine:2".to_owned());
    platform.metadata.generation = Some(2);
    let changes = decide(&platform, &live).changes;
    let apply = &changes.waves[0].applies[0];
    assert_eq!(apply.cause, Cause::Changed);
    assert_eq!(
        apply.reason(),
        "containers[auth].image changed: registry.test/tracewell/tracewell-auth:4.5.6 → mine:2, \
         containers[auth].env[OTEL_RESOURCE_ATTRIBUTES].value changed, \
         containers[auth].env[SENTRY_RELEASE].value changed"
    );
    assert!(apply.event().is_none());
}

#[test]
fn a_new_configuration_rolls_every_pod_and_keeps_three_versions() {
    let mut platform = platform(json!({}));
    let mut live = serving(&platform);
    let jaeger_configs = |live: &Live| {
        let is_config = |object: &DynamicObject| {
            object
                .labels()
                .get(labels::COMPONENT)
                .is_some_and(|component| component == "jaeger-config")
        };
        live.objects.values().filter(|object| is_config(object)).count()
    };
    for version in 1..=5_u8 {
        platform.spec.telemetry.tracing.jaeger.managed =
            serde_json::from_value(json!({"storage": {"memory": {"maxTraces": 1000 + u32::from(version)}}}))
                .ok();
        let changes = decide(&platform, &live).changes;
        let names: Vec<_> = changes
            .waves
            .iter()
            .flat_map(|w| &w.applies)
            .map(|a| a.key.to_string())
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert_eq!(names[1], "Deployment shop/demo-jaeger");
        for apply in changes.waves.into_iter().flat_map(|wave| wave.applies) {
            let mut object = apply.object;
            object.metadata.uid = Some(format!("uid-{version}"));
            object.metadata.resource_version = Some("1".to_owned());
            object.metadata.creation_timestamp = Some(Time(at(i64::from(version))));
            live.objects.insert(apply.key, object);
        }
        for prune in decide(&platform, &live).changes.prunes {
            live.objects.remove(&prune.key);
        }
        assert_eq!(jaeger_configs(&live), usize::from(version + 1).min(3));
    }
}

#[test]
fn only_owned_objects_are_pruned() {
    let mut platform = platform(json!({}));
    let mut live = serving(&platform);
    let mut stranger = live.objects[&key(Kind::Service, "demo-auth")].clone();
    stranger.metadata.name = Some("stranger".to_owned());
    stranger.metadata.owner_references = None;
    live.objects.insert(key(Kind::Service, "stranger"), stranger);
    platform.spec.services.retain(|service| service.name != "chat");
    let prunes = decide(&platform, &live).changes.prunes;
    let names: Vec<_> = prunes.iter().map(|prune| prune.key.to_string()).collect();
    assert_eq!(
        names,
        [
            "Deployment shop/demo-chat",
            "NetworkPolicy shop/demo-chat",
            "Service shop/demo-chat"
        ]
    );
    assert_eq!(prunes[0].resource_version, "7");
}
