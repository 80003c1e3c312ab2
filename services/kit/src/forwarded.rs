//! What proxies tell of a request's origin. Clients can say the same, so only proxies of our own are believed.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// How many proxies of our own stand before the service, the gateway included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrustedProxies(pub u8);

impl TrustedProxies {
    /// The address of the client.
    ///
    /// Each proxy appends the address it saw, so the entry that the outermost of ours wrote is counted from the right;
    /// anything further left is what the client claims. Without proxies only the connection counts.
    pub fn client(self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
        let outermost = usize::from(self.0).checked_sub(1);
        let seen = outermost.and_then(|skipped| from_the_right(headers, &X_FORWARDED_FOR).nth(skipped));
        seen.and_then(|entry| entry.parse().ok()).or(peer)
    }

    /// The host that the client asked for, if a proxy of ours has told it. One that tells none passes on what the one
    /// before it told.
    pub fn host(self, headers: &HeaderMap) -> Option<HeaderValue> {
        let told = from_the_right(headers, &X_FORWARDED_HOST)
            .take(self.0.into())
            .last();
        told.and_then(|host| HeaderValue::from_str(host).ok())
    }
}

/// The entries of a list that each proxy may have added to at its end, the last one first.
fn from_the_right<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lists = headers.get_all(name).iter().rev();
    lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.rsplit(','))
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        let named = |value: &&'static str| (name.clone(), HeaderValue::from_static(value));
        values.iter().map(named).collect()
    }

    #[test]
    fn the_client_is_who_the_outermost_of_our_proxies_saw() {
        let peer = Some(IpAddr::from([10, 0, 0, 9]));
        let seen = headers(&X_FORWARDED_FOR, &["6.6.6.6, 203.0.113.7", "10.0.0.1"]);
        for (trusted, expected) in [
            (0, [10, 0, 0, 9]),
            (1, [10, 0, 0, 1]),
            (2, [203, 0, 113, 7]),
            (9, [10, 0, 0, 9]),
        ] {
            let client = TrustedProxies(trusted).client(&seen, peer);
            assert_eq!(client, Some(IpAddr::from(expected)), "{trusted}");
        }
        for odd in [headers(&X_FORWARDED_FOR, &["nonsense"]), HeaderMap::new()] {
            assert_eq!(TrustedProxies(1).client(&odd, peer), peer);
        }
    }

    #[test]
    fn the_host_is_what_our_proxies_have_told() {
        let told = headers(
            &X_FORWARDED_HOST,
            &["evil.example, shop.example.com", "gateway:3000"],
        );
        let host = |trusted| TrustedProxies(trusted).host(&told);
        assert_eq!(host(0), None);
        assert_eq!(host(1).unwrap(), "gateway:3000");
        assert_eq!(host(2).unwrap(), "shop.example.com");
        let once = headers(&X_FORWARDED_HOST, &["shop.example.com"]);
        assert_eq!(TrustedProxies(2).host(&once).unwrap(), "shop.example.com");
    }
}
