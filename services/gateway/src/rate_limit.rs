//! How many requests one client address may send.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Every so many checks, addresses that have been quiet are forgotten: this bounds the memory.
const CHECKS_PER_SWEEP: u32 = 4096;

/// A limit per client address, in memory of this process: each replica of a gateway counts for itself.
///
/// The generic cell rate algorithm: `per_second` on average, with bursts of up to one second's worth.
#[derive(Debug)]
pub struct ClientRateLimit {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
    checks: AtomicU32,
}

impl ClientRateLimit {
    /// A limit of `per_second` requests.
    pub fn new(per_second: NonZeroU32) -> Self {
        Self {
            limiter: RateLimiter::keyed(Quota::per_second(per_second)),
            clock: DefaultClock::default(),
            checks: AtomicU32::new(0),
        }
    }

    /// Counts one request of `client`; an error says how long the client should wait.
    pub fn check(&self, client: IpAddr) -> Result<(), Duration> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % CHECKS_PER_SWEEP == CHECKS_PER_SWEEP - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter
            .check_key(&subscriber(client))
            .map_err(|refused| refused.wait_time_from(self.clock.now()))
    }
}

/// What one subscriber holds: a single IPv4 address, or a whole IPv6 /64.
fn subscriber(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_burst_over_the_limit_is_refused_for_that_client_only() {
        // One request in 1/2 s: so slow that the test cannot earn a further one while it runs its few lines.
        let limit = ClientRateLimit::new(NonZeroU32::new(2).expect("not zero"));
        assert_eq!(limit.check(address("10.0.0.1")), Ok(()));
        assert_eq!(limit.check(address("10.0.0.1")), Ok(()));
        let wait = limit
            .check(address("10.0.0.1"))
            .expect_err("the third in a burst of two");
        assert!(wait <= Duration::from_millis(500), "{wait:?}");
        assert_eq!(limit.check(address("10.0.0.2")), Ok(()));
    }

    #[test]
    fn an_ipv6_subscriber_is_counted_by_its_network() {
        assert_eq!(
            subscriber(address("2001:db8::1")),
            subscriber(address("2001:db8::ffff:1"))
        );
        assert_ne!(
            subscriber(address("2001:db8::1")),
            subscriber(address("2001:db8:0:1::1"))
        );
        assert_eq!(subscriber(address("::ffff:10.0.0.1")), address("10.0.0.1"));
    }

    #[test]
    fn quiet_addresses_are_forgotten() {
        let limit = ClientRateLimit::new(NonZeroU32::MAX);
        for n in 0..CHECKS_PER_SWEEP {
            let _ = limit.check(IpAddr::V4((n + 1).into()));
        }
        assert!(
            limit.limiter.len() <= 1,
            "{} addresses remembered",
            limit.limiter.len()
        );
    }
}
