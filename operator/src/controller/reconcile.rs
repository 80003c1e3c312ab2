//! One reconcile, from reading to status. The decisions are [`step`]'s; this is the order of the effects.

use std::{collections::BTreeSet, time::Duration};

use futures::{TryFutureExt as _, future::join};
use jiff::Timestamp;
use kube::ResourceExt as _;
use platform_core::{
    api::{Platform, PlatformSpec},
    evidence::{Evidence, Questions},
    kinds::Kind,
    references::references,
    settings::Settings,
    step::{Input, Live, Output, Requeue, refuse, step},
};

use super::{
    Holdings, Mark, ReconcileError, Referrers, Snapshot,
    effects::{apply_changes, fresh_entropy, kinds_of_objects, publish, read_facts, read_live},
};
use crate::cluster::{Cluster, ClusterError, Found, PlatformKey};

/// What a reconcile knows besides what it reads.
#[derive(Debug, Clone, Copy)]
pub struct Knowledge<'a> {
    /// The operator's settings.
    pub settings: &'a Settings,
    /// The kinds of others' CRDs that the cluster knows.
    pub kinds: &'a BTreeSet<Kind>,
    /// What was answered when Jaeger was asked last.
    pub evidence: Option<&'a Evidence>,
    /// Is told what the Platform refers to.
    pub referrers: &'a Referrers,
    /// Of which kinds the Platform has objects.
    pub holdings: &'a Holdings,
    /// How long a status that tells of progress alone is to wait, since another was written a moment ago.
    pub fresh_for: Duration,
    /// Its uid, if the watch has told of it: what it has is read while it is read itself.
    pub uid: Option<&'a str>,
    /// Whether the watch has told of a spec that was not acted on yet.
    pub is_edited: bool,
}

impl Knowledge<'_> {
    /// The kinds of which the Platform may have objects. A spec that was not acted on yet may be the first to need Secrets.
    fn kinds_to_see(&self, key: &PlatformKey, is_edited: bool) -> impl Iterator<Item = Kind> {
        kinds_of_objects(self.kinds)
            .filter(move |kind| self.holdings.may_have(key, *kind) || *kind == Kind::Secret && is_edited)
    }
}

/// A Platform that is to be looked at again so soon is under way.
const UNDER_WAY: Duration = Duration::from_mins(1);

/// What is left to do.
#[derive(Debug, Clone)]
pub struct Reconciled {
    /// When to look again.
    pub requeue: Requeue,
    /// What to ask about the spans of the services.
    pub questions: Option<Questions>,
    /// What was written, in the versions that it has now.
    pub written: Vec<Mark>,
    /// Whether a status was written.
    pub is_told: bool,
    /// Whether there is another one, which can wait until the next look.
    pub is_to_tell: bool,
    /// The generation of the spec that was acted on.
    pub generation: Option<i64>,
    /// Whether it is another than the one that the status told of.
    pub is_edit: bool,
    /// Kinds whose objects in its namespace concern it, and that no other watch tells of.
    pub follows: BTreeSet<Kind>,
    /// What the next look can begin with, while it is under way.
    pub snapshot: Option<Snapshot>,
}

impl Reconciled {
    const NOTHING_LEFT: Self = Self {
        requeue: Requeue::AwaitChange,
        questions: None,
        written: Vec::new(),
        is_told: false,
        is_to_tell: false,
        generation: None,
        is_edit: false,
        follows: BTreeSet::new(),
        snapshot: None,
    };
}

/// Brings the cluster one step nearer to what the Platform asks for and writes down what was seen.
///
/// It reads everything anew but for what is `known`, and can be cut off after any request: the next call, with nothing known,
/// goes on from what the cluster has. `clock` tells the time of the decisions.
pub async fn reconcile<C: Cluster>(
    cluster: &C,
    knowledge: &Knowledge<'_>,
    key: &PlatformKey,
    known: Snapshot,
    clock: impl Fn() -> Timestamp,
) -> Result<Reconciled, ReconcileError> {
    let (found, seen) = find(cluster, knowledge, key, &known).await;
    let Some(Found { platform, unreadable }) = found? else {
        return Ok(Reconciled::NOTHING_LEFT);
    };
    if platform.metadata.deletion_timestamp.is_some() {
        // Its objects go with it, by their owner references: making them anew would race with that.
        return Ok(Reconciled::NOTHING_LEFT);
    }
    let trace_id = tracewell_telemetry::current_trace_id();
    if let Some(problem) = unreadable {
        let (settings, trace_id) = (knowledge.settings, trace_id.as_deref());
        let refusal = refuse(&platform, &problem, settings, clock(), trace_id);
        return tell_refusal(cluster, &platform, &refusal).await;
    }
    let references = references(&platform);
    let mut follows: BTreeSet<Kind> = references.iter().map(|reference| reference.kind).collect();
    knowledge.referrers.set(key, references);
    let mut facts = read_facts(cluster, &platform, knowledge.kinds).await?;
    facts.evidence = knowledge.evidence.cloned();
    let seen = if platform.uid().as_deref() == knowledge.uid {
        seen?
    } else {
        known.of(&platform)
    };
    let kinds = knowledge.kinds_to_see(key, is_edited(&platform));
    let (mut live, _) = see(cluster, &platform, seen, kinds).await?;
    let entropy = fresh_entropy().map_err(ReconcileError::NoEntropy)?;
    let decide = |live: &_, last_apply| {
        let (platform, facts, trace_id) = (&platform, &facts, trace_id.as_deref());
        step(Input {
            platform,
            live,
            facts,
            settings: knowledge.settings,
            now: clock(),
            entropy,
            trace_id,
            last_apply,
        })
    };

    let plan = decide(&live, None);
    let applied = apply_changes(cluster, &plan.changes, &mut live).await;
    let needed = plan.needs_secrets.then_some(Kind::Secret);
    // An object may be there without being told of, where somebody took the operator's name off it: its apply is refused then,
    // and the next look finds it by the Platform's.
    let refused = applied.failure.as_ref().map(|failure| failure.told.object.kind);
    // Pods come without being made here.
    let kinds = live.objects.keys().map(|object| object.kind);
    let held = kinds.chain(needed).chain(refused).chain([Kind::Pod]);
    knowledge.holdings.looked_at(key, held);
    publish(cluster, &platform, &applied.repairs).await;

    // The status tells what was applied and seen, never what was meant: hence the second look, where there was anything
    // to apply.
    let verdict = if plan.changes.has_writes() {
        decide(&live, applied.failure.as_ref().map(|failure| &failure.told))
    } else {
        plan
    };
    let mut written = applied.written;
    let mut requeue = verdict.requeue;
    let mut is_told = false;
    let is_to_tell = verdict.can_wait && !knowledge.fresh_for.is_zero();
    if is_to_tell {
        requeue = Requeue::After(requeue.pause().min(knowledge.fresh_for));
    } else {
        match tell(cluster, &platform, &verdict).await? {
            Told::Gone => return Ok(Reconciled::NOTHING_LEFT),
            Told::Nothing => {}
            Told::Written(mark) => {
                written.push(mark);
                is_told = true;
            }
        }
    }
    if live.secrets_are_hidden {
        follows.remove(&Kind::Secret);
    } else if live.objects.keys().any(|key| key.kind == Kind::Secret) {
        follows.insert(Kind::Secret);
    }
    match applied.failure {
        None => Ok(Reconciled {
            requeue,
            questions: verdict.questions,
            written,
            is_told,
            is_to_tell,
            generation: platform.metadata.generation,
            is_edit: is_edited(&platform),
            follows,
            snapshot: (requeue.pause() < UNDER_WAY).then(|| {
                let hears_of = |kind| knowledge.holdings.hears_of(kind);
                Snapshot::next(known.era(), &platform, &live, hears_of)
            }),
        }),
        Some(failure) => Err(ReconcileError::Write(failure)),
    }
}

/// What was seen of a Platform's objects, and the kinds of which it is all.
type Seen = (Live, BTreeSet<Kind>);

/// Reads the Platform, and meanwhile what it has, if the watch has told whose that is. Where the Platform turns out to be gone, or
/// another, it does not matter whether that could be read.
async fn find<C: Cluster>(
    cluster: &C,
    knowledge: &Knowledge<'_>,
    key: &PlatformKey,
    known: &Snapshot,
) -> (
    Result<Option<Found>, ReconcileError>,
    Result<Seen, ReconcileError>,
) {
    let found = cluster.get(key).map_err(ReconcileError::reading("the Platform"));
    let seen = async {
        let Some(uid) = knowledge.uid else {
            return Ok(Seen::default());
        };
        let told = told(key, uid);
        let kinds = knowledge.kinds_to_see(key, knowledge.is_edited);
        see(cluster, &told, known.of(&told), kinds).await
    };
    join(found, seen).await
}

/// The Platform as far as its watch tells: whose objects they are, not what it asks for.
fn told(key: &PlatformKey, uid: &str) -> Platform {
    let mut told = Platform::new(&key.name, PlatformSpec::default());
    told.metadata.namespace = Some(key.namespace.clone());
    told.metadata.uid = Some(uid.to_owned());
    told
}

/// Reads those of `kinds` that were not seen yet.
async fn see<C: Cluster>(
    cluster: &C,
    platform: &Platform,
    (live, mut seen): Seen,
    kinds: impl Iterator<Item = Kind>,
) -> Result<Seen, ReconcileError> {
    let missing = kinds.filter(|kind| !seen.contains(kind)).collect();
    let live = read_live(cluster, platform, live, &missing).await?;
    seen.extend(missing);
    Ok((live, seen))
}

/// A spec that is not understood is told, and nothing else is written.
async fn tell_refusal<C: Cluster>(
    cluster: &C,
    platform: &Platform,
    refusal: &Output,
) -> Result<Reconciled, ReconcileError> {
    Ok(match tell(cluster, platform, refusal).await? {
        Told::Gone | Told::Nothing => Reconciled::NOTHING_LEFT,
        Told::Written(mark) => Reconciled {
            written: vec![mark],
            is_told: true,
            generation: platform.metadata.generation,
            is_edit: is_edited(platform),
            ..Reconciled::NOTHING_LEFT
        },
    })
}

/// Whether the generation of its spec is another than the one that its status tells of.
fn is_edited(platform: &Platform) -> bool {
    let status = platform.status.as_ref();
    status.and_then(|status| status.observed_generation) != platform.metadata.generation
}

/// What became of a status.
enum Told {
    /// It is written.
    Written(Mark),
    /// It is what it was before.
    Nothing,
    /// There is no such Platform any more.
    Gone,
}

/// Writes the status, if it is another than before, and publishes what has changed with it.
async fn tell<C: Cluster>(cluster: &C, platform: &Platform, output: &Output) -> Result<Told, ReconcileError> {
    if platform.status.as_ref() == Some(&output.status) {
        return Ok(Told::Nothing);
    }
    let version = match cluster.put_status(platform, &output.status).await {
        Err(ClusterError::NotFound(_)) => return Ok(Told::Gone),
        written => written.map_err(ReconcileError::Status)?,
    };
    publish(cluster, platform, &output.events).await;
    Ok(Told::Written(Mark::new(None, &platform.name_any(), &version)))
}
