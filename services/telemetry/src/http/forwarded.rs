//! What proxies tell of a request's origin. Clients can say the same, so only proxies of our own are believed.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Request},
    http::{HeaderMap, HeaderName},
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// How many proxies of our own stand before the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrustedProxies(pub(crate) u8);

impl TrustedProxies {
    /// The client's address: what the outermost of our proxies saw, or without them the other end of the connection.
    pub(crate) fn client(self, request: &Request) -> Option<String> {
        let told = self.told(request.headers(), &X_FORWARDED_FOR);
        told.map(str::to_owned).or_else(|| {
            let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
            Some(peer.ip().to_string())
        })
    }

    /// The scheme that the client used.
    pub(crate) fn scheme(self, headers: &HeaderMap) -> &'static str {
        match self.told(headers, &X_FORWARDED_PROTO) {
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
            _ => "http",
        }
    }

    /// What the outermost of our proxies wrote into this header. Each adds its word at the end, but one that adds none
    /// passes on that of the proxy before it.
    fn told<'a>(self, headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
        let skip = usize::from(self.0.checked_sub(1)?);
        let lists = headers.get_all(name).iter().rev();
        let words = lists.filter_map(|list| list.to_str().ok());
        let words = words.flat_map(|list| list.rsplit(','));
        let mut words = words.map(str::trim).filter(|word| !word.is_empty());
        let mut told = None;
        for _ in 0..=skip {
            told = words.next().or(told);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request {
        let peer = ConnectInfo(SocketAddr::from(([10, 0, 0, 9], 4711)));
        let request = Request::builder().extension(peer);
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn only_our_own_proxies_are_believed() {
        let forged = request(&[
            ("x-forwarded-for", "6.6.6.6, 203.0.113.9"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "https"),
        ]);
        for (proxies, client, scheme) in [
            (0, "10.0.0.9", "http"),
            (1, "10.0.0.1", "https"),
            (2, "203.0.113.9", "https"),
        ] {
            let proxies = TrustedProxies(proxies);
            assert_eq!(proxies.client(&forged).as_deref(), Some(client), "{proxies:?}");
            assert_eq!(proxies.scheme(forged.headers()), scheme, "{proxies:?}");
        }
        let untold = request(&[("x-forwarded-for", " ,"), ("x-forwarded-proto", "gopher")]);
        assert_eq!(TrustedProxies(1).client(&untold).as_deref(), Some("10.0.0.9"));
        assert_eq!(TrustedProxies(1).scheme(untold.headers()), "http");
    }
}
