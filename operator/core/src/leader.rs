//! Which of several operators leads: decided from the Lease alone, in the manner of Kubernetes' own components
//! (k8s.io/client-go/tools/leaderelection).
//!
//! A candidate never compares another machine's time with its own: it measures for how long it has itself seen the Lease
//! unchanged. Nothing rests on there being one leader only. Names are deterministic and applies idempotent, so two that
//! are both convinced write the same; the Lease spares the API server the work of the second.

use std::time::Duration;

/// How long things take in an election. Each is several times the next, so that one slow request loses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A Lease that was not renewed for so long is free. Whole seconds: the Lease says it in such.
    pub lease: Duration,
    /// A leader that could not renew for so long does not lead any more: before anybody else takes the Lease.
    pub renew_deadline: Duration,
    /// The pause between two renewals, and between two looks of a candidate.
    pub pause: Duration,
}

impl Default for Timing {
    /// Those of kube-controller-manager.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            pause: Duration::from_secs(2),
        }
    }
}

/// A Lease as one candidate has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting<'a> {
    /// Who holds it; empty after somebody laid it down.
    pub holder: &'a str,
    /// For how long its holder holds it without a renewal.
    pub duration: Duration,
    /// For how long the candidate has seen it unchanged.
    pub unchanged_for: Duration,
}

/// What to do about a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nobody leads: take it.
    Acquire,
    /// The candidate leads: renew it.
    Renew,
    /// Another leads: look again after the pause.
    Wait,
    /// The candidate led, and another does now.
    Lost,
}

/// What `me` does about the Lease, of which there is none where `sighting` is `None`; `leads` where it took the Lease
/// before.
pub fn decide(sighting: Option<&Sighting<'_>>, me: &str, leads: bool) -> Decision {
    match sighting {
        Some(seen) if seen.holder == me => Decision::Renew,
        Some(seen) if leads && !seen.holder.is_empty() => Decision::Lost,
        Some(seen) if !seen.holder.is_empty() && seen.unchanged_for < seen.duration => Decision::Wait,
        _ => Decision::Acquire,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn held_by(holder: &str, unchanged_for: Duration) -> Sighting<'_> {
        Sighting {
            holder,
            duration: LEASE,
            unchanged_for,
        }
    }

    #[test]
    fn a_free_lease_is_taken() {
        let expired = held_by("other", LEASE);
        let laid_down = held_by("", Duration::ZERO);
        for free in [None, Some(&expired), Some(&laid_down)] {
            assert_eq!(decide(free, "me", false), Decision::Acquire, "{free:?}");
        }
    }

    #[test]
    fn a_held_one_is_waited_for_until_it_was_seen_unchanged_for_its_duration() {
        for milliseconds in [0, 14_999] {
            let held = held_by("other", Duration::from_millis(milliseconds));
            assert_eq!(decide(Some(&held), "me", false), Decision::Wait);
        }
    }

    #[test]
    fn ones_own_is_renewed_also_after_a_restart_and_however_old() {
        for leads in [true, false] {
            assert_eq!(
                decide(Some(&held_by("me", LEASE * 9)), "me", leads),
                Decision::Renew
            );
        }
    }

    #[test]
    fn a_leader_gives_way_to_whoever_took_the_lease_and_takes_a_free_one_again() {
        let taken = held_by("other", Duration::ZERO);
        assert_eq!(decide(Some(&taken), "me", true), Decision::Lost);
        // However long it lies there: whoever led once starts anew as a candidate.
        assert_eq!(
            decide(Some(&held_by("other", LEASE * 9)), "me", true),
            Decision::Lost
        );
        assert_eq!(decide(None, "me", true), Decision::Acquire);
    }

    #[test]
    fn two_candidates_that_see_the_same_never_both_lead() {
        // Both acquire, and the version of the Lease lets one of the two writes pass: what both see then decides.
        let after = held_by("one", Duration::ZERO);
        assert_eq!(decide(Some(&after), "one", true), Decision::Renew);
        assert_eq!(decide(Some(&after), "two", false), Decision::Wait);
    }

    #[test]
    fn a_leader_stops_before_another_may_start() {
        let timing = Timing::default();
        assert!(timing.renew_deadline + timing.pause < timing.lease);
        assert!(timing.pause * 2 < timing.renew_deadline);
    }
}
