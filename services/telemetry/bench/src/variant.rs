//! The servers that are compared. Those of the instrumentation layer differ by environment variables only.

use std::net::SocketAddr;

use bench_kit::backends::{self, Environment};
use clap::ValueEnum;

/// Share of the traces that Sentry gets, and of those that are profiled.
const SHARE: &str = "0.1";

/// One server under measure, in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Variant {
    /// The route alone.
    Nothing,
    /// The route alone once more: how far two equal servers differ is the noise of the run.
    Control,
    /// Access log and metrics, without spans.
    Logs,
    /// Log, metrics, and a span for every request and query.
    Tracing,
    /// The same, and Sentry for errors only.
    Errors,
    /// The same, and a tenth of the traces as Sentry transactions, a tenth of those profiled.
    All,
    /// All, with a collector that takes connections and never answers, and nobody at Sentry's address.
    Dead,
    /// OpenTelemetry's own tower layer, sentry-tower, sentry-tracing's span layer and an access log.
    Peer,
    /// Express alone.
    NodeNothing,
    /// Express with pino, OpenTelemetry's SDK and Sentry's, as with [`Variant::All`] but without profiles.
    NodeAll,
}

/// What a server is built from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stack {
    Plain,
    Tracewell,
    Peer,
    Node,
}

/// Where telemetry goes.
pub(crate) struct Backends {
    /// Takes spans and envelopes, and counts them by variant.
    pub(crate) sink: SocketAddr,
    /// Takes connections and never answers.
    pub(crate) stalled: SocketAddr,
    /// Refuses connections.
    pub(crate) closed: SocketAddr,
}

impl Variant {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Control => "nothing, once more",
            Self::Logs => "log and metrics",
            Self::Tracing => "+ tracing 100 %",
            Self::Errors => "+ Sentry errors",
            Self::All => "+ 10 % transactions, profiles",
            Self::Dead => "the same, backends dead",
            Self::Peer => "opentelemetry tower + sentry",
            Self::NodeNothing => "Node: nothing",
            Self::NodeAll => "Node: all but profiles",
        }
    }

    /// As the command line has it.
    pub(crate) fn argument(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    pub(crate) fn stack(self) -> Stack {
        match self {
            Self::Nothing | Self::Control => Stack::Plain,
            Self::Logs | Self::Tracing | Self::Errors | Self::All | Self::Dead => Stack::Tracewell,
            Self::Peer => Stack::Peer,
            Self::NodeNothing | Self::NodeAll => Stack::Node,
        }
    }

    /// What its ratios are taken against.
    pub(crate) fn baseline(self) -> Self {
        match self.stack() {
            Stack::Node => Self::NodeNothing,
            _ => Self::Nothing,
        }
    }

    /// The whole environment of the server, besides the database.
    pub(crate) fn environment(self, backends: &Backends) -> Environment {
        let mut environment = vec![("LOG_FORMAT", "json".to_owned()), ("RUST_LOG", "info".to_owned())];
        let sink = backends.sink;
        match self {
            Self::Nothing | Self::Control | Self::NodeNothing => {}
            Self::Logs => environment.push(("OTEL_SDK_DISABLED", "true".to_owned())),
            Self::Tracing => environment.extend(self.tracing(sink)),
            Self::Errors => {
                environment.extend(self.tracing(sink));
                environment.extend(self.sentry(sink, "0"));
            }
            Self::All | Self::Peer | Self::NodeAll => {
                environment.extend(self.tracing(sink));
                environment.extend(self.sentry(sink, SHARE));
            }
            Self::Dead => {
                environment.extend(self.tracing(backends.stalled));
                environment.extend(self.sentry(backends.closed, SHARE));
            }
        }
        environment
    }

    /// Tracing at 100 %, each variant with a number of its own.
    pub(crate) fn tracing(self, collector: SocketAddr) -> Environment {
        backends::tracing(collector, self as usize)
    }

    fn sentry(self, server: SocketAddr, share: &str) -> Environment {
        backends::sentry(server, self as usize, share)
    }
}
