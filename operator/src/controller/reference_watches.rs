//! Watches of what Platforms refer to: one for each namespace whose Platforms refer to something, and none anywhere else.
//! So the operator needs no permission for the Secrets of others, and hears of no object that concerns nobody.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt as _, channel::mpsc};
use kube::{
    Api, Client, ResourceExt,
    core::{DynamicObject, PartialObjectMeta},
};
use platform_core::{kinds::Kind, references::Reference};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Referrers,
    news::platform_of,
    watches::{changes, watch_config},
};
use crate::cluster::{Hearing, PlatformKey, Read, Revisions};

/// Tells which Platforms a changed Secret or `ConfigMap` concerns.
pub struct ReferenceWatches {
    client: Client,
    referrers: Arc<Referrers>,
    concerned: mpsc::UnboundedSender<PlatformKey>,
    revisions: Arc<Revisions>,
    hearing: Arc<Hearing>,
    /// By namespace and kind.
    watches: Mutex<BTreeMap<(String, Kind), Watch>>,
}

struct Watch {
    /// Names of the Platforms for which it is.
    platforms: BTreeSet<String>,
    _task: AbortOnDropHandle<()>,
}

impl ReferenceWatches {
    /// No watch yet. `concerned` is told of each Platform that a change concerns.
    pub fn new(
        client: Client,
        referrers: Arc<Referrers>,
        concerned: mpsc::UnboundedSender<PlatformKey>,
        revisions: Arc<Revisions>,
        hearing: Arc<Hearing>,
    ) -> Self {
        Self {
            client,
            referrers,
            concerned,
            revisions,
            hearing,
            watches: Mutex::default(),
        }
    }

    /// From now on, changes of objects of these kinds in the Platform's namespace concern it, and of no others. A watch that
    /// concerns nobody any more ends.
    pub fn set(&self, key: &PlatformKey, kinds: &BTreeSet<Kind>) {
        let mut watches = self.lock();
        watches.retain(|(namespace, kind), watch| {
            if *namespace == key.namespace && !kinds.contains(kind) {
                watch.platforms.remove(&key.name);
            }
            !watch.platforms.is_empty()
        });
        for kind in kinds {
            watches
                .entry((key.namespace.clone(), *kind))
                .or_insert_with(|| Watch {
                    platforms: BTreeSet::new(),
                    _task: self.watch(key.namespace.clone(), *kind),
                })
                .platforms
                .insert(key.name.clone());
        }
    }

    fn watch(&self, namespace: String, kind: Kind) -> AbortOnDropHandle<()> {
        let api = Api::<Read<PartialObjectMeta<DynamicObject>>>::namespaced_with(
            self.client.clone(),
            &namespace,
            &kind.info().api_resource(),
        );
        let config = match kind {
            // Releases of Helm are many, large, and nobody refers to them.
            Kind::Secret => watch_config().fields("type!=helm.sh/release.v1"),
            _ => watch_config(),
        };
        let (referrers, concerned) = (self.referrers.clone(), self.concerned.clone());
        let revisions = self.revisions.clone();
        let changes = changes(api, &config, &self.hearing);
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut changes = changes.boxed();
            while let Some(change) = changes.next().await {
                match change {
                    Ok(object) => {
                        revisions.saw(kind.info().name, object.resource_version().as_deref());
                        for platform in concerned_by(&referrers, kind, &object) {
                            // Nobody listens any more when the operator stops.
                            let _ = concerned.unbounded_send(platform);
                        }
                    }
                    Err(error) => tracing::warn!(%error, namespace, %kind, "a watch is begun anew"),
                }
            }
        }))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, Kind), Watch>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ReferenceWatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lock().keys()).finish()
    }
}

/// The Platform whose own it is, and those that refer to it.
fn concerned_by(referrers: &Referrers, kind: Kind, object: &impl ResourceExt) -> Vec<PlatformKey> {
    let reference = Reference {
        kind,
        name: object.name_any(),
    };
    let others = referrers.of(&object.namespace().unwrap_or_default(), &reference);
    platform_of(object).into_iter().chain(others).collect()
}
