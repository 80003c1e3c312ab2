//! The `SENTRY_*` variables.
//!
//! A malformed one never keeps a service from starting: without its error tracker it still serves, and
//! the errors are in the log. So each costs one warning, and the default holds.

use std::{borrow::Cow, fmt, ops::RangeInclusive};

use opentelemetry::KeyValue;
use sentry::types::Dsn;

use crate::{
    ServiceInfo,
    settings::{Env, flag},
};

/// What the environment says about Sentry.
#[derive(Clone)]
pub(crate) struct SentrySettings {
    /// Where envelopes go; `None`: nothing is sent, decisions are in the log.
    pub(crate) dsn: Option<Dsn>,
    /// `production` unless `SENTRY_ENVIRONMENT` or the resource say otherwise, as with every Sentry SDK.
    pub(crate) environment: String,
    /// `None`: name and version of the service, in Sentry's form `auth@1.4.0`.
    pub(crate) release: Option<String>,
    /// Share of traces, from 0 to 1, whose transactions are sent.
    pub(crate) traces_sample_rate: f64,
    /// Share of the sent transactions, from 0 to 1, that are profiled.
    pub(crate) profiles_sample_rate: f64,
    /// Share of error events, from 0 to 1, that are sent.
    pub(crate) sample_rate: f64,
    /// Statuses of responses that become events. Panics always do.
    pub(crate) capture_status: StatusRanges,
    /// Whether e-mail and network addresses of users may be sent.
    pub(crate) send_pii: bool,
    /// Base URL of the tracing UI, for links from events to their trace.
    pub(crate) trace_ui: Option<String>,
    /// Base URL of the organization in Sentry's UI, for links from spans and log lines to their event.
    pub(crate) sentry_ui: Option<String>,
    /// What runs where, from `OTEL_RESOURCE_ATTRIBUTES`: the pod, its node.
    pub(crate) resource: Vec<KeyValue>,
    /// PEM file of the certificate authorities to trust instead of the bundled ones.
    pub(crate) certificates: Option<String>,
}

impl SentrySettings {
    /// What holds where no variable is set.
    pub(crate) fn unset() -> Self {
        Self::read(&mut Env::new(&|_| None), &[])
    }

    /// Reads the variables. `resource` is what the process runs as.
    pub(crate) fn read(env: &mut Env<'_>, resource: &[KeyValue]) -> Self {
        let environment = env
            .get("SENTRY_ENVIRONMENT")
            .or_else(|| resource_value(resource, "deployment.environment.name"))
            .unwrap_or_else(|| "production".to_owned());
        Self {
            dsn: dsn(env),
            environment,
            release: env.get("SENTRY_RELEASE"),
            traces_sample_rate: rate(env, "SENTRY_TRACES_SAMPLE_RATE", 0.1),
            profiles_sample_rate: rate(env, "SENTRY_PROFILES_SAMPLE_RATE", 0.1),
            sample_rate: rate(env, "SENTRY_SAMPLE_RATE", 1.0),
            capture_status: env.read_or_warn(
                "SENTRY_CAPTURE_STATUS",
                StatusRanges::default(),
                "statuses from 400 to 599, such as 429,500-599; 400-599 is used",
                StatusRanges::parse,
            ),
            send_pii: env.read_or_warn("SENTRY_SEND_PII", false, "0 or 1; 0 is used", flag),
            trace_ui: env.read_or_warn(
                "TRACE_UI_URL",
                None,
                "an http or https URL such as http://localhost:16686; events have no link to their trace",
                web_base,
            ),
            sentry_ui: env.read_or_warn(
                "SENTRY_UI_URL",
                None,
                "an http or https URL such as https://sentry.example.com/organizations/acme; spans and log lines have no \
                 link to their event",
                web_base,
            ),
            resource: resource.to_vec(),
            certificates: env.get("SSL_CERT_FILE"),
        }
    }

    /// The release that events, transactions and profiles carry.
    pub(crate) fn release_of(&self, service: &ServiceInfo) -> String {
        self.release
            .clone()
            .unwrap_or_else(|| format!("{}@{}", service.name, service.version))
    }

    /// An attribute of the resource, such as `k8s.pod.name`.
    pub(crate) fn resource_value(&self, key: &str) -> Option<String> {
        resource_value(&self.resource, key)
    }
}

impl fmt::Debug for SentrySettings {
    /// Without the DSN's key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentrySettings")
            .field("dsn", &self.dsn.as_ref().map(shown_dsn))
            .field("environment", &self.environment)
            .field("release", &self.release)
            .field("traces_sample_rate", &self.traces_sample_rate)
            .field("profiles_sample_rate", &self.profiles_sample_rate)
            .field("sample_rate", &self.sample_rate)
            .field("capture_status", &self.capture_status)
            .field("send_pii", &self.send_pii)
            .field("trace_ui", &self.trace_ui)
            .field("sentry_ui", &self.sentry_ui)
            .finish_non_exhaustive()
    }
}

/// The DSN without its key: `https://sentry.example/42`.
pub(crate) fn shown_dsn(dsn: &Dsn) -> String {
    let port = if dsn.port() == dsn.scheme().default_port() {
        String::new()
    } else {
        format!(":{}", dsn.port())
    };
    format!(
        "{}://{}{port}{}{}",
        dsn.scheme(),
        dsn.host(),
        dsn.path(),
        dsn.project_id()
    )
}

/// The base of links, which continue it by a path. Events and logs show it, so who may use it is no part of it.
#[expect(
    clippy::option_option,
    reason = "outside: whether it is one; inside: as the setting is kept"
)]
fn web_base(value: &str) -> Option<Option<String>> {
    let uri: http::Uri = value.parse().ok()?;
    let scheme = uri
        .scheme_str()
        .filter(|scheme| matches!(*scheme, "http" | "https"))?;
    let host = uri.authority()?.as_str().rsplit('@').next()?;
    let base = format!("{scheme}://{host}{}", uri.path_and_query()?);
    Some(Some(base.trim_end_matches('/').to_owned()))
}

fn resource_value(resource: &[KeyValue], key: &str) -> Option<String> {
    let found = resource.iter().find(|attribute| attribute.key.as_str() == key)?;
    Some(found.value.to_string())
}

fn dsn(env: &mut Env<'_>) -> Option<Dsn> {
    let value = env.get("SENTRY_DSN")?;
    let dsn = value.parse().ok();
    if dsn.is_none() {
        // However it is broken, part of it may be a key.
        env.warn(
            "SENTRY_DSN",
            "[redacted]",
            "https://<key>@<host>/<project>; without it errors are only logged",
        );
    }
    dsn
}

fn rate(env: &mut Env<'_>, name: &'static str, default: f64) -> f64 {
    let expected = format!("a number from 0 to 1; {default} is used");
    env.read_or_warn(name, default, &expected, |value| {
        value.parse().ok().filter(|rate| (0.0..=1.0).contains(rate))
    })
}

/// Statuses of responses, as in `429,500-599`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatusRanges(Vec<RangeInclusive<u16>>);

impl Default for StatusRanges {
    /// Every failed request.
    fn default() -> Self {
        Self(vec![400..=599])
    }
}

impl StatusRanges {
    pub(crate) fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }

    fn parse(text: &str) -> Option<Self> {
        let ranges = text.split(',').map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let status = |text: &str| {
                let status = text.trim().parse().ok();
                status.filter(|status| (400..=599).contains(status))
            };
            let (first, last) = (status(first)?, status(last)?);
            (first <= last).then_some(first..=last)
        });
        ranges.collect::<Option<_>>().map(Self)
    }
}

impl fmt::Display for StatusRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.0.iter().map(|range| match (range.start(), range.end()) {
            (first, last) if first == last => Cow::from(first.to_string()),
            (first, last) => Cow::from(format!("{first}-{last}")),
        });
        f.write_str(&parts.collect::<Vec<_>>().join(","))
    }
}
