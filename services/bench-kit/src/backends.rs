//! What servers are told of the backends of their telemetry, by the variables that all of them obey.

use std::net::SocketAddr;

/// Variables of a process.
pub type Environment = Vec<(&'static str, String)>;

/// Tracing as the operator sets it at 100 %. Each server has a `number`, which is part of its path, so that what it
/// sends can be counted.
pub fn tracing(collector: SocketAddr, number: usize) -> Environment {
    vec![
        ("OTEL_SERVICE_NAME", "bench".to_owned()),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://{collector}/{number}"),
        ),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio".to_owned()),
        ("OTEL_TRACES_SAMPLER_ARG", "1".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "1000".to_owned()),
        // Node's SDK would otherwise push both to the collector as well.
        ("OTEL_METRICS_EXPORTER", "none".to_owned()),
        ("OTEL_LOGS_EXPORTER", "none".to_owned()),
    ]
}

/// Errors to Sentry, and of the traces a `share`, of which as large a share is profiled.
pub fn sentry(server: SocketAddr, number: usize, share: &str) -> Environment {
    vec![
        ("SENTRY_DSN", format!("http://bench@{server}/{number}")),
        ("SENTRY_TRACES_SAMPLE_RATE", share.to_owned()),
        ("SENTRY_PROFILES_SAMPLE_RATE", share.to_owned()),
    ]
}
