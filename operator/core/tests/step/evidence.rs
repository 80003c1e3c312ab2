//! What is asked about spans, and what the answers mean.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use platform_core::evidence::{Counters, Evidence, Silence, Volume, pause_before};
use platform_core::labels;
use platform_core::step::Facts;
use serde_json::{Value, json};

use crate::fixture::{applied, at, conditions, decide, decide_with, platform, serving, state};

fn one_service(mode: &str) -> Value {
    json!({"services": [{"name": "auth"}], "telemetry": {"collector": {"mode": mode}}})
}

fn facts(evidence: Evidence) -> Facts {
    Facts {
        evidence: Some(evidence),
        ..Facts::default()
    }
}

fn silent(silence: Silence) -> Evidence {
    Evidence {
        at: at(0),
        silent: BTreeMap::from([("auth".to_owned(), silence)]),
        ..Evidence::default()
    }
}

fn seen() -> Evidence {
    Evidence {
        at: at(0),
        seen: ["auth".to_owned()].into(),
        ..Evidence::default()
    }
}

#[test]
fn questions_come_once_everything_serves() {
    let platform = platform(one_service("Sidecar"));
    assert_eq!(decide(&platform, &applied(&platform)).questions, None);

    let mut live = serving(&platform);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "demo-auth-1", "labels": {labels::NAME: "auth"}}, "status": {"podIP": "10.0.0.7"},
    }))
    .expect("a pod");
    live.pods.push(pod);
    let output = decide(&platform, &live);
    assert_eq!(
        state(&output.status, "TelemetryFlowing"),
        ("Unknown", "NotAskedYet")
    );
    let questions = output.questions.expect("everything serves");
    assert_eq!(questions.query_url, "http://demo-jaeger.shop.svc:16686");
    let question = &questions.services["auth"];
    assert_eq!(question.url, "http://demo-auth.shop.svc:3001/api-docs.json");
    assert_eq!(question.collectors, ["http://10.0.0.7:8888/metrics"]);
}

#[test]
fn where_there_are_no_documents_ours_are_asked_for_a_span_alone() {
    let own = json!({"name": "own", "image": "own:1", "port": 8080, "apiDocs": {"path": "/openapi.json"}});
    let mut spec = json!({"services": [{"name": "auth"}, own]});
    let asked = |spec: &Value| {
        let platform = platform(spec.clone());
        let questions = decide(&platform, &serving(&platform)).questions;
        let services = questions.expect("everything serves").services;
        ["auth", "own"].map(|name| services[name].url.clone())
    };
    let own = "http://demo-own.shop.svc:8080/openapi.json";
    assert_eq!(
        asked(&spec),
        ["http://demo-auth.shop.svc:3001/api-docs.json", own]
    );
    spec["apiDocs"] = json!("Disabled");
    assert_eq!(asked(&spec), ["http://demo-auth.shop.svc:3001/healthz/span", own]);
}

#[test]
fn a_backend_that_cannot_be_asked_is_not_vouched_for() {
    let external = |query: Value| {
        let mut external = json!({"endpoint": "http://jaeger.test:4318"});
        external["queryURL"] = query;
        let jaeger = json!({"type": "External", "external": external});
        platform(json!({"services": [{"name": "auth"}], "telemetry": {"tracing": {"jaeger": jaeger}}}))
    };
    let without = external(Value::Null);
    let output = decide(&without, &serving(&without));
    assert_eq!(output.questions, None);
    assert_eq!(
        state(&output.status, "TelemetryFlowing"),
        ("Unknown", "ExternalBackend")
    );
    let with = external(json!("http://jaeger.test:16686"));
    let questions = decide(&with, &serving(&with)).questions.expect("it can be asked");
    assert_eq!(questions.query_url, "http://jaeger.test:16686");
}

#[test]
fn the_last_answer_stands_until_an_operator_that_was_just_started_has_one() {
    let mut platform = platform(one_service("Sidecar"));
    let live = serving(&platform);
    platform.status = Some(decide_with(&platform, &live, &facts(seen())).status);
    let restarted = decide(&platform, &live);
    assert_eq!(
        platform.status.as_ref(),
        Some(&restarted.status),
        "nothing is written"
    );
    assert!(restarted.questions.is_some(), "and it asks anew");

    let lost = facts(silent(Silence::Uncounted));
    let told = decide_with(&platform, &live, &lost).status;
    assert_eq!(state(&told, "TelemetryFlowing"), ("False", "SpansMissing"));
    platform.status = Some(told);
    assert_eq!(
        state(&decide(&platform, &live).status, "TelemetryFlowing"),
        ("False", "SpansMissing")
    );
}

#[test]
fn answers_are_told_with_the_hop_that_loses_spans() {
    let platform = platform(one_service("Sidecar"));
    let flowing = |evidence: Evidence| {
        let status = decide_with(&platform, &serving(&platform), &facts(evidence)).status;
        let (value, reason, message) = conditions(&status)["TelemetryFlowing"];
        (
            value.to_owned(),
            reason.to_owned(),
            message.to_owned(),
            status.services[0].traces_seen,
        )
    };
    let (value, reason, message, traces_seen) = flowing(seen());
    assert_eq!((value.as_str(), reason.as_str()), ("True", "SpansArrive"));
    assert_eq!(message, "spans of 1 services arrive in Jaeger");
    assert_eq!(traces_seen, Some(true));

    let counted = |received, sent, lost| {
        silent(Silence::Counted(Counters {
            received,
            sent,
            lost,
            ..Counters::default()
        }))
    };
    for (evidence, hop) in [
        (counted(0, 0, 0), "auth its collector received no span"),
        (
            counted(9, 0, 9),
            "auth its collector received spans and could send none on",
        ),
        (
            counted(9, 5, 4),
            "auth its collector sends spans on and loses others",
        ),
        (
            counted(9, 9, 0),
            "auth its collector sends spans on, and none of them has the trace",
        ),
        (
            silent(Silence::Unreachable("no answer within 5 s".to_owned())),
            "auth did not answer a request: no answer",
        ),
    ] {
        let (value, reason, message, traces_seen) = flowing(evidence);
        assert_eq!((value.as_str(), reason.as_str()), ("False", "SpansMissing"));
        assert!(message.starts_with(hop), "{message}");
        assert_eq!(traces_seen, Some(false));
    }
    let unanswered = Evidence {
        unanswered: Some("connection refused".to_owned()),
        ..seen()
    };
    let (value, reason, _, traces_seen) = flowing(unanswered);
    assert_eq!(
        (value.as_str(), reason.as_str(), traces_seen),
        ("False", "JaegerUnanswered", None)
    );
}

#[test]
fn telemetry_takes_no_service_down() {
    let platform = platform(one_service("Sidecar"));
    let status = decide_with(&platform, &serving(&platform), &facts(silent(Silence::Uncounted))).status;
    assert_eq!(state(&status, "Ready").0, "True", "its pods serve");
}

#[test]
fn who_is_heard_of_is_asked_seldom_and_who_is_not_every_minute() {
    let platform = platform(one_service("None"));
    let live = serving(&platform);
    let questions = decide(&platform, &live).questions.expect("everything serves");
    let asks =
        |evidence: &Evidence, seconds: i64| pause_before(&questions, Some(evidence), at(seconds)).is_zero();
    assert_eq!(
        [1, 59, 61, 299, 301].map(|age| asks(&seen(), age)),
        [false, false, false, false, true]
    );
    let unheard = silent(Silence::Uncounted);
    assert_eq!([1, 59, 61].map(|age| asks(&unheard, age)), [false, false, true]);
    let of_another = Evidence {
        seen: ["chat".to_owned()].into(),
        ..seen()
    };
    assert!(asks(&of_another, 1), "a service that was never asked about");
}

#[test]
fn a_volume_that_is_as_good_as_full_is_told_in_time() {
    let storage = json!({"type": "Badger", "badger": {"size": "1Gi"}});
    let mut platform = platform(json!({
        "services": [{"name": "auth"}],
        "telemetry": {"tracing": {"jaeger": {"managed": {"storage": storage}}}},
    }));
    let mut live = serving(&platform);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "demo-jaeger-1", "labels": {labels::NAME: "jaeger"}}, "status": {"podIP": "10.0.0.9"},
    }))
    .expect("a pod");
    live.pods.push(pod);
    let questions = decide(&platform, &live).questions.expect("everything serves");
    let volume = Volume {
        url: "http://10.0.0.9:8888/metrics".to_owned(),
        least_room: (1 << 30) / 20,
    };
    assert_eq!(questions.volume, Some(volume));

    let answer = |volume_is_full| Evidence {
        volume_is_full,
        ..seen()
    };
    let mut told = |is_full: bool| {
        let output = decide_with(&platform, &live, &facts(answer(is_full)));
        let (status, reason, message) = conditions(&output.status)["TracingAvailable"];
        let told = (format!("{status} {reason}"), message.to_owned());
        let events: Vec<_> = output.events.iter().map(|event| event.reason.clone()).collect();
        platform.status = Some(output.status);
        (told, events)
    };
    assert_eq!(told(false).0.0, "True JaegerAvailable");
    let (full, events) = told(true);
    assert_eq!(full.0, "False VolumeFull");
    assert!(
        full.1
            .starts_with("the volume demo-jaeger-data has less than a twentieth of 1Gi left"),
        "{}",
        full.1
    );
    assert_eq!(events, ["VolumeFull"]);
    assert_eq!(told(true).1, [""; 0], "it is told once");

    // An operator that has just been started does not know yet.
    let output = decide(&platform, &live);
    assert_eq!(state(&output.status, "TracingAvailable"), ("False", "VolumeFull"));
    // It is asked again sooner than where all is well.
    let rests = |is_full| !pause_before(&questions, Some(&answer(is_full)), at(61)).is_zero();
    assert_eq!([true, false].map(rests), [false, true]);
    assert!(answer(true).says_the_same_as(&answer(true)) && !answer(true).says_the_same_as(&answer(false)));
}
