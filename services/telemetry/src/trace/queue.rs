//! The bounded queue between requests and the exporter, with counts of what it loses.
//!
//! The SDK's batch processor drops what does not fit but tells no one how much. So spans are admitted
//! here against the same bound: the SDK's own queue can then never overflow, and every drop is counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    Context,
    trace::{SpanKind, Status},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};

use crate::{
    metrics::{Metrics, SpanLoss},
    settings::QueueSettings,
};

/// A processor that exports in batches on a thread of its own and never blocks the caller.
pub(crate) fn processor(
    exporter: impl SpanExporter + 'static,
    settings: QueueSettings,
) -> impl SpanProcessor {
    let queued = Arc::new(AtomicUsize::new(0));
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(settings.max_queue_size)
        .with_max_export_batch_size(settings.max_export_batch_size)
        .with_scheduled_delay(settings.scheduled_delay)
        .build();
    let exporter = CountingExporter {
        inner: exporter,
        queued: queued.clone(),
        failing: AtomicBool::new(false),
    };
    AdmittingProcessor {
        inner: BatchSpanProcessor::new(exporter, config),
        queued,
        capacity: settings.max_queue_size,
    }
}

/// Lets spans into the queue while there is room, and counts the rest as dropped.
#[derive(Debug)]
struct AdmittingProcessor {
    inner: BatchSpanProcessor,
    /// Spans handed to the inner processor and not yet to the exporter.
    queued: Arc<AtomicUsize>,
    capacity: usize,
}

impl SpanProcessor for AdmittingProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, mut span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.queued.fetch_add(1, Ordering::AcqRel) >= self.capacity {
            self.queued.fetch_sub(1, Ordering::AcqRel);
            Metrics::global().spans_dropped(1, SpanLoss::QueueFull);
            return;
        }
        settle_status(&mut span);
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// The HTTP layer alone decides whether a request failed, and says so by `error.type`. tracing-opentelemetry
/// also marks every span in which an event of level ERROR occurs, whatever `with_error_events_to_status`
/// says: but an error that a handler logs and survives is no failed request.
fn settle_status(span: &mut SpanData) {
    let failed = || {
        span.attributes
            .iter()
            .any(|attribute| attribute.key.as_str() == "error.type")
    };
    if span.span_kind == SpanKind::Server && !failed() {
        span.status = Status::Unset;
    }
}

/// Counts what the backend took and what it refused, and says in the log when that changes.
#[derive(Debug)]
struct CountingExporter<E> {
    inner: E,
    queued: Arc<AtomicUsize>,
    failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for CountingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.queued.fetch_sub(count, Ordering::AcqRel);
        let result = self.inner.export(batch).await;
        match &result {
            Ok(()) => Metrics::global().spans_exported(count),
            Err(_) => Metrics::global().spans_dropped(count, SpanLoss::ExportFailed),
        }
        let failed_before = self.failing.swap(result.is_err(), Ordering::AcqRel);
        match &result {
            Err(error) if !failed_before => {
                tracing::warn!(%error, spans = count, "span export fails; requests are unaffected");
            }
            Ok(()) if failed_before => tracing::info!("span export works again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
