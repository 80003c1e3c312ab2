//! Which headers pass a proxy, and which it adds.

use std::net::IpAddr;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CONNECTION,
    EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use tracewell_kit::forwarded::TrustedProxies;

/// Headers about one connection, not about the message (RFC 9110 §7.6.1 and RFC 2616 §13.5.1).
///
/// `Expect` is among them because the gateway itself answers `100-continue` before it reads a body.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    EXPECT,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Two more that never had a standard.
const HOP_BY_HOP_NAMES: [&str; 2] = ["keep-alive", "proxy-connection"];

/// The original host that the client asked for.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The addresses that the request passed, the client's first.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `http` or `https`, as the client spoke to the first proxy.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The prefix that the gateway took off the path.
pub const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Removes what must not leave this hop: the fixed list and whatever `Connection` names.
pub fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    for name in HOP_BY_HOP_NAMES {
        headers.remove(name);
    }
}

/// Removes what an upstream tells browsers about pages of other origins. The gateway answers what they ask before they
/// send, so it says the rest as well: its `CORS_ORIGINS` is the list, whatever the services behind it have.
pub fn drop_cors(headers: &mut HeaderMap) {
    for name in [
        ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        ACCESS_CONTROL_EXPOSE_HEADERS,
    ] {
        headers.remove(name);
    }
}

/// Says to the upstream where a request came from. What an untrusted client claimed is replaced.
pub fn set_forwarded(headers: &mut HeaderMap, peer: IpAddr, prefix: &str, trusted: TrustedProxies) {
    let host = headers.remove(HOST);
    if trusted == TrustedProxies(0) {
        for name in [FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO] {
            headers.remove(name);
        }
    }
    let mut path = forwarded_for(headers);
    path.push(peer.to_string());
    insert_text(headers, X_FORWARDED_FOR, &path.join(", "));
    insert_text(headers, X_FORWARDED_PREFIX, prefix);
    headers
        .entry(X_FORWARDED_PROTO)
        .or_insert(HeaderValue::from_static("http"));
    if let Some(host) = host {
        headers.entry(X_FORWARDED_HOST).or_insert(host);
    }
}

fn forwarded_for(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|entry| entry.trim().to_owned())
        .filter(|entry| !entry.is_empty())
        .collect()
}

fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::try_from(*name).expect("a header name");
            headers.append(name, HeaderValue::from_str(value).expect("a header value"));
        }
        headers
    }

    fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        headers.get(name).and_then(|value| value.to_str().ok())
    }

    #[test]
    fn hop_by_hop_headers_and_those_connection_names_are_dropped() {
        let mut headers = headers(&[
            ("connection", "close, X-Secret-Hop"),
            ("connection", "x-other"),
            ("x-secret-hop", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
            ("content-length", "3"),
            ("authorization", "Bearer x"),
        ]);
        drop_hop_by_hop(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["content-length", "authorization"]);
    }

    #[test]
    fn an_untrusted_client_cannot_choose_its_address() {
        let mut forwarded = headers(&[
            ("host", "shop.example.com"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-proto", "https"),
        ]);
        set_forwarded(&mut forwarded, PEER, "/auth", TrustedProxies(0));
        assert_eq!(text(&forwarded, "x-forwarded-for"), Some("10.0.0.9"));
        assert_eq!(text(&forwarded, "x-forwarded-host"), Some("shop.example.com"));
        assert_eq!(text(&forwarded, "x-forwarded-proto"), Some("http"));
        assert_eq!(text(&forwarded, "x-forwarded-prefix"), Some("/auth"));
        assert_eq!(text(&forwarded, "forwarded"), None);
        assert_eq!(text(&forwarded, "host"), None);
    }

    #[test]
    fn behind_a_trusted_proxy_its_words_are_kept_and_its_address_appended() {
        let mut kept = headers(&[
            ("host", "gateway:3000"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-host", "shop.example.com"),
            ("x-forwarded-proto", "https"),
        ]);
        set_forwarded(&mut kept, PEER, "/auth", TrustedProxies(1));
        assert_eq!(text(&kept, "x-forwarded-for"), Some("1.2.3.4, 10.0.0.9"));
        assert_eq!(text(&kept, "x-forwarded-host"), Some("shop.example.com"));
        assert_eq!(text(&kept, "x-forwarded-proto"), Some("https"));
    }
}
