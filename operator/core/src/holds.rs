//! What has to wait: objects that are wanted and must not be applied yet, each with its cause.
//!
//! A workload that runs goes on running as it is while a change of it waits.

use std::collections::BTreeMap;

use kube::core::DynamicObject;

use crate::build::ROLES_APP;
use crate::desired::Desired;
use crate::kinds::{Kind, ObjectKey};
use crate::observe::{Cause, DatabaseObservation, JobState, Observation, WorkloadState};
use crate::reason::Reason;
use crate::references::{Reference, in_pod};
use crate::resolve::{Database, Resolved, Service};
use crate::settings::Settings;
use crate::step::{Facts, Live};

/// Why objects have to wait.
pub type Holds = BTreeMap<ObjectKey, Cause>;

/// Every object that has to wait.
pub fn find_holds(
    resolved: &Resolved,
    facts: &Facts,
    settings: &Settings,
    desired: &Desired,
    live: &Live,
    observation: &Observation,
) -> Holds {
    let mut holds = find_unprepared(resolved, desired, observation);
    holds.extend(find_unmade(desired, live));
    holds.extend(find_missing(resolved, desired));
    holds.extend(find_unknown(facts, desired));
    if live.secrets_are_hidden {
        holds.extend(find_forbidden(resolved, settings, desired));
    }
    let waiting: Vec<_> = resolved
        .services
        .iter()
        .map(|service| (service, workload_key(resolved, service)))
        .filter(|(_, key)| !live.objects.contains_key(key) && !holds.contains_key(key))
        .filter_map(|(service, key)| Some((key, find_dependency(resolved, service, observation, &holds)?)))
        .collect();
    holds.extend(waiting);
    holds
}

fn workload_key(resolved: &Resolved, service: &Service) -> ObjectKey {
    ObjectKey {
        kind: Kind::Deployment,
        namespace: resolved.namespace.clone(),
        name: resolved.name.workload(&service.name),
    }
}

/// Objects of kinds that the cluster does not have.
fn find_unknown(facts: &Facts, desired: &Desired) -> Holds {
    let unknown = desired.iter().filter(|(key, _)| !facts.knows(key.kind));
    unknown
        .map(|(key, _)| {
            let info = key.kind.info();
            let cause = Cause {
                reason: Reason::KindMissing,
                message: format!(
                    "the cluster has no CRD {}.{} of version {}",
                    info.plural, info.group, info.version
                ),
            };
            (key.clone(), cause)
        })
        .collect()
}

/// Secrets that the operator would have to make, and may not.
fn find_forbidden(resolved: &Resolved, settings: &Settings, desired: &Desired) -> Holds {
    let secrets = desired.iter().filter(|(key, _)| key.kind == Kind::Secret);
    let command = settings.secrets_grant.command(&resolved.namespace);
    secrets
        .map(|(key, _)| {
            let cause = Cause {
                reason: Reason::SecretsForbidden,
                message: format!(
                    "the operator may not use Secrets in namespace {}; allow it with: {command}",
                    resolved.namespace
                ),
            };
            (key.clone(), cause)
        })
        .collect()
}

/// Workloads whose pods read something that is not there.
fn find_missing(resolved: &Resolved, desired: &Desired) -> Holds {
    let missing = |object: &DynamicObject| {
        in_pod(object)
            .into_iter()
            .find(|reference| matches!(resolved.references.get(reference), Some(None)))
    };
    desired
        .iter()
        .filter_map(|(key, object)| {
            let reference = missing(object)?;
            let cause = Cause {
                reason: Reason::ReferenceMissing,
                message: format!("{reference} is missing in namespace {}", resolved.namespace),
            };
            Some((key.clone(), cause))
        })
        .collect()
}

/// Workloads whose pods read a Secret that is made first.
fn find_unmade(desired: &Desired, live: &Live) -> Holds {
    let unmade = |namespace: &str, object: &DynamicObject| {
        in_pod(object).into_iter().find_map(|Reference { kind, name }| {
            let key = ObjectKey {
                kind,
                namespace: namespace.to_owned(),
                name,
            };
            (kind == Kind::Secret && desired.get(&key).is_some() && !live.objects.contains_key(&key))
                .then_some(key)
        })
    };
    desired
        .iter()
        .filter_map(|(key, object)| {
            let secret = unmade(&key.namespace, object)?;
            Some((key.clone(), waits_for(&secret.to_string())))
        })
        .collect()
}

/// What needs a database that is not as it has to be: roles need the server, migrations the roles, pods the migration.
fn find_unprepared(resolved: &Resolved, desired: &Desired, observation: &Observation) -> Holds {
    let mut holds = Holds::new();
    let mut roles_are_made = true;
    if let DatabaseObservation::Managed { server, roles } = &observation.database {
        roles_are_made = matches!(roles, None | Some(JobState::Succeeded));
        if *server != WorkloadState::Available {
            holds.extend(
                desired
                    .job(ROLES_APP)
                    .map(|job| (job.clone(), waits_for("PostgreSQL"))),
            );
        }
    }
    for service in &resolved.services {
        let role = (service.database == Some(Database::Managed) && !roles_are_made)
            .then(|| waits_for("its role in PostgreSQL"));
        let job = desired.job(&service.name.migration());
        holds.extend(job.cloned().zip(role.clone()));
        let migration = job.and_then(|_| find_migration(service, observation));
        holds.extend(
            role.or(migration)
                .map(|cause| (workload_key(resolved, service), cause)),
        );
    }
    holds
}

/// Why a service waits for its migration; None if it does not.
fn find_migration(service: &Service, observation: &Observation) -> Option<Cause> {
    let observed = observation
        .services
        .iter()
        .find(|observed| observed.name == service.name.as_str())?;
    match observed.migration.as_ref()? {
        JobState::Succeeded => None,
        JobState::Pending | JobState::Running => Some(waits_for("its migration")),
        JobState::Hindered(cause) | JobState::Failed(cause) => Some(Cause {
            reason: cause.reason,
            message: format!(
                "the migration of its database by {} failed: {}",
                service.image, cause.message
            ),
        }),
    }
}

fn waits_for(what: &str) -> Cause {
    Cause {
        reason: Reason::Progressing,
        message: format!("waits for {what}"),
    }
}

/// Dependencies that are still on their way. One that fails, or waits for somebody, is not waited for: what can serve
/// without it should.
fn find_dependency(
    resolved: &Resolved,
    service: &Service,
    observation: &Observation,
    missing: &Holds,
) -> Option<Cause> {
    let is_on_its_way = |other: &&Service| {
        let observed = observation
            .services
            .iter()
            .find(|observed| observed.name == other.name.as_str());
        observed.is_some_and(|observed| matches!(observed.workload, WorkloadState::Progressing(_)))
            && !missing.contains_key(&workload_key(resolved, other))
    };
    let names: Vec<&str> = service
        .depends_on
        .iter()
        .filter_map(|name| resolved.service(name.as_str()))
        .filter(is_on_its_way)
        .map(|other| other.name.as_str())
        .collect();
    (!names.is_empty()).then(|| waits_for(&names.join(", ")))
}
