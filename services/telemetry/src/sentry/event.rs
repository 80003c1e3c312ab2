//! What events look like.

use std::{borrow::Cow, error::Error};

use opentelemetry::{Context, trace::TraceContextExt};
use sentry::protocol::{self, Event, Exception, Level, Mechanism, TraceContext};

use super::{Note, stack::Stack};
use crate::{ErrorReport, cause::name_of, http::PANIC};

/// What is known of a failed response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered<'a> {
    /// Method, of low cardinality.
    pub(crate) method: &'static str,
    /// Template of the route; `None`: no route took the request.
    pub(crate) route: Option<&'a str>,
    pub(crate) status: u16,
}

impl Answered<'_> {
    fn place(&self) -> String {
        match self.route {
            Some(route) => format!("{} {route}", self.method),
            None => self.method.to_owned(),
        }
    }

    fn status_text(&self) -> String {
        let status = http::StatusCode::from_u16(self.status).ok();
        let reason = status.and_then(|status| status.canonical_reason());
        format!("{} {}", self.status, reason.unwrap_or("Error"))
    }

    /// What is remembered of it for what the request reports later.
    pub(crate) fn note(&self) -> Note {
        Note::Answer {
            method: self.method,
            route: self.route.unwrap_or_default().to_owned(),
            status: self.status,
        }
    }

    /// An event about this response, without its subject.
    fn event(&self, level: Level) -> Event<'static> {
        Event {
            level,
            logger: Some("http".to_owned()),
            transaction: Some(self.place()),
            tags: [
                ("http.method".to_owned(), self.method.to_owned()),
                ("http.route".to_owned(), self.route.unwrap_or_default().to_owned()),
                ("http.status_code".to_owned(), self.status.to_string()),
            ]
            .into(),
            ..Event::default()
        }
    }

    /// A response about which nothing but the status is known: all of its kind are one issue.
    pub(crate) fn message(&self, service: &str, level: Level) -> Event<'static> {
        let parts = [
            service,
            self.method,
            self.route.unwrap_or_default(),
            &self.status.to_string(),
        ]
        .map(|part| Cow::Owned(part.to_owned()));
        Event {
            message: Some(format!("{}: {}", self.status_text(), self.place())),
            fingerprint: Cow::Owned(parts.to_vec()),
            ..self.event(level)
        }
    }

    /// A response behind which there is an error, or a panic.
    pub(crate) fn error(&self, report: &ErrorReport) -> Event<'static> {
        let level = if report.is_panic() {
            Level::Fatal
        } else {
            Level::Error
        };
        Event {
            exception: exceptions(report).into(),
            ..self.event(level)
        }
    }
}

/// An error that someone reports by hand.
pub(crate) fn of_error(report: &ErrorReport) -> Event<'static> {
    Event {
        level: Level::Error,
        exception: exceptions(report).into(),
        ..Event::default()
    }
}

/// A panic that nobody caught.
pub(crate) fn of_panic(message: &str, stack: Option<&Stack>) -> Event<'static> {
    Event {
        level: Level::Fatal,
        exception: vec![exception(PANIC, message, stack, true)].into(),
        ..Event::default()
    }
}

pub(crate) fn of_message(level: Level, message: &str) -> Event<'static> {
    Event {
        level,
        message: Some(message.to_owned()),
        ..Event::default()
    }
}

/// The chain of an error as Sentry wants it: the first cause first, the error itself, with the stack, last.
fn exceptions(report: &ErrorReport) -> Vec<Exception> {
    let causes = report.causes.iter().rev();
    let mut chain: Vec<_> = causes
        .map(|cause| exception(&cause.kind, &cause.message, None, false))
        .collect();
    chain.push(exception(
        report.kind,
        &report.message,
        report.stack.as_ref(),
        report.is_panic(),
    ));
    chain
}

fn exception(kind: &str, message: &str, stack: Option<&Stack>, panic: bool) -> Exception {
    Exception {
        ty: kind.to_owned(),
        value: Some(message.to_owned()),
        stacktrace: stack.map(Stack::unnamed),
        mechanism: Some(Mechanism {
            ty: if panic { "panic" } else { "generic" }.to_owned(),
            handled: Some(!panic),
            ..Mechanism::default()
        }),
        ..Exception::default()
    }
}

/// The type of an error, as its `Debug` output begins with it; `Error` where it does not.
pub(crate) fn type_of(error: &dyn Error) -> String {
    name_of(error).unwrap_or_else(|| "Error".to_owned())
}

/// Gives an event the ids of the current span, which are those in the tracing backend and in the log, and a
/// link to its trace where the UI's address is known.
pub(crate) fn link_to_trace(event: &mut Event<'static>, trace_ui: Option<&str>) {
    let Some((trace_id, span_id)) = Context::map_current(|context| {
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| (span.trace_id(), span.span_id()))
    }) else {
        return;
    };
    let trace = TraceContext {
        trace_id: trace_id.to_bytes().into(),
        span_id: span_id.to_bytes().into(),
        ..TraceContext::default()
    };
    event.contexts.insert("trace".to_owned(), trace.into());
    if let Some(base) = trace_ui {
        event
            .contexts
            .insert("jaeger".to_owned(), trace_link(base, &trace_id.to_string()));
    }
}

/// A context that leads from Sentry to the trace in Jaeger's UI at `base`.
pub(crate) fn trace_link(base: &str, trace_id: &str) -> protocol::Context {
    let url = format!("{base}/trace/{trace_id}");
    protocol::Context::Other([("url".to_owned(), url.into())].into())
}

/// What an event is about, in a few words.
pub(crate) fn title(event: &Event<'_>) -> String {
    let exception = event.exception.values.last();
    let subject = match exception {
        Some(exception) => format!(
            "{}: {}",
            exception.ty,
            exception.value.as_deref().unwrap_or_default()
        ),
        None => event.message.clone().unwrap_or_default(),
    };
    format!("{} {subject}", event.level)
}
