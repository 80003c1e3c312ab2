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

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};

use super::redact;
use crate::{
    metrics::{Metrics, SpanLoss},
    settings::QueueSettings,
};

/// An exporter that may know of a batch that not all of it was taken.
pub(crate) trait Backend: SpanExporter {
    /// What of the last batch, which was exported, the backend rejected all the same.
    fn take_rejection(&self) -> Option<Rejection> {
        None
    }
}

/// Spans that a backend rejected, out of a batch that it took.
#[derive(Clone, Debug)]
pub(crate) struct Rejection {
    pub(crate) spans: usize,
    /// In the backend's words.
    pub(crate) reason: String,
}

/// A processor that exports in batches on a thread of its own and never blocks the caller.
pub(crate) fn processor(exporter: impl Backend + 'static, settings: QueueSettings) -> impl SpanProcessor {
    let ledger = Arc::new(Ledger::default());
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(settings.max_queue_size)
        .with_max_export_batch_size(settings.max_export_batch_size)
        .with_scheduled_delay(settings.scheduled_delay)
        .build();
    let exporter = CountingExporter {
        inner: exporter,
        ledger: ledger.clone(),
        failing: AtomicBool::new(false),
        rejected: AtomicBool::new(false),
    };
    AdmittingProcessor {
        inner: BatchSpanProcessor::new(exporter, config),
        ledger,
        capacity: settings.max_queue_size,
    }
}

/// Lets spans into the queue while there is room, and counts the rest as dropped.
#[derive(Debug)]
struct AdmittingProcessor {
    inner: BatchSpanProcessor,
    ledger: Arc<Ledger>,
    capacity: usize,
}

impl SpanProcessor for AdmittingProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.ledger.admit(self.capacity) {
            self.inner.on_end(span);
        } else {
            Metrics::global().spans_dropped(1, SpanLoss::QueueFull);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let result = self.inner.shutdown_with_timeout(timeout);
        // Also an orderly end leaves spans behind: those that ended after the last batch was made.
        let lost = self.ledger.abandon();
        if lost == 0 {
            return result;
        }
        Metrics::global().spans_dropped(lost, SpanLoss::Shutdown);
        let reason = match result {
            Ok(()) => "they ended behind the last batch".to_owned(),
            Err(error) => error.to_string(),
        };
        let told = format!("{lost} spans were not sent in time ({reason})");
        Err(OTelSdkError::InternalFailure(told))
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Where the spans are between their end and the backend's answer.
#[derive(Debug, Default)]
struct Ledger {
    /// Handed to the inner processor and not yet to the exporter.
    queued: AtomicUsize,
    /// Admitted, and their fate not yet counted.
    unsettled: AtomicUsize,
}

impl Ledger {
    /// Lets one span in if fewer than `capacity` wait.
    fn admit(&self, capacity: usize) -> bool {
        if self.queued.fetch_add(1, Ordering::AcqRel) >= capacity {
            self.queued.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        self.unsettled.fetch_add(1, Ordering::AcqRel);
        true
    }

    /// `count` spans have left the queue for the exporter.
    fn taken(&self, count: usize) {
        self.queued.fetch_sub(count, Ordering::AcqRel);
    }

    /// The fate of `count` spans is known. False if they were given up before: they count only once.
    fn settle(&self, count: usize) -> bool {
        let settled = |unsettled: usize| unsettled.checked_sub(count);
        self.unsettled
            .try_update(Ordering::AcqRel, Ordering::Acquire, settled)
            .is_ok()
    }

    /// Gives up every span whose fate is unknown, and tells how many they are.
    fn abandon(&self) -> usize {
        self.unsettled.swap(0, Ordering::AcqRel)
    }
}

/// Redacts spans, which takes too long for the request's own thread; counts what the backend took and what it refused, and says in the log when that changes.
#[derive(Debug)]
struct CountingExporter<E> {
    inner: E,
    ledger: Arc<Ledger>,
    failing: AtomicBool,
    rejected: AtomicBool,
}

impl<E: Backend> CountingExporter<E> {
    /// Counts a batch of `count` spans that the backend took, but for those that it rejected.
    fn count_taken(&self, count: usize) {
        let rejection = self.inner.take_rejection();
        let rejected = rejection
            .as_ref()
            .map_or(0, |rejection| rejection.spans.min(count));
        Metrics::global().spans_exported(count - rejected);
        Metrics::global().spans_dropped(rejected, SpanLoss::Rejected);
        let rejected_before = self.rejected.swap(rejection.is_some(), Ordering::AcqRel);
        if let Some(Rejection { spans, reason }) = rejection.filter(|_| !rejected_before) {
            tracing::warn!(
                spans,
                reason,
                "the tracing backend rejects spans; requests are unaffected"
            );
        }
    }
}

impl<E: Backend> SpanExporter for CountingExporter<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.ledger.taken(count);
        batch.iter_mut().for_each(redact);
        let result = self.inner.export(batch).await;
        if self.ledger.settle(count) {
            match &result {
                Ok(()) => self.count_taken(count),
                Err(_) => Metrics::global().spans_dropped(count, SpanLoss::ExportFailed),
            }
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

#[cfg(test)]
mod tests {
    use std::{sync::OnceLock, time::SystemTime};

    use opentelemetry::{
        InstrumentationScope,
        trace::{SpanContext, SpanId, SpanKind, Status},
    };
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    /// Takes every batch. A span ends between the last one and its end.
    #[derive(Clone, Debug, Default)]
    struct Late(Arc<OnceLock<Box<dyn SpanProcessor>>>);

    impl Backend for Late {}

    impl SpanExporter for Late {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            self.0.get().unwrap().on_end(span());
            Ok(())
        }
    }

    fn span() -> SpanData {
        SpanData {
            span_context: SpanContext::NONE,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "late".into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::builder("test").build(),
        }
    }

    #[test]
    fn a_span_behind_the_last_batch_is_lost_and_counted() {
        let late = Late::default();
        let queue = processor(
            late.clone(),
            QueueSettings {
                max_queue_size: 8,
                max_export_batch_size: 8,
                scheduled_delay: Duration::from_hours(1),
            },
        );
        let queue = late.0.get_or_init(|| Box::new(queue));
        queue.on_end(span());
        let told = queue.shutdown_with_timeout(Duration::from_secs(10)).unwrap_err();
        assert!(told.to_string().contains("1 spans"), "{told}");
        assert_eq!(
            queue
                .shutdown_with_timeout(Duration::ZERO)
                .map_err(|error| error.to_string().contains("spans")),
            Err(false),
            "once"
        );
    }
}
