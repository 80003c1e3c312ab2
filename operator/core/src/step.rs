//! The whole brain in one function: what the cluster has, in; what to do and what to say, out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::core::DynamicObject;

use crate::api::{Platform, PlatformStatus};
use crate::claims::{Claim, find_taken};
use crate::desired::Desired;
use crate::diff::{Changes, diff};
use crate::evidence::{self, Evidence, Questions};
use crate::holds::find_holds;
use crate::kinds::{Kind, ObjectKey};
use crate::observe::{observe, observe_running};
use crate::passwords::Entropy;
use crate::reason::Reason;
use crate::references::{Reference, references};
use crate::resolve::{Violation, resolve};
use crate::settings::Settings;
use crate::status::{
    Frame, Refusal, accepted_status, is_only_progress, is_ready, rejected_status, transition_events,
    was_complete,
};

/// Everything that a decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The Platform, read fresh, with the status that was written last.
    pub platform: &'a Platform,
    /// What the cluster has of it.
    pub live: &'a Live,
    /// What the cluster has besides.
    pub facts: &'a Facts,
    /// The operator's settings.
    pub settings: &'a Settings,
    /// The time of this decision.
    pub now: Timestamp,
    /// Random bytes, for this decision alone.
    pub entropy: Entropy,
    /// Trace of this reconcile, for the status.
    pub trace_id: Option<&'a str>,
    /// What went wrong while the changes of the step before were applied.
    pub last_apply: Option<&'a ApplyFailure>,
}

/// What the cluster has of one Platform: the objects that [belong](crate::ownership::belongs) to it.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// Objects of every managed kind.
    pub objects: BTreeMap<ObjectKey, DynamicObject>,
    /// Pods, which Deployments made.
    pub pods: Vec<Pod>,
    /// Whether the operator may not look at Secrets here, so that it knows of none.
    pub secrets_are_hidden: bool,
}

impl Live {
    /// Uids of the objects that are kept: others are made for this very password, or this very volume.
    pub fn uids(&self) -> BTreeMap<Reference, String> {
        self.objects
            .iter()
            .filter(|(key, _)| key.kind.info().is_kept())
            .filter_map(|(key, object)| {
                let reference = Reference {
                    kind: key.kind,
                    name: key.name.clone(),
                };
                Some((reference, object.uid()?))
            })
            .collect()
    }
}

/// What the cluster has, and the Platform does not own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The kinds of others' CRDs that the cluster knows.
    pub kinds: BTreeSet<Kind>,
    /// What the Platform [refers to](crate::references::references): its version, None where it is missing. A Secret that
    /// the operator may not look at is not among them.
    pub references: BTreeMap<Reference, Option<String>>,
    /// What Platforms claim, if this one claims anything.
    pub claims: Vec<Claim>,
    /// What was answered when Jaeger was asked last.
    pub evidence: Option<Evidence>,
}

impl Facts {
    /// Whether the cluster has objects of this kind.
    pub fn knows(&self, kind: Kind) -> bool {
        kind.info().is_known(&self.kinds)
    }
}

/// Why an object could not be applied or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyFailure {
    /// What was tried.
    pub action: WriteAction,
    /// The object.
    pub object: ObjectKey,
    /// Class of the failure.
    pub category: FailureCategory,
    /// What the API server said.
    pub message: String,
}

/// What is done to an object. It is shown as a participle: applied, deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteAction {
    /// It is made or changed.
    Apply,
    /// It is taken away.
    Delete,
}

impl fmt::Display for WriteAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apply => "applied",
            Self::Delete => "deleted",
        })
    }
}

/// Class of a failed write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureCategory {
    /// The object changed meanwhile (409).
    Conflict,
    /// Somebody else owns fields of the object (409 with the cause `FieldManagerConflict`).
    Contested,
    /// The operator has no permission (403).
    Forbidden,
    /// The API server refuses the object (400, 422).
    Invalid,
    /// A resource quota is used up (403 with "exceeded quota").
    Quota,
    /// The API server asks for patience (429).
    Throttled,
    /// The API server does not answer properly (5xx, connection refused).
    Unavailable,
    /// The API server did not answer in time.
    Timeout,
}

/// What to do and what to say.
#[derive(Clone, Debug)]
pub struct Output {
    /// Objects to apply and to prune.
    pub changes: Changes,
    /// The status to write, if it differs from the one that the Platform has.
    pub status: PlatformStatus,
    /// Whether the status only says how far something has got that is known to be under way, so that it can be written a
    /// little later, with what has happened by then.
    pub can_wait: bool,
    /// Events of the transitions between the old status and this one: publish them when the status is written.
    pub events: Vec<EventNote>,
    /// When to look again without being asked.
    pub requeue: Requeue,
    /// Whether it has to do with Secrets, as far as is known: whether they are there, and may be seen, matters.
    pub needs_secrets: bool,
    /// What to ask about the spans of the services again and again, and to give back as [`Facts::evidence`]; None while
    /// there is nobody to ask.
    pub questions: Option<Questions>,
}

/// An event for the people who watch the Platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventNote {
    /// Normal or Warning.
    pub type_: EventType,
    /// CamelCase reason.
    pub reason: String,
    /// What happened.
    pub message: String,
}

/// Type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// Things go as they should.
    Normal,
    /// Somebody should look.
    Warning,
}

/// When to look again without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// After this time.
    After(Duration),
    /// Only when the Platform or one of its objects changes.
    AwaitChange,
}

impl Requeue {
    /// The longest time until the next look.
    pub const fn pause(self) -> Duration {
        match self {
            Self::After(pause) => pause,
            Self::AwaitChange => RESYNC,
        }
    }
}

/// How long a Platform at rest is left alone: watches tell of changes, this is for what they might have missed.
const RESYNC: Duration = Duration::from_hours(1);
/// The same where Secrets are hidden: no watch tells that they are not any more.
const RESYNC_IN_THE_DARK: Duration = Duration::from_mins(10);
/// How soon to look again while something is on the way or in the way.
const FOLLOW_UP: Duration = Duration::from_secs(15);

/// What to say about a Platform whose spec this version of the operator does not understand, and which it therefore
/// leaves as it is. `platform` has the metadata and the status alone; `problem` says what was not understood.
pub fn refuse(
    platform: &Platform,
    problem: &str,
    settings: &Settings,
    now: Timestamp,
    trace_id: Option<&str>,
) -> Output {
    let frame = Frame {
        platform,
        settings,
        now,
        trace_id,
    };
    let refusal = Refusal {
        reason: Reason::SpecUnreadable,
        message: format!(
            "operator {} does not understand {problem}; what runs is left as it is",
            settings.operator_version
        ),
        taken: Vec::new(),
    };
    let services = platform.status.iter().flat_map(|status| &status.services);
    let status = rejected_status(frame, &refusal, services.cloned().collect());
    Output {
        changes: Changes::default(),
        events: transition_events(platform.status.as_ref(), &status),
        can_wait: false,
        status,
        requeue: Requeue::AwaitChange,
        needs_secrets: true,
        questions: None,
    }
}

/// Decides what to do about a Platform and what to say about it.
///
/// The caller applies the changes and asks again with what the cluster then has: the second answer's status, drawn
/// from what was applied, is the one to write.
pub fn step(input: Input<'_>) -> Output {
    let Input {
        platform,
        live,
        facts,
        settings,
        ..
    } = input;
    if platform.metadata.deletion_timestamp.is_some() {
        // The cluster deletes what the Platform owns; an object made now would only be in its way.
        return Output {
            changes: Changes::default(),
            status: platform.status.clone().unwrap_or_default(),
            can_wait: false,
            events: Vec::new(),
            requeue: Requeue::AwaitChange,
            needs_secrets: true,
            questions: None,
        };
    }
    let (mut questions, mut needs_secrets) = (None, true);
    let frame = Frame {
        platform,
        settings,
        now: input.now,
        trace_id: input.trace_id,
    };
    let resolved = resolve(platform, facts, settings).and_then(|resolved| {
        let taken = find_taken(platform, live, &facts.claims);
        if taken.is_empty() {
            Ok(resolved)
        } else {
            Err(taken)
        }
    });
    let (changes, status, requeue) = match resolved {
        Err(violations) => (
            Changes::default(),
            rejected_status(
                frame,
                &Refusal::from(violations.as_slice()),
                observe_running(platform, live, input.now),
            ),
            // What only another Platform's end can mend is not told by a change of this one.
            if violations.iter().any(Violation::is_transient) {
                Requeue::After(FOLLOW_UP)
            } else {
                Requeue::AwaitChange
            },
        ),
        Ok(mut resolved) => {
            resolved.uids = live.uids();
            let desired = Desired::new(&resolved);
            let was_complete = was_complete(platform, &settings.operator_version);
            let observation = observe(&resolved, &desired, live, input.now);
            let holds = find_holds(&resolved, facts, settings, &desired, live, &observation);
            let mut changes =
                diff(&desired, live, &resolved.uid, was_complete, &holds).with_contents(&input.entropy);
            if resolved.paused {
                changes = changes.into_paused();
            }
            let observation = observation.with_waits(&resolved, &changes);
            let status = accepted_status(frame, &resolved, &observation, &changes, facts, input.last_apply);
            questions = evidence::questions(&resolved, &observation, live);
            let makes_secrets = desired.iter().any(|(key, _)| key.kind == Kind::Secret);
            let refers_to_secrets = references(platform)
                .iter()
                .any(|reference| reference.kind == Kind::Secret);
            needs_secrets = makes_secrets || refers_to_secrets;
            let requeue = Requeue::After(if !is_ready(&status) {
                FOLLOW_UP
            } else if live.secrets_are_hidden && needs_secrets {
                RESYNC_IN_THE_DARK
            } else {
                RESYNC
            });
            (changes, status, requeue)
        }
    };
    let old = platform.status.as_ref();
    Output {
        changes,
        can_wait: old.is_some_and(|old| is_only_progress(old, &status)),
        events: transition_events(old, &status),
        status,
        requeue,
        needs_secrets,
        questions,
    }
}
