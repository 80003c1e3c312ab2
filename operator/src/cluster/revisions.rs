//! How new the cluster is known to be, kind by kind.
//!
//! For a list of the newest, the API server asks etcd for its revision, and waits until its own cache has heard of it: up
//! to 0.1 s where nothing of the kind changes (KEP-2340, on by default since Kubernetes 1.31). A list, or an object, that is at
//! least as new as what is known already is answered at once. What changes after that is told by a watch, and looked at then.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The newest revision of each kind that a watch, a write or a list has told of.
///
/// Revisions of one kind are decimal numbers that grow (KEP-5504); what is none is left out, and then a list is of the
/// newest.
#[derive(Debug, Default)]
pub struct Revisions {
    newest: Mutex<BTreeMap<&'static str, u64>>,
}

impl Revisions {
    /// Something of this kind has been in this revision.
    pub fn saw(&self, kind: &'static str, revision: Option<&str>) {
        let Some(revision) = revision.and_then(|revision| revision.parse::<u64>().ok()) else {
            return;
        };
        let mut newest = self.lock();
        let known = newest.entry(kind).or_default();
        *known = revision.max(*known);
    }

    /// The newest one.
    pub(super) fn of(&self, kind: &'static str) -> Option<String> {
        self.lock().get(kind).map(u64::to_string)
    }

    /// The cluster may have gone back, to a copy of its data for instance.
    pub(super) fn forget(&self, kind: &'static str) {
        self.lock().remove(kind);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_kind_counts_whatever_is_told_of_last() {
        let revisions = Revisions::default();
        assert_eq!(revisions.of("Service"), None);
        for revision in [Some("9"), Some("10"), Some("2"), Some("x-11"), None] {
            revisions.saw("Service", revision);
        }
        assert_eq!(revisions.of("Service").as_deref(), Some("10"));
        assert_eq!(revisions.of("Secret"), None);
        revisions.forget("Service");
        revisions.saw("Service", Some("3"));
        assert_eq!(revisions.of("Service").as_deref(), Some("3"));
    }
}
