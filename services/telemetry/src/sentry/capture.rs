//! Reports by hand, from anywhere: inside a request they are that request's, elsewhere the process's.

use std::error::Error;

use sentry::{
    Breadcrumb, Level,
    protocol::{Event, Value},
};

use super::{RequestScope, Stack, Verdict, current_hub, event};
use crate::{ErrorReport, http::panic_noted, log::FATAL};

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// For developers.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is not as it should be.
    Warning,
    /// Something failed.
    Error,
    /// The process cannot go on.
    Fatal,
}

impl Severity {
    fn level(self) -> Level {
        match self {
            Self::Debug => Level::Debug,
            Self::Info => Level::Info,
            Self::Warning => Level::Warning,
            Self::Error => Level::Error,
            // The protocol has it; the name is Sentry's.
            Self::Fatal => Level::Fatal,
        }
    }
}

/// Names the user of the current request in its log line, its span and its events. Pass a stable id, not a
/// name. The e-mail address is sent to Sentry only with `SENTRY_SEND_PII=1`, and nowhere else. Outside a
/// request it does nothing.
pub fn user(id: &str, email: Option<&str>) {
    if let Some(scope) = RequestScope::current() {
        scope.set_user(id, email);
    }
}

/// Leaves a note that is sent with whatever the current request, or outside of one this thread, reports
/// later. Log events of level info and above leave one by themselves.
pub fn breadcrumb(category: &str, message: &str, data: &[(&str, &str)]) {
    if let Some(hub) = current_hub() {
        let data = data.iter();
        hub.add_breadcrumb(Breadcrumb {
            category: Some(category.to_owned()),
            message: Some(message.to_owned()),
            data: data
                .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
                .collect(),
            ..Breadcrumb::default()
        });
    }
}

/// Reports an error that was survived: with its causes and the stack of this call, to Sentry and the log.
/// Returns the event's id where it is sent. An error that fails a request needs no such call: the HTTP layer
/// reports that one.
pub fn capture_error<E: Error + 'static>(error: &E) -> Option<String> {
    let report = ErrorReport::new(error);
    let verdict = capture(event::of_error(&report));
    tracing::error!(
        err.r#type = report.kind,
        err.message = report.message,
        err.stack = report.chain(),
        sentry = verdict.word(),
        sentry_event_id = verdict.event_id(),
        sentry_event = verdict.title(),
        "error captured"
    );
    verdict.event_id()
}

/// Reports a message to Sentry and the log. Returns the event's id where it is sent.
pub fn capture_message(severity: Severity, message: &str) -> Option<String> {
    let verdict = capture(event::of_message(severity.level(), message));
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                level = (severity == Severity::Fatal).then_some(FATAL),
                sentry = verdict.word(),
                sentry_event_id = verdict.event_id(),
                sentry_event = verdict.title(),
                "{message}"
            )
        };
    }
    match severity {
        Severity::Debug => line!(debug),
        Severity::Info => line!(info),
        Severity::Warning => line!(warn),
        Severity::Error | Severity::Fatal => line!(error),
    }
    verdict.event_id()
}

/// Takes note of a panic, in the panic hook. One in a request's handler is reported with the response that
/// it becomes; any other is reported here.
pub(crate) fn panicked(message: &str) -> Verdict {
    let hub = current_hub();
    if panic_noted(hub.is_some().then(Stack::capture)) {
        return Verdict::NotReported;
    }
    let verdict = match &hub {
        Some(hub) => Verdict::capture(hub, event::of_panic(message, Some(&Stack::capture()))),
        None => Verdict::Off(event::title(&event::of_panic(message, None))),
    };
    // A panic of the main thread ends the process: what is queued must go now.
    if let Some(client) = hub.and_then(|hub| hub.client())
        && std::thread::current().name() == Some("main")
    {
        client.flush(Some(super::FLUSH_LIMIT));
    }
    verdict
}

fn capture(event: Event<'static>) -> Verdict {
    match current_hub() {
        Some(hub) => Verdict::capture(&hub, event),
        None => Verdict::Off(event::title(&event)),
    }
}
