//! What the watches tell of, for whom it concerns: when to look, what to list, and how new.

use std::sync::Arc;

use kube::ResourceExt;
use platform_core::kinds::Kind;

use super::{Agenda, Holdings, Mark};
use crate::cluster::{Hearing, PLATFORM, PlatformKey, Revisions};

/// What is remembered of the news.
#[derive(Debug, Clone, Default)]
pub struct News {
    /// When the Platforms have to be looked at.
    pub agenda: Arc<Agenda>,
    /// Of which kinds the Platforms have objects.
    pub holdings: Arc<Holdings>,
    /// How new the cluster is known to be.
    pub revisions: Arc<Revisions>,
    /// Whether there could be any.
    pub hearing: Arc<Hearing>,
}

impl News {
    /// A watch tells of a Platform.
    pub(super) fn of_platform(&self, key: &PlatformKey, platform: &impl ResourceExt) {
        self.tell(key, PLATFORM, platform);
    }

    /// A watch tells of an object, or of a pod, of this Platform.
    pub(super) fn of_object(&self, key: &PlatformKey, kind: Kind, object: &impl ResourceExt) {
        self.holdings.told_of(key, kind);
        self.tell(key, kind.info().name, object);
    }

    fn tell(&self, key: &PlatformKey, kind: &'static str, object: &impl ResourceExt) {
        let version = object.meta().resource_version.as_deref();
        // Before there is a reason to look: the look has to be as new.
        self.revisions.saw(kind, version);
        let mark = Mark::new(kind, &object.name_any(), version.unwrap_or_default());
        self.agenda.told_of(key, mark);
    }
}
