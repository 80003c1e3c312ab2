//! Who is at the other end of a request, for the user's list of sessions, the audit trail and the lockout.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

use axum::extract::{ConnectInfo, FromRef, FromRequestParts};
use http::{header, request::Parts};
use tracewell_kit::forwarded::TrustedProxies;

/// Longer ones are cut: the header is the client's to choose.
const MAX_USER_AGENT: usize = 256;

/// The client of a request, as far as it can be known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Client {
    pub(crate) address: Option<IpAddr>,
    pub(crate) user_agent: Option<String>,
}

impl Client {
    /// The address as text, for the database.
    pub(crate) fn address_text(&self) -> Option<String> {
        self.address.map(|address| address.to_string())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Client
where
    TrustedProxies: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip());
        let user_agent = parts
            .headers
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .map(|text| text.chars().take(MAX_USER_AGENT).collect());
        Ok(Self {
            address: TrustedProxies::from_ref(state).client(&parts.headers, peer),
            user_agent,
        })
    }
}
