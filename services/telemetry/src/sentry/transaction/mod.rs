//! Finished spans, gathered into Sentry transactions with the same ids that the spans have in Jaeger.
//!
//! A transaction is what one process did for a trace: its local root (a span whose parent is another process's,
//! or none) and everything below. Which traces are sent is decided by their ids alone, so all services that
//! have the same rate keep the same traces, and no header says so. The decision does not depend on the
//! OpenTelemetry sampler's, but spans that the sampler drops never get here: with `OTEL_TRACES_SAMPLER_ARG=0.25`
//! and `SENTRY_TRACES_SAMPLE_RATE=0.1` one trace in forty is sent.

mod buffer;
mod build;
mod share;

use std::{
    fmt,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nix::unistd::gettid;
use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Span as _, SpanId, TraceContextExt},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};

use super::{SentryClient, SentrySettings};
use crate::{
    metrics::{Counter, counter},
    profile::Profiler,
    trace::redact,
};
use buffer::{Buffer, Root};
use build::build_transaction;
use share::Share;

static SPANS_DROPPED: LazyLock<Counter> = LazyLock::new(|| {
    counter(
        "telemetry.transaction.spans.dropped",
        "Spans missing in Sentry transactions: ended after their root, or more than fit.",
    )
});

/// Why a span is in no transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Its root had ended, or had been open for so long that it was given up.
    Late,
    /// There were too many spans or traces at once.
    Full,
}

impl Loss {
    fn count(self, spans: u64) {
        let reason = match self {
            Self::Late => "late",
            Self::Full => "full",
        };
        SPANS_DROPPED.add(spans, &[("reason", reason)]);
    }
}

/// Turns a share of the traces into Sentry transactions. For all others it costs a hash of the trace id per span.
pub(crate) struct TransactionProcessor {
    client: SentryClient,
    profiler: Profiler,
    sampled: Share,
    profiled: Share,
    trace_ui: Option<String>,
    buffer: Mutex<Buffer>,
}

impl TransactionProcessor {
    /// `None` where no transaction would be sent: without a DSN, or at rate 0.
    pub(crate) fn new(client: SentryClient, profiler: Profiler, settings: &SentrySettings) -> Option<Self> {
        if !client.is_sending() || settings.traces_sample_rate <= 0.0 {
            return None;
        }
        // A loss that never happened must read 0, not be absent.
        Loss::Late.count(0);
        Loss::Full.count(0);
        Some(Self {
            client,
            profiler,
            sampled: Share::of_transactions(settings.traces_sample_rate),
            profiled: Share::of_profiles(settings.profiles_sample_rate),
            trace_ui: settings.trace_ui.clone(),
            buffer: Mutex::new(Buffer::new(Instant::now())),
        })
    }

    /// Whether spans of this trace are wanted at all. Ask before copying one.
    pub(crate) fn selects(&self, trace: TraceId) -> bool {
        self.sampled.contains(trace)
    }

    fn open(&self, trace: TraceId, id: SpanId) {
        let profile = if self.profiled.contains(trace) {
            self.profiler.open()
        } else {
            None
        };
        let root = Root {
            id,
            opened: Instant::now(),
            thread: thread_id(),
            profile,
        };
        // Where it does not fit, its spans are counted as they end.
        self.buffer().open(trace, root);
    }

    fn finish(&self, span: SpanData) {
        let Some(finished) = self.buffer().close(&span) else {
            Loss::Late.count(1);
            return;
        };
        let (mut root, mut spans) = (span, finished.spans);
        let Root { thread, profile, .. } = finished.root;
        let profiler_id = profile.is_some().then(|| self.profiler.id().to_owned());
        let trace_ui = self.trace_ui.clone();
        self.client.send_transaction(spans.len(), move || {
            spans.iter_mut().for_each(redact);
            redact(&mut root);
            build_transaction(&root, &spans, thread, profiler_id.as_deref(), trace_ui.as_deref())
        });
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of this thread, as the profile's samples have it.
fn thread_id() -> u64 {
    u64::try_from(gettid().as_raw()).unwrap_or_default()
}

impl SpanProcessor for TransactionProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        let own = span.span_context();
        if !own.is_sampled() || !self.selects(own.trace_id()) {
            return;
        }
        if self.profiled.contains(own.trace_id()) {
            // A profile is looked up by thread, and not all of a transaction is on that of its root.
            let thread = i64::try_from(thread_id()).unwrap_or_default();
            span.set_attribute(KeyValue::new("thread.id", thread));
        }
        let own = span.span_context();
        let parent = context.span();
        let parent = parent.span_context();
        if !parent.is_valid() || parent.is_remote() {
            self.open(own.trace_id(), own.span_id());
        }
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() || !self.selects(span.span_context.trace_id()) {
            return;
        }
        if span.parent_span_is_remote || span.parent_span_id == SpanId::INVALID {
            self.finish(span);
        } else if let Err(loss) = self.buffer().add(span) {
            loss.count(1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        // A transaction is handed over whole, when its root ends; the client is flushed by who owns it.
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        // What is still open has no end, and so is no transaction.
        *self.buffer() = Buffer::new(Instant::now());
        Ok(())
    }
}

impl fmt::Debug for TransactionProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionProcessor")
            .field("sampled", &self.sampled)
            .field("profiled", &self.profiled)
            .finish_non_exhaustive()
    }
}
