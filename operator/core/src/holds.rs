//! What has to wait: objects that are wanted and must not be applied yet, each with its cause.
//!
//! A workload that runs goes on running as it is while a change of it waits.

use std::collections::BTreeMap;

use kube::core::DynamicObject;

use crate::desired::Desired;
use crate::kinds::{Kind, ObjectKey};
use crate::observe::{Cause, Observation, WorkloadState};
use crate::reason::Reason;
use crate::references::in_pod;
use crate::resolve::{Resolved, Service};
use crate::step::{Facts, Live};

/// Why objects have to wait.
pub type Holds = BTreeMap<ObjectKey, Cause>;

/// Every object that has to wait.
pub fn find_holds(
    resolved: &Resolved,
    facts: &Facts,
    desired: &Desired,
    live: &Live,
    observation: &Observation,
) -> Holds {
    let mut holds = find_missing(resolved, desired);
    holds.extend(find_unknown(facts, desired));
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
    (!names.is_empty()).then(|| Cause {
        reason: Reason::Progressing,
        message: format!("waits for {}", names.join(", ")),
    })
}
