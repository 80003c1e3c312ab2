//! From evidence about traces and metrics to what is said about them.

use super::conditions::{Finding, last_answer};
use super::{ConditionType, Frame};
use crate::evidence::{badger, can_be_asked};
use crate::labels::Component;
use crate::observe::{BackendObservation, Observation, WorkloadState};
use crate::reason::Reason;
use crate::resolve::{Prometheus, Resolved};
use crate::step::Facts;

pub(super) fn find_tracing(observation: &Observation) -> Finding {
    let type_ = ConditionType::TracingAvailable;
    // Without its collectors, the backend gets nothing.
    let collectors = observation
        .components
        .iter()
        .filter(|component| component.name.starts_with("collector"));
    for collector in collectors {
        let (reason, text) = match &collector.workload {
            WorkloadState::Available => continue,
            WorkloadState::Progressing(text) => (Reason::Progressing, text),
            WorkloadState::Failing(cause) => (cause.reason, &cause.message),
        };
        return Finding::new(type_, false, reason, format!("{}: {text}", collector.name));
    }
    match &observation.backend {
        BackendObservation::Disabled => Finding::new(
            type_,
            false,
            Reason::TracingDisabled,
            "tracing is disabled in the spec".to_owned(),
        ),
        BackendObservation::External(endpoint) => Finding {
            type_,
            status: None,
            reason: Reason::ExternalBackend,
            message: format!("spans go to {endpoint}, which Tracewell does not run"),
        },
        BackendObservation::Managed(WorkloadState::Available) => {
            Finding::new(type_, true, Reason::JaegerAvailable, "Jaeger serves".to_owned())
        }
        BackendObservation::Managed(WorkloadState::Progressing(text)) => {
            Finding::new(type_, false, Reason::Progressing, format!("jaeger: {text}"))
        }
        BackendObservation::Managed(WorkloadState::Failing(cause)) => {
            Finding::new(type_, false, cause.reason, format!("jaeger: {}", cause.message))
        }
    }
}

/// That the traces' volume is as good as full. It is said before Jaeger ends of it, and afterwards as well.
pub(super) fn find_full_volume(frame: Frame<'_>, resolved: &Resolved, facts: &Facts) -> Option<Finding> {
    let type_ = ConditionType::TracingAvailable;
    let badger = badger(resolved)?;
    let Some(evidence) = &facts.evidence else {
        return last_answer(frame.platform, type_, &[Reason::VolumeFull]);
    };
    let message = format!(
        "the volume {} has less than a twentieth of {} left, and a full one ends Jaeger: raise storage.badger.size where \
         the storage class can grow volumes, or lower retentionHours or samplingPercent",
        resolved.name.jaeger_claim(),
        badger.size,
    );
    evidence
        .volume_is_full
        .then(|| Finding::new(type_, false, Reason::VolumeFull, message))
}

pub(super) fn find_metrics(resolved: &Resolved, observation: &Observation) -> Finding {
    let type_ = ConditionType::MetricsAvailable;
    if resolved.metrics.monitors_missing {
        let message = "discovery is PodMonitor, and the cluster has no such kind: install the Prometheus operator, or set \
                       discovery to Auto or Annotations";
        return Finding::new(type_, false, Reason::MonitorsUnknown, message.to_owned());
    }
    let unknown = |reason, message| Finding {
        type_,
        status: None,
        reason,
        message,
    };
    match &resolved.metrics.prometheus {
        None => return unknown(Reason::NoPrometheus, "the spec names no Prometheus".to_owned()),
        Some(Prometheus::External { url }) => {
            let message = format!("metrics are stored at {url}, which Tracewell does not run");
            return unknown(Reason::ExternalPrometheus, message);
        }
        Some(Prometheus::Managed { .. }) => {}
    }
    let observed = observation
        .components
        .iter()
        .find(|component| component.name == Component::Prometheus.as_str());
    let (status, reason, message) = match observed.map(|component| &component.workload) {
        Some(WorkloadState::Available) => (true, Reason::PrometheusAvailable, "Prometheus serves".to_owned()),
        Some(WorkloadState::Failing(cause)) => {
            (false, cause.reason, format!("prometheus: {}", cause.message))
        }
        Some(WorkloadState::Progressing(text)) => (false, Reason::Progressing, format!("prometheus: {text}")),
        None => (
            false,
            Reason::Progressing,
            "prometheus: not created yet".to_owned(),
        ),
    };
    Finding::new(type_, status, reason, message)
}

pub(super) fn find_flow(
    frame: Frame<'_>,
    resolved: &Resolved,
    observation: &Observation,
    facts: &Facts,
) -> Finding {
    let type_ = ConditionType::TelemetryFlowing;
    let unknown = |reason, message: &str| Finding {
        type_,
        status: None,
        reason,
        message: message.to_owned(),
    };
    if resolved.tracing.is_none() {
        let message = "tracing is disabled in the spec".to_owned();
        return Finding::new(type_, false, Reason::TracingDisabled, message);
    }
    if !can_be_asked(resolved) {
        let message = "tracing.jaeger.external names no queryURL that could be asked for the spans";
        return unknown(Reason::ExternalBackend, message);
    }
    let Some(evidence) = &facts.evidence else {
        // An operator that has just been started asks anew; until there is an answer, the last one stands.
        let answers = [
            Reason::SpansArrive,
            Reason::SpansMissing,
            Reason::JaegerUnanswered,
        ];
        return last_answer(frame.platform, type_, &answers)
            .unwrap_or_else(|| unknown(Reason::NotAskedYet, "Jaeger is asked once every service serves"));
    };
    if let Some(error) = &evidence.unanswered {
        let message = format!("Jaeger does not say what it has: {error}");
        return Finding::new(type_, false, Reason::JaegerUnanswered, message);
    }
    let names = || observation.services.iter().map(|service| &service.name);
    let silent: Vec<String> = names()
        .filter_map(|name| Some(format!("{name} {}", evidence.silent.get(name)?.explain())))
        .collect();
    if silent.is_empty() {
        let seen = names().filter(|name| evidence.seen.contains(*name)).count();
        let message = format!("spans of {seen} services arrive in Jaeger");
        return Finding::new(type_, true, Reason::SpansArrive, message);
    }
    Finding::new(type_, false, Reason::SpansMissing, silent.join("; "))
}
