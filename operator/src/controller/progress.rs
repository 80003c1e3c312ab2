//! Whether the operator still gets on: an operator that answers its probe and does nothing else is a known field
//! failure, and only a restart heals it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::cluster::PlatformKey;

/// The shortest time between two signs of life of a Platform where nothing happens.
pub(super) const SHORTEST_PULSE: Duration = Duration::from_mins(5);

/// The longest time between two signs of life of a Platform where nothing happens.
pub(super) const LONGEST_PULSE: Duration = Duration::from_mins(10);

/// Twice the longest pulse: a Platform whose turn did not come for so long is forgotten.
const FORGOTTEN_AFTER: Duration = LONGEST_PULSE.saturating_mul(2);

/// When it was last each Platform's turn, whether there was something to do or not.
#[derive(Debug, Default)]
pub struct Progress {
    turns: Mutex<BTreeMap<PlatformKey, Instant>>,
}

impl Progress {
    /// It was this Platform's turn: a reconcile came to its end, well or not, or there was none to be done.
    pub fn had_its_turn(&self, key: &PlatformKey, now: Instant) {
        self.lock().insert(key.clone(), now);
    }

    /// There is no such Platform any more.
    pub fn gone(&self, key: &PlatformKey) {
        self.lock().remove(key);
    }

    /// The Platforms whose turn should have come again and did not.
    pub fn forgotten(&self, now: Instant) -> Vec<PlatformKey> {
        let is_forgotten = |at: &Instant| now.saturating_duration_since(*at) > FORGOTTEN_AFTER;
        self.lock()
            .iter()
            .filter(|(_, at)| is_forgotten(at))
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PlatformKey, Instant>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_forgotten_after_twice_the_longest_pulse() {
        let (progress, start) = (Progress::default(), Instant::now());
        let key = PlatformKey::new("shop", "demo");
        assert!(progress.forgotten(start).is_empty(), "there is none");
        progress.had_its_turn(&key, start);
        assert!(progress.forgotten(start + FORGOTTEN_AFTER).is_empty());
        let later = start + FORGOTTEN_AFTER + Duration::from_secs(1);
        assert_eq!(progress.forgotten(later), std::slice::from_ref(&key));
        progress.had_its_turn(&key, later);
        assert!(progress.forgotten(later).is_empty());
        progress.gone(&key);
        assert!(progress.forgotten(later + FORGOTTEN_AFTER * 2).is_empty());
    }
}
