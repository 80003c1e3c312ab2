//! The effects of a reconcile, each a few requests long: read, apply and prune, publish.

use std::collections::BTreeSet;

use futures::future::{try_join, try_join_all};
use kube::{ResourceExt, core::DynamicObject};
use platform_core::{
    api::Platform,
    claims::Claim,
    diff::{Apply, Changes, Prune},
    kinds::{KINDS, Kind, ObjectKey},
    ownership::belongs,
    passwords::Entropy,
    references::references,
    step::{ApplyFailure, EventNote, Facts, FailureCategory, Live, WriteAction},
};
use ring::rand::{SecureRandom as _, SystemRandom};
use tracing::{Instrument as _, info_span};

use super::{
    Mark, ReconcileError,
    error::{NoEntropy, WriteFailure},
    measure::{self, Write},
};
use crate::cluster::{Cluster, ClusterError, Contested};

/// What the cluster has that the Platform does not own: `kinds` of others' CRDs, and what the spec refers to.
pub async fn read_facts<C: Cluster>(
    cluster: &C,
    platform: &Platform,
    kinds: &BTreeSet<Kind>,
) -> Result<Facts, ReconcileError> {
    let namespace = platform.namespace().unwrap_or_default();
    let versions = references(platform).into_iter().map(|reference| {
        let namespace = &namespace;
        async move {
            let version = cluster
                .version(namespace, &reference)
                .instrument(info_span!("get", kind = %reference.kind, name = reference.name))
                .await;
            let version = shown(reference.kind, version)
                .map_err(ReconcileError::reading(reference.kind.info().plural))?;
            Ok(version.map(|version| (reference, version)))
        }
    });
    let claims = if Claim::of(platform).wanted.is_empty() {
        Vec::new()
    } else {
        let claims = cluster.claims().instrument(info_span!("list", kind = "Platform"));
        claims.await.map_err(ReconcileError::reading("platforms"))?
    };
    Ok(Facts {
        kinds: kinds.clone(),
        references: try_join_all(versions).await?.into_iter().flatten().collect(),
        claims,
        evidence: None,
    })
}

/// What was read, or `None` where it is a Secret that the operator may not look at: which ones it may is for the people of
/// a namespace to say, and most Platforms do without.
fn shown<T>(kind: Kind, read: Result<T, ClusterError>) -> Result<Option<T>, ClusterError> {
    match read {
        Err(error) if kind == Kind::Secret && error.category() == FailureCategory::Forbidden => Ok(None),
        read => read.map(Some),
    }
}

/// Random bytes for one decision.
pub fn fresh_entropy() -> Result<Entropy, NoEntropy> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(Entropy::new(bytes))
}

/// The kinds of which a Platform may have objects in a cluster that knows `kinds` of others' CRDs.
pub fn kinds_of_objects(kinds: &BTreeSet<Kind>) -> impl Iterator<Item = Kind> {
    let of_objects = KINDS
        .iter()
        .filter(|info| info.is_managed() || info.kind == Kind::Pod);
    let known = of_objects.filter(|info| info.is_known(kinds));
    known.map(|info| info.kind)
}

/// What the cluster has of the Platform, of which the metadata is enough: one list for each of `kinds`, pods among them, all at
/// once, and what is `known` of the others.
pub async fn read_live<C: Cluster>(
    cluster: &C,
    platform: &Platform,
    known: Live,
    kinds: &BTreeSet<Kind>,
) -> Result<Live, ReconcileError> {
    let objects = kinds.iter().filter(|kind| **kind != Kind::Pod);
    let lists = objects.map(|kind| kind.info()).map(|info| async move {
        let objects = cluster
            .list(platform, info.kind)
            .instrument(info_span!("list", kind = info.name))
            .await;
        let objects = shown(info.kind, objects).map_err(ReconcileError::reading(info.plural))?;
        let keyed = |objects: Vec<DynamicObject>| -> Vec<_> {
            let own = objects
                .into_iter()
                .filter(|object| belongs(platform, info.kind, object));
            own.map(|object| (key_of(info.kind, &object), object)).collect()
        };
        Ok(objects.map(keyed))
    });
    let Live {
        mut objects,
        pods,
        secrets_are_hidden,
    } = known;
    let pods = async {
        if !kinds.contains(&Kind::Pod) {
            return Ok(pods);
        }
        cluster
            .pods(platform)
            .instrument(info_span!("list", kind = Kind::Pod.info().name))
            .await
            .map_err(ReconcileError::reading(Kind::Pod.info().plural))
    };
    let (listed, pods) = try_join(try_join_all(lists), pods).await?;
    let secrets_are_hidden = secrets_are_hidden || listed.iter().any(Option::is_none);
    objects.extend(listed.into_iter().flatten().flatten());
    Ok(Live {
        objects,
        pods,
        secrets_are_hidden,
    })
}

pub(super) fn key_of(kind: Kind, object: &impl ResourceExt) -> ObjectKey {
    ObjectKey {
        kind,
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    }
}

/// What became of the changes.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// Events that tell of objects that somebody else had changed.
    pub(super) repairs: Vec<EventNote>,
    /// What was written, in the versions that it has now.
    pub(super) written: Vec<Mark>,
    /// The first write that failed.
    pub(super) failure: Option<WriteFailure>,
    /// Whether what comes later may need what could not be written.
    is_blocked: bool,
}

/// Applies wave after wave up to the first that fails, and prunes when none failed. `live` follows what is written. A claim
/// that is there already holds nothing up: where its class does not let it grow, pods go on with the volume as it is.
pub(super) async fn apply_changes<C: Cluster>(cluster: &C, changes: &Changes, live: &mut Live) -> Applied {
    let mut applied = Applied::default();
    for wave in &changes.waves {
        for change in &wave.applies {
            apply_one(cluster, change, live, &mut applied).await;
            // A refusal concerns one object, and the others of the wave may go on; silence concerns all.
            if applied.failure.as_ref().is_some_and(WriteFailure::is_silence) {
                break;
            }
        }
        if applied.is_blocked {
            return applied;
        }
    }
    for prune in &changes.prunes {
        if let Err(failure) = prune_one(cluster, prune, live).await {
            applied.failure.get_or_insert(failure);
        }
    }
    applied
}

async fn apply_one<C: Cluster>(cluster: &C, change: &Apply, live: &mut Live, applied: &mut Applied) {
    let key = &change.key;
    let span = info_span!(
        "apply",
        kind = key.kind.info().name,
        name = key.name,
        reason = change.reason()
    );
    let contested = if change.cause.is_creation() {
        Contested::Respected
    } else {
        Contested::Taken
    };
    let request = async {
        match &change.content {
            Some(content) => cluster.create(key, &change.object, content).await,
            None => cluster.apply(key, &change.object, contested).await,
        }
    };
    match request.instrument(span).await {
        Ok(object) => {
            tracing::info!(object = %key, reason = change.reason(), "applied");
            measure::write(key.kind, Write::Apply(change.cause));
            applied.repairs.extend(change.event());
            let version = object.resource_version().unwrap_or_default();
            applied
                .written
                .push(Mark::new(Some(key.kind), &key.name, &version));
            live.objects.insert(key.clone(), object);
        }
        Err(source) => {
            let failure = write_failure(WriteAction::Apply, key, source);
            let is_needed = key.kind != Kind::PersistentVolumeClaim || change.cause.is_creation();
            applied.is_blocked |= is_needed || failure.is_silence();
            applied.failure.get_or_insert(failure);
        }
    }
}

async fn prune_one<C: Cluster>(cluster: &C, prune: &Prune, live: &mut Live) -> Result<(), WriteFailure> {
    let key = &prune.key;
    let span = info_span!(
        "delete",
        kind = key.kind.info().name,
        name = key.name,
        reason = prune.reason
    );
    cluster
        .delete(prune)
        .instrument(span)
        .await
        .map_err(|source| write_failure(WriteAction::Delete, key, source))?;
    tracing::info!(object = %key, reason = prune.reason, "deleted");
    measure::write(key.kind, Write::Prune);
    live.objects.remove(key);
    Ok(())
}

fn write_failure(action: WriteAction, key: &ObjectKey, source: ClusterError) -> WriteFailure {
    let told = ApplyFailure {
        action,
        object: key.clone(),
        category: source.category(),
        message: source.to_string(),
    };
    WriteFailure { told, source }
}

/// Publishes events. One that cannot be published is lost: the status says the same and does not depend on it.
pub(super) async fn publish<C: Cluster>(cluster: &C, platform: &Platform, notes: &[EventNote]) {
    for note in notes {
        if let Err(error) = cluster.publish(platform, note).await {
            tracing::warn!(%error, reason = note.reason, "an event was not published");
        }
    }
}
