//! What triggers a reconcile: a change of a Platform, of one of its objects or of one of its pods, and time.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc, time::Instant};

use futures::{Stream, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        Controller, WatchStreamExt as _, controller,
        controller::Action,
        reflector,
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use platform_core::{
    api::Platform,
    kinds::{KINDS, Kind, KindInfo},
    labels,
    settings::Settings,
};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, field, info_span};

use super::{
    Backoff, Knowledge, News, Outcome, Progress, ReconcileError, Reconciled, ReferenceWatches, Referrers,
    measure,
    news::platform_of,
    progress::pulse,
    reconcile,
    watch_backoff::{NoBackoff, ShortBackoff},
};
use crate::{
    cluster::{Cluster, Hearing, PlatformKey, Reach, Read, WATCH_SECONDS},
    evidence::Inquiries,
    leader::Leadership,
};

/// A Platform as the watch remembers it: its metadata alone. Its spec is read anew by each reconcile, and one that does
/// not parse fails there, by itself, instead of in the list of all.
pub type Watched = Read<PartialObjectMeta<Platform>>;

/// Reconciles that run at once. Without a bound, a restart of the operator starts one per Platform
/// (kube-rs/kube#1473).
const CONCURRENCY: u16 = 8;

/// Objects per page of a watch's first list: all watches begin at once, so that a page of each is in memory.
const PAGE_SIZE: u32 = 20;

/// What a reconcile needs, and what is remembered between two of them.
#[derive(Debug)]
pub struct Operator<C> {
    /// The cluster to read and write.
    pub cluster: C,
    /// The operator's settings.
    pub settings: Settings,
    /// The kinds of others' CRDs that the cluster knows.
    pub kinds: BTreeSet<Kind>,
    /// Which Platforms refer to what.
    pub referrers: Arc<Referrers>,
    /// Tells of changes of what Platforms refer to.
    pub reference_watches: ReferenceWatches,
    /// What is asked about the spans of the services.
    pub inquiries: Arc<Inquiries>,
    /// What the watches tell of.
    pub news: News,
    /// Read by the liveness probe.
    pub progress: Arc<Progress>,
    /// Pauses after failures.
    pub backoff: Backoff,
    /// A follower watches, and reconciles nothing.
    pub leadership: Leadership,
}

/// The controller, and the Platforms that it knows, for the readiness probe. `concerned` are those that something
/// besides their own objects concerns: a change of what they refer to, or an answer about their spans.
pub fn controller(
    client: &Client,
    reach: &Reach,
    kinds: &BTreeSet<Kind>,
    news: &News,
    concerned: impl Stream<Item = PlatformKey> + Send + 'static,
) -> (Controller<Watched>, Store<Watched>) {
    let ours = watch_config().labels(&format!("{}={}", labels::MANAGED_BY, labels::OPERATOR));
    let (store, writer) = reflector::store();
    let platforms = heard(reach.api::<Watched>(client), watch_config(), &news.hearing)
        // Nobody reads what is noted on it, and it would be kept for each Platform.
        .modify(|platform| {
            platform.annotations_mut().clear();
            platform.labels_mut().clear();
        });
    let of_platforms = news.clone();
    let platforms = reflector(writer, platforms)
        .applied_objects()
        .inspect_ok(move |platform| of_platforms.of_platform(&PlatformKey::of(platform), platform));
    let mut controller = Controller::for_stream(platforms, store.clone())
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .trigger_backoff(NoBackoff);
    // Secrets are watched where a Platform has to do with one.
    let is_watched =
        |info: &&KindInfo| info.is_managed() && info.kind != Kind::Secret && info.is_known(kinds);
    for info in KINDS.iter().filter(is_watched) {
        let resource = info.api_resource();
        let objects = told(info.kind, reach.metadata(client, &resource), &ours, news);
        // Not by its owner: data that outlives its Platform has none, and whatever there are news of has to be looked at, or
        // forgotten where there is no such Platform.
        controller = controller.watches_stream_with(objects, |object| reference_of(&object), resource);
    }
    let pods = told(
        Kind::Pod,
        reach.api::<Read<PartialObjectMeta<Pod>>>(client),
        &ours,
        news,
    );
    let agenda = Arc::clone(&news.agenda);
    let controller = controller
        .watches_stream(pods, |pod| reference_of(&pod))
        .reconcile_on(concerned.map(move |key| {
            agenda.ask_for(&key);
            reference_to(&key)
        }));
    (controller, store)
}

/// What every watch has in common.
pub(super) fn watch_config() -> watcher::Config {
    watcher::Config::default()
        .page_size(PAGE_SIZE)
        .timeout(WATCH_SECONDS)
}

/// What changes of the objects of a kind that Platforms have, when the news have been told.
fn told<K>(
    kind: Kind,
    api: Api<K>,
    config: &watcher::Config,
    news: &News,
) -> impl Stream<Item = watcher::Result<K>> + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let of_objects = news.clone();
    heard(api, config.clone(), &news.hearing)
        .inspect_ok(move |event| of_objects.of_kind(kind, event))
        .touched_objects()
}

/// What changes of the objects of one kind.
pub(super) fn changes<K>(
    api: Api<K>,
    config: &watcher::Config,
    hearing: &Arc<Hearing>,
) -> impl Stream<Item = watcher::Result<K>> + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    heard(api, config.clone(), hearing).touched_objects()
}

/// A watch that is to hear for as long as it is there.
///
/// Each has pauses of its own. kube's controller has them for all watches together: each that failed makes all of
/// them pause, one after the other, and none is polled meanwhile, so that handshakes expire
/// (stackabletech/trino-operator#936).
fn heard<K>(
    api: Api<K>,
    config: watcher::Config,
    hearing: &Arc<Hearing>,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let listener = hearing.listen(api.resource_url(), Instant::now());
    watcher(api, config)
        .backoff(ShortBackoff::default())
        .inspect(move |_| {
            let _listening = &listener;
        })
}

/// The Platform that an object belongs to.
fn reference_of(object: &impl ResourceExt) -> Option<ObjectRef<Watched>> {
    platform_of(object).map(|key| reference_to(&key))
}

fn reference_to(key: &PlatformKey) -> ObjectRef<Watched> {
    ObjectRef::new(&key.name).within(&key.namespace)
}

/// Reconciles until `shutdown`, and then ends when the reconciles that run are done.
pub async fn watch<C: Cluster>(
    controller: Controller<Watched>,
    operator: Arc<Operator<C>>,
    shutdown: CancellationToken,
) {
    controller
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(
            reconcile_watched,
            |watched, error, operator| operator.after_failure(&PlatformKey::of(&*watched), error),
            operator.clone(),
        )
        .for_each(|outcome| {
            match outcome {
                // A failed reconcile was told by `reconcile_watched`.
                Ok(_) | Err(controller::Error::ReconcilerFailed(..)) => {}
                Err(controller::Error::ObjectNotFound(gone)) => {
                    operator.forget(&PlatformKey::new(gone.namespace.unwrap_or_default(), gone.name));
                }
                Err(controller::Error::QueueError(error)) => tracing::warn!(%error, "a watch is begun anew"),
                Err(error) => tracing::error!(%error, "the queue of reconciles failed"),
            }
            std::future::ready(())
        })
        .await;
}

impl<C> Operator<C> {
    fn after_look(&self, key: &PlatformKey, reconciled: Reconciled, now: Instant) -> Action {
        self.backoff.succeeded(key);
        if let Some(snapshot) = reconciled.snapshot {
            self.news.snapshots.keep(key, snapshot);
        }
        let pause = reconciled.requeue.pause();
        let outcome = Outcome {
            written: reconciled.written,
            generation: reconciled.generation,
            is_edit: reconciled.is_edit,
            is_told: reconciled.is_told,
            is_to_tell: reconciled.is_to_tell,
        };
        self.news.agenda.end(key, outcome, now, now + pause);
        self.reference_watches.set(key, &reconciled.follows);
        self.inquiries.about(key, reconciled.questions);
        Action::requeue(pause.min(pulse(key, Timestamp::now())))
    }

    fn after_failure(&self, key: &PlatformKey, error: &ReconcileError) -> Action {
        let pause = self.backoff.failed(key, error.retry_after());
        let now = Instant::now();
        self.news.agenda.end(key, Outcome::default(), now, now + pause);
        Action::requeue(pause)
    }

    /// There is no such Platform any more.
    fn forget(&self, key: &PlatformKey) {
        self.backoff.succeeded(key);
        self.progress.gone(key);
        self.news.agenda.forget(key);
        self.referrers.set(key, BTreeSet::new());
        self.reference_watches.set(key, &BTreeSet::new());
        self.news.holdings.forget(key);
        self.news.snapshots.forget(key);
        self.inquiries.forget(key);
    }
}

/// A reconcile as a trace of its own, with its metrics and its line in the log.
async fn reconcile_watched<C: Cluster>(
    watched: Arc<Watched>,
    operator: Arc<Operator<C>>,
) -> Result<Action, ReconcileError> {
    if !operator.leadership.is_won().await {
        return Ok(Action::await_change());
    }
    let key = PlatformKey::of(&*watched);
    let known = match operator.news.agenda.begin(&key, Instant::now()) {
        Ok(look) => operator.news.snapshots.take(&key, &look),
        Err(rest) => {
            operator.progress.had_its_turn(&key, Instant::now());
            return Ok(Action::requeue(rest.min(pulse(&key, Timestamp::now()))));
        }
    };
    let span = info_span!(
        // kube's own span around every reconcile would be the root otherwise.
        parent: None,
        "reconcile",
        platform = key.name,
        namespace = key.namespace,
        outcome = field::Empty,
        "otel.status_code" = field::Empty,
    );
    let started = Instant::now();
    let evidence = operator.inquiries.answer(&key);
    let knowledge = Knowledge {
        settings: &operator.settings,
        evidence: evidence.as_ref(),
        kinds: &operator.kinds,
        referrers: &operator.referrers,
        holdings: &operator.news.holdings,
        fresh_for: operator.news.agenda.fresh_for(&key, started),
        // Of one that goes nothing is read.
        uid: watched
            .meta()
            .uid
            .as_deref()
            .filter(|_| watched.meta().deletion_timestamp.is_none()),
        is_edited: operator.news.agenda.has_edit(&key),
    };
    let result = reconcile(&operator.cluster, &knowledge, &key, known, Timestamp::now)
        .instrument(span.clone())
        .await;
    let outcome = measure::reconcile(&result, started.elapsed());
    span.record("outcome", outcome);
    let now = Instant::now();
    operator.progress.had_its_turn(&key, now);
    match result {
        Ok(reconciled) => Ok(operator.after_look(&key, reconciled, now)),
        Err(error) => {
            span.record("otel.status_code", "ERROR");
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(parent: &span, platform = %key, error = cause, "not reconciled");
            Err(error)
        }
    }
}
