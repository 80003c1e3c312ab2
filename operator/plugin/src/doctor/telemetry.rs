//! Whether spans, errors and metrics arrive where they should.

use k8s_openapi::api::core::v1::Pod;
use platform_core::{
    evidence::{Counters, Evidence, Silence},
    labels,
    resolve::{CollectorTier, Resolved},
};
use platform_operator::evidence::samples;

use super::{
    check::{Verdict, failed, ok, skipped},
    checks::{is_of, label},
    collect::{Seen, SeenService},
};

/// Reports to Sentry that a service of ours lost, and those that Sentry took.
const LOST: &str = "telemetry_envelopes_dropped";
const SENT: &str = "telemetry_envelopes_sent";
/// Name of the collector's container beside a service, and of the collectors in pods of their own.
const COLLECTOR: &str = "collector";

pub(super) fn check_collector(resolved: &Resolved, pods: &[Pod], service: &str) -> Verdict {
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

pub(super) fn check_traces(evidence: Option<&Evidence>, service: &str) -> Verdict {
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

pub(super) fn check_dsn(seen: &Seen) -> Verdict {
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
pub(super) fn check_reports(service: &SeenService) -> Verdict {
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
            format!(
                "envelopes that were lost since it started: {lost} ({}); that Sentry took: {sent}",
                loss_reasons(metrics).join(", ")
            ),
            "where they are refused, check the DSN; at a network_error, whether the pods reach Sentry; where they are \
             rate_limited or the queue_full, send less: telemetry.errors of the spec",
        ),
    }
}

/// Why reports were lost: the labels of the counters that are above zero.
fn loss_reasons(metrics: &str) -> Vec<&str> {
    let counters = metrics.lines().filter(|line| line.starts_with(LOST));
    let above_zero = counters.filter(|line| samples(line).any(|(_, lost)| lost > 0));
    above_zero
        .filter_map(|line| Some(line.split_once("reason=\"")?.1.split_once('"')?.0))
        .collect()
}

pub(super) fn check_metrics(service: &str, seen: &SeenService) -> Verdict {
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
