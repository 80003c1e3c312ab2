//! What is said.

use std::time::Duration;

use platform_core::api::Platform;
use platform_core::step::{Facts, Input, Live, Requeue, refuse, step};
use serde_json::json;

use crate::fixture::{
    applied, at, conditions, decide, decide_at, deployment_mut, input, platform, serving, settings, state,
    states, with_pod,
};

#[test]
fn ready_means_that_pods_serve() {
    let platform = platform(json!({"exposure": {"type": "NodePort"}}));
    let waiting = decide(&platform, &applied(&platform));
    assert!(waiting.changes.is_empty());
    assert_eq!(states(&waiting.status)[0], "Ready=False Progressing");

    let output = decide(&platform, &serving(&platform));
    assert_eq!(
        states(&output.status)[..4],
        [
            "Ready=True AllComponentsReady",
            "Reconciling=False Completed",
            "Stalled=False NotStalled",
            "Accepted=True Accepted",
        ]
    );
    assert_eq!(
        state(&output.status, "SecretsResolved"),
        ("True", "AllReferencesFound")
    );
    assert_eq!(
        state(&output.status, "ServicesAvailable"),
        ("True", "AllServicesAvailable")
    );
    assert_eq!(
        state(&output.status, "TracingAvailable"),
        ("True", "JaegerAvailable")
    );
    let status = output.status;
    assert_eq!(status.ready_services.as_deref(), Some("4/4"));
    assert_eq!(status.observed_generation, Some(1));
    assert_eq!(status.operator_version.as_deref(), Some("1.2.3"));
    assert_eq!(status.url.as_deref(), Some("http://localhost:30080"));
    let urls: Vec<_> = status
        .endpoints
        .iter()
        .map(|e| (e.name.as_str(), e.url.as_str()))
        .collect();
    assert_eq!(
        urls,
        [
            ("api-docs", "http://localhost:30080/api-docs"),
            ("gateway", "http://localhost:30080"),
            ("jaeger", "http://localhost:30686"),
        ]
    );
    assert_eq!(output.requeue, Requeue::After(Duration::from_hours(1)));
}

#[test]
fn a_rollout_under_way_is_not_ready() {
    let platform = platform(json!({}));
    for status in [
        json!({"observedGeneration": 0, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}),
        json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 1, "readyReplicas": 2, "availableReplicas": 2}),
        json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 0, "readyReplicas": 1, "availableReplicas": 1}),
        json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1}),
    ] {
        let mut live = serving(&platform);
        deployment_mut(&mut live, "demo-auth").data["status"] = status.clone();
        let output = decide(&platform, &live);
        assert_eq!(states(&output.status)[0], "Ready=False Progressing", "{status}");
        assert_eq!(output.status.ready_services.as_deref(), Some("3/4"));
    }
}

#[test]
fn at_rest_nothing_changes_not_even_the_instants() {
    let mut platform = platform(json!({}));
    let live = serving(&platform);
    platform.status = Some(decide(&platform, &live).status);
    let later = step(Input {
        now: at(3600),
        trace_id: Some("another trace"),
        ..input(&platform, &live, &Facts::default(), &settings())
    });
    assert_eq!(Some(&later.status), platform.status.as_ref());
    assert!(later.changes.is_empty());
    assert!(later.events.is_empty());
}

#[test]
fn only_what_flips_moves_its_instant() {
    let mut platform = platform(json!({}));
    let mut live = serving(&platform);
    platform.status = Some(decide(&platform, &live).status);
    deployment_mut(&mut live, "demo-auth").data["status"]["availableReplicas"] = json!(0);
    let later = decide_at(&platform, &live, 60, None).status;
    let moved: Vec<_> = later
        .conditions
        .iter()
        .filter(|condition| condition.last_transition_time.0 == at(60))
        .map(|condition| condition.type_.as_str())
        .collect();
    assert_eq!(moved, ["Ready", "Reconciling", "ServicesAvailable"]);
}

#[test]
fn a_platform_that_breaks_rules_is_left_alone_and_told_why() {
    let output = decide(
        &platform(json!({"services": [{"name": "mine"}]})),
        &Live::default(),
    );
    assert!(output.changes.is_empty());
    assert_eq!(output.requeue, Requeue::AwaitChange);
    let states = states(&output.status);
    let (summary, parts) = states.split_at(4);
    assert_eq!(
        summary,
        [
            "Ready=False SpecInvalid",
            "Reconciling=False SpecInvalid",
            "Stalled=True SpecInvalid",
            "Accepted=False SpecInvalid",
        ]
    );
    assert!(
        parts.len() > 2 && parts.iter().all(|part| part.ends_with("=Unknown NotAccepted")),
        "{parts:?}"
    );
    let message = conditions(&output.status)["Accepted"].2;
    assert!(
        message.contains("services[mine].image: required") && message.contains("services[mine].port"),
        "{message}"
    );
}

#[test]
fn a_refused_edit_does_not_hide_what_runs() {
    let mut platform = platform(json!({"services": [{"name": "gateway"}], "exposure": {"type": "NodePort"}}));
    let mut live = serving(&platform);
    let before = decide(&platform, &live).status;
    platform.status = Some(before.clone());
    platform.spec.services = serde_json::from_value(json!([{"name": "mine"}])).expect("services");
    deployment_mut(&mut live, "demo-gateway").data["status"]["readyReplicas"] = json!(0);
    let refused = decide(&platform, &live).status;
    assert_eq!(state(&refused, "Accepted"), ("False", "SpecInvalid"));
    assert_eq!((refused.url, refused.endpoints), (before.url, before.endpoints));
    assert_eq!(refused.ready_services.as_deref(), Some("0/1"));
    assert_eq!(refused.services[0].ready_replicas, 0);
}

#[test]
fn a_spec_that_is_not_understood_is_told_and_left_alone() {
    let mut platform = platform(json!({"services": [{"name": "gateway"}]}));
    platform.status = Some(decide(&platform, &serving(&platform)).status);
    let output = refuse(
        &platform,
        "spec.profile: unknown variant `Huge`",
        &settings(),
        at(0),
        None,
    );
    assert!(output.changes.is_empty());
    let (status, reason, message) = conditions(&output.status)["Accepted"];
    assert_eq!((status, reason), ("False", "SpecUnreadable"));
    assert_eq!(
        message,
        "operator 1.2.3 does not understand spec.profile: unknown variant `Huge`; what runs is left as it is"
    );
    assert_eq!(output.status.ready_services.as_deref(), Some("1/1"));
    assert_eq!(output.events[0].reason, "SpecUnreadable");
}

#[test]
fn users_get_in_once_the_gateway_serves() {
    let platform = platform(json!({"exposure": {"type": "NodePort"}}));
    let mut live = serving(&platform);
    assert_eq!(
        state(&decide(&platform, &live).status, "Exposed"),
        ("True", "EntranceOpen")
    );
    deployment_mut(&mut live, "demo-gateway").data["status"]["availableReplicas"] = json!(0);
    assert_eq!(
        state(&decide(&platform, &live).status, "Exposed"),
        ("False", "EntranceWaiting")
    );
}

#[test]
fn backends_of_others_are_not_vouched_for() {
    let external = json!({"telemetry": {"tracing": {"jaeger": {"type": "External", "external": {"endpoint": "http://j:4318"}}}}});
    let platform = platform(external);
    let status = decide(&platform, &serving(&platform)).status;
    assert_eq!(states(&status)[0], "Ready=True AllComponentsReady");
    assert_eq!(state(&status, "TracingAvailable"), ("Unknown", "ExternalBackend"));
}

#[test]
fn variables_without_effect_are_named() {
    let env = json!([{"name": "PORT", "value": "1"}, {"name": "RUST_LOG", "value": "debug"}]);
    let platform = platform(json!({"services": [{"name": "auth", "env": env}]}));
    let status = decide(&platform, &Live::default()).status;
    let message = conditions(&status)["Accepted"].2;
    assert!(
        message.ends_with("since Tracewell sets them: auth: PORT"),
        "{message}"
    );
}

/// No node finds the image of auth.
fn miss_image(live: &mut Live) {
    let state = json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}});
    let container = json!({
        "name": "auth", "image": "x:1", "imageID": "", "ready": false, "restartCount": 0, "state": state,
    });
    with_pod(live, "auth", &json!({"containerStatuses": [container]}));
}

#[test]
fn events_tell_of_flips_only() {
    let mut platform = platform(json!({}));
    let mut told = Vec::new();
    let mut broken = serving(&platform);
    miss_image(&mut broken);
    let whole = serving(&platform);
    for live in [&applied(&platform), &whole, &whole, &broken, &broken, &whole] {
        let output = decide(&platform, live);
        told.extend(
            output
                .events
                .iter()
                .map(|event| format!("{:?} {}", event.type_, event.reason)),
        );
        platform.status = Some(output.status);
    }
    assert_eq!(
        told,
        [
            "Normal AllComponentsReady",
            "Warning ImagePullFailed",
            "Normal AllComponentsReady"
        ]
    );
}

/// A Platform whose first spec is ready, what it then has, and the same while auth is on its way.
fn ready_and_starting() -> (Platform, Live, Live) {
    let mut platform = platform(json!({}));
    let whole = serving(&platform);
    platform.metadata.generation = Some(1);
    platform.status = Some(decide(&platform, &whole).status);
    let mut starting = whole.clone();
    deployment_mut(&mut starting, "demo-auth").data["status"]["availableReplicas"] = json!(0);
    (platform, whole, starting)
}

#[test]
fn what_somebody_asked_for_is_begun_without_an_event_and_what_happens_by_itself_is_told() {
    let (before, _, starting) = ready_and_starting();
    let told = |platform: &Platform| -> Vec<String> {
        let events = decide(platform, &starting).events;
        events
            .iter()
            .map(|event| format!("{:?} {}", event.type_, event.reason))
            .collect()
    };
    assert_eq!(told(&before), ["Warning Progressing"]);
    let mut edited = before.clone();
    edited.metadata.generation = Some(2);
    assert_eq!(told(&edited), Vec::<String>::new());
}

#[test]
fn what_somebody_asked_for_is_done_without_an_event_unless_something_was_in_its_way() {
    let (before, whole, starting) = ready_and_starting();
    let mut broken = starting.clone();
    miss_image(&mut broken);
    let told = |course: &[(i64, &Live)]| {
        let mut platform = before.clone();
        let mut told = Vec::new();
        for ((generation, live), minute) in course.iter().zip(1..) {
            platform.metadata.generation = Some(*generation);
            let output = decide_at(&platform, live, 60 * minute, None);
            told.extend(output.events.into_iter().map(|event| event.reason));
            platform.status = Some(output.status);
        }
        told
    };
    let (lost, found) = ("Progressing", "AllComponentsReady");
    let went_well = told(&[(2, &starting), (2, &starting), (2, &whole)]);
    assert_eq!(went_well, Vec::<String>::new());
    assert_eq!(
        told(&[(2, &whole)]),
        Vec::<String>::new(),
        "it was ready all the time"
    );
    assert_eq!(told(&[(1, &starting), (1, &whole)]), [lost, found]);
    let edited_meanwhile = told(&[
        (1, &starting),
        (2, &starting),
        (2, &whole),
        (3, &starting),
        (3, &whole),
    ]);
    assert_eq!(edited_meanwhile, [lost, found]);
    let broken_meanwhile = told(&[(2, &starting), (2, &broken), (2, &starting), (2, &whole)]);
    assert_eq!(broken_meanwhile, ["ImagePullFailed", found]);
}

#[test]
fn only_a_status_that_tells_of_progress_alone_can_wait() {
    let mut platform = platform(json!({}));
    platform.metadata.generation = Some(1);
    let whole = serving(&platform);
    let starting = |services: &[&str]| {
        let mut live = serving(&platform);
        for service in services {
            deployment_mut(&mut live, &format!("demo-{service}")).data["status"]["availableReplicas"] =
                json!(0);
        }
        live
    };
    let (two, one) = (starting(&["auth", "chat"]), starting(&["chat"]));
    let mut broken = starting(&["chat"]);
    miss_image(&mut broken);
    assert!(!decide(&platform, &two).can_wait, "the first one");
    let mut platform = platform.clone();
    platform.status = Some(decide(&platform, &two).status);
    let can_wait = |platform: &Platform, live| decide(platform, live).can_wait;
    assert!(can_wait(&platform, &one), "one more serves");
    assert!(!can_wait(&platform, &whole), "all serve");
    assert!(!can_wait(&platform, &broken), "something is in the way");
    platform.metadata.generation = Some(2);
    assert!(!can_wait(&platform, &one), "another spec");
}

#[test]
fn a_managed_prometheus_is_part_of_ready() {
    let platform = platform(json!({"telemetry": {"metrics": {"prometheus": {"type": "Managed"}}}}));
    let mut live = serving(&platform);
    let output = decide(&platform, &live);
    assert_eq!(
        state(&output.status, "MetricsAvailable"),
        ("True", "PrometheusAvailable")
    );
    assert_eq!(state(&output.status, "Ready").0, "True");
    let endpoint = output
        .status
        .endpoints
        .iter()
        .find(|endpoint| endpoint.name == "prometheus");
    assert_eq!(
        endpoint.map(|endpoint| endpoint.url.as_str()),
        Some("http://demo-prometheus.shop.svc:9090")
    );

    with_pod(
        &mut live,
        "prometheus",
        &json!({"containerStatuses": [{
            "name": "prometheus", "image": "p", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
        }]}),
    );
    let status = decide(&platform, &live).status;
    assert_eq!(state(&status, "MetricsAvailable"), ("False", "ImagePullFailed"));
    assert_eq!(state(&status, "Ready"), ("False", "ImagePullFailed"));
    assert!(
        conditions(&status)["Ready"].2.starts_with("prometheus: "),
        "{status:?}"
    );
}

#[test]
fn a_prometheus_of_others_is_not_vouched_for() {
    let told = |metrics: serde_json::Value| {
        let platform = platform(json!({"telemetry": {"metrics": metrics}}));
        let status = decide(&platform, &serving(&platform)).status;
        let (state, reason) = state(&status, "MetricsAvailable");
        assert_eq!(conditions(&status)["Ready"].0, "True");
        (state.to_owned(), reason.to_owned())
    };
    let reason = |state: &str, reason: &str| (state.to_owned(), reason.to_owned());
    assert_eq!(told(json!({})), reason("Unknown", "NoPrometheus"));
    let external = json!({"type": "External", "external": {"url": "http://prometheus.test:9090"}});
    assert_eq!(
        told(json!({"prometheus": external})),
        reason("Unknown", "ExternalPrometheus")
    );
    assert_eq!(
        told(json!({"discovery": "PodMonitor"})),
        reason("False", "MonitorsUnknown"),
        "the cluster has no such kind"
    );
}
