//! The difference between what should be and what is, with a reason for each change that a person can read.

mod fields;
mod reason;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use kube::core::DynamicObject;
use serde::Serialize;
use serde_json::Value;

use self::fields::differing_fields;
use crate::desired::Desired;
use crate::holds::Holds;
use crate::kinds::{Kind, ObjectKey, Wave};
use crate::labels;
use crate::observe::Cause as WaitCause;
use crate::ownership::is_of;
use crate::passwords::{Content, Entropy};
use crate::step::Live;

/// Versions of a configuration that are kept, the current one included: pods of a version before may still start.
const CONFIG_VERSIONS_KEPT: usize = 3;

/// What has to be done to a Platform's objects.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Objects to apply: wave after wave, in this order. Waves without changes are left out.
    pub waves: Vec<WaveChanges>,
    /// Changes that have to wait.
    pub held: Vec<Held>,
    /// Objects to delete, only after every wave succeeded.
    pub prunes: Vec<Prune>,
    /// Number of objects that are as they should be.
    pub kept: usize,
    /// Where nothing may be written: the number of objects that are not as they should be.
    pub paused: Option<usize>,
}

/// The changes of one wave.
#[derive(Clone, Debug)]
pub struct WaveChanges {
    /// The wave.
    pub wave: Wave,
    /// Objects to apply, in this order.
    pub applies: Vec<Apply>,
}

/// An object to apply.
#[derive(Clone, Debug)]
pub struct Apply {
    /// Its address.
    pub key: ObjectKey,
    /// The whole intent for server-side apply: every field that the operator owns, and no other.
    pub object: DynamicObject,
    /// Why it is applied.
    pub cause: Cause,
    /// The owned fields that differ from the cluster's; empty for a new object.
    pub fields: Vec<FieldChange>,
    /// The content of a Secret that is made now: it is created with it, never applied. None for everything else.
    pub content: Option<Content>,
}

/// A change that has to wait.
#[derive(Clone, Debug)]
pub struct Held {
    /// What would be applied.
    pub apply: Apply,
    /// What it waits for.
    pub cause: WaitCause,
}

/// Why an object is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It is wanted for the first time.
    Created,
    /// The Platform or the operator asks for something else than before.
    Changed,
    /// Somebody edited a field that the operator owns.
    Edited,
    /// Somebody deleted it.
    Deleted,
    /// An earlier Platform of the same name left it.
    Left,
}

impl Cause {
    /// Whether the cluster has no such object that is known to be the Platform's.
    pub const fn is_creation(self) -> bool {
        matches!(self, Self::Created | Self::Deleted)
    }
}

/// A field that differs. Values of variables are withheld: they may be confidential.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// Path of the field, for example `spec.template.spec.containers[auth].image`.
    pub path: String,
    /// What the cluster has; None if there is nothing.
    pub from: Option<Value>,
    /// What it should be.
    pub to: Value,
}

/// An object to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prune {
    /// Its address.
    pub key: ObjectKey,
    /// Precondition: exactly this object,
    pub uid: String,
    /// in exactly this version.
    pub resource_version: String,
    /// Why it goes.
    pub reason: String,
}

impl Changes {
    /// The same where nothing may be written.
    #[must_use]
    pub fn into_paused(self) -> Self {
        let applies: usize = self.waves.iter().map(|wave| wave.applies.len()).sum();
        Self {
            kept: self.kept,
            paused: Some(applies + self.held.len() + self.prunes.len()),
            ..Self::default()
        }
    }

    /// Gives every Secret that is made its content.
    #[must_use]
    pub(crate) fn with_contents(mut self, entropy: &Entropy) -> Self {
        let applies = self.waves.iter_mut().flat_map(|wave| &mut wave.applies);
        for apply in applies.filter(|apply| apply.key.kind == Kind::Secret && apply.cause.is_creation()) {
            let component = apply.object.labels().get(labels::COMPONENT);
            apply.content = Some(entropy.make(&apply.key, component.map(String::as_str)));
        }
        self
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        !self.has_writes() && self.held.is_empty()
    }

    /// Whether there is anything to write now.
    pub fn has_writes(&self) -> bool {
        !self.waves.is_empty() || !self.prunes.is_empty()
    }
}

/// What has to be done so that the cluster has what is wanted.
///
/// `was_complete` says whether every object was there before: one that is missing now was then deleted by somebody.
/// What `holds` names is not applied yet.
pub fn diff(
    desired: &Desired,
    live: &Live,
    platform_uid: &str,
    was_complete: bool,
    holds: &Holds,
) -> Changes {
    let mut waves: BTreeMap<Wave, Vec<Apply>> = BTreeMap::new();
    let mut held = Vec::new();
    let mut kept = 0;
    for (key, object) in desired.iter() {
        let there = live.objects.get(key);
        let object = there.map_or(Cow::Borrowed(object), |there| keeping_scale(object, there));
        match (compare(key, &object, there, was_complete), key.kind.info().wave()) {
            (Some(apply), Some(wave)) => match holds.get(key).cloned() {
                Some(cause) => held.push(Held { apply, cause }),
                None => waves.entry(wave).or_default().push(apply),
            },
            _ => kept += 1,
        }
    }
    Changes {
        waves: waves
            .into_iter()
            .map(|(wave, applies)| WaveChanges { wave, applies })
            .collect(),
        held,
        prunes: prunes(desired, live, platform_uid),
        kept,
        paused: None,
    }
}

/// None if the object is as it should be.
///
/// The hash says whether the operator still wants what it applied last, also where fields were taken away, which a
/// comparison of fields cannot see; the fields say whether somebody else changed them since.
fn compare(
    key: &ObjectKey,
    object: &DynamicObject,
    live: Option<&DynamicObject>,
    was_complete: bool,
) -> Option<Apply> {
    let apply = |cause, fields| {
        Some(Apply {
            key: key.clone(),
            object: object.clone(),
            cause,
            fields,
            content: None,
        })
    };
    let Some(live) = live else {
        return apply(
            // A Job is named by all that it is: another one was not there before.
            if was_complete && key.kind != Kind::Job {
                Cause::Deleted
            } else {
                Cause::Created
            },
            Vec::new(),
        );
    };
    let mut fields = differing_fields(object, live);
    let wanted_again = applied_hash(live).is_some_and(|hash| Some(hash) != applied_hash(object));
    let is_hash = |path: &str| path.contains(labels::APPLIED_HASH);
    if !is_of(
        object.labels().get(labels::PLATFORM_UID).map(String::as_str),
        live,
    ) {
        fields.retain(|field| !is_hash(&field.path));
        return apply(Cause::Left, fields);
    }
    if wanted_again {
        fields.retain(|field| !is_hash(&field.path));
        return apply(Cause::Changed, fields);
    }
    if fields.is_empty() {
        None
    } else {
        apply(Cause::Edited, fields)
    }
}

/// The same with the number of pods that the workload has, where an autoscaler decides on it. A number that was asked for
/// before and is left out now would become one (the API server's default) until the autoscaler looks.
fn keeping_scale<'a>(object: &'a DynamicObject, live: &DynamicObject) -> Cow<'a, DynamicObject> {
    let replicas = |object: &DynamicObject| object.data.pointer("/spec/replicas").cloned();
    match (replicas(object), replicas(live)) {
        (None, Some(kept)) if object.data.pointer("/spec/template").is_some() && kept.is_i64() => {
            let mut object = object.clone();
            object.data["spec"]["replicas"] = kept;
            Cow::Owned(object)
        }
        _ => Cow::Borrowed(object),
    }
}

fn applied_hash(object: &DynamicObject) -> Option<&String> {
    object.annotations().get(labels::APPLIED_HASH)
}

/// What this Platform owns and does not want any more. The label alone is no proof: anybody can set it.
fn prunes(desired: &Desired, live: &Live, platform_uid: &str) -> Vec<Prune> {
    let kept_configs = kept_configs(desired, live);
    let is_owned = |object: &DynamicObject| {
        object
            .owner_references()
            .iter()
            .any(|owner| owner.uid == platform_uid)
    };
    let mut prunes: Vec<Prune> = live
        .objects
        .iter()
        .filter(|(key, object)| {
            key.kind.info().is_prunable()
                && desired.get(key).is_none()
                && !kept_configs.contains(key)
                && is_owned(object)
                && object.metadata.deletion_timestamp.is_none()
        })
        .filter_map(|(key, object)| {
            Some(Prune {
                key: key.clone(),
                uid: object.uid()?,
                resource_version: object.resource_version()?,
                reason: "the Platform does not ask for it any more".to_owned(),
            })
        })
        .collect();
    // Pods go before what they use.
    prunes.sort_by_key(|prune| Reverse(prune.key.kind));
    prunes
}

/// Older versions of the configurations that are wanted: the newest of each.
fn kept_configs<'a>(desired: &Desired, live: &'a Live) -> BTreeSet<&'a ObjectKey> {
    let component = |object: &DynamicObject| object.labels().get(labels::COMPONENT).cloned();
    let mut kept = BTreeSet::new();
    for (wanted, object) in desired
        .iter()
        .filter(|(_, object)| object.data.get("immutable").is_some())
    {
        let mut older: Vec<_> = live
            .objects
            .iter()
            .filter(|(key, other)| {
                key.kind == wanted.kind && *key != wanted && component(other) == component(object)
            })
            .collect();
        older.sort_by_key(|(key, other)| (Reverse(other.creation_timestamp()), *key));
        kept.extend(
            older
                .into_iter()
                .take(CONFIG_VERSIONS_KEPT - 1)
                .map(|(key, _)| key),
        );
    }
    kept
}
