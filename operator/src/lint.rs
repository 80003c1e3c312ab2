//! `tracewell-operator lint`: every rule that needs no cluster, on a file.

use platform_core::{api::Platform, resolve::resolve, settings::Settings, step::Facts};
use serde_json::Value;

use crate::schema::{refusals, without_nulls};

/// Everything that is wrong with the manifest of a Platform, as it was written: what the API server would refuse, and
/// what the operator would.
pub fn lint(written: &Value, settings: &Settings) -> Vec<String> {
    let refusals = refusals(written);
    if !refusals.is_empty() {
        // The rules speak about values of the right types.
        return refusals.iter().map(ToString::to_string).collect();
    }
    match serde_json::from_value::<Platform>(without_nulls(written.clone())) {
        Err(error) => vec![error.to_string()],
        Ok(platform) => resolve(&platform, &Facts::default(), settings)
            .err()
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}
