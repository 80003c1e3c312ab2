//! Who is at the other end of a request, for the user's list of sessions, the audit trail and the lockout.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

use axum::extract::{ConnectInfo, FromRef, FromRequestParts};
use http::{HeaderMap, header, request::Parts};

/// Longer ones are cut: the header is the client's to choose.
const MAX_USER_AGENT: usize = 256;

/// How many proxies stand before the service, each adding its peer to `X-Forwarded-For`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrustedProxies(pub(crate) u8);

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
            address: address(&parts.headers, peer, TrustedProxies::from_ref(state)),
            user_agent,
        })
    }
}

/// The address that the outermost trusted proxy saw. What stands before it in the header is the client's invention.
fn address(
    headers: &HeaderMap,
    peer: Option<IpAddr>,
    TrustedProxies(trusted): TrustedProxies,
) -> Option<IpAddr> {
    let seen: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let forwarded = usize::from(trusted)
        .checked_sub(1)
        .and_then(|skipped| seen.iter().rev().nth(skipped))
        .and_then(|entry| entry.parse().ok());
    forwarded.or(peer)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_address_is_what_a_trusted_proxy_saw() {
        let peer = Some(IpAddr::from([10, 0, 0, 9]));
        let headers = |value| {
            HeaderMap::from_iter([(
                http::HeaderName::from_static("x-forwarded-for"),
                HeaderValue::from_static(value),
            )])
        };
        let forwarded = headers("6.6.6.6, 203.0.113.7, 10.0.0.1");
        for (trusted, expected) in [(0, [10, 0, 0, 9]), (1, [10, 0, 0, 1]), (2, [203, 0, 113, 7])] {
            assert_eq!(
                address(&forwarded, peer, TrustedProxies(trusted)),
                Some(IpAddr::from(expected))
            );
        }
        assert_eq!(address(&headers("nonsense"), peer, TrustedProxies(1)), peer);
        assert_eq!(address(&HeaderMap::new(), peer, TrustedProxies(1)), peer);
    }
}
