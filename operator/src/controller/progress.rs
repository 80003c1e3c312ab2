//! Whether the operator still gets on: an operator that answers its probe and does nothing else is a known field
//! failure, and only a restart heals it.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::cluster::PlatformKey;

/// The shortest time between two signs of life of a Platform where nothing happens.
const SHORTEST_PULSE: Duration = Duration::from_mins(5);

/// The longest time between two signs of life of a Platform where nothing happens.
const LONGEST_PULSE: Duration = Duration::from_mins(10);

/// Turns of such Platforms come together, when the clock is at a multiple of this: to wake up costs more than the turn.
const BEAT: Duration = Duration::from_secs(10);

/// Twice the longest pulse: a Platform whose turn did not come for so long is forgotten.
const FORGOTTEN_AFTER: Duration = LONGEST_PULSE.saturating_mul(2);

/// How long it is to the next turn of a Platform where nothing happens: by its name, so that not all come at the same beat.
pub(super) fn pulse(key: &PlatformKey, now: Timestamp) -> Duration {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let spread = LONGEST_PULSE.saturating_sub(SHORTEST_PULSE + BEAT).as_secs();
    let pause = SHORTEST_PULSE + Duration::from_secs(hasher.finish() % spread);
    let clock = (now + pause).as_duration().unsigned_abs();
    let since_beat = Duration::new(clock.as_secs() % BEAT.as_secs(), clock.subsec_nanos());
    pause + BEAT.saturating_sub(since_beat)
}

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
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_turn_of_a_quiet_platform_comes_within_the_bounds_and_at_a_beat() {
        let mut turns = BTreeSet::new();
        for number in 0..200 {
            let now = Timestamp::UNIX_EPOCH + Duration::from_millis(number * 7);
            let pause = pulse(&PlatformKey::new("shop", format!("demo-{number}")), now);
            assert!((SHORTEST_PULSE..LONGEST_PULSE).contains(&pause), "{pause:?}");
            turns.insert(now + pause);
        }
        let is_at_beat = |turn: &Timestamp| turn.as_millisecond() % 10_000 == 0;
        assert!(turns.iter().all(is_at_beat), "{turns:?}");
        assert!((25..=31).contains(&turns.len()), "{turns:?}");
    }

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
