//! What is done once.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::labels;

/// How often a Job is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempts {
    /// Until it succeeds, later and later.
    Unbounded,
    /// So often, and so long.
    Bounded {
        /// Attempts after the first.
        retries: i32,
        /// How long all attempts may take together, in seconds.
        deadline_seconds: i32,
    },
}

/// A Job. `done_to` is the uid of what it is done to: where that is made anew, the Job is another, and runs again.
pub(super) fn build_job(pod: PodSpec, done_to: Option<&str>, attempts: Attempts) -> Job {
    let (restart_policy, retries, deadline) = match attempts {
        // The pod stays, and its container is started again.
        Attempts::Unbounded => ("OnFailure", i32::MAX, None),
        // Each attempt is a pod, which stays to say why it failed.
        Attempts::Bounded {
            retries,
            deadline_seconds,
        } => ("Never", retries, Some(deadline_seconds.into())),
    };
    let annotations = done_to.map(|uid| BTreeMap::from([(labels::DONE_TO.to_owned(), uid.to_owned())]));
    Job {
        spec: Some(JobSpec {
            backoff_limit: Some(retries),
            active_deadline_seconds: deadline,
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    annotations,
                    ..ObjectMeta::default()
                }),
                spec: Some(PodSpec {
                    restart_policy: Some(restart_policy.to_owned()),
                    ..pod
                }),
            },
            ..JobSpec::default()
        }),
        ..Job::default()
    }
}
