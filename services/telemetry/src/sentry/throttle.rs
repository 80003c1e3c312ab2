//! At most one event per group and interval.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A group is sent at most once in this time.
const INTERVAL: Duration = Duration::from_secs(10);

/// Groups that are remembered. Routes are few; this bounds what a mistake in them costs.
const CAPACITY: usize = 1024;

/// Remembers when each group was last let through.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<HashMap<u64, Window>>);

#[derive(Debug)]
struct Window {
    opened: Instant,
    held_back: u64,
}

impl Throttle {
    /// Whether `group` may pass at `now`; if so, how many of it were held back since it last did.
    pub(crate) fn admit(&self, group: impl Hash, now: Instant) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        group.hash(&mut hasher);
        let key = hasher.finish();

        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = windows.get_mut(&key) {
            if now.duration_since(window.opened) < INTERVAL {
                window.held_back += 1;
                return None;
            }
            window.opened = now;
            return Some(std::mem::take(&mut window.held_back));
        }
        if windows.len() >= CAPACITY {
            windows.retain(|_, window| now.duration_since(window.opened) < INTERVAL);
        }
        if windows.len() >= CAPACITY {
            return None;
        }
        windows.insert(
            key,
            Window {
                opened: now,
                held_back: 0,
            },
        );
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_passes_once_per_interval_and_says_what_was_held_back() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        assert_eq!(throttle.admit("a", start), Some(0));
        assert_eq!(throttle.admit("a", start + INTERVAL / 2), None);
        assert_eq!(throttle.admit("b", start + INTERVAL / 2), Some(0));
        assert_eq!(throttle.admit("a", start + INTERVAL), Some(1));
        assert_eq!(throttle.admit("a", start + INTERVAL * 2), Some(0));
    }

    #[test]
    fn groups_beyond_the_capacity_wait_until_old_ones_are_forgotten() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for group in 0..CAPACITY {
            assert_eq!(throttle.admit(group, start), Some(0));
        }
        assert_eq!(throttle.admit("one more", start), None);
        assert_eq!(throttle.admit("one more", start + INTERVAL), Some(0));
    }
}
