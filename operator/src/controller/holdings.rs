//! Of which kinds a Platform has objects: a reconcile lists these and leaves the others out, which are most.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use platform_core::kinds::Kind;

use crate::cluster::PlatformKey;

/// What the first look at a Platform found, what was made since, and what the watches told of. A kind stays known until the
/// Platform is gone: to list one in vain is no harm.
#[derive(Debug, Default)]
pub struct Holdings {
    kinds: Mutex<BTreeMap<PlatformKey, BTreeSet<Kind>>>,
}

impl Holdings {
    /// Whether objects of this kind have to be listed. Before the [first look](Self::looked_at) all have.
    pub fn may_have(&self, key: &PlatformKey, kind: Kind) -> bool {
        self.lock().get(key).is_none_or(|kinds| kinds.contains(&kind))
    }

    /// A look at the Platform found, or made, objects of these kinds, or needs to know whether there are any.
    pub fn looked_at(&self, key: &PlatformKey, kinds: impl IntoIterator<Item = Kind>) {
        self.lock().entry(key.clone()).or_default().extend(kinds);
    }

    /// A watch tells of an object of the Platform. Before the first look that is not remembered: the look will find it.
    pub fn told_of(&self, key: &PlatformKey, kind: Kind) {
        if let Some(kinds) = self.lock().get_mut(key) {
            kinds.insert(kind);
        }
    }

    /// There is no such Platform any more.
    pub fn forget(&self, key: &PlatformKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PlatformKey, BTreeSet<Kind>>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_listed_at_first_and_then_what_was_found_made_or_told_of() {
        let holdings = Holdings::default();
        let key = PlatformKey {
            namespace: "shop".into(),
            name: "demo".into(),
        };
        let lists = || {
            [Kind::Service, Kind::Ingress, Kind::CronJob, Kind::Secret]
                .map(|kind| holdings.may_have(&key, kind))
        };
        holdings.told_of(&key, Kind::Service);
        assert_eq!(lists(), [true, true, true, true]);
        holdings.looked_at(&key, [Kind::Service]);
        assert_eq!(lists(), [true, false, false, false]);
        holdings.told_of(&key, Kind::Ingress);
        assert_eq!(lists(), [true, true, false, false]);
        holdings.looked_at(&key, [Kind::CronJob, Kind::Secret]);
        assert_eq!(lists(), [true, true, true, true]);
        holdings.forget(&key);
        assert_eq!(lists(), [true, true, true, true]);
    }
}
