//! Sees what happens to Deployments and Platforms, and when, by watches of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use platform_core::api::Platform;
use serde::de::DeserializeOwned;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use crate::platforms::{EDITED, is_ready};

/// The longest that a thousand Platforms may take.
const PATIENCE: Duration = Duration::from_hours(1);

/// The longest that one edit may take.
const EDIT_PATIENCE: Duration = Duration::from_secs(30);

/// A generation of the Deployment that edits change, and when it was seen.
struct Seen {
    namespace: String,
    generation: i64,
    at: Instant,
}

/// Sees the Deployment of each Platform that edits change.
pub(crate) struct Observer {
    seen: mpsc::UnboundedReceiver<Seen>,
    generations: BTreeMap<String, i64>,
    watch: JoinHandle<Result<()>>,
}

impl Observer {
    pub(crate) async fn start(client: &Client) -> Result<Self> {
        let deployments = Api::<PartialObjectMeta<Deployment>>::all(client.clone());
        let only = watcher::Config::default().fields(&format!("metadata.name={EDITED}"));
        let (sender, seen) = mpsc::unbounded_channel();
        let (ready, is_ready) = oneshot::channel();
        let watch = tokio::spawn(async move {
            let (mut events, mut ready) = (watcher(deployments, only).boxed(), Some(ready));
            while let Some(event) = events.try_next().await? {
                match event {
                    Event::Apply(object) | Event::InitApply(object) => {
                        let _ = sender.send(seen_now(&object)); // nobody looks any more
                    }
                    Event::InitDone => drop(ready.take().map(|ready| ready.send(()))),
                    Event::Init | Event::Delete(_) => {}
                }
            }
            Ok(())
        });
        is_ready.await.context("the bench's watch ended")?;
        Ok(Self {
            seen,
            generations: BTreeMap::new(),
            watch,
        })
    }

    /// Makes a change, and gives the time from its acceptance to the next generation of the Deployment.
    pub(crate) async fn latency(
        &mut self,
        namespace: &str,
        change: impl Future<Output = Result<()>>,
    ) -> Result<Duration> {
        while let Ok(seen) = self.seen.try_recv() {
            self.generations.insert(seen.namespace, seen.generation);
        }
        let before = self.generations.get(namespace).copied().unwrap_or_default();
        change.await?;
        let accepted = Instant::now();
        loop {
            let Some(seen) = timeout(EDIT_PATIENCE, self.seen.recv())
                .await
                .with_context(|| format!("an edit in {namespace} is not carried out"))?
            else {
                bail!("the bench's watch ended");
            };
            let is_it = seen.namespace == namespace && seen.generation > before;
            self.generations.insert(seen.namespace, seen.generation);
            if is_it {
                // It may have been seen before the acceptance arrived.
                return Ok(seen.at.saturating_duration_since(accepted));
            }
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

fn seen_now(object: &PartialObjectMeta<Deployment>) -> Seen {
    Seen {
        namespace: object.namespace().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
        at: Instant::now(),
    }
}

/// Waits until so many Deployments have their pods.
pub(crate) async fn until_available(client: &Client, count: usize) -> Result<()> {
    until_all(Api::<Deployment>::all(client.clone()), count, |deployment| {
        let status = deployment.status.as_ref();
        status.is_some_and(|status| status.available_replicas.is_some_and(|replicas| replicas > 0))
    })
    .await
}

/// Waits until so many Platforms say that they are ready.
pub(crate) async fn until_ready(client: &Client, count: usize) -> Result<()> {
    until_all(Api::<Platform>::all(client.clone()), count, is_ready).await
}

async fn until_all<K>(api: Api<K>, count: usize, is_so: impl Fn(&K) -> bool) -> Result<()>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut all = BTreeSet::new();
    let seeing = async {
        let mut changes = watcher(api, watcher::Config::default()).touched_objects().boxed();
        while all.len() < count {
            let Some(object) = changes.try_next().await? else {
                bail!("the bench's watch ended");
            };
            if is_so(&object) {
                all.insert((object.namespace(), object.name_any()));
            }
        }
        Ok(())
    };
    let outcome = timeout(PATIENCE, seeing).await;
    outcome.with_context(|| format!("only {} of {count} within {PATIENCE:?}", all.len()))?
}
