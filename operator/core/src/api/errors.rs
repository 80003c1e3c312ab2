//! Errors: where they are reported, and how much is sent with them.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KeyRef;

/// Reports of errors, and of a share of the requests, to Sentry or to anything else that has a Sentry DSN.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.environment) || self.environment.lowerAscii() != 'none'")
        .message("environment must not be None: Sentry refuses events of an environment with this name")
)]
pub struct ErrorsSpec {
    /// Key of a Secret in the Platform's namespace that holds the DSN. Left out, nothing is sent, and the services log
    /// what they would have sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dsn_secret_ref: Option<KeyRef>,
    /// Base URL of the organization in Sentry's user interface, for example `https://sentry.example.com/organizations/acme`,
    /// below which spans and log lines link to the event that a failure became. Left out, they have no link.
    #[serde(default, rename = "uiURL", skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 8, max = 512),
        regex(pattern = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")
    )]
    pub ui_url: Option<String>,
    /// Environment that errors and spans are marked with, for example staging. Default: the Platform's name.
    // Narrower than Sentry's own rule: it stands unescaped in OTEL_RESOURCE_ATTRIBUTES as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$")
    )]
    pub environment: Option<String>,
    /// Share of the recorded traces that are sent as transactions too, in percent. A trace that
    /// tracing.samplingPercent leaves out is not sent.
    #[serde(default = "ten")]
    #[schemars(range(min = 0, max = 100))]
    pub traces_sample_percent: i32,
    /// Share of the sent transactions that are sent with a CPU profile, in percent.
    #[serde(default = "ten")]
    #[schemars(range(min = 0, max = 100))]
    pub profiles_sample_percent: i32,
    /// Whether the services offer /debug on their metrics port: routes that fail on purpose, to see that errors arrive.
    #[serde(default)]
    pub debug_endpoints: DebugEndpoints,
}

impl Default for ErrorsSpec {
    fn default() -> Self {
        Self {
            dsn_secret_ref: None,
            ui_url: None,
            environment: None,
            traces_sample_percent: ten(),
            profiles_sample_percent: ten(),
            debug_endpoints: DebugEndpoints::default(),
        }
    }
}

fn ten() -> i32 {
    10
}

/// Whether services offer routes that fail on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DebugEndpoints {
    /// They do not.
    #[default]
    Disabled,
    /// They do, on the metrics port, which the gateway never leads to.
    Enabled,
}
