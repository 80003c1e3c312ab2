//! From evidence about databases to what is said about them.

use super::ConditionType;
use super::conditions::{Finding, last_answer};
use crate::api::{MigrationState, Platform};
use crate::observe::{BackupObservation, Cause, DatabaseObservation, JobState, Observation, WorkloadState};
use crate::reason::Reason;

/// How far a migration is, as the status tells it.
pub(super) fn migration_state(state: &JobState) -> MigrationState {
    match state {
        JobState::Pending => MigrationState::Pending,
        JobState::Running | JobState::Hindered(_) => MigrationState::Running,
        JobState::Succeeded => MigrationState::Succeeded,
        JobState::Failed(_) => MigrationState::Failed,
    }
}

/// What the databases consist of, by name.
pub(super) fn database_workloads(observation: &Observation) -> Vec<(String, WorkloadState)> {
    let mut workloads = Vec::new();
    if let DatabaseObservation::Managed { server, roles } = &observation.database {
        workloads.push(("postgres".to_owned(), server.clone()));
        workloads.extend(
            roles
                .iter()
                .map(|roles| ("roles in postgres".to_owned(), roles.as_workload())),
        );
    }
    workloads.extend(observation.services.iter().filter_map(|service| {
        let migration = service.migration.as_ref()?;
        Some((format!("migration of {}", service.name), migration.as_workload()))
    }));
    workloads
}

/// Whether the databases serve, with the schemas that the services need.
pub(super) fn find_database(observation: &Observation) -> Finding {
    let type_ = ConditionType::DatabaseReady;
    let mut parts = database_workloads(observation);
    if observation.database == DatabaseObservation::Files {
        parts.extend(volumes(observation));
    }
    if let Some(Cause { reason, message }) = worst(parts.clone()) {
        return Finding::new(type_, false, reason, message);
    }
    let waiting: Vec<String> = parts
        .into_iter()
        .filter_map(|(name, state)| match state {
            WorkloadState::Progressing(text) => Some(format!("{name}: {text}")),
            WorkloadState::Available | WorkloadState::Failing(_) => None,
        })
        .collect();
    if !waiting.is_empty() {
        return Finding::new(type_, false, Reason::Progressing, waiting.join("; "));
    }
    let available = |message: &str| Finding::new(type_, true, Reason::DatabaseAvailable, message.to_owned());
    match observation.database {
        DatabaseObservation::None => Finding::new(
            type_,
            true,
            Reason::NoDatabase,
            "no service has a database".to_owned(),
        ),
        DatabaseObservation::Files => available("each database is a file on a volume of its service"),
        DatabaseObservation::Managed { .. } => available("PostgreSQL serves, and every schema is up to date"),
        DatabaseObservation::External => Finding {
            type_,
            status: None,
            reason: Reason::ExternalDatabase,
            message: "the databases are not Tracewell's; every schema is up to date".to_owned(),
        },
    }
}

/// Whether the last backup succeeded. While one is under way, what was said of the one before stands.
pub(super) fn find_backup(platform: &Platform, observation: &Observation) -> Finding {
    let type_ = ConditionType::BackupSucceeded;
    let unknown = |reason, message: &str| Finding {
        type_,
        status: None,
        reason,
        message: message.to_owned(),
    };
    match &observation.backup {
        BackupObservation::None => unknown(Reason::NoBackup, "the spec asks for no backups"),
        BackupObservation::NotDue => unknown(Reason::BackupNotDue, "no backup was due yet"),
        BackupObservation::Last(JobState::Succeeded, done) => {
            let message = done.map_or_else(
                || "the last backup succeeded".to_owned(),
                |done| format!("the last backup was done at {done}"),
            );
            Finding::new(type_, true, Reason::BackupSucceeded, message)
        }
        BackupObservation::Last(JobState::Failed(cause) | JobState::Hindered(cause), _) => {
            let message = format!("the last backup: {}", cause.message);
            Finding::new(type_, false, cause.reason, message)
        }
        BackupObservation::Last(JobState::Pending | JobState::Running, _) => {
            last_answer(platform, type_, &[Reason::BackupSucceeded, Reason::BackupFailed])
                .unwrap_or_else(|| unknown(Reason::BackupNotDue, "the first backup is under way"))
        }
    }
}

/// The services whose volume is not there. Which services have one does not matter: no other waits for a volume.
fn volumes(observation: &Observation) -> impl Iterator<Item = (String, WorkloadState)> {
    observation
        .services
        .iter()
        .filter(|service| {
            matches!(&service.workload, WorkloadState::Failing(cause) if cause.reason == Reason::VolumePending)
        })
        .map(|service| (service.name.clone(), service.workload.clone()))
}

/// What stands in the way of these, the most urgent first.
pub(super) fn worst(workloads: impl IntoIterator<Item = (String, WorkloadState)>) -> Option<Cause> {
    workloads
        .into_iter()
        .filter_map(|(name, state)| match state {
            WorkloadState::Failing(cause) => Some(Cause {
                reason: cause.reason,
                message: format!("{name}: {}", cause.message),
            }),
            WorkloadState::Available | WorkloadState::Progressing(_) => None,
        })
        .min()
}
