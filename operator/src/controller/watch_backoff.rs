//! Pauses before a watch is begun anew.

use std::time::Duration;

use kube::runtime::utils::Backoff as WatchBackoff;

/// Pauses between attempts to begin a watch: short, since what happens meanwhile waits for them.
#[derive(Debug, Default)]
pub(super) struct ShortBackoff {
    attempts: u32,
}

impl ShortBackoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(2);
}

impl Iterator for ShortBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = Self::FIRST
            .saturating_mul(1 << self.attempts.min(8))
            .min(Self::LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        Some(pause)
    }
}

impl WatchBackoff for ShortBackoff {
    fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// The controller's own pauses, of all watches together: none.
#[derive(Debug)]
pub(super) struct NoBackoff;

impl Iterator for NoBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::ZERO)
    }
}

impl WatchBackoff for NoBackoff {
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_between_attempts_to_begin_a_watch_stay_short() {
        let mut backoff = ShortBackoff::default();
        let pauses: Vec<_> = backoff.by_ref().take(7).map(|pause| pause.as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 2000, 2000]);
        backoff.reset();
        assert_eq!(backoff.next(), Some(ShortBackoff::FIRST));
    }
}
