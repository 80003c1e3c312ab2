//! From evidence to what is said: conditions, counts, addresses, and the events of what changed.

mod conditions;
mod database;
mod endpoints;
mod findings;
mod telemetry;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

pub use self::conditions::ConditionType;
use self::conditions::{Finding, find, is_true, stamp_conditions};
use self::database::migration_state;
use self::endpoints::{gateway_url, list_endpoints};
use self::findings::find_all;
use crate::api::{MigrationStatus, Platform, PlatformStatus, ServiceStatus};
use crate::claims::Exclusive;
use crate::diff::Changes;
use crate::observe::{Observation, WorkloadState};
use crate::reason::Reason;
use crate::resolve::{Resolved, Violation};
use crate::settings::Settings;
use crate::step::{ApplyFailure, EventNote, EventType, Facts};

/// Longest message of a condition, in bytes: the API's own limit.
const MESSAGE_MAX: usize = 32_768;

/// What a status is made of, besides the findings.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The Platform, with the status that was written last.
    pub platform: &'a Platform,
    /// The operator's settings.
    pub settings: &'a Settings,
    /// The time of this decision.
    pub now: Timestamp,
    /// Trace of this reconcile.
    pub trace_id: Option<&'a str>,
}

/// Whether spans of a service were seen: as long as this operator has no answer, what an earlier one was answered.
fn traces_seen(platform: &Platform, facts: &Facts, service: &str) -> Option<bool> {
    let Some(evidence) = &facts.evidence else {
        let told = platform.status.iter().flat_map(|status| &status.services);
        let mut of_service = told.filter(|told| told.name == service);
        return of_service.next()?.traces_seen;
    };
    evidence
        .unanswered
        .is_none()
        .then(|| evidence.seen.contains(service))
}

/// The status of a Platform that was accepted.
pub fn accepted_status(
    frame: Frame<'_>,
    resolved: &Resolved,
    observation: &Observation,
    changes: &Changes,
    facts: &Facts,
    failure: Option<&ApplyFailure>,
) -> PlatformStatus {
    let services: Vec<ServiceStatus> = observation
        .services
        .iter()
        .map(|service| ServiceStatus {
            name: service.name.clone(),
            image: service.image.clone(),
            ready_replicas: service.ready_replicas,
            desired_replicas: service.desired_replicas,
            config_hash: service.config_hash.clone(),
            traces_seen: traces_seen(frame.platform, facts, &service.name),
            migration: service.migration.as_ref().map(|state| MigrationStatus {
                state: migration_state(state),
                image: service.image.clone(),
            }),
        })
        .collect();
    let available = observation
        .services
        .iter()
        .filter(|s| s.workload == WorkloadState::Available)
        .count();
    let ready_services = format!("{available}/{}", services.len());
    let findings = find_all(
        frame,
        resolved,
        observation,
        changes,
        facts,
        failure,
        &ready_services,
    );
    finish(
        frame,
        findings,
        PlatformStatus {
            ready_services: Some(ready_services),
            url: gateway_url(resolved, observation),
            endpoints: list_endpoints(resolved, observation),
            services,
            ..PlatformStatus::default()
        },
    )
}

/// Why nothing is done about a Platform.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Class of the cause.
    pub reason: Reason,
    /// What is wrong with the spec.
    pub message: String,
    /// What it wants and another Platform has.
    pub taken: Vec<Exclusive>,
}

impl From<&[Violation]> for Refusal {
    fn from(violations: &[Violation]) -> Self {
        let sentences: Vec<_> = violations.iter().map(ToString::to_string).collect();
        let taken = violations.iter().filter_map(|violation| match violation {
            Violation::Taken { what, .. } => Some(what.clone()),
            _ => None,
        });
        Self {
            reason: Reason::SpecInvalid,
            message: sentences.join("; "),
            taken: taken.collect(),
        }
    }
}

/// The status of a Platform whose spec is refused. Nothing was applied; `running` are the services of the spec before,
/// which go on, at the addresses that they had and no other Platform has.
pub fn rejected_status(frame: Frame<'_>, refusal: &Refusal, running: Vec<ServiceStatus>) -> PlatformStatus {
    let invalid = |type_, status| Finding {
        type_,
        status,
        reason: refusal.reason,
        message: refusal.message.clone(),
    };
    let unknown = |type_| Finding {
        type_,
        status: None,
        reason: Reason::NotAccepted,
        message: "the spec is invalid, see Accepted".to_owned(),
    };
    let summary = [
        invalid(ConditionType::Ready, Some(false)),
        invalid(ConditionType::Reconciling, Some(false)),
        invalid(ConditionType::Stalled, Some(true)),
        invalid(ConditionType::Accepted, Some(false)),
    ];
    let parts = ConditionType::PARTS.iter().copied().map(unknown);
    let findings = summary.into_iter().chain(parts).collect();
    let mut before = frame.platform.status.clone().unwrap_or_default();
    let is_own = |url: &String| !refusal.taken.iter().any(|what| what.is_at(url));
    before.endpoints.retain(|endpoint| is_own(&endpoint.url));
    let ready = running
        .iter()
        .filter(|service| service.ready_replicas == service.desired_replicas);
    let content = PlatformStatus {
        ready_services: (!running.is_empty()).then(|| format!("{}/{}", ready.count(), running.len())),
        url: before.url.filter(is_own),
        endpoints: before.endpoints,
        services: running,
        ..PlatformStatus::default()
    };
    finish(frame, findings, content)
}

/// Adds what every status has. Instants move only where something flips, and the trace changes only when something
/// else does: otherwise each look would be a write, and each write a reason to look again.
fn finish(frame: Frame<'_>, findings: Vec<Finding>, content: PlatformStatus) -> PlatformStatus {
    let old = frame.platform.status.clone().unwrap_or_default();
    let generation = frame.platform.metadata.generation;
    let mut status = PlatformStatus {
        observed_generation: generation,
        operator_version: Some(frame.settings.operator_version.clone()),
        conditions: stamp_conditions(findings, &old.conditions, generation, frame.now),
        last_reconcile_trace_id: old.last_reconcile_trace_id.clone(),
        ..content
    };
    let is_as_told = is_begun(Some(&old), &status) || !is_ready(&old) && is_progressing(&status);
    status.ready_generation = if is_ready(&status) {
        generation
    } else {
        old.ready_generation.filter(|_| is_as_told)
    };
    if status != old {
        status.last_reconcile_trace_id = frame.trace_id.map(str::to_owned);
    }
    status
}

/// Whether the status that was written last says that everything is there, for this very spec and operator.
pub fn was_complete(platform: &Platform, operator_version: &str) -> bool {
    platform.status.as_ref().is_some_and(|status| {
        status.observed_generation == platform.metadata.generation
            && status.operator_version.as_deref() == Some(operator_version)
            && is_ready(status)
    })
}

/// Whether a status says that every service and the tracing backend serve now.
pub fn is_ready(status: &PlatformStatus) -> bool {
    is_true(&status.conditions, ConditionType::Ready)
}

/// Whether `new` only says how far something has got that `old` says is under way: for the same spec, by the same
/// operator, with nothing in the way that was not in it before.
pub fn is_only_progress(old: &PlatformStatus, new: &PlatformStatus) -> bool {
    let under_way = |status: &PlatformStatus| {
        let reconciling = find(&status.conditions, ConditionType::Reconciling)?;
        (reconciling.status == "True").then(|| reconciling.reason.clone())
    };
    !is_planned(Some(old), new) && under_way(new).is_some() && under_way(new) == under_way(old)
}

/// Whether somebody asked for what changes: by another spec, or by another operator.
fn is_planned(old: Option<&PlatformStatus>, new: &PlatformStatus) -> bool {
    let asked_by = |status: &PlatformStatus| (status.observed_generation, status.operator_version.clone());
    old.map(asked_by) != Some(asked_by(new))
}

/// Parts that readiness does not depend on, and whose loss somebody should hear of.
const TOLD_BY_THEMSELVES: [ConditionType; 3] = [
    ConditionType::BackupSucceeded,
    ConditionType::TracingAvailable,
    ConditionType::TelemetryFlowing,
];

/// One event where readiness flips or a new obstacle appears, and one for each part that is lost while the Platform is
/// ready; none otherwise. That what somebody asked for is begun is no event, nor that it is done, where nothing was in its
/// way.
pub fn transition_events(old: Option<&PlatformStatus>, new: &PlatformStatus) -> Vec<EventNote> {
    let is_done = is_ready(new) && old.is_some_and(|old| old.ready_generation.is_some());
    let is_expected = is_begun(old, new) || is_done;
    let old = old.map(|status| status.conditions.as_slice()).unwrap_or_default();
    if is_ready(new) && is_true(old, ConditionType::Ready) {
        return lost_parts(old, &new.conditions);
    }
    summary_event(old, new, is_expected).into_iter().collect()
}

/// Whether what somebody asked for is on its way.
fn is_begun(old: Option<&PlatformStatus>, new: &PlatformStatus) -> bool {
    is_planned(old, new) && is_progressing(new)
}

fn is_progressing(status: &PlatformStatus) -> bool {
    find(&status.conditions, ConditionType::Ready)
        .is_some_and(|ready| ready.reason == Reason::Progressing.as_str())
}

fn lost_parts(old: &[Condition], new: &[Condition]) -> Vec<EventNote> {
    let is_lost = |conditions: &[Condition], type_| {
        find(conditions, type_).is_some_and(|condition| condition.status == "False")
    };
    TOLD_BY_THEMSELVES
        .into_iter()
        .filter(|type_| is_lost(new, *type_) && !is_lost(old, *type_))
        .filter_map(|type_| find(new, type_))
        .map(|condition| EventNote {
            type_: EventType::Warning,
            reason: condition.reason.clone(),
            message: condition.message.clone(),
        })
        .collect()
}

fn summary_event(old: &[Condition], new: &PlatformStatus, is_expected: bool) -> Option<EventNote> {
    let ready = find(&new.conditions, ConditionType::Ready)?;
    let was_ready = find(old, ConditionType::Ready);
    let stalled = is_true(&new.conditions, ConditionType::Stalled);
    let flipped = was_ready.is_none_or(|was| was.status != ready.status);
    let obstacle = stalled
        && (!is_true(old, ConditionType::Stalled) || was_ready.is_none_or(|was| was.reason != ready.reason));
    if is_expected || !flipped && !obstacle {
        return None;
    }
    let lost = ready.status != "True" && was_ready.is_some_and(|was| was.status == "True");
    let type_ = if stalled || lost {
        EventType::Warning
    } else {
        EventType::Normal
    };
    Some(EventNote {
        type_,
        reason: ready.reason.clone(),
        message: ready.message.clone(),
    })
}
