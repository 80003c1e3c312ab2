//! The spans that this crate opens itself: of requests, calls and queries. They go to OpenTelemetry without the detour over
//! `tracing`, whose fields would all be copied, looked up and copied again.

use std::borrow::Cow;

use opentelemetry::{
    Context, KeyValue, Value,
    trace::{Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer as _},
};
use opentelemetry_sdk::trace::Span;
use tracing::dispatcher;

use super::{CONTEXT_TARGET, SpanLayer};
use crate::log::scrub;

/// Attributes that a span of ours has room for without growing.
fn attributes(kind: &SpanKind) -> usize {
    match kind {
        SpanKind::Server => 16,
        _ => 8,
    }
}

/// A span that ends when it is dropped. Where spans are off it is only the context that it would have been in.
#[derive(Debug)]
pub(crate) struct OpenSpan {
    context: Context,
    is_recorded: bool,
}

impl OpenSpan {
    /// Opens a span below that of `parent`. `describe` adds attributes, and is asked only if the span is recorded.
    pub(crate) fn start(
        parent: &Context,
        kind: SpanKind,
        name: impl FnOnce() -> Cow<'static, str>,
        describe: impl FnOnce(&mut Attributes<'_>),
    ) -> Self {
        let span = dispatcher::get_default(|dispatch| {
            let tracer = &dispatch.downcast_ref::<SpanLayer>()?.tracer;
            Some(tracer.clone())
        });
        let Some(tracer) = span else {
            return Self {
                context: parent.clone(),
                is_recorded: false,
            };
        };
        let room = attributes(&kind);
        let builder = SpanBuilder::from_name(name())
            .with_kind(kind)
            .with_attributes(Vec::with_capacity(room));
        let mut span = tracer.build_with_context(builder, parent);
        let is_recorded = span.is_recording();
        if is_recorded {
            describe(&mut Attributes(&mut span));
        }
        Self {
            context: parent.with_span(span),
            is_recorded,
        }
    }

    /// What stands for this span where only `tracing` reaches: a task that a handler spawns with `in_current_span()`.
    pub(crate) fn stand_in(&self) -> tracing::Span {
        let _inside = self.context.clone().attach();
        // Without a parent for `tracing`: a child keeps its parent open.
        tracing::info_span!(target: CONTEXT_TARGET, parent: None, "context")
    }

    /// The context whose span this is.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn is_recorded(&self) -> bool {
        self.is_recorded
    }

    pub(crate) fn set(&self, name: &'static str, value: impl Into<Value>) {
        if self.is_recorded {
            self.context.span().set_attribute(KeyValue::new(name, value));
        }
    }

    /// Marks the span as failed, for a reason that may hold secrets.
    pub(crate) fn fail(&self, error_type: impl Into<Value>, reason: &str) {
        if self.is_recorded {
            self.set("error.type", error_type);
            self.context
                .span()
                .set_status(Status::error(scrub(reason).into_owned()));
        }
    }

    /// Adds a link, unless there is nothing to link to.
    pub(crate) fn link(&self, to: SpanContext) {
        if self.is_recorded && to.is_valid() {
            self.context.span().add_link(to, Vec::new());
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if self.is_recorded {
            self.context.span().end();
        }
    }
}

/// The attributes of a span that begins.
pub(crate) struct Attributes<'a>(&'a mut Span);

impl Attributes<'_> {
    pub(crate) fn add(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.set_attribute(KeyValue::new(name, value));
    }

    /// Adds what is known, and nothing otherwise.
    pub(crate) fn add_some(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }
}
