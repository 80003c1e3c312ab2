//! Lines of many pods in one order, while they are written.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use jiff::Timestamp;

/// How long a line waits for older ones of other pods, which come on connections of their own.
const WAIT: Duration = Duration::from_millis(500);

/// A line that waits: its time, its place among those of the same time, when it arrived, and what it is.
type Waiting<T> = Reverse<(Timestamp, u64, Instant, T)>;

/// Lines arrive in the order of each pod, and leave in the order of time.
#[derive(Debug)]
pub struct Merge<T> {
    waiting: BinaryHeap<Waiting<T>>,
    arrived: u64,
}

impl<T: Ord> Default for Merge<T> {
    fn default() -> Self {
        Self {
            waiting: BinaryHeap::new(),
            arrived: 0,
        }
    }
}

impl<T: Ord> Merge<T> {
    /// Takes a line that arrives now.
    pub fn push(&mut self, time: Timestamp, line: T, now: Instant) {
        self.waiting.push(Reverse((time, self.arrived, now, line)));
        self.arrived += 1;
    }

    /// When the next line may leave; None if none waits.
    pub fn due(&self) -> Option<Instant> {
        let Reverse((_, _, arrived, _)) = self.waiting.peek()?;
        Some(*arrived + WAIT)
    }

    /// The next line, if it has waited long enough.
    pub fn pop(&mut self, now: Instant) -> Option<T> {
        (self.due()? <= now)
            .then(|| self.waiting.pop())
            .flatten()
            .map(|Reverse((.., line))| line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_waits_for_older_ones_of_other_pods() {
        let second = |second| Timestamp::from_second(second).unwrap();
        let start = Instant::now();
        let mut merge = Merge::default();
        merge.push(second(3), "auth, third", start);
        merge.push(second(1), "chat, first", start + WAIT / 2);
        merge.push(second(1), "chat, second", start + WAIT / 2);
        assert_eq!(merge.pop(start + WAIT), None, "the oldest has not waited yet");
        let later = start + WAIT * 2;
        let mut left = Vec::new();
        while let Some(line) = merge.pop(later) {
            left.push(line);
        }
        assert_eq!(left, ["chat, first", "chat, second", "auth, third"]);
        assert_eq!(merge.due(), None);
    }
}
