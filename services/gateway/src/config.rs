//! The gateway's own settings, beside those that every service has.

use std::fmt;
use std::num::{NonZeroU8, NonZeroU32};
use std::str::FromStr;
use std::time::Duration;

use tracewell_kit::config::Env;

use crate::routing::{DocumentPaths, RoutingTable};

/// Far above what one person's browser does, far below what one machine can pretend.
const DEFAULT_RATE: RateLimit = RateLimit(NonZeroU32::new(1000));
const DEFAULT_TIMEOUT_SECONDS: NonZeroU8 = NonZeroU8::MIN.saturating_add(29);

/// The gateway's own settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which upstream answers which prefix.
    pub routes: RoutingTable,
    /// Requests that one client address may send per second.
    pub rate_limit: RateLimit,
    /// How long an upstream may take until its answer begins.
    pub upstream_timeout: Duration,
}

impl Config {
    /// Reads the gateway's variables.
    pub fn read(env: &mut Env) -> Self {
        let timeout = env.or(
            "UPSTREAM_TIMEOUT_SECONDS",
            DEFAULT_TIMEOUT_SECONDS,
            "whole seconds, 1 to 255",
        );
        Self {
            routes: env
                .or("GATEWAY_ROUTES", RoutingTable::default(), RoutingTable::EXPECTED)
                .with_documents(&env.or(
                    "GATEWAY_DOCUMENTS",
                    DocumentPaths::default(),
                    DocumentPaths::EXPECTED,
                )),
            rate_limit: env.or(
                "RATE_LIMIT_PER_SECOND",
                DEFAULT_RATE,
                "requests per second and client, 0 for no limit",
            ),
            upstream_timeout: Duration::from_secs(timeout.get().into()),
        }
    }
}

/// Requests per second, or none for as many as one likes (written 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit(pub Option<NonZeroU32>);

impl FromStr for RateLimit {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(NonZeroU32::new).map(Self)
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(0, NonZeroU32::get).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_environment_is_enough() {
        let mut env = Env::from_pairs::<&str, &str>([]);
        let config = Config::read(&mut env);
        assert!(env.finish().is_ok());
        assert_eq!(config.routes, RoutingTable::default());
        assert_eq!(config.upstream_timeout, Duration::from_secs(30));
        assert_eq!(config.rate_limit, DEFAULT_RATE);
    }

    #[test]
    fn every_wrong_value_is_named_with_what_is_allowed() {
        let mut env = Env::from_pairs([
            ("GATEWAY_ROUTES", "/v1=http://auth:3001"),
            ("RATE_LIMIT_PER_SECOND", "-1"),
            ("UPSTREAM_TIMEOUT_SECONDS", "0"),
        ]);
        Config::read(&mut env);
        let message = env.finish().expect_err("three wrong values").to_string();
        for name in [
            "GATEWAY_ROUTES",
            "RATE_LIMIT_PER_SECOND",
            "UPSTREAM_TIMEOUT_SECONDS",
        ] {
            assert!(message.contains(&format!("{name}: expected ")), "{message}");
        }
    }

    #[test]
    fn zero_means_no_rate_limit() {
        assert_eq!("0".parse(), Ok(RateLimit(None)));
        assert_eq!(RateLimit(None).to_string(), "0");
    }
}
