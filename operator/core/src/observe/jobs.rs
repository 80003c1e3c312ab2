//! How far that is which is done once.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition};

use super::pods::{find_cause, find_end};
use super::{Cause, WorkloadState};
use crate::desired::Desired;
use crate::reason::Reason;
use crate::step::Live;

/// How far a Job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It is not there yet.
    Pending,
    /// It is under way.
    Running,
    /// It is under way, and something stands in the way.
    Hindered(Cause),
    /// It is done.
    Succeeded,
    /// It was given up.
    Failed(Cause),
}

impl JobState {
    /// The same in the terms of a workload.
    pub fn as_workload(&self) -> WorkloadState {
        match self {
            Self::Pending => WorkloadState::Progressing("waits for its turn".to_owned()),
            Self::Running => WorkloadState::Progressing("is under way".to_owned()),
            Self::Succeeded => WorkloadState::Available,
            Self::Hindered(cause) | Self::Failed(cause) => WorkloadState::Failing(cause.clone()),
        }
    }
}

/// How far the Job of `app` is; None if no such Job is wanted. `reason` is why it fails, where its container does.
pub(super) fn observe_job(
    desired: &Desired,
    live: &Live,
    app: &str,
    reason: Reason,
    now: Timestamp,
) -> Option<JobState> {
    let key = desired.job(app)?;
    let Some(job) = live
        .objects
        .get(key)
        .and_then(|object| object.clone().try_parse::<Job>().ok())
    else {
        return Some(JobState::Pending);
    };
    Some(job_state(&job, live, &key.name, app, reason, now))
}

/// How far a Job with this name is, whose pods are those of `app`.
pub(super) fn job_state(
    job: &Job,
    live: &Live,
    name: &str,
    app: &str,
    reason: Reason,
    now: Timestamp,
) -> JobState {
    let conditions = job
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    if find(conditions, "Complete").is_some() {
        return JobState::Succeeded;
    }
    if let Some(failed) = find(conditions, "Failed") {
        let message = find_end(live, name).or_else(|| failed.message.clone());
        return JobState::Failed(Cause {
            reason,
            message: message.unwrap_or_default(),
        });
    }
    match find_cause(live, app, now) {
        None => JobState::Running,
        Some(cause) if cause.reason == Reason::ContainerCrashed => {
            JobState::Hindered(Cause { reason, ..cause })
        }
        Some(cause) => JobState::Hindered(cause),
    }
}

fn find<'a>(conditions: &'a [JobCondition], type_: &str) -> Option<&'a JobCondition> {
    conditions
        .iter()
        .find(|condition| condition.type_ == type_ && condition.status == "True")
}
