//! From evidence to findings: one function for each condition.

use super::conditions::Finding;
use super::database::{database_workloads, find_backup, find_database, worst};
use super::telemetry::{find_flow, find_full_volume, find_metrics, find_tracing};
use super::{ConditionType, Frame};
use crate::build::ignored_variables;
use crate::diff::Changes;
use crate::observe::{BackendObservation, Cause, EntranceObservation, Observation, WorkloadState};
use crate::reason::Reason;
use crate::references::{Reference, references};
use crate::resolve::Resolved;
use crate::step::{ApplyFailure, Facts};

/// Every condition of a Platform that was accepted.
pub(super) fn find_all(
    frame: Frame<'_>,
    resolved: &Resolved,
    observation: &Observation,
    changes: &Changes,
    facts: &Facts,
    failure: Option<&ApplyFailure>,
    ready_services: &str,
) -> Vec<Finding> {
    let services = find_services(observation, ready_services);
    let tracing = find_full_volume(frame, resolved, facts).unwrap_or_else(|| find_tracing(observation));
    // What is in the way, most urgent first: a refused write, then the workloads.
    let obstacle = failure
        .map(failure_cause)
        .or_else(|| held_cause(changes))
        .or_else(|| worst_cause(observation));
    let progress = pending_message(changes).or_else(|| progress_message(observation, ready_services));

    let stalled = obstacle.as_ref().filter(|cause| !cause.reason.is_transient());
    let ready = find_ready(obstacle.as_ref(), progress, ready_services, &tracing);
    let reconciling = find_reconciling(stalled, &ready);
    vec![
        ready,
        reconciling,
        find_stalled(stalled),
        find_accepted(resolved, changes.paused),
        find_secrets(frame, resolved),
        find_database(observation),
        find_backup(frame.platform, observation),
        services,
        tracing,
        find_metrics(resolved, observation),
        find_flow(frame, resolved, observation, facts),
        find_error_tracking(resolved),
        find_exposed(observation),
    ]
}

fn find_ready(
    obstacle: Option<&Cause>,
    progress: Option<String>,
    ready_services: &str,
    tracing: &Finding,
) -> Finding {
    let type_ = ConditionType::Ready;
    match (obstacle, progress) {
        (Some(cause), _) => Finding::new(type_, false, cause.reason, cause.message.clone()),
        (None, Some(progress)) => Finding::new(type_, false, Reason::Progressing, progress),
        (None, None) => {
            let message = format!("{ready_services} services ready; {}", tracing.message);
            Finding::new(type_, true, Reason::AllComponentsReady, message)
        }
    }
}

/// kstatus looks at this before it looks at Stalled, so it is false while something stands in the way.
fn find_reconciling(stalled: Option<&Cause>, ready: &Finding) -> Finding {
    let type_ = ConditionType::Reconciling;
    match (stalled, ready.status) {
        (Some(cause), _) => Finding::new(type_, false, cause.reason, "waits for the cause to go".to_owned()),
        (None, Some(true)) => Finding::new(
            type_,
            false,
            Reason::Completed,
            "the cluster has what the spec asks for".to_owned(),
        ),
        (None, _) => Finding::new(type_, true, ready.reason, ready.message.clone()),
    }
}

fn find_stalled(stalled: Option<&Cause>) -> Finding {
    let type_ = ConditionType::Stalled;
    match stalled {
        Some(cause) => Finding::new(type_, true, cause.reason, cause.message.clone()),
        None => Finding::new(
            type_,
            false,
            Reason::NotStalled,
            "nothing stands in the way".to_owned(),
        ),
    }
}

fn find_error_tracking(resolved: &Resolved) -> Finding {
    let type_ = ConditionType::ErrorTrackingConfigured;
    let Some(dsn) = resolved.errors.as_ref().and_then(|errors| errors.dsn.as_ref()) else {
        let message = "telemetry.errors names no DSN: the services log what they would send".to_owned();
        return Finding::new(type_, false, Reason::ErrorTrackingDisabled, message);
    };
    let secret = Reference::secret(&dsn.name);
    match resolved.references.get(&secret) {
        Some(Some(_)) => {
            let message = format!("errors go where key {} of {secret} says", dsn.key);
            Finding::new(type_, true, Reason::DsnFound, message)
        }
        Some(None) => {
            let message = format!(
                "{secret} with the DSN is missing in namespace {}",
                resolved.namespace
            );
            Finding::new(type_, false, Reason::ReferenceMissing, message)
        }
        None => Finding {
            type_,
            status: None,
            reason: Reason::SecretsNotChecked,
            message: format!("errors go where key {} of {secret} says, if it is there", dsn.key),
        },
    }
}

fn find_exposed(observation: &Observation) -> Finding {
    let type_ = ConditionType::Exposed;
    match &observation.entrance {
        EntranceObservation::InsideOnly => Finding::new(
            type_,
            true,
            Reason::InsideOnly,
            "exposure.type is None: the gateway is reached from inside the cluster".to_owned(),
        ),
        EntranceObservation::NoGateway => Finding::new(
            type_,
            false,
            Reason::NoGateway,
            "the list of services has no gateway that the way in could lead to".to_owned(),
        ),
        EntranceObservation::Open => {
            Finding::new(type_, true, Reason::EntranceOpen, "users get in".to_owned())
        }
        EntranceObservation::Waiting(text) => {
            Finding::new(type_, false, Reason::EntranceWaiting, text.clone())
        }
    }
}

fn find_accepted(resolved: &Resolved, paused: Option<usize>) -> Finding {
    if let Some(differences) = paused {
        let message = format!(
            "every rule holds; managementState is Paused: {differences} objects differ from the spec and are left as \
             they are"
        );
        return Finding::new(ConditionType::Accepted, true, Reason::Paused, message);
    }
    let ignored: Vec<String> = resolved
        .services
        .iter()
        .flat_map(|service| {
            ignored_variables(resolved, service)
                .into_iter()
                .map(move |name| format!("{}: {name}", service.name))
        })
        .collect();
    let message = if ignored.is_empty() {
        "every rule holds".to_owned()
    } else {
        format!(
            "every rule holds; env entries without effect, since Tracewell sets them: {}",
            ignored.join(", ")
        )
    };
    Finding::new(ConditionType::Accepted, true, Reason::Accepted, message)
}

fn find_secrets(frame: Frame<'_>, resolved: &Resolved) -> Finding {
    let type_ = ConditionType::SecretsResolved;
    let unchecked: Vec<String> = references(frame.platform)
        .iter()
        .filter(|reference| !resolved.references.contains_key(reference))
        .map(ToString::to_string)
        .collect();
    if !unchecked.is_empty() {
        let message = format!(
            "not checked, since the operator may not look at Secrets in namespace {}: {}; a change of one restarts no pod; \
             allow it with: {}",
            resolved.namespace,
            unchecked.join(", "),
            frame.settings.secrets_grant.command(&resolved.namespace),
        );
        return Finding {
            type_,
            status: None,
            reason: Reason::SecretsNotChecked,
            message,
        };
    }
    let missing: Vec<String> = resolved
        .references
        .iter()
        .filter(|(_, version)| version.is_none())
        .map(|(reference, _)| reference.to_string())
        .collect();
    if missing.is_empty() {
        let message = "everything that the spec refers to is there".to_owned();
        return Finding::new(type_, true, Reason::AllReferencesFound, message);
    }
    let message = format!(
        "missing in namespace {}: {}",
        resolved.namespace,
        missing.join(", ")
    );
    Finding::new(type_, false, Reason::ReferenceMissing, message)
}

fn find_services(observation: &Observation, ready_services: &str) -> Finding {
    let type_ = ConditionType::ServicesAvailable;
    let mut missing: Vec<(Reason, String)> = observation
        .services
        .iter()
        .filter_map(|service| match &service.workload {
            WorkloadState::Available => None,
            WorkloadState::Progressing(text) => {
                Some((Reason::Progressing, format!("{}: {text}", service.name)))
            }
            WorkloadState::Failing(cause) => {
                Some((cause.reason, format!("{}: {}", service.name, cause.message)))
            }
        })
        .collect();
    missing.sort();
    match missing.first() {
        None => find_blind(observation, ready_services).unwrap_or_else(|| {
            let message = format!("{ready_services} services ready");
            Finding::new(type_, true, Reason::AllServicesAvailable, message)
        }),
        Some((reason, _)) => {
            let details = missing
                .iter()
                .map(|(_, text)| text.as_str())
                .collect::<Vec<_>>()
                .join("; ");
            Finding::new(
                type_,
                false,
                *reason,
                format!("{ready_services} services ready; {details}"),
            )
        }
    }
}

/// Every service serves, and some will not have more pods under load.
fn find_blind(observation: &Observation, ready_services: &str) -> Option<Finding> {
    let blind: Vec<String> = observation
        .services
        .iter()
        .filter_map(|service| Some(format!("{}: {}", service.name, service.blindness.as_ref()?)))
        .collect();
    let message = format!(
        "{ready_services} services ready; not scaled, since nobody tells their load: {}",
        blind.join("; ")
    );
    let (type_, reason) = (ConditionType::ServicesAvailable, Reason::AutoscalerBlind);
    (!blind.is_empty()).then(|| Finding::new(type_, true, reason, message))
}

fn workloads(observation: &Observation) -> impl Iterator<Item = (String, WorkloadState)> {
    let backend = match &observation.backend {
        BackendObservation::Managed(state) => Some(("jaeger".to_owned(), state.clone())),
        BackendObservation::Disabled | BackendObservation::External(_) => None,
    };
    observation
        .services
        .iter()
        .map(|service| (service.name.clone(), service.workload.clone()))
        .chain(backend)
        .chain(
            observation
                .components
                .iter()
                .map(|component| (component.name.clone(), component.workload.clone())),
        )
        .chain(database_workloads(observation))
}

fn worst_cause(observation: &Observation) -> Option<Cause> {
    worst(workloads(observation))
}

fn failure_cause(failure: &ApplyFailure) -> Cause {
    let ApplyFailure {
        action,
        object,
        message,
        ..
    } = failure;
    let reason = failure.category.into();
    let message = if reason == Reason::ApplyConflict {
        format!(
            "{object} belongs to somebody else; delete or rename it, or take the service that needs its name out of \
             the Platform: {message}"
        )
    } else {
        format!("{object} could not be {action}: {message}")
    };
    Cause { reason, message }
}

/// What a change waits for that does not come by itself.
fn held_cause(changes: &Changes) -> Option<Cause> {
    changes
        .held
        .iter()
        .filter(|held| held.cause.reason != Reason::Progressing)
        .map(|held| Cause {
            reason: held.cause.reason,
            message: format!("{} waits: {}", held.apply.key, held.cause.message),
        })
        .min()
}

/// What is still to be applied; None if that is nothing.
fn pending_message(changes: &Changes) -> Option<String> {
    let first = changes.waves.first()?.applies.first()?;
    let count: usize = changes.waves.iter().map(|wave| wave.applies.len()).sum();
    Some(format!(
        "{count} objects still to be applied, first {}: {}",
        first.key,
        first.reason()
    ))
}

/// Which workloads are on the way; None if all are there.
fn progress_message(observation: &Observation, ready_services: &str) -> Option<String> {
    let waiting: Vec<String> = workloads(observation)
        .filter_map(|(name, state)| match state {
            WorkloadState::Progressing(text) => Some(format!("{name}: {text}")),
            WorkloadState::Available | WorkloadState::Failing(_) => None,
        })
        .collect();
    (!waiting.is_empty()).then(|| format!("{ready_services} services ready; {}", waiting.join("; ")))
}
