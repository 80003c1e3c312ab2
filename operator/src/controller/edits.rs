//! When an edit of a Platform's spec is acted on: whoever edits in a loop has a rollout for each that is, which the whole cluster
//! has to carry.

use std::time::{Duration, Instant};

/// An edit that follows upon another waits longer, twice as long as the one before.
const REST_PER_EDIT: u32 = 2;

/// But never longer than this, after which the last of the edits is acted on.
pub(super) const LONGEST_REST_OF_EDITS: Duration = Duration::from_secs(30);

/// An edit that comes so long after it would have been acted on follows upon none.
pub(super) const END_OF_ROW: Duration = Duration::from_secs(3);

/// What is known of the edits of one Platform.
#[derive(Debug, Default)]
pub(super) struct Edits {
    /// The generation that the watch told of last.
    told: Option<i64>,
    /// The generation that was acted on last, here or by another operator.
    acted_on: Option<i64>,
    /// How many were acted on, one soon after the other.
    in_a_row: u32,
    /// When the next one is acted on.
    next: Option<Instant>,
}

impl Edits {
    /// The watch tells of a spec of this generation.
    pub(super) fn told_of(&mut self, generation: Option<i64>) {
        self.told = generation;
    }

    /// Until when a look has to wait, since it would find an edit.
    pub(super) fn wait(&self) -> Option<Instant> {
        self.next.filter(|_| self.is_pending())
    }

    /// Whether a spec was told of that was not acted on yet.
    pub(super) fn is_pending(&self) -> bool {
        self.told > self.acted_on
    }

    /// A look found that this generation had been acted on.
    pub(super) fn found_acted_on(&mut self, generation: i64) {
        self.acted_on = Some(generation);
    }

    /// This generation was acted on by a look that has begun and ended then, after which there is `rest` in any case.
    pub(super) fn acted_on(&mut self, generation: i64, begun: Instant, ended: Instant, rest: Duration) {
        let is_in_a_row = self.next.is_some_and(|next| begun <= next + END_OF_ROW);
        self.in_a_row = if is_in_a_row { self.in_a_row + 1 } else { 1 };
        let factor = REST_PER_EDIT.saturating_pow(self.in_a_row - 1);
        self.next = Some(ended + rest.saturating_mul(factor).min(LONGEST_REST_OF_EDITS));
        self.acted_on = Some(generation);
    }
}
