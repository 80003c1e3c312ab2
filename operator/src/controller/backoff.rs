//! How long to wait after a failure: per Platform, so that one that fails for ever costs the others nothing.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::cluster::PlatformKey;

/// The first pause.
const FIRST: Duration = Duration::from_millis(500);

/// The longest pause. Most repairs are seen through a watch; this bounds the wait for those that no watch shows, such
/// as a permission that was granted.
const LONGEST: Duration = Duration::from_mins(1);

/// Failures in a row of each Platform that fails now.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: Mutex<BTreeMap<PlatformKey, u32>>,
}

impl Backoff {
    /// Counts a failure and gives the pause before the next attempt: twice the last one, and at least what the API
    /// server asked for.
    pub fn failed(&self, key: &PlatformKey, asked_for: Option<Duration>) -> Duration {
        let mut failures = self.lock();
        let count = failures.entry(key.clone()).or_default();
        let pause = FIRST.saturating_mul(1 << (*count).min(16)).min(LONGEST);
        *count = count.saturating_add(1);
        pause.max(asked_for.unwrap_or_default())
    }

    /// Forgets the failures.
    pub fn succeeded(&self, key: &PlatformKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PlatformKey, u32>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> PlatformKey {
        PlatformKey::new("shop", name)
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_start_anew_after_a_success() {
        let backoff = Backoff::default();
        let pauses: Vec<_> = (0..9)
            .map(|_| backoff.failed(&key("demo"), None).as_millis())
            .collect();
        assert_eq!(
            pauses,
            [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]
        );
        backoff.succeeded(&key("demo"));
        assert_eq!(backoff.failed(&key("demo"), None), FIRST);
    }

    #[test]
    fn platforms_do_not_share_their_failures() {
        let backoff = Backoff::default();
        backoff.failed(&key("one"), None);
        backoff.failed(&key("one"), None);
        assert_eq!(backoff.failed(&key("two"), None), FIRST);
    }

    #[test]
    fn the_servers_own_pause_is_respected() {
        let backoff = Backoff::default();
        assert_eq!(
            backoff.failed(&key("demo"), Some(Duration::from_secs(7))),
            Duration::from_secs(7)
        );
    }

    #[test]
    fn many_failures_do_not_overflow() {
        let backoff = Backoff::default();
        let last = (0..100).map(|_| backoff.failed(&key("demo"), None)).last();
        assert_eq!(last, Some(LONGEST));
    }
}
