//! Failed attempts at a password, and how long the next one has to wait.
//!
//! Three counters stand against three kinds of guessing; each lets some failures pass before it delays. A delay has an end,
//! but many machines that never stop guessing at one account make one delay follow the other, for whoever comes from where
//! nobody has signed in to it. Its owner still gets in: from a network that they have signed in from, which the counter of
//! the account does not delay, or by a new password, whose choice by mail clears the counter.

use jiff::{SignedDuration, Timestamp};

/// The longest delay.
const LONGEST: SignedDuration = SignedDuration::from_mins(15);
/// Failures are forgotten after a day without another one.
pub(crate) const FORGOTTEN: SignedDuration = SignedDuration::from_hours(24);

/// What failures are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One account from one address: somebody guesses, or has forgotten.
    AccountAndAddress,
    /// One address at any account: somebody tries leaked passwords.
    Address,
    /// One account from any address: many machines guess together. Networks that have been in are not delayed by it.
    Account,
}

impl Scope {
    /// Failures that are not delayed.
    fn free(self) -> i64 {
        match self {
            Self::AccountAndAddress => 5,
            Self::Address => 20,
            Self::Account => 50,
        }
    }

    /// Name of the scope in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AccountAndAddress => "account_and_address",
            Self::Address => "address",
            Self::Account => "account",
        }
    }
}

/// The failures of one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failures {
    pub(crate) count: i64,
    pub(crate) last_at: Timestamp,
}

impl Failures {
    /// How long an attempt made `now` has to wait: one second after the last free failure, twice as long after each
    /// further one.
    pub(crate) fn wait(self, scope: Scope, now: Timestamp) -> SignedDuration {
        let delayed = self.count - scope.free();
        if delayed < 0 {
            return SignedDuration::ZERO;
        }
        let delay = u32::try_from(delayed)
            .ok()
            .and_then(|exponent| 1_i64.checked_shl(exponent))
            .filter(|seconds| *seconds > 0)
            .map_or(LONGEST, |seconds| SignedDuration::from_secs(seconds).min(LONGEST));
        (self.last_at + delay)
            .duration_since(now)
            .max(SignedDuration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_and_has_an_end() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let wait = |count| {
            Failures { count, last_at: now }
                .wait(Scope::AccountAndAddress, now)
                .as_secs()
        };
        assert_eq!([0, 4, 5, 6, 7, 14, 15].map(wait), [0, 0, 1, 2, 4, 512, 900]);
        assert_eq!([68, 69, 1_000_000, i64::MAX].map(wait), [900; 4]);
        let past = Failures {
            count: 6,
            last_at: now - SignedDuration::from_secs(2),
        };
        assert_eq!(past.wait(Scope::AccountAndAddress, now), SignedDuration::ZERO);
    }
}
