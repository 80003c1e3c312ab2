//! The thread that takes spans out of the queue and hands them to an exporter, and what it has to tell of it.

use std::{
    mem,
    sync::{Arc, Mutex},
};

use futures::executor::block_on;
use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

use super::{
    queue::{Queue, lock},
    redact,
};
use crate::metrics::{Metrics, SpanLoss};

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

/// The state of the exporting thread. It redacts spans, which takes too long for the request's own thread; counts what the
/// backend took and what it refused, and says in the log when that changes.
pub(super) struct Courier<E> {
    exporter: Arc<Mutex<E>>,
    queue: Arc<Queue>,
    failing: bool,
    rejected: bool,
}

/// It ends by an order, or by a fault of the exporter.
impl<E> Drop for Courier<E> {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl<E: Backend> Courier<E> {
    pub(super) fn new(exporter: Arc<Mutex<E>>, queue: Arc<Queue>) -> Self {
        Self {
            exporter,
            queue,
            failing: false,
            rejected: false,
        }
    }

    /// The thread's whole life.
    pub(super) fn run(mut self) {
        // What an export itself does leaves no spans, or there would be no end of them.
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        loop {
            let due = self.queue.due();
            let exported = self.export_all(due.spans);
            let result = if due.is_last {
                lock(&self.exporter).shutdown()
            } else {
                exported
            };
            let outcome = result.map_err(|error| error.to_string());
            for waiting in due.waiting {
                // Who asked may have stopped waiting.
                let _ = waiting.send(outcome.clone());
            }
            if due.is_last {
                return;
            }
        }
    }

    /// Exports so many spans, all of which wait, and gives the result of the last batch.
    fn export_all(&mut self, mut count: usize) -> OTelSdkResult {
        let mut result = Ok(());
        while count > 0 {
            let batch = self.queue.take(count);
            count -= batch.len();
            result = self.export(batch);
        }
        result
    }

    fn export(&mut self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        batch.iter_mut().for_each(redact);
        let result = block_on(lock(&self.exporter).export(batch));
        if self.queue.settle(count) {
            match &result {
                Ok(()) => self.count_taken(count),
                Err(_) => Metrics::global().spans_dropped(count, SpanLoss::ExportFailed),
            }
        }
        let failed_before = mem::replace(&mut self.failing, result.is_err());
        match &result {
            Err(error) if !failed_before => {
                tracing::warn!(%error, spans = count, "span export fails; requests are unaffected");
            }
            Ok(()) if failed_before => tracing::info!("span export works again"),
            _ => {}
        }
        result
    }

    /// Counts a batch of `count` spans that the backend took, but for those that it rejected.
    fn count_taken(&mut self, count: usize) {
        let rejection = lock(&self.exporter).take_rejection();
        let rejected = rejection
            .as_ref()
            .map_or(0, |rejection| rejection.spans.min(count));
        Metrics::global().spans_exported(count - rejected);
        Metrics::global().spans_dropped(rejected, SpanLoss::Rejected);
        let rejected_before = mem::replace(&mut self.rejected, rejection.is_some());
        if let Some(Rejection { spans, reason }) = rejection.filter(|_| !rejected_before) {
            tracing::warn!(
                spans,
                reason,
                "the tracing backend rejects spans; requests are unaffected"
            );
        }
    }
}
