//! Of which kinds a Platform has objects: a reconcile lists these and leaves the others out, which are most.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

use platform_core::kinds::Kind;

use crate::cluster::PlatformKey;

/// What the looks at a Platform found or made, and what the watches told of. A kind stays known until the Platform is gone: to
/// list one in vain is no harm.
#[derive(Debug, Default)]
pub struct Holdings {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    watches: BTreeMap<Kind, Watch>,
    platforms: BTreeMap<PlatformKey, Known>,
    /// Traces of the Platforms of which something was forgotten.
    forgotten: BTreeSet<u16>,
}

/// How far the watch of a kind has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// It tells what there is.
    Begun,
    /// It has told of all that there was, and tells of what changes.
    Complete,
}

#[derive(Debug, Default)]
struct Known {
    kinds: BTreeSet<Kind>,
    was_looked_at: bool,
}

impl Holdings {
    /// Whether objects of this kind have to be listed. Before the [first look](Self::looked_at) all have of which a watch would
    /// not have told, and all where what it told may have been forgotten: with an earlier Platform of this name, which may
    /// have left its data.
    pub fn may_have(&self, key: &PlatformKey, kind: Kind) -> bool {
        let state = self.lock();
        let known = state.platforms.get(key);
        let was_looked_at = known.is_some_and(|known| known.was_looked_at);
        known.is_some_and(|known| known.kinds.contains(&kind))
            || match state.watches.get(&kind) {
                None => !was_looked_at,
                Some(Watch::Begun) => true,
                Some(Watch::Complete) => !was_looked_at && state.forgotten.contains(&trace_of(key)),
            }
    }

    /// Whether a watch tells of whatever happens to objects of this kind.
    pub fn hears_of(&self, kind: Kind) -> bool {
        self.lock().watches.get(&kind) == Some(&Watch::Complete)
    }

    /// A look at the Platform found, or made, objects of these kinds, or needs to know whether there are any.
    pub fn looked_at(&self, key: &PlatformKey, kinds: impl IntoIterator<Item = Kind>) {
        let mut state = self.lock();
        let known = state.platforms.entry(key.clone()).or_default();
        known.kinds.extend(kinds);
        known.was_looked_at = true;
    }

    /// A watch tells of an object of the Platform.
    pub fn told_of(&self, key: &PlatformKey, kind: Kind) {
        let mut state = self.lock();
        state.platforms.entry(key.clone()).or_default().kinds.insert(kind);
    }

    /// The watch of this kind begins, or begins anew.
    pub fn begins(&self, kind: Kind) {
        self.lock().watches.insert(kind, Watch::Begun);
    }

    /// The watch of this kind has told of all that there was.
    pub fn is_complete(&self, kind: Kind) {
        self.lock().watches.insert(kind, Watch::Complete);
    }

    /// There is no such Platform, any more or yet: its objects may be told of before itself.
    pub fn forget(&self, key: &PlatformKey) {
        let mut state = self.lock();
        if state.platforms.remove(key).is_some() {
            state.forgotten.insert(trace_of(key));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A hash of a Platform's name, of 16 bits, so that those of all names that ever were are few. A Platform that shares one by
/// chance is listed in vain.
fn trace_of(key: &PlatformKey) -> u16 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let [low, high, ..] = hasher.finish().to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 4] = [Kind::Service, Kind::Ingress, Kind::CronJob, Kind::Secret];

    fn key() -> PlatformKey {
        PlatformKey::new("shop", "demo")
    }

    fn lists(holdings: &Holdings) -> [bool; 4] {
        KINDS.map(|kind| holdings.may_have(&key(), kind))
    }

    /// Watches of all but Secrets have told of all that there is.
    fn watched() -> Holdings {
        let holdings = Holdings::default();
        for kind in KINDS.into_iter().filter(|kind| *kind != Kind::Secret) {
            holdings.begins(kind);
            holdings.is_complete(kind);
        }
        holdings
    }

    #[test]
    fn without_watches_all_is_listed_at_first_and_then_what_was_found_or_made() {
        let holdings = Holdings::default();
        assert_eq!(lists(&holdings), [true, true, true, true]);
        holdings.looked_at(&key(), [Kind::Service]);
        assert_eq!(lists(&holdings), [true, false, false, false]);
        holdings.looked_at(&key(), [Kind::CronJob, Kind::Secret]);
        assert_eq!(lists(&holdings), [true, false, true, true]);
        holdings.forget(&key());
        assert_eq!(lists(&holdings), [true, true, true, true]);
    }

    #[test]
    fn of_what_is_watched_that_is_listed_at_first_which_a_watch_told_of() {
        let holdings = watched();
        holdings.told_of(&key(), Kind::Service);
        assert_eq!(lists(&holdings), [true, false, false, true]);
        holdings.looked_at(&key(), [Kind::CronJob]);
        holdings.told_of(&key(), Kind::Ingress);
        assert_eq!(lists(&holdings), [true, true, true, false]);
    }

    #[test]
    fn until_a_watch_has_told_of_all_its_kind_is_listed() {
        let holdings = watched();
        for was_looked_at in [false, true] {
            holdings.begins(Kind::Ingress);
            assert!(!holdings.hears_of(Kind::Ingress));
            assert_eq!(lists(&holdings), [false, true, false, !was_looked_at]);
            holdings.is_complete(Kind::Ingress);
            assert!(holdings.hears_of(Kind::Ingress));
            assert_eq!(lists(&holdings), [false, false, false, !was_looked_at]);
            holdings.looked_at(&key(), []);
        }
    }

    #[test]
    fn where_something_was_forgotten_all_is_listed_at_the_first_look() {
        let holdings = watched();
        holdings.forget(&key());
        assert_eq!(lists(&holdings), [false, false, false, true], "nothing was known");
        holdings.told_of(&key(), Kind::Service);
        holdings.forget(&key());
        assert_eq!(lists(&holdings), [true, true, true, true]);
        holdings.told_of(&key(), Kind::Ingress);
        assert_eq!(lists(&holdings), [true, true, true, true], "it may not be all");
        holdings.looked_at(&key(), [Kind::CronJob]);
        assert_eq!(lists(&holdings), [false, true, true, false]);
    }
}
