//! What the HTTP clients towards both backends have in common. They work on threads of their own, outside of any runtime.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ureq::{
    Agent,
    config::{Config, ConfigBuilder},
    http::{
        Uri,
        uri::{Authority, Scheme},
    },
    typestate::AgentScope,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

/// Of what is sent and of what is answered, this much at a time; the header of an answer must fit. ureq would take 128 KiB for
/// each direction of each connection, and write zeros to all of it.
const BUFFER: usize = 32 << 10;

/// How long addresses are kept. Names inside of a cluster may be kept for 30 s, by what its DNS says of them.
const KEPT: Duration = Duration::from_secs(10);

/// A client's configuration so far.
pub(crate) fn config() -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
}

/// A client for one backend.
pub(crate) fn new(config: Config) -> Agent {
    Agent::with_parts(
        config,
        DefaultConnector::new(),
        KeepingResolver::new(DefaultResolver::default()),
    )
}

/// Keeps the addresses that it was last asked for. ureq asks for each request, also where it then uses a connection that it
/// has, and the answer takes a thread of its own, started for it.
#[derive(Debug)]
struct KeepingResolver<R> {
    inner: R,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    /// Decides about the port where the authority names none.
    scheme: Scheme,
    authority: Authority,
    addresses: ResolvedSocketAddrs,
    since: Instant,
}

impl<R> KeepingResolver<R> {
    fn new(inner: R) -> Self {
        let kept = Mutex::default();
        Self { inner, kept }
    }
}

impl Kept {
    fn serves(&self, uri: &Uri) -> bool {
        let is_same = Some(&self.scheme) == uri.scheme() && Some(&self.authority) == uri.authority();
        is_same && self.since.elapsed() < KEPT
    }
}

impl<R: Resolver> Resolver for KeepingResolver<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.serves(uri)) {
            return Ok(kept.addresses.clone());
        }
        let addresses = self.inner.resolve(uri, config, timeout)?;
        if let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) {
            *kept = Some(Kept {
                scheme: scheme.clone(),
                authority: authority.clone(),
                addresses: addresses.clone(),
                since: Instant::now(),
            });
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, SocketAddr},
        sync::atomic::{AtomicU8, Ordering},
    };

    use ureq::{Timeout, unversioned::transport::time};

    use super::*;

    /// Knows every host, by another address each time, but for one that is not there.
    #[derive(Debug, Default)]
    struct Moving(AtomicU8);

    impl Resolver for Moving {
        fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let asked = self.0.fetch_add(1, Ordering::Relaxed);
            if uri.host() == Some("nowhere") {
                return Err(ureq::Error::HostNotFound);
            }
            let mut addresses = self.empty();
            addresses.push(SocketAddr::from((Ipv4Addr::new(10, 0, 0, asked), 80)));
            Ok(addresses)
        }
    }

    fn address_of(resolver: &impl Resolver, uri: &'static str) -> Option<SocketAddr> {
        let timeout = NextTimeout {
            after: time::Duration::NotHappening,
            reason: Timeout::Global,
            ..NextTimeout::default()
        };
        let addresses = resolver.resolve(&Uri::from_static(uri), &Config::default(), timeout);
        Some(addresses.ok()?[0])
    }

    #[test]
    fn addresses_are_kept_for_a_moment_and_for_their_own_host_only() {
        let resolver = KeepingResolver::new(Moving::default());
        let first = address_of(&resolver, "http://sentry/api");
        assert!(first.is_some());
        assert_eq!(address_of(&resolver, "http://sentry/other"), first);
        assert_ne!(
            address_of(&resolver, "http://sentry:8080/api"),
            first,
            "another port"
        );

        let first = address_of(&resolver, "http://sentry/api");
        assert_ne!(
            address_of(&resolver, "https://sentry/api"),
            first,
            "another scheme"
        );

        let first = address_of(&resolver, "http://sentry/api");
        let mut kept = resolver.kept.lock().unwrap();
        kept.as_mut().unwrap().since -= KEPT;
        drop(kept);
        assert_ne!(address_of(&resolver, "http://sentry/api"), first, "too old");
    }

    #[test]
    fn a_host_that_was_not_found_is_asked_for_again() {
        let resolver = KeepingResolver::new(Moving::default());
        for asked in 1..=2 {
            assert_eq!(address_of(&resolver, "http://nowhere/"), None);
            assert_eq!(resolver.inner.0.load(Ordering::Relaxed), asked);
        }
    }
}
