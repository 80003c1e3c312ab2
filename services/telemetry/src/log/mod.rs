//! Logs: one line per event in the layout of pino, or a readable one, redacted, through a writer that
//! never blocks a request.

mod fields;
mod filter;
mod line;
mod redact;
mod writer;

use std::{cell::RefCell, fs, io::IsTerminal, panic, sync::Arc, time::Duration};

use opentelemetry::{
    Context,
    trace::{SpanContext, TraceContextExt},
};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{Layer, layer};

use crate::{ServiceInfo, http::panic_message, sentry};
pub(crate) use fields::Fields;
pub(crate) use filter::filter;
pub use filter::{LogFilter, LogFilterError};
use line::{Line, Origin};
pub(crate) use redact::{REDACTED, is_card_number, is_secret_name, scrub};
pub(crate) use writer::LogWriter;

/// Target of the access log's lines.
pub(crate) const ACCESS_TARGET: &str = "tracewell::access";

/// What the access log says of a request that went as it should.
pub(crate) const ACCESS_COMPLETED: &str = "request completed";

/// pino's level for what should never happen: a panic.
pub(crate) const FATAL: u64 = 60;

/// The longest that a panic waits for its line to be written.
const PANIC_FLUSH_LIMIT: Duration = Duration::from_millis(200);

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One JSON object per line, in pino's layout.
    Json,
    /// For people.
    Pretty,
}

/// Turns events into lines. Clones write to the same log.
#[derive(Clone, Debug)]
pub(crate) struct Log(Arc<Settings>);

#[derive(Debug)]
struct Settings {
    format: LogFormat,
    colour: bool,
    origin: Origin,
    writer: LogWriter,
}

impl Log {
    pub(crate) fn new(format: LogFormat, service: &ServiceInfo, writer: LogWriter) -> Self {
        Self(Arc::new(Settings {
            format,
            colour: format == LogFormat::Pretty && std::io::stdout().is_terminal(),
            origin: Origin::new(&service.name, &hostname()),
            writer,
        }))
    }

    /// Writes one line about something that happens in `span`, whatever the filters say.
    pub(crate) fn write(&self, level: Level, target: &str, span: &SpanContext, fields: Fields) {
        let line = Line {
            time: jiff::Timestamp::now(),
            level,
            target,
            origin: &self.0.origin,
            span,
            fields,
        };
        match self.0.format {
            LogFormat::Json => SCRATCH.with_borrow_mut(|scratch| {
                scratch.clear();
                scratch.shrink_to(MAX_SCRATCH);
                line.json(scratch);
                self.0.writer.write(scratch);
            }),
            LogFormat::Pretty => {
                let mut text = String::new();
                line.pretty(&mut text, self.0.colour);
                self.0.writer.write(text.as_bytes());
            }
        }
    }
}

/// A line longer than this does not keep its memory.
const MAX_SCRATCH: usize = 64 << 10;

thread_local! {
    /// Where lines are written, so that none needs memory of its own. Nothing that writes here logs.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(1024));
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        Context::map_current(|context| {
            let span = context.span();
            self.write(*metadata.level(), metadata.target(), span.span_context(), fields);
        });
    }
}

/// Sends every panic to the log instead of to standard error, where it would be no JSON. The line is flushed
/// at once, since the process may be about to end.
pub(crate) fn log_panics(writer: LogWriter) {
    panic::set_hook(Box::new(move |info| {
        log_panic(info);
        writer.flush(PANIC_FLUSH_LIMIT);
    }));
}

/// Tells Sentry of a panic, unless the HTTP layer will, and the log.
pub(crate) fn log_panic(info: &panic::PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string);
    let backtrace = std::backtrace::Backtrace::capture();
    let stack =
        (backtrace.status() == std::backtrace::BacktraceStatus::Captured).then(|| backtrace.to_string());
    let verdict = sentry::panicked(panic_message(info.payload()));
    tracing::error!(
        target: "tracewell::panic",
        level = FATAL,
        err.r#type = "panic",
        err.message = panic_message(info.payload()),
        err.stack = stack,
        location,
        sentry = verdict.word(),
        sentry_event_id = verdict.event_id(),
        sentry_event = verdict.title(),
        "panicked"
    );
}

/// The pod's name in Kubernetes, the machine's elsewhere.
fn hostname() -> String {
    std::env::var("HOSTNAME")
        .ok()
        .or_else(|| fs::read_to_string("/proc/sys/kernel/hostname").ok())
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}
