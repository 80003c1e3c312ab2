//! From what was seen to what is wrong and how it is mended: pure functions.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use platform_core::{
    api::Condition,
    labels::{self, Component},
    observe::pod_cause,
    status::ConditionType,
};
use serde_json::Value;

use super::{
    check::{Check, Verdict, failed, ok, skipped},
    collect::{Answer, Seen, SeenService},
    telemetry::{check_collector, check_dsn, check_metrics, check_reports, check_traces},
};
use crate::advice::fix;

/// Every check, in the order of a request's way: the spec, names, pods, spans, errors, metrics, documents. What a service
/// without ready pods cannot do is not held against it again and again.
pub fn examine(seen: &Seen, now: Timestamp) -> Vec<Check> {
    let condition = |type_| check_condition(seen, type_);
    let mut checks = vec![
        of("operator", "", check_operator(seen)),
        of("spec", "", check_spec(seen)),
        of("references", "", condition(ConditionType::SecretsResolved)),
    ];
    let each = |name, check: &dyn Fn(&str, &SeenService) -> Verdict| -> Vec<Check> {
        let services = seen.services.iter();
        services
            .map(|(service, seen)| of(name, service, check(service, seen)))
            .collect()
    };
    let each_serving = |name, check: &dyn Fn(&str, &SeenService) -> Verdict| {
        each(
            name,
            &|service, seen_service| match check_pods(&seen.pods, service, now) {
                Verdict::Ok { .. } => check(service, seen_service),
                _ => skipped("its pods do not serve"),
            },
        )
    };
    checks.extend(each("dns", &|service, seen| {
        check_name(service, &seen.name_resolves)
    }));
    checks.extend(each("pods", &|service, _| check_pods(&seen.pods, service, now)));
    checks.extend(each_serving("endpoints", &|service, seen| {
        check_endpoints(service, &seen.endpoints)
    }));
    checks.push(of("databases", "", condition(ConditionType::DatabaseReady)));
    checks.push(of("jaeger", "", condition(ConditionType::TracingAvailable)));
    if let Ok(resolved) = &seen.resolved {
        checks.extend(each_serving("collector", &|service, _| {
            check_collector(resolved, &seen.pods, service)
        }));
    }
    checks.extend(each_serving("traces", &|service, _| {
        check_traces(seen.evidence.as_ref(), service)
    }));
    checks.push(of("sentry", "", check_dsn(seen)));
    if matches!(seen.dsn, Some(Ok(true))) {
        checks.extend(each_serving("sentry", &|_, service| check_reports(service)));
    }
    checks.extend(each_serving("metrics", &check_metrics));
    checks.push(of("prometheus", "", condition(ConditionType::MetricsAvailable)));
    checks.extend(each_serving("docs", &|service, seen| {
        check_document(service, seen.document.as_ref())
    }));
    checks.push(of("docs page", "", check_portal(seen)));
    checks.push(of("way in", "", condition(ConditionType::Exposed)));
    checks
}

fn of(check: &'static str, subject: &str, verdict: Verdict) -> Check {
    Check {
        check,
        subject: subject.to_owned(),
        verdict,
    }
}

fn find(seen: &Seen, type_: ConditionType) -> Option<&Condition> {
    let status = seen.platform.status.as_ref();
    let conditions = status.into_iter().flat_map(|status| &status.conditions);
    conditions
        .into_iter()
        .find(|condition| condition.type_ == type_.as_str())
}

/// What the operator says of one side, with the fix of its own table.
fn check_condition(seen: &Seen, type_: ConditionType) -> Verdict {
    match find(seen, type_) {
        None => skipped("the operator has not said anything about it yet"),
        Some(condition) if condition.status == "True" => ok(&condition.message),
        Some(condition) => match fix(condition) {
            Some(fix) => failed(format!("{}: {}", condition.reason, condition.message), fix),
            None => skipped(&condition.message),
        },
    }
}

fn check_operator(seen: &Seen) -> Verdict {
    let status = seen.platform.status.clone().unwrap_or_default();
    if status.observed_generation == seen.platform.metadata.generation {
        let version = status.operator_version.unwrap_or_default();
        return ok(format!("version {version} has looked at the spec as it is now"));
    }
    failed(
        "it has not looked at the spec as it is now",
        "see whether it runs and what it says: kubectl get pods -A -l app.kubernetes.io/part-of=tracewell, \
         kubectl logs -n tracewell-system -l app.kubernetes.io/component=operator",
    )
}

fn check_spec(seen: &Seen) -> Verdict {
    match &seen.resolved {
        Err(error) => failed(
            error,
            "change the spec as the message says; kubectl platform plan -f FILE checks it",
        ),
        Ok(_) => check_condition(seen, ConditionType::Accepted),
    }
}

fn check_name(service: &str, resolves: &Answer<bool>) -> Verdict {
    match resolves {
        Ok(true) => ok("its name resolves in the cluster"),
        Ok(false) => failed(
            "its name does not resolve in the cluster",
            format!(
                "see whether its Service is there, kubectl get service -l app.kubernetes.io/name={service}, and what the \
                 name server says: kubectl logs -n kube-system -l k8s-app=kube-dns"
            ),
        ),
        Err(error) => skipped(format!("the cluster's name server cannot be asked: {error}")),
    }
}

fn check_endpoints(service: &str, endpoints: &Answer<usize>) -> Verdict {
    match endpoints {
        Ok(0) => failed(
            "no ready pod stands behind its Service",
            format!(
                "its pods serve, so that the Service does not select them: compare kubectl describe service -l \
                 app.kubernetes.io/name={service} with the labels of the pods"
            ),
        ),
        Ok(pods) => ok(format!("ready pods behind its Service: {pods}")),
        Err(error) => skipped(error),
    }
}

pub(super) fn label<'a>(pod: &'a Pod, label: &str) -> &'a str {
    pod.labels().get(label).map_or("", String::as_str)
}

/// Whether a pod is one of a service.
pub(super) fn is_of(pod: &Pod, service: &str) -> bool {
    label(pod, labels::COMPONENT) == Component::Service.as_str() && label(pod, labels::NAME) == service
}

fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let conditions = status
        .into_iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn check_pods(pods: &[Pod], service: &str, now: Timestamp) -> Verdict {
    let own: Vec<_> = pods.iter().filter(|pod| is_of(pod, service)).collect();
    if let Some(cause) = own.iter().filter_map(|pod| pod_cause(pod, now)).min() {
        return failed(
            format!("{}: {}", cause.reason, cause.message),
            cause.reason.meaning(),
        );
    }
    let ready = own.iter().filter(|pod| is_ready(pod)).count();
    if own.is_empty() {
        return failed(
            "it has no pod",
            "kubectl platform status says what its Deployment waits for",
        );
    }
    if ready == 0 {
        return failed(
            "none of its pods is ready yet",
            "wait a moment; kubectl platform status shows how far they are",
        );
    }
    ok(format!("{ready} of {} ready", own.len()))
}

fn check_document(service: &str, document: Option<&Answer<String>>) -> Verdict {
    let Some(document) = document else {
        return skipped("spec.apiDocs is Disabled");
    };
    let fix = format!(
        "check services.apiDocs.path of the spec, and kubectl platform logs --service {service}; without a document it is \
         missing on the page of all"
    );
    let text = match document {
        Ok(text) => text,
        Err(error) => return failed(format!("its API document: {error}"), fix),
    };
    let parsed: Value = serde_json::from_str(text).unwrap_or_default();
    match parsed["openapi"].as_str() {
        Some(version) => ok(format!("OpenAPI {version}")),
        None => failed(
            "what it offers as its API document is no OpenAPI document in JSON",
            fix,
        ),
    }
}

fn check_portal(seen: &Seen) -> Verdict {
    match &seen.portal {
        None => skipped("there is none: the Platform has no gateway, or apiDocs is not Portal"),
        Some(Ok(200)) => ok("the gateway shows the documents of all services"),
        Some(Ok(status)) => failed(
            format!("the gateway answers {status}"),
            "kubectl platform logs --service gateway says why",
        ),
        Some(Err(error)) => failed(error, "the lines about the gateway's pods say whether it serves"),
    }
}
