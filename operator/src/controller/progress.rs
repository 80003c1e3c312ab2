//! Whether the operator still gets on: an operator that answers its probe and does nothing else is a known field
//! failure, and only a restart heals it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::cluster::PlatformKey;

/// The shortest time between two looks at a Platform where nothing happens.
pub(super) const SHORTEST_RESYNC: Duration = Duration::from_mins(5);

/// The longest time between two looks at a Platform where nothing happens.
pub(super) const LONGEST_RESYNC: Duration = Duration::from_mins(10);

/// Twice the longest resync: a Platform that was not looked at for so long is forgotten.
const FORGOTTEN_AFTER: Duration = LONGEST_RESYNC.saturating_mul(2);

/// When each Platform was last looked at.
#[derive(Debug, Default)]
pub struct Progress {
    looked_at: Mutex<BTreeMap<PlatformKey, Instant>>,
}

impl Progress {
    /// A reconcile of this Platform came to its end, well or not.
    pub fn looked_at(&self, key: &PlatformKey, now: Instant) {
        self.lock().insert(key.clone(), now);
    }

    /// How much of `pace` is left since this Platform was last looked at; `None` when nothing is.
    pub(super) fn rest(&self, key: &PlatformKey, pace: Duration, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(*self.lock().get(key)?);
        pace.checked_sub(passed).filter(|rest| !rest.is_zero())
    }

    /// There is no such Platform any more.
    pub fn gone(&self, key: &PlatformKey) {
        self.lock().remove(key);
    }

    /// The Platforms that should have been looked at again and were not.
    pub fn forgotten(&self, now: Instant) -> Vec<PlatformKey> {
        let is_forgotten = |at: &Instant| now.saturating_duration_since(*at) > FORGOTTEN_AFTER;
        self.lock()
            .iter()
            .filter(|(_, at)| is_forgotten(at))
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PlatformKey, Instant>> {
        self.looked_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_the_pace_ends_with_it() {
        let (progress, start, pace) = (Progress::default(), Instant::now(), Duration::from_millis(200));
        let key = PlatformKey {
            namespace: "shop".into(),
            name: "demo".into(),
        };
        assert_eq!(progress.rest(&key, pace, start), None, "it was never looked at");
        progress.looked_at(&key, start);
        let later = start + Duration::from_millis(150);
        assert_eq!(progress.rest(&key, pace, later), Some(Duration::from_millis(50)));
        assert_eq!(progress.rest(&key, pace, start + pace), None);
    }

    #[test]
    fn a_platform_is_forgotten_after_twice_the_longest_resync() {
        let (progress, start) = (Progress::default(), Instant::now());
        let key = PlatformKey {
            namespace: "shop".into(),
            name: "demo".into(),
        };
        assert!(progress.forgotten(start).is_empty(), "there is none");
        progress.looked_at(&key, start);
        assert!(progress.forgotten(start + FORGOTTEN_AFTER).is_empty());
        let later = start + FORGOTTEN_AFTER + Duration::from_secs(1);
        assert_eq!(progress.forgotten(later), std::slice::from_ref(&key));
        progress.looked_at(&key, later);
        assert!(progress.forgotten(later).is_empty());
        progress.gone(&key);
        assert!(progress.forgotten(later + FORGOTTEN_AFTER * 2).is_empty());
    }
}
