//! Spans on their way out: sampler, queue, exporter, and the propagation of contexts between processes.

mod background;
mod baggage;
mod courier;
mod layer;
mod limits;
mod log_exporter;
mod open;
mod otlp;
mod pipeline;
mod queue;
mod redact;

use opentelemetry::{
    Context, KeyValue,
    propagation::{TextMapCompositePropagator, TextMapPropagator},
    trace::TraceContextExt,
};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    resource::TelemetryResourceDetector,
    trace::{SdkTracerProvider, SpanProcessor},
};

use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::{
    InitError, ServiceInfo,
    log::ACCESS_TARGET,
    sentry::TransactionProcessor,
    settings::{ExporterKind, PropagatorKind, Settings},
};
pub use background::{AttributeValue, Background, background, current_traceparent, span_attribute};
pub(crate) use baggage::BAGGAGE;
use baggage::BaggagePropagator;
pub(crate) use courier::Backend;
pub(crate) use layer::{CONTEXT_TARGET, SpanLayer};
pub(crate) use limits::SpanLimits;
use log_exporter::LogExporter;
pub(crate) use open::OpenSpan;
use otlp::OtlpExporter;
use pipeline::Pipeline;
pub(crate) use redact::redact;

/// The id of the current trace as 32 hex digits: what a problem document shows, and what finds the
/// request in Jaeger. `None` outside a request and outside any span.
pub fn current_trace_id() -> Option<String> {
    Context::map_current(|context| {
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| span.trace_id().to_string())
    })
}

/// The tracer provider that the settings ask for. `extra` gets copies of the finished spans that it selects.
pub(crate) fn provider(
    settings: &Settings,
    service: &ServiceInfo,
    extra: Option<TransactionProcessor>,
) -> Result<SdkTracerProvider, InitError> {
    match &settings.exporter {
        ExporterKind::Otlp { url, timeout } => {
            let exporter = OtlpExporter::new(url, *timeout);
            let exporter = exporter.map_err(|error| InitError::Exporter(error.into()))?;
            provider_with(exporter, settings, service, extra)
        }
        ExporterKind::Console => provider_with(LogExporter::console(), settings, service, extra),
        ExporterKind::Log => provider_with(LogExporter::debug(), settings, service, extra),
        ExporterKind::None => Ok(build(None::<TransactionProcessor>, settings, service, extra)),
    }
}

/// A tracer provider that hands spans to `exporter` from a thread of its own, through a bounded queue.
pub(crate) fn provider_with(
    exporter: impl Backend + 'static,
    settings: &Settings,
    service: &ServiceInfo,
    extra: Option<TransactionProcessor>,
) -> Result<SdkTracerProvider, InitError> {
    let queue = queue::processor(exporter, settings.queue).map_err(InitError::SpanQueue)?;
    Ok(build(Some(queue), settings, service, extra))
}

fn build(
    queue: Option<impl SpanProcessor + 'static>,
    settings: &Settings,
    service: &ServiceInfo,
    extra: Option<TransactionProcessor>,
) -> SdkTracerProvider {
    let limits = settings.span_limits;
    let builder = SdkTracerProvider::builder()
        .with_sampler(settings.sampler.clone())
        .with_span_limits(limits.counts)
        .with_resource(resource(settings, service));
    if queue.is_none() && extra.is_none() {
        return builder.build();
    }
    builder
        .with_span_processor(Pipeline { queue, extra, limits })
        .build()
}

fn resource(settings: &Settings, service: &ServiceInfo) -> Resource {
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attribute(KeyValue::new("service.name", service.name.clone()))
        .with_attribute(KeyValue::new("service.version", service.version.clone()))
        .with_attributes(settings.resource.iter().cloned())
        .build()
}

/// Every propagator there is: what `OTEL_PROPAGATORS` defaults to.
pub(crate) const ALL_PROPAGATORS: &[PropagatorKind] =
    &[PropagatorKind::TraceContext, PropagatorKind::Baggage];

/// Which spans and events are recorded: never by `RUST_LOG`, which is about the log. Libraries' own spans
/// stay out. So does the access log, which is no events at all, so that `RUST_LOG` alone decides about it.
pub(crate) fn filter() -> Targets {
    Targets::new()
        .with_default(LevelFilter::INFO)
        .with_targets(
            [
                "hyper",
                "hyper_util",
                "h2",
                "kube_client",
                "kube_runtime",
                "reqwest",
                "tower",
                "tower_http",
                "rustls",
                "sqlx",
            ]
            .map(|library| (library, LevelFilter::OFF)),
        )
        .with_target("opentelemetry", LevelFilter::OFF)
        .with_target(ACCESS_TARGET, LevelFilter::OFF)
        .with_target(log_exporter::TARGET, LevelFilter::OFF)
}

/// What reads and writes `traceparent` and `baggage`.
pub(crate) fn propagator(kinds: &[PropagatorKind]) -> TextMapCompositePropagator {
    TextMapCompositePropagator::new(
        kinds
            .iter()
            .map(|kind| -> Box<dyn TextMapPropagator + Send + Sync> {
                match kind {
                    PropagatorKind::TraceContext => Box::new(TraceContextPropagator::new()),
                    PropagatorKind::Baggage => Box::new(BaggagePropagator::default()),
                }
            })
            .collect(),
    )
}
