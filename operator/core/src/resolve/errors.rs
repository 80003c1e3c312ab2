//! Reports of errors with their defaults.

use kube::ResourceExt;

use super::{Violation, check_percent};
use crate::api::{DebugEndpoints, KeyRef, Platform, TelemetrySpec};

/// Longest name of an environment, in characters: Sentry's own limit.
const ENVIRONMENT_MAX: usize = 64;

/// How services report errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    /// Key of the Secret that holds the DSN; None if nothing is sent.
    pub dsn: Option<KeyRef>,
    /// Where the events are shown to people.
    pub ui_url: Option<String>,
    /// Share of the recorded traces that are sent as transactions, 0–100.
    pub traces_sample_percent: i32,
    /// Share of the sent transactions that are profiled, 0–100.
    pub profiles_sample_percent: i32,
    /// Whether services offer routes that fail on purpose.
    pub debug_endpoints: bool,
}

/// Resolves the reports, and reports every rule that they break.
pub(super) fn resolve_errors(spec: &TelemetrySpec, violations: &mut Vec<Violation>) -> Option<Errors> {
    let errors = spec.errors.as_ref()?;
    check_percent(
        "errors.tracesSamplePercent",
        errors.traces_sample_percent,
        violations,
    );
    check_percent(
        "errors.profilesSamplePercent",
        errors.profiles_sample_percent,
        violations,
    );
    Some(Errors {
        dsn: errors.dsn_secret_ref.clone(),
        ui_url: errors.ui_url.clone(),
        traces_sample_percent: errors.traces_sample_percent,
        profiles_sample_percent: errors.profiles_sample_percent,
        debug_endpoints: errors.debug_endpoints == DebugEndpoints::Enabled,
    })
}

/// The environment that the Platform names, else its own name.
pub(super) fn resolve_environment(platform: &Platform, violations: &mut Vec<Violation>) -> String {
    let errors = platform.spec.telemetry.errors.as_ref();
    let Some(environment) = errors.and_then(|errors| errors.environment.clone()) else {
        return platform.name_any();
    };
    let is_alphanumeric = |c: char| c.is_ascii_alphanumeric();
    let well_formed = environment.len() <= ENVIRONMENT_MAX
        && environment.starts_with(is_alphanumeric)
        && environment.ends_with(is_alphanumeric)
        && environment
            .chars()
            .all(|c| is_alphanumeric(c) || matches!(c, '-' | '.' | '_'))
        && !environment.eq_ignore_ascii_case("none");
    if !well_formed {
        violations.push(Violation::Environment {
            environment: environment.clone(),
        });
    }
    environment
}
