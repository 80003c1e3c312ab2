//! From what was seen to what is wrong and how it is mended: pure functions.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use platform_core::{
    api::Condition,
    evidence::{Counters, Evidence, Silence},
    labels::{self, Component},
    observe::pod_cause,
    resolve::{CollectorTier, Resolved},
    status::ConditionType,
};
use platform_operator::evidence::samples;
use serde::Serialize;
use serde_json::Value;

use super::collect::{Answer, Seen, SeenService};
use crate::advice::{is_chosen, meaning};

/// Reports to Sentry that a service of ours lost, and those that Sentry took.
const LOST: &str = "telemetry_envelopes_dropped";
const SENT: &str = "telemetry_envelopes_sent";
/// Name of the collector's container beside a service, and of the collectors in pods of their own.
const COLLECTOR: &str = "collector";

/// One thing that has to work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is checked.
    pub check: &'static str,
    /// Of what: a service, or the Platform where it is empty.
    pub subject: String,
    /// How it is.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// How something is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "result")]
pub enum Verdict {
    /// It works.
    Ok {
        /// What was seen.
        detail: String,
    },
    /// It does not.
    Failed {
        /// What was seen instead.
        detail: String,
        /// How to mend it.
        fix: String,
    },
    /// It was not asked for, or nobody could be asked.
    Skipped {
        /// Why.
        detail: String,
    },
}

fn ok(detail: impl Into<String>) -> Verdict {
    Verdict::Ok {
        detail: detail.into(),
    }
}

fn failed(detail: impl Into<String>, fix: impl Into<String>) -> Verdict {
    Verdict::Failed {
        detail: detail.into(),
        fix: fix.into(),
    }
}

fn skipped(detail: impl Into<String>) -> Verdict {
    Verdict::Skipped {
        detail: detail.into(),
    }
}

/// Every check, in the order of a request's way: the spec, names, pods, spans, errors, metrics, documents.
pub fn examine(seen: &Seen, now: Timestamp) -> Vec<Check> {
    let of = |check, subject: &str, verdict| Check {
        check,
        subject: subject.to_owned(),
        verdict,
    };
    let mut checks = vec![
        of("operator", "", check_operator(seen)),
        of("spec", "", check_spec(seen)),
    ];
    let condition = |type_| check_condition(seen, type_);
    checks.push(of("references", "", condition(ConditionType::SecretsResolved)));
    let each = |checks: &mut Vec<Check>, name, check: &dyn Fn(&str, &SeenService) -> Verdict| {
        let services = seen.services.iter();
        checks.extend(services.map(|(service, seen)| of(name, service, check(service, seen))));
    };
    each(&mut checks, "dns", &|service, seen| {
        check_name(service, &seen.name_resolves)
    });
    each(&mut checks, "endpoints", &|service, seen| {
        check_endpoints(service, &seen.endpoints)
    });
    each(&mut checks, "pods", &|service, _| {
        check_pods(&seen.pods, service, now)
    });
    checks.push(of("databases", "", condition(ConditionType::DatabaseReady)));
    checks.push(of("jaeger", "", condition(ConditionType::TracingAvailable)));
    if let Ok(resolved) = &seen.resolved {
        each(&mut checks, "collector", &|service, _| {
            check_collector(resolved, &seen.pods, service)
        });
    }
    each(&mut checks, "traces", &|service, _| {
        check_traces(seen.evidence.as_ref(), service)
    });
    checks.push(of("sentry", "", check_dsn(seen)));
    if matches!(seen.dsn, Some(Ok(true))) {
        each(&mut checks, "sentry", &|_, service| check_reports(service));
    }
    each(&mut checks, "metrics", &|service, seen| {
        check_metrics(service, seen)
    });
    checks.push(of("prometheus", "", condition(ConditionType::MetricsAvailable)));
    each(&mut checks, "docs", &|service, seen| {
        check_document(service, &seen.document)
    });
    checks.push(of("docs page", "", check_portal(seen)));
    checks.push(of("way in", "", condition(ConditionType::Exposed)));
    checks
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
        Some(condition) if condition.status == "False" && !is_chosen(&condition.reason) => failed(
            format!("{}: {}", condition.reason, condition.message),
            meaning(&condition.reason),
        ),
        Some(condition) => skipped(&condition.message),
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
            format!("the line about the pods of {service} says why none is ready"),
        ),
        Ok(pods) => ok(format!("ready pods behind its Service: {pods}")),
        Err(error) => skipped(error),
    }
}

fn label<'a>(pod: &'a Pod, label: &str) -> &'a str {
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

fn check_collector(resolved: &Resolved, pods: &[Pod], service: &str) -> Verdict {
    let (collectors, place): (Vec<&Pod>, _) = match resolved.collector().map(|collector| &collector.tier) {
        None => return skipped("the spec asks for none: services send their spans themselves"),
        Some(CollectorTier::Sidecar) => (
            pods.iter().filter(|pod| is_of(pod, service)).collect(),
            "beside it",
        ),
        Some(CollectorTier::Gateway { .. }) => (
            pods.iter()
                .filter(|pod| label(pod, labels::NAME) == COLLECTOR)
                .collect(),
            "in pods of its own",
        ),
    };
    let runs = |pod: &&&Pod| {
        let status = pod.status.as_ref();
        let containers = status.into_iter().flat_map(|status| {
            let sidecars = status.init_container_statuses.iter().flatten();
            sidecars.chain(status.container_statuses.iter().flatten())
        });
        containers
            .into_iter()
            .any(|container| container.name == COLLECTOR && container.ready)
    };
    let running = collectors.iter().filter(runs).count();
    if running > 0 && running == collectors.len() {
        return ok(format!("{place}, {running} of {running} ready"));
    }
    failed(
        format!("{place}, {running} of {} ready", collectors.len()),
        "kubectl platform status says what is wrong with the pod; kubectl logs -c collector what the collector says",
    )
}

fn check_traces(evidence: Option<&Evidence>, service: &str) -> Verdict {
    let Some(evidence) = evidence else {
        return skipped("no Jaeger can be asked: the spec disables it, or names no queryURL");
    };
    if let Some(error) = &evidence.unanswered {
        return failed(
            format!("Jaeger does not say what it has: {error}"),
            "see how Jaeger is, kubectl platform status; of an external one check queryURL, and that this machine or the \
             cluster reaches it",
        );
    }
    match evidence.silent.get(service) {
        Some(silence) => failed(silence.explain(), fix_of(silence, service)),
        None if evidence.seen.contains(service) => ok("a marked request through it is a trace in Jaeger"),
        None => skipped("it was not asked"),
    }
}

fn fix_of(silence: &Silence, service: &str) -> String {
    let instrument = "give it an OpenTelemetry SDK that follows OTEL_EXPORTER_OTLP_ENDPOINT and traceparent: \
                      docs/instrument-your-own-service.md";
    match silence {
        Silence::Unreachable(_) => {
            format!("the lines about its pods say whether it serves; kubectl platform logs --service {service} what it says")
        }
        Silence::Uncounted | Silence::Counted(Counters { received: 0, refused: 0, .. }) => instrument.to_owned(),
        Silence::Uncountable => format!("see whether its collector runs: kubectl logs -l app.kubernetes.io/name={service} -c collector"),
        Silence::Counted(Counters { received: 0, .. }) => {
            "send it less at a time: lower spec.telemetry.tracing.samplingPercent, or run more replicas".to_owned()
        }
        Silence::Counted(Counters { sent: 0, .. }) => {
            "see whether Jaeger takes spans: kubectl platform logs --service jaeger; of an external one check endpoint"
                .to_owned()
        }
        Silence::Counted(Counters { lost, waiting, .. }) if *lost > 0 || *waiting > 0 => {
            "see what holds Jaeger up: kubectl platform logs --service jaeger, and its storage".to_owned()
        }
        Silence::Counted(_) => instrument.to_owned(),
    }
}

fn check_dsn(seen: &Seen) -> Verdict {
    match &seen.dsn {
        None => skipped("telemetry.errors names no DSN: the services log what they would send"),
        Some(Ok(true)) => ok("the Secret of the DSN is there, with its key"),
        Some(Ok(false)) => failed(
            "the Secret of the DSN is missing, or has no such key",
            "create it: kubectl create secret generic NAME --from-literal=KEY=DSN, as telemetry.errors.dsnSecretRef names it",
        ),
        Some(Err(error)) => skipped(format!("the Secret of the DSN cannot be read: {error}")),
    }
}

/// Whether Sentry takes what the service sends, as far as the service counts it.
fn check_reports(service: &SeenService) -> Verdict {
    let Some(Ok(metrics)) = &service.metrics else {
        return skipped("its metrics do not say what became of its reports");
    };
    let sum = |name: &str| {
        let of_name = samples(metrics).filter(|(sample, _)| *sample == name);
        of_name.map(|(_, value)| value).sum::<u64>()
    };
    match (sum(LOST), sum(SENT)) {
        (0, 0) => ok("it had nothing to report since it started"),
        (0, sent) => ok(format!("Sentry took {sent} envelopes since it started")),
        (lost, sent) => failed(
            format!("{lost} envelopes were lost since it started, {sent} taken"),
            "the label reason of telemetry_envelopes_dropped_total tells: refused, check the DSN; network_error, whether \
             the pods reach Sentry; rate_limited or queue_full, send less",
        ),
    }
}

fn check_metrics(service: &str, seen: &SeenService) -> Verdict {
    match &seen.metrics {
        None => skipped("it is not known to offer any: services.metrics says where"),
        Some(Ok(metrics)) if samples(metrics).next().is_none() => failed(
            "its metrics are not in Prometheus' text format",
            "check services.metrics.path and .port of the spec",
        ),
        Some(Ok(metrics)) => ok(format!("samples: {}", samples(metrics).count())),
        Some(Err(error)) => failed(
            error,
            format!("check services.metrics of the spec, and kubectl platform logs --service {service}"),
        ),
    }
}

fn check_document(service: &str, document: &Answer<String>) -> Verdict {
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
