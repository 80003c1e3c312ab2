//! The way of a finished span: cut to its limits, then to every destination.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};

use super::SpanLimits;
use crate::sentry::TransactionProcessor;

/// The provider's only processor: with several, the SDK would copy every span for each of them.
#[derive(Debug)]
pub(crate) struct Pipeline<Q> {
    /// Towards the tracing backend, where there is one.
    pub(crate) queue: Option<Q>,
    /// Towards Sentry. It gets copies of the spans that it selects, cut but not yet redacted.
    pub(crate) extra: Option<TransactionProcessor>,
    pub(crate) limits: SpanLimits,
}

impl<Q: SpanProcessor> Pipeline<Q> {
    fn all(&self) -> impl Iterator<Item = &dyn SpanProcessor> {
        let queue = self.queue.iter().map(|queue| -> &dyn SpanProcessor { queue });
        let extra = self.extra.iter().map(|extra| -> &dyn SpanProcessor { extra });
        extra.chain(queue)
    }
}

impl<Q: SpanProcessor> SpanProcessor for Pipeline<Q> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.all().for_each(|processor| processor.on_start(span, context));
    }

    fn on_end(&self, mut span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        self.limits.shorten(&mut span);
        if let Some(extra) = &self.extra
            && extra.selects(span.span_context.trace_id())
        {
            extra.on_end(span.clone());
        }
        if let Some(queue) = &self.queue {
            queue.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.all().try_for_each(SpanProcessor::force_flush)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        // Every one is told, also when one before it failed.
        let results: Vec<_> = self
            .all()
            .map(|processor| processor.shutdown_with_timeout(timeout))
            .collect();
        results.into_iter().collect()
    }

    fn set_resource(&mut self, resource: &Resource) {
        if let Some(queue) = &mut self.queue {
            queue.set_resource(resource);
        }
        if let Some(extra) = &mut self.extra {
            extra.set_resource(resource);
        }
    }
}
