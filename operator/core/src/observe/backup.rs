//! How the last backup went.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;

use super::JobState;
use super::jobs::job_state;
use crate::build::BACKUP_APP;
use crate::desired::Desired;
use crate::kinds::Kind;
use crate::labels;
use crate::reason::Reason;
use crate::step::Live;

/// How the last backup went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupObservation {
    /// The spec asks for none.
    None,
    /// None was made yet.
    NotDue,
    /// One is under way, or was given up, or is done at this time, if it was told.
    Last(JobState, Option<Timestamp>),
}

/// Looks at the newest Job of the backups. One that restores has the same labels, and another command.
pub(super) fn observe_backup(desired: &Desired, live: &Live, now: Timestamp) -> BackupObservation {
    let is_named = |object: &DynamicObject| {
        let name = object.labels().get(labels::NAME);
        name.is_some_and(|name| name == BACKUP_APP)
    };
    let mut wanted = desired.iter();
    let Some((_, cron_job)) = wanted.find(|(key, object)| key.kind == Kind::CronJob && is_named(object))
    else {
        return BackupObservation::None;
    };
    let command = cron_job
        .data
        .pointer("/spec/jobTemplate/spec/template/spec/containers/0/command");
    let is_backup = |object: &DynamicObject| {
        let of_job: Option<&Value> = object.data.pointer("/spec/template/spec/containers/0/command");
        of_job == command
    };
    let jobs = live
        .objects
        .iter()
        .filter(|(key, object)| key.kind == Kind::Job && is_named(object) && is_backup(object));
    let newest = jobs
        .max_by_key(|(key, object)| (object.creation_timestamp(), *key))
        .and_then(|(key, object)| Some((key, object.clone().try_parse::<Job>().ok()?)));
    match newest {
        None => BackupObservation::NotDue,
        Some((key, job)) => {
            let done = job
                .status
                .as_ref()
                .and_then(|status| status.completion_time.clone());
            let state = job_state(&job, live, &key.name, BACKUP_APP, Reason::BackupFailed, now);
            BackupObservation::Last(state, done.map(|time| time.0))
        }
    }
}
