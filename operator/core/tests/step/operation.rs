//! What is said and done about ways in, pauses and error tracking.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use platform_core::api::Endpoint;
use platform_core::claims::Claim;
use platform_core::kinds::Kind;
use platform_core::references::Reference;
use platform_core::step::{Facts, Live, Output, Requeue};
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

/// What `Accepted` says of a Platform with this way in, beside another one with that: made so many seconds after it, of this
/// spec, with these addresses in its status.
fn beside(exposure: &Value, seconds: i64, other: Value, urls: &[&str]) -> (Output, String) {
    let made = |seconds| Some(Time(at(seconds)));
    let mut own = platform(json!({"exposure": exposure}));
    own.metadata.creation_timestamp = made(0);
    let mut other = platform(other);
    other.metadata.namespace = Some("other".to_owned());
    other.metadata.name = Some("market".to_owned());
    other.metadata.creation_timestamp = made(seconds);
    let mut status = decide(&other, &Live::default()).status;
    status.url = None;
    status.endpoints = urls
        .iter()
        .map(|url| Endpoint {
            name: "gateway".to_owned(),
            url: (*url).to_owned(),
        })
        .collect();
    other.status = Some(status);
    let facts = Facts {
        claims: vec![Claim::of(&other), Claim::of(&own)],
        ..Facts::default()
    };
    let output = decide_with(&own, &Live::default(), &facts);
    let accepted = conditions(&output.status)["Accepted"].2.to_owned();
    (output, accepted)
}

#[test]
fn of_two_that_claim_a_host_the_older_has_it_unless_the_other_holds_it() {
    let exposure = |host: &str| json!({"type": "Ingress", "ingress": {"host": host}});
    let shop = exposure("shop.test");
    let beside = |seconds, host: &str, urls: &[&str]| {
        beside(&shop, seconds, json!({"exposure": exposure(host)}), urls)
    };
    let taken = "spec.exposure: host shop.test is taken by Platform other/market; choose another";
    let (_, late) = beside(1, "shop.test", &["http://shop.test"]);
    assert_eq!(late, taken);
    let (refused, early) = beside(-1, "shop.test", &[]);
    assert_eq!(early, taken);
    assert!(matches!(refused.requeue, Requeue::After(_)), "the other may go");
    for (seconds, host, urls) in [
        (1, "shop.test", vec![]),
        (-1, "else.test", vec!["http://else.test"]),
    ] {
        let (output, _) = beside(seconds, host, &urls);
        assert_eq!(state(&output.status, "Accepted").0, "True");
    }
}

#[test]
fn a_refused_edit_gives_no_host_away() {
    let exposure = json!({"type": "Ingress", "ingress": {"host": "shop.test"}});
    let mut other = platform(json!({"exposure": exposure}));
    other.metadata.name = Some("holder".to_owned());
    other.metadata.creation_timestamp = Some(Time(at(1)));
    other.status = Some(decide(&other, &serving(&other)).status);
    other.spec.services = serde_json::from_value(json!([{"name": "mine"}])).expect("services");
    let refused = decide(&other, &Live::default()).status;
    assert_eq!(state(&refused, "Accepted").0, "False");
    other.status = Some(refused.clone());

    // Older, and only wants it; or younger, and had it as well: then it tells no address any more that is the other's.
    for (seconds, status) in [(0, None), (2, Some(refused))] {
        let mut own = platform(json!({"exposure": exposure}));
        own.metadata.creation_timestamp = Some(Time(at(seconds)));
        own.status = status;
        let facts = Facts {
            claims: vec![Claim::of(&other), Claim::of(&own)],
            ..Facts::default()
        };
        let status = decide_with(&own, &Live::default(), &facts).status;
        assert_eq!(
            conditions(&status)["Accepted"].2,
            "spec.exposure: host shop.test is taken by Platform shop/holder; choose another"
        );
        assert_eq!(status.url, None);
        let mut urls = status.endpoints.iter().map(|endpoint| endpoint.url.as_str());
        assert!(urls.all(|url| !url.contains("shop.test")));
    }
}

#[test]
fn of_two_that_claim_a_node_port_the_older_has_it_unless_the_other_holds_it() {
    let own = json!({"type": "NodePort"});
    let ports = |gateway, jaeger| json!({"exposure": {"type": "NodePort", "nodePort": {"gateway": gateway, "jaeger": jaeger}}});
    let taken =
        |port| format!("spec.exposure: node port {port} is taken by Platform other/market; choose another");
    for (seconds, other, urls, port) in [
        (-1, ports(30080, 31000), vec![], 30080),
        (-1, ports(31000, 30080), vec![], 30080),
        (-1, ports(31000, 30686), vec![], 30686),
        (1, ports(30080, 31000), vec!["http://node.test:30080"], 30080),
        (
            1,
            ports(31000, 30686),
            vec!["http://node.test:31000", "http://node.test:30686/ui"],
            30686,
        ),
    ] {
        assert_eq!(beside(&own, seconds, other, &urls).1, taken(port));
    }
    let both = beside(&own, -1, ports(30080, 30686), &[]).1;
    assert_eq!(both, format!("{}; {}", taken(30080), taken(30686)));

    let mut without_jaeger = ports(31000, 30686);
    without_jaeger["telemetry"] = json!({"tracing": {"jaeger": {"type": "Disabled"}}});
    let mut without_gateway = ports(30080, 31000);
    without_gateway["services"] = json!([{"name": "billing"}]);
    for (seconds, other, urls) in [
        (
            1,
            ports(30080, 30686),
            vec!["http://node.test:31000", "http://30080"],
        ),
        (-1, ports(31000, 31001), vec![]),
        (-1, without_jaeger, vec![]),
        (-1, without_gateway, vec![]),
    ] {
        let (output, accepted) = beside(&own, seconds, other, &urls);
        assert_eq!(state(&output.status, "Accepted").0, "True", "{accepted}");
    }
}

#[test]
fn a_node_port_belongs_to_the_platform_whose_service_has_it() {
    let own = platform(json!({"exposure": {"type": "NodePort"}}));
    let mut live = applied(&own);
    let mut other = own.clone();
    other.metadata.name = Some("elder".to_owned());
    other.metadata.creation_timestamp = Some(Time(at(-1)));
    other.status = Some(decide(&other, &live).status);
    let facts = Facts {
        claims: vec![Claim::of(&other), Claim::of(&own)],
        ..Facts::default()
    };
    let accepted = |live: &Live| {
        let status = decide_with(&own, live, &facts).status;
        conditions(&status)["Accepted"].2.to_owned()
    };
    assert_eq!(accepted(&live), "every rule holds", "whatever the elder one says");
    live.objects.remove(&key(Kind::Service, "demo-gateway"));
    assert_eq!(
        accepted(&live),
        "spec.exposure: node port 30080 is taken by Platform shop/elder; choose another"
    );
}

#[test]
fn a_node_port_is_told_once_a_service_has_it() {
    let platform = platform(json!({"exposure": {"type": "NodePort"}}));
    let told = |live: &Live| {
        let status = decide(&platform, live).status;
        let names = status.endpoints.into_iter().map(|endpoint| endpoint.name);
        (status.url.is_some(), names.collect::<Vec<_>>().join(" "))
    };
    let mut live = serving(&platform);
    assert_eq!(told(&live), (true, "api-docs gateway jaeger".to_owned()));
    live.objects.remove(&key(Kind::Service, "demo-jaeger-query"));
    assert_eq!(told(&live), (true, "api-docs gateway".to_owned()));
    // As it was before the way in was asked for, or with a port that was given up.
    for port in [Value::Null, json!(31000)] {
        let gateway = live.objects.get_mut(&key(Kind::Service, "demo-gateway"));
        gateway.expect("it is there").data["spec"]["ports"][0]["nodePort"] = port;
        assert_eq!(told(&live), (false, String::new()));
        let status = decide(&platform, &live).status;
        assert_eq!(
            conditions(&status)["Exposed"],
            (
                "False",
                "EntranceWaiting",
                "Service shop/demo-gateway does not have node port 30080 yet"
            )
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
