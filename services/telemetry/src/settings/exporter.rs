//! Where spans go, and how they get there.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::{Env, pairs};
use crate::log::REDACTED;

/// Where finished spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExporterKind {
    /// OTLP `http/protobuf` to this full URL, of which one request may take so long.
    Otlp { url: String, timeout: Duration },
    /// The log, at info level: asked for by `OTEL_TRACES_EXPORTER=console`.
    Console,
    /// The log, at debug level: nothing is configured.
    Log,
    /// Nowhere. Spans still give their ids to logs and to outgoing calls.
    None,
}

/// The longest that one export may take. Source: OpenTelemetry specification, `OTEL_EXPORTER_OTLP_TIMEOUT`.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

impl Env<'_> {
    pub(super) fn exporter(&mut self) -> ExporterKind {
        let url = self.otlp_url();
        for name in [
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        ] {
            self.read(
                name,
                (),
                "http/protobuf, the only protocol of this build",
                |value| (value == "http/protobuf").then_some(()),
            );
        }
        for name in [
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
        ] {
            self.read(name, (), "none: this build does not compress", |value| {
                value.eq_ignore_ascii_case("none").then_some(())
            });
        }
        self.check_headers();
        let timeout = self.export_timeout();
        let otlp = url.map_or(ExporterKind::Log, |url| ExporterKind::Otlp { url, timeout });
        self.read(
            "OTEL_TRACES_EXPORTER",
            otlp.clone(),
            "otlp, console or none",
            |value| match value {
                "otlp" => Some(otlp),
                "console" => Some(ExporterKind::Console),
                "none" => Some(ExporterKind::None),
                _ => None,
            },
        )
    }

    /// The signal's own limit wins over the general one. A batch is one export, so its limit is another of the same.
    fn export_timeout(&mut self) -> Duration {
        let mut read = |limit, name| {
            self.read(name, limit, "a whole number of milliseconds above 0", |value| {
                let limit = value.parse().ok().filter(|limit| *limit > 0)?;
                Some(Duration::from_millis(limit))
            })
        };
        let names = ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"];
        let limit = names.into_iter().fold(EXPORT_TIMEOUT, &mut read);
        read(limit, "OTEL_BSP_EXPORT_TIMEOUT").min(limit)
    }

    /// The exporter reads them from the environment itself, and does without what it cannot read.
    fn check_headers(&mut self) {
        for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
            let expected = "name=value pairs separated by commas, values percent-encoded";
            // Headers are where keys are passed.
            self.read_or(name, (), headers, |env, _| env.refuse(name, REDACTED, expected));
        }
    }

    /// The signal's own endpoint is used as it is; the general one gets the signal's path.
    fn otlp_url(&mut self) -> Option<String> {
        const EXPECTED: &str = "an http URL such as http://127.0.0.1:4318";
        let general = self.read("OTEL_EXPORTER_OTLP_ENDPOINT", None, EXPECTED, |value| {
            http_url(value).map(|url| Some(format!("{}/v1/traces", url.trim_end_matches('/'))))
        });
        self.read("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", general, EXPECTED, |value| {
            http_url(value).map(Some)
        })
    }
}

fn http_url(value: &str) -> Option<String> {
    let uri: http::Uri = value.parse().ok()?;
    (uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !host.is_empty()))
        .then(|| value.to_owned())
}

/// Whether every pair is a header that can be sent.
fn headers(text: &str) -> Option<()> {
    pairs(text)?.into_iter().try_for_each(|(name, value)| {
        HeaderName::from_bytes(name.as_bytes()).ok()?;
        HeaderValue::from_str(&value).ok().map(drop)
    })
}
