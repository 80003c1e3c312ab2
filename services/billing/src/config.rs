//! The billing service's own settings.

use tracewell_kit::config::{BaseUrl, Env};

/// What only the billing service is configured with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The auth service; without it billing runs alone.
    pub auth_url: Option<BaseUrl>,
}

impl Config {
    pub(crate) fn read(env: &mut Env) -> Self {
        Self {
            auth_url: env.optional("AUTH_URL", "the http URL of the auth service"),
        }
    }
}
