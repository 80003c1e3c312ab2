//! The auth service's own settings.

use std::{num::NonZeroU16, thread};

use tracewell_kit::config::Env;

/// What only the auth service is configured with.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// How many passwords are hashed at the same time; each takes one core and 19 MiB.
    pub hash_concurrency: NonZeroU16,
}

impl Config {
    pub(crate) fn read(env: &mut Env) -> Self {
        let cores = thread::available_parallelism()
            .ok()
            .and_then(|n| NonZeroU16::try_from(n).ok())
            .unwrap_or(NonZeroU16::MIN);
        Self {
            hash_concurrency: env.or("HASH_CONCURRENCY", cores, "a number from 1 to 65535"),
        }
    }
}
