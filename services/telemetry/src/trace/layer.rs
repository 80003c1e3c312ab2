//! The spans and events of `tracing` as OpenTelemetry's: for a service's own `info_span!` and `#[instrument]`, and for the
//! libraries'. The spans that this crate opens itself do not come this way; see [`OpenSpan`](super::OpenSpan).

use std::{cell::RefCell, error::Error, fmt, time::SystemTime};

use opentelemetry::{
    Context, ContextGuard, KeyValue, Value,
    trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer, layer,
    registry::{LookupSpan, SpanRef},
};

use crate::cause::{causes, chain};

/// Spans of this target stand for the OpenTelemetry context in which they are made, and add no span to the trace. They
/// bring the context to where `tracing` brings its spans, such as a task with `in_current_span()`.
pub(crate) const CONTEXT_TARGET: &str = "tracewell::context";

/// Opens a span for each span of `tracing`, and makes its context the current one wherever that span is entered.
#[derive(Debug)]
pub(crate) struct SpanLayer {
    pub(super) tracer: SdkTracer,
}

/// Kept with each span.
struct Opened {
    context: Context,
    /// The context's span is this one's own.
    is_own: bool,
    /// When it was last left: a child that lives on keeps it open, but not running.
    left: Option<SystemTime>,
}

thread_local! {
    /// The spans that this thread is in, innermost last.
    static ENTERED: RefCell<Vec<(Id, ContextGuard)>> = const { RefCell::new(Vec::new()) };
}

impl SpanLayer {
    pub(crate) fn new(tracer: SdkTracer) -> Self {
        Self { tracer }
    }

    fn open(&self, attributes: &Attributes<'_>, parent: &Context) -> Context {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let name = fields
            .name
            .map_or(attributes.metadata().name().into(), Into::into);
        let builder = self.tracer.span_builder::<std::borrow::Cow<'static, str>>(name);
        let builder = builder.with_kind(fields.kind).with_attributes(fields.attributes);
        let mut span = self.tracer.build_with_context(builder, parent);
        if let Some(status) = fields.status {
            span.set_status(status);
        }
        parent.with_span(span)
    }
}

fn context_of<S: for<'a> LookupSpan<'a>>(span: &SpanRef<'_, S>) -> Option<Context> {
    Some(span.extensions().get::<Opened>()?.context.clone())
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, registry: layer::Context<'_, S>) {
        let Some(span) = registry.span(id) else {
            return;
        };
        let is_own = attributes.metadata().target() != CONTEXT_TARGET;
        let parent = attributes.parent().and_then(|parent| registry.span(parent));
        let context = match parent.and_then(|parent| context_of(&parent)) {
            Some(parent) => parent,
            None if is_own && attributes.is_root() => Context::new(),
            None => Context::current(),
        };
        let context = if is_own {
            self.open(attributes, &context)
        } else {
            context
        };
        span.extensions_mut().insert(Opened {
            context,
            is_own,
            left: None,
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, registry: layer::Context<'_, S>) {
        if let Some(context) = registry.span(id).and_then(|span| context_of(&span)) {
            let mut fields = Fields::default();
            values.record(&mut fields);
            let span = context.span();
            span.set_attributes(fields.attributes);
            if let Some(status) = fields.status {
                span.set_status(status);
            }
            if let Some(name) = fields.name {
                span.update_name(name);
            }
        }
    }

    /// An event of the span that is current, which need not be one of `tracing`.
    fn on_event(&self, event: &Event<'_>, registry: layer::Context<'_, S>) {
        let explicit = event.parent().and_then(|parent| registry.span(parent));
        let context = explicit.and_then(|span| context_of(&span));
        let context = context.unwrap_or_else(Context::current);
        let span = context.span();
        if !span.is_recording() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        fields.attributes.push(KeyValue::new("level", level.as_str()));
        span.add_event(fields.message, fields.attributes);
        // Of its own requests and calls the crate knows whether they failed. Of other spans nothing else tells.
        if level == Level::ERROR
            && let Some(around) = registry.event_span(event)
            && let Some(opened) = around.extensions().get::<Opened>()
            && opened.is_own
        {
            opened.context.span().set_status(Status::error(""));
        }
    }

    fn on_enter(&self, id: &Id, registry: layer::Context<'_, S>) {
        if let Some(context) = registry.span(id).and_then(|span| context_of(&span)) {
            let guard = context.attach();
            ENTERED.with_borrow_mut(|entered| entered.push((id.clone(), guard)));
        }
    }

    fn on_exit(&self, id: &Id, registry: layer::Context<'_, S>) {
        if let Some(span) = registry.span(id)
            && let Some(opened) = span.extensions_mut().get_mut::<Opened>()
            && opened.is_own
        {
            opened.left = Some(SystemTime::now());
        }
        // Taken out first: what the guard drops may end a span, and that may log.
        let guard = ENTERED.with_borrow_mut(|entered| {
            let place = entered.iter().rposition(|(entered, _)| entered == id)?;
            Some(entered.remove(place))
        });
        drop(guard);
    }

    fn on_close(&self, id: Id, registry: layer::Context<'_, S>) {
        let opened = registry
            .span(&id)
            .and_then(|span| span.extensions_mut().remove::<Opened>());
        if let Some(opened) = opened.filter(|opened| opened.is_own) {
            let span = opened.context.span();
            match opened.left {
                Some(left) => span.end_with_timestamp(left),
                None => span.end(),
            }
        }
    }
}

/// The fields of a span or of an event.
struct Fields {
    message: String,
    name: Option<String>,
    kind: SpanKind,
    status: Option<Status>,
    attributes: Vec<KeyValue>,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            message: String::new(),
            name: None,
            kind: SpanKind::Internal,
            status: None,
            attributes: Vec::new(),
        }
    }
}

impl Fields {
    fn add(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(name, value));
    }

    fn text(&mut self, name: &'static str, text: String) {
        match name {
            "message" => self.message = text,
            "otel.name" => self.name = Some(text),
            "otel.kind" => self.kind = kind(&text),
            "otel.status_code" => self.status = status(&text),
            "otel.status_description" => self.status = Some(Status::error(text)),
            _ => self.add(name, text),
        }
    }
}

fn status(text: &str) -> Option<Status> {
    if text.eq_ignore_ascii_case("error") {
        Some(Status::error(""))
    } else {
        text.eq_ignore_ascii_case("ok").then_some(Status::Ok)
    }
}

fn kind(text: &str) -> SpanKind {
    match text {
        "server" => SpanKind::Server,
        "client" => SpanKind::Client,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), format!("{value:?}"));
    }

    /// By the conventions for exceptions.
    fn record_error(&mut self, _: &Field, value: &(dyn Error + 'static)) {
        let message = value.to_string();
        let causes = causes(value);
        if !causes.is_empty() {
            self.add("exception.stacktrace", chain(&message, &causes));
        }
        self.add("exception.message", message);
    }
}
