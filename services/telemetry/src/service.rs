//! Who is speaking: the name and version under which telemetry leaves the process.

use std::borrow::Cow;

/// A service's own name and version, used where `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`
/// do not say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceInfo {
    pub(crate) name: Cow<'static, str>,
    pub(crate) version: Cow<'static, str>,
    pub(crate) proxies: u8,
}

impl ServiceInfo {
    /// `name` is the short name of the service (`auth`), `version` its release (`1.4.0`).
    pub fn new(name: impl Into<Cow<'static, str>>, version: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            proxies: 0,
        }
    }

    /// How many proxies of your own stand before the service, unless `TRUSTED_PROXIES` says otherwise. Only these are
    /// believed when they tell of the client in `X-Forwarded-For` and `X-Forwarded-Proto`.
    #[must_use]
    pub fn behind_proxies(mut self, proxies: u8) -> Self {
        self.proxies = proxies;
        self
    }
}
