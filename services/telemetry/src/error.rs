//! Why telemetry could not start.

use std::{error::Error, fmt};

/// Starting failed. A backend that is down is never a reason.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Environment variables hold values that are not allowed; every one of them is listed.
    #[error("invalid environment:{}", list(.0))]
    Environment(Vec<EnvProblem>),
    /// The OTLP exporter could not be built.
    #[error("cannot build the OTLP exporter")]
    Exporter(#[source] Box<dyn Error + Send + Sync>),
    /// The process already has a tracing subscriber: `Telemetry::init` runs once, first thing in `main`.
    #[error("telemetry is already initialised in this process")]
    AlreadyInitialised,
    /// The thread that writes the log could not be started.
    #[error("cannot start the log writer's thread")]
    LogWriter(#[source] std::io::Error),
    /// The thread that exports spans could not be started.
    #[error("cannot start the thread that exports spans")]
    SpanQueue(#[source] std::io::Error),
    /// The thread that sends events to Sentry could not be started.
    #[error("cannot start the thread that sends events to Sentry")]
    Sentry(#[source] std::io::Error),
}

/// One environment variable whose value is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvProblem {
    /// Name of the variable.
    pub name: &'static str,
    /// The value it holds.
    pub value: String,
    /// What is allowed.
    pub expected: String,
}

impl fmt::Display for EnvProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={:?}: expected {}", self.name, self.value, self.expected)
    }
}

fn list(problems: &[EnvProblem]) -> String {
    problems
        .iter()
        .map(|problem| format!("\n  {problem}"))
        .collect::<Vec<_>>()
        .concat()
}
