//! What is said and done about ways in, pauses and error tracking.

use platform_core::kinds::Kind;
use platform_core::references::Reference;
use platform_core::step::{Facts, HostClaim, Live, Requeue};
use serde_json::{Value, json};

use crate::fixture::{
    applied, at, conditions, decide, decide_with, deployment_mut, key, platform, serving, state,
};

#[test]
fn a_paused_platform_is_observed_and_left_alone() {
    let mut live = serving(&platform(json!({})));
    deployment_mut(&mut live, "demo-auth").data["spec"]["template"]["spec"]["containers"][0]["image"] =
        json!("mine");
    let paused = platform(json!({"managementState": "Paused"}));
    let output = decide(&paused, &live);
    assert!(output.changes.is_empty(), "nothing is written");
    assert_eq!(state(&output.status, "Accepted"), ("True", "Paused"));
    let message = conditions(&output.status)["Accepted"].2;
    assert!(message.contains("1 objects differ"), "{message}");
    assert_eq!(state(&output.status, "Ready").0, "True", "its pods serve");

    deployment_mut(&mut live, "demo-auth").data["status"]["availableReplicas"] = json!(0);
    assert_eq!(
        state(&decide(&paused, &live).status, "Ready").0,
        "False",
        "the status stays true"
    );
}

#[test]
fn a_kind_that_the_cluster_lacks_is_named_and_comes_later() {
    let spec =
        json!({"exposure": {"type": "Gateway", "gateway": {"host": "a.b", "parentRef": {"name": "public"}}}});
    let platform = platform(spec);
    let live = serving(&platform);
    let mut without = live.clone();
    without.objects.remove(&key(Kind::HttpRoute, "demo-gateway"));
    let output = decide(&platform, &without);
    assert_eq!(state(&output.status, "Stalled"), ("True", "KindMissing"));
    assert_eq!(state(&output.status, "ServicesAvailable").0, "True");

    let facts = Facts {
        kinds: [Kind::HttpRoute].into(),
        ..Facts::default()
    };
    let changes = decide_with(&platform, &without, &facts).changes;
    let made: Vec<_> = changes.waves.iter().flat_map(|wave| &wave.applies).collect();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].key, key(Kind::HttpRoute, "demo-gateway"));
}

#[test]
fn a_route_is_open_once_a_gateway_takes_it() {
    let spec =
        json!({"exposure": {"type": "Gateway", "gateway": {"host": "a.b", "parentRef": {"name": "public"}}}});
    let platform = platform(spec);
    let facts = Facts {
        kinds: [Kind::HttpRoute].into(),
        ..Facts::default()
    };
    let exposed = |parents: Value| {
        let mut live = serving(&platform);
        let route = live
            .objects
            .get_mut(&key(Kind::HttpRoute, "demo-gateway"))
            .expect("it is there");
        route.data["status"] = json!({"parents": parents});
        let status = decide_with(&platform, &live, &facts).status;
        let (value, reason) = state(&status, "Exposed");
        (value.to_owned(), reason.to_owned())
    };
    let told = |value: &str, reason: &str| (value.to_owned(), reason.to_owned());
    assert_eq!(exposed(json!([])), told("False", "EntranceWaiting"));
    let accepted = json!({"type": "Accepted", "status": "True"});
    assert_eq!(
        exposed(json!([{"conditions": [accepted]}])),
        told("True", "EntranceOpen")
    );
    let unresolved = json!({"type": "ResolvedRefs", "status": "False", "message": "no such Service"});
    assert_eq!(
        exposed(json!([{"conditions": [accepted, unresolved]}])),
        told("False", "EntranceWaiting")
    );
    assert_eq!(exposed(json!("poison")), told("False", "EntranceWaiting"));
}

#[test]
fn of_two_that_claim_a_host_the_older_has_it_unless_the_other_holds_it() {
    let spec = json!({"exposure": {"type": "Ingress", "ingress": {"host": "shop.test"}}});
    let mut platform = platform(spec);
    platform.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0)));
    let claim = |seconds, host: &str, is_held| Facts {
        claims: vec![HostClaim {
            is_held,
            host: host.to_owned(),
            namespace: "other".to_owned(),
            name: "market".to_owned(),
            created: Some(at(seconds)),
        }],
        ..Facts::default()
    };
    let late = decide_with(&platform, &Live::default(), &claim(1, "shop.test", true));
    assert_eq!(state(&late.status, "Accepted"), ("False", "SpecInvalid"));
    let refused = decide_with(&platform, &Live::default(), &claim(-1, "shop.test", false));
    assert_eq!(state(&refused.status, "Accepted"), ("False", "SpecInvalid"));
    assert!(
        conditions(&refused.status)["Accepted"]
            .2
            .contains("taken by Platform other/market")
    );
    assert!(matches!(refused.requeue, Requeue::After(_)), "the other may go");
    for facts in [claim(1, "shop.test", false), claim(-1, "else.test", true)] {
        assert_eq!(
            state(
                &decide_with(&platform, &Live::default(), &facts).status,
                "Accepted"
            )
            .0,
            "True"
        );
    }
}

#[test]
fn errors_are_tracked_where_the_dsn_is() {
    let tracked = |facts: &Facts| {
        let spec = json!({"telemetry": {"errors": {"dsnSecretRef": {"name": "sentry", "key": "dsn"}}}});
        let platform = platform(spec);
        let status = decide_with(&platform, &applied(&platform), facts).status;
        state(&status, "ErrorTrackingConfigured").1.to_owned()
    };
    let facts = |version: Option<&str>| Facts {
        references: [(Reference::secret("sentry"), version.map(str::to_owned))].into(),
        ..Facts::default()
    };
    assert_eq!(tracked(&facts(Some("7"))), "DsnFound");
    assert_eq!(tracked(&facts(None)), "ReferenceMissing");
    let without = decide(&platform(json!({})), &Live::default());
    assert_eq!(
        state(&without.status, "ErrorTrackingConfigured"),
        ("False", "ErrorTrackingDisabled")
    );
}
