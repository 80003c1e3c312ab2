//! How the databases are.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::jobs::{JobState, observe_job};
use super::pods::find_cause;
use super::{Cause, WorkloadState};
use crate::build::{POSTGRES_APP, ROLES_APP};
use crate::desired::Desired;
use crate::kinds::{Kind, ObjectKey};
use crate::reason::Reason;
use crate::resolve::{Database, Resolved};
use crate::step::Live;

/// How the databases are.
#[derive(Clone, Debug, PartialEq)]
pub enum DatabaseObservation {
    /// No service has one.
    None,
    /// Each is a file on a volume of its service.
    Files,
    /// Somebody else's.
    External,
    /// A server of the Platform's own.
    Managed {
        /// The server.
        server: WorkloadState,
        /// The roles and databases of the services; None if no service has one.
        roles: Option<JobState>,
    },
}

pub(super) fn observe_database(
    resolved: &Resolved,
    desired: &Desired,
    live: &Live,
    now: Timestamp,
) -> DatabaseObservation {
    if resolved.postgres.is_some() {
        return DatabaseObservation::Managed {
            server: observe_server(resolved, live, now),
            roles: observe_job(desired, live, ROLES_APP, Reason::RolesNotMade, now),
        };
    }
    let mut databases = resolved
        .services
        .iter()
        .filter_map(|service| service.database.as_ref());
    match databases.next() {
        None => DatabaseObservation::None,
        Some(Database::File(_)) => DatabaseObservation::Files,
        Some(Database::External(_) | Database::Managed) => DatabaseObservation::External,
    }
}

fn observe_server(resolved: &Resolved, live: &Live, now: Timestamp) -> WorkloadState {
    let key = ObjectKey {
        kind: Kind::StatefulSet,
        namespace: resolved.namespace.clone(),
        name: resolved.name.postgres(),
    };
    let Some(set) = live
        .objects
        .get(&key)
        .and_then(|object| object.clone().try_parse::<StatefulSet>().ok())
    else {
        return WorkloadState::Progressing("not created yet".to_owned());
    };
    let status = set.status.unwrap_or_default();
    let is_available = status.observed_generation >= set.metadata.generation
        && status.updated_replicas.unwrap_or(0) == 1
        && status.ready_replicas.unwrap_or(0) == 1;
    if is_available {
        return WorkloadState::Available;
    }
    match find_cause(live, POSTGRES_APP, now) {
        Some(cause) => name_claim(
            WorkloadState::Failing(cause),
            live,
            &key.namespace,
            resolved.name.postgres_claim(),
        ),
        None => WorkloadState::Progressing("0/1 pods ready".to_owned()),
    }
}

/// The scheduler says that a volume is missing, and not which one.
pub(super) fn name_claim(state: WorkloadState, live: &Live, namespace: &str, name: String) -> WorkloadState {
    let cause = match state {
        WorkloadState::Failing(cause) if cause.reason == Reason::VolumePending => cause,
        other => return other,
    };
    let key = ObjectKey {
        kind: Kind::PersistentVolumeClaim,
        namespace: namespace.to_owned(),
        name,
    };
    let claim = live
        .objects
        .get(&key)
        .and_then(|object| object.clone().try_parse::<PersistentVolumeClaim>().ok());
    let class = claim.and_then(|claim| claim.spec?.storage_class_name);
    let class = class.map_or_else(
        || "the default storage class".to_owned(),
        |class| format!("the storage class {class}"),
    );
    WorkloadState::Failing(Cause {
        message: format!(
            "{}; the claim {} asks {class}",
            cause.message.trim_end_matches('.'),
            key.name
        ),
        ..cause
    })
}
