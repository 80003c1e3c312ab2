//! Prometheus metrics with OpenTelemetry's names. A process has one registry, so services can define
//! their own metrics anywhere, at any time.
//!
//! The durations of requests, calls and queries have exemplars, for which scrapers ask by accepting `OpenMetrics`. Metrics of
//! services have none: the OpenTelemetry SDK for Rust does not collect them.

mod exemplars;
mod exposition;
mod pool;
mod runtime;
mod series;

use std::{borrow::Cow, fmt, sync::LazyLock, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{Meter, MeterProvider},
    trace::SpanContext,
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, process_collector::ProcessCollector, proto::LabelPair};

use crate::log::scrub;
pub(crate) use exposition::Format;
use pool::PoolMetrics;
pub use pool::{ConnectionCounts, PoolMeter};
use series::{Durations, Gauge};

/// Bucket bounds in seconds of the HTTP duration histograms.
/// Source: OpenTelemetry semantic conventions, `http.server.request.duration`.
const HTTP_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Bucket bounds in seconds of the database histogram.
/// Source: OpenTelemetry semantic conventions, `db.client.operation.duration`.
const DB_BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

static GLOBAL: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// Where a span was lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SpanLoss {
    QueueFull,
    ExportFailed,
    /// The backend took the batch without them.
    Rejected,
    /// Still unsent when the process ended.
    Shutdown,
}

/// The process's registry and the metrics that this crate records itself.
pub(crate) struct Metrics {
    registry: Registry,
    meter: Meter,
    /// Keeps the reader alive: a dropped provider shuts it down.
    _provider: SdkMeterProvider,
    server_duration: Durations<(&'static str, Option<u16>)>,
    server_active: Gauge,
    client_duration: Durations<(&'static str, Option<u16>)>,
    db_duration: Durations<(&'static str, &'static str, Cow<'static, str>)>,
    spans_exported: opentelemetry::metrics::Counter<u64>,
    spans_dropped: opentelemetry::metrics::Counter<u64>,
    log_lines_dropped: opentelemetry::metrics::Counter<u64>,
    pools: PoolMetrics,
}

impl Metrics {
    /// The one registry of this process.
    pub(crate) fn global() -> &'static Self {
        &GLOBAL
    }

    fn new() -> Self {
        let registry = Registry::new();
        let provider = provider(&registry);
        let meter = provider.meter("tracewell");
        runtime::define(&meter);
        let metrics = Self {
            server_duration: Durations::new(
                &registry,
                "http_server_request_duration_seconds",
                "Duration of HTTP requests served.",
                &HTTP_BUCKETS,
                &["http_request_method", "http_route", "http_response_status_code"],
            ),
            server_active: Gauge::new(
                &registry,
                "http_server_active_requests",
                "HTTP requests being served now.",
                "http_request_method",
            ),
            client_duration: Durations::new(
                &registry,
                "http_client_request_duration_seconds",
                "Duration of outgoing HTTP requests, to the response's headers.",
                &HTTP_BUCKETS,
                &[
                    "http_request_method",
                    "server_address",
                    "http_response_status_code",
                ],
            ),
            db_duration: Durations::new(
                &registry,
                "db_client_operation_duration_seconds",
                "Duration of database operations.",
                &DB_BUCKETS,
                &[
                    "db_system_name",
                    "db_operation_name",
                    "db_collection_name",
                    "error_type",
                ],
            ),
            spans_exported: meter
                .u64_counter("telemetry.spans.exported")
                .with_description("Spans that the tracing backend took.")
                .build(),
            spans_dropped: meter
                .u64_counter("telemetry.spans.dropped")
                .with_description("Spans lost, because the queue was full or the backend did not take them.")
                .build(),
            log_lines_dropped: meter
                .u64_counter("telemetry.log.lines.dropped")
                .with_description("Log lines lost because the writer could not keep up.")
                .build(),
            pools: PoolMetrics::new(&meter),
            meter,
            registry,
            _provider: provider,
        };
        metrics.start_losses_at_zero();
        metrics
    }

    /// A loss that never happened must read 0, not be absent: alerts compare against it.
    fn start_losses_at_zero(&self) {
        self.spans_exported(0);
        self.spans_dropped(0, SpanLoss::QueueFull);
        self.spans_dropped(0, SpanLoss::ExportFailed);
        self.spans_dropped(0, SpanLoss::Rejected);
        self.spans_dropped(0, SpanLoss::Shutdown);
        self.log_lines_dropped(0);
    }

    /// `span` is that of the request: the exemplar of the bucket that `duration` falls into, if it is recorded.
    pub(crate) fn server_request(
        &self,
        method: &'static str,
        route: &str,
        status: Option<u16>,
        duration: Duration,
        span: &SpanContext,
    ) {
        let labels = |route: &str| http_labels(method, route, status);
        self.server_duration
            .record(route, (method, status), labels, duration, span);
    }

    pub(crate) fn server_active(&self, method: &'static str, change: i64) {
        self.server_active.add(method, change);
    }

    pub(crate) fn client_request(
        &self,
        method: &'static str,
        server: &str,
        status: Option<u16>,
        duration: Duration,
        span: &SpanContext,
    ) {
        let labels = |server: &str| http_labels(method, server, status);
        self.client_duration
            .record(server, (method, status), labels, duration, span);
    }

    /// `table` is empty for an operation on none, `error_type` for a success.
    pub(crate) fn db_operation(
        &self,
        [system, operation, table]: [&'static str; 3],
        error_type: Cow<'static, str>,
        duration: Duration,
        span: &SpanContext,
    ) {
        let label = error_type.clone();
        let labels = |table: &str| [system, operation, table, &label].map(str::to_owned);
        self.db_duration
            .record(table, (system, operation, error_type), labels, duration, span);
    }

    pub(crate) fn spans_exported(&self, count: usize) {
        self.spans_exported.add(count as u64, &[]);
    }

    pub(crate) fn spans_dropped(&self, count: usize, loss: SpanLoss) {
        let reason = match loss {
            SpanLoss::QueueFull => "queue_full",
            SpanLoss::ExportFailed => "export_failed",
            SpanLoss::Rejected => "rejected",
            SpanLoss::Shutdown => "shutdown",
        };
        self.spans_dropped
            .add(count as u64, &[KeyValue::new("reason", reason)]);
    }

    pub(crate) fn log_lines_dropped(&self, count: u64) {
        self.log_lines_dropped.add(count, &[]);
    }

    /// All metrics of the process.
    pub(crate) fn render(&self, format: Format) -> String {
        let histograms = [
            &self.server_duration.exemplars,
            &self.client_duration.exemplars,
            &self.db_duration.exemplars,
        ];
        exposition::write(&self.registry.gather(), format, |name, labels: &[LabelPair]| {
            histograms
                .iter()
                .find_map(|exemplars| exemplars.find(name, labels))
        })
    }
}

/// A histogram of durations.
fn seconds(
    meter: &Meter,
    name: &'static str,
    help: &'static str,
    buckets: &[f64],
) -> opentelemetry::metrics::Histogram<f64> {
    let builder = meter.f64_histogram(name).with_unit("s").with_description(help);
    builder.with_boundaries(buckets.to_vec()).build()
}

/// A provider read by `registry`, which also gets the process metrics (memory, CPU, file descriptors).
fn provider(registry: &Registry) -> SdkMeterProvider {
    let reader = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .scope_info_enabled(false)
        .without_target_info()
        .build();
    if let Err(error) = registry.register(Box::new(ProcessCollector::for_self())) {
        tracing::warn!(%error, "process metrics are missing");
    }
    match reader {
        Ok(reader) => SdkMeterProvider::builder().with_reader(reader).build(),
        Err(error) => {
            tracing::error!(%error, "metrics are missing");
            SdkMeterProvider::default()
        }
    }
}

fn http_labels(method: &'static str, place: &str, status: Option<u16>) -> [String; 3] {
    let status = status.map(|status| status.to_string());
    [method.to_owned(), place.to_owned(), status.unwrap_or_default()]
}

/// A value that only grows, such as sign-ins by outcome.
#[derive(Clone)]
pub struct Counter(opentelemetry::metrics::Counter<u64>);

/// A distribution, such as seconds of waiting.
#[derive(Clone)]
pub struct Histogram(opentelemetry::metrics::Histogram<f64>);

/// Defines a counter. `name` in OpenTelemetry's dotted style: `auth.signin` is shown as
/// `auth_signin_total`. Define it once and keep the handle.
pub fn counter(name: &'static str, help: &'static str) -> Counter {
    Counter(GLOBAL.meter.u64_counter(name).with_description(help).build())
}

/// Defines a histogram of `unit` (`s`, `By`, or `1` for a plain number) with these upper bucket bounds:
/// `auth.hash.wait` in `s` is shown as `auth_hash_wait_seconds`.
pub fn histogram(name: &'static str, help: &'static str, unit: &'static str, buckets: &[f64]) -> Histogram {
    let builder = GLOBAL
        .meter
        .f64_histogram(name)
        .with_unit(unit)
        .with_description(help);
    Histogram(builder.with_boundaries(buckets.to_vec()).build())
}

impl Counter {
    /// Adds `amount` under these labels. Label values must come from a small fixed set: each new
    /// combination is a new time series.
    pub fn add(&self, amount: u64, labels: &[(&'static str, &str)]) {
        self.0.add(amount, &attributes(labels));
    }
}

impl Histogram {
    /// Records one observation in the histogram's unit under these labels, which must come from a small
    /// fixed set.
    pub fn record(&self, value: f64, labels: &[(&'static str, &str)]) {
        self.0.record(value, &attributes(labels));
    }
}

fn attributes(labels: &[(&'static str, &str)]) -> Vec<KeyValue> {
    labels
        .iter()
        .map(|(name, value)| KeyValue::new(*name, scrub(value).into_owned()))
        .collect()
}

macro_rules! opaque_debug {
    ($($handle:ident),+) => {$(
        impl fmt::Debug for $handle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($handle)).finish_non_exhaustive()
            }
        }
    )+};
}
opaque_debug!(Counter, Histogram);
