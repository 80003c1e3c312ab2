//! The chat service's own settings.

use tracewell_kit::config::{BaseUrl, Env};

/// What only the chat service is configured with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The auth service; without it chat trusts a key of its own.
    pub auth_url: Option<BaseUrl>,
    /// The billing service; without it everybody has the free plan's limit.
    pub billing_url: Option<BaseUrl>,
}

impl Config {
    pub(crate) fn read(env: &mut Env) -> Self {
        Self {
            auth_url: env.optional("AUTH_URL", "the http URL of the auth service"),
            billing_url: env.optional("BILLING_URL", "the http URL of the billing service"),
        }
    }
}
