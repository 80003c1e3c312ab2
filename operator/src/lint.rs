//! `tracewell-operator lint`: every rule that needs no cluster, on a file.

use platform_core::{
    api::Platform,
    resolve::{Violation, resolve},
    settings::Settings,
    step::Facts,
};

/// Every rule that the Platform breaks, with what is allowed.
pub fn lint(platform: &Platform, settings: &Settings) -> Vec<Violation> {
    resolve(platform, &Facts::default(), settings)
        .err()
        .unwrap_or_default()
}
