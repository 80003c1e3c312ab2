//! What the watches tell of, for whom it concerns: when to look, what to list, and how new.

use std::sync::Arc;

use kube::{ResourceExt, runtime::watcher::Event};
use platform_core::{kinds::Kind, labels};

use super::{Agenda, Holdings, Mark, Snapshots};
use crate::cluster::{Hearing, PLATFORM, PlatformKey, Revisions};

/// What is remembered of the news.
#[derive(Debug, Clone, Default)]
pub struct News {
    /// When the Platforms have to be looked at.
    pub agenda: Arc<Agenda>,
    /// Of which kinds the Platforms have objects.
    pub holdings: Arc<Holdings>,
    /// What was seen of the Platforms that are under way.
    pub snapshots: Arc<Snapshots>,
    /// How new the cluster is known to be.
    pub revisions: Arc<Revisions>,
    /// Whether there could be any.
    pub hearing: Arc<Hearing>,
}

impl News {
    /// A watch tells of a Platform.
    pub fn of_platform(&self, key: &PlatformKey, platform: &impl ResourceExt) {
        self.agenda.told_of_spec(key, platform.meta().generation);
        self.tell(key, None, platform);
    }

    /// The watch of a kind of objects, or of pods, tells of one, or how far it has got.
    pub fn of_kind(&self, kind: Kind, event: &Event<impl ResourceExt>) {
        match event {
            Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) => {
                if let Some(key) = platform_of(object) {
                    self.holdings.told_of(&key, kind);
                    self.tell(&key, Some(kind), object);
                }
            }
            // It does not tell of what went since it told last.
            Event::Init => {
                self.holdings.begins(kind);
                self.snapshots.clear();
            }
            Event::InitDone => {
                self.holdings.is_complete(kind);
                self.snapshots.clear();
            }
        }
    }

    fn tell(&self, key: &PlatformKey, kind: Option<Kind>, object: &impl ResourceExt) {
        let version = object.meta().resource_version.as_deref();
        // Before there is a reason to look: the look has to be as new.
        self.revisions
            .saw(kind.map_or(PLATFORM, |kind| kind.info().name), version);
        let mark = Mark::new(kind, &object.name_any(), version.unwrap_or_default());
        self.agenda.told_of(key, mark);
    }
}

/// The Platform that an object belongs to, by its label: the owner of a pod is a `ReplicaSet`, and data may have none.
pub(super) fn platform_of(object: &impl ResourceExt) -> Option<PlatformKey> {
    let name = object.labels().get(labels::PLATFORM)?;
    Some(PlatformKey::new(object.namespace()?, name.clone()))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::core::PartialObjectMeta;

    use super::*;

    #[test]
    fn a_pod_leads_to_its_platform_by_label() {
        let mut pod = PartialObjectMeta::<Pod>::default();
        pod.metadata.namespace = Some("shop".into());
        assert_eq!(platform_of(&pod), None);
        pod.metadata.labels = Some([(labels::PLATFORM.to_owned(), "demo".to_owned())].into());
        let key = PlatformKey::new("shop", "demo");
        assert_eq!(platform_of(&pod), Some(key));
    }
}
