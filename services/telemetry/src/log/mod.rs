//! Logs: one line per event in the layout of pino, or a readable one, redacted, through a writer that
//! never blocks a request.

mod line;
mod redact;
mod writer;

use std::{borrow::Cow, fs, io::IsTerminal, panic, time::Duration};

use opentelemetry::{Context, trace::TraceContextExt};
use tracing::{Event, Subscriber};
use tracing_subscriber::{EnvFilter, Layer, layer};

use crate::{ServiceInfo, http::panic_message, sentry};
use line::{Fields, Line, TraceIds};
pub(crate) use redact::{REDACTED, is_secret_name, scrub};
pub(crate) use writer::LogWriter;

/// Target of the access log's lines.
pub(crate) const ACCESS_TARGET: &str = "tracewell::access";

/// What the access log says of a request that went as it should.
pub(crate) const ACCESS_COMPLETED: &str = "request completed";

/// pino's level for what should never happen: a panic.
pub(crate) const FATAL: u64 = 60;

/// The longest that a panic waits for its line to be written.
const PANIC_FLUSH_LIMIT: Duration = Duration::from_millis(200);

/// Libraries whose own chatter is silenced unless `RUST_LOG` names them. The OpenTelemetry SDK repeats an
/// export error every few seconds, and logging what an exporter's client does would feed on itself.
const QUIET: &str = "hyper=warn,hyper_util=warn,h2=warn,reqwest=warn,tower=warn,rustls=warn,sqlx=warn,opentelemetry=off,opentelemetry_sdk=off,opentelemetry-otlp=off,opentelemetry-prometheus=off,opentelemetry-http=off";

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One JSON object per line, in pino's layout.
    Json,
    /// For people.
    Pretty,
}

/// What is logged. `directives` were parsed before, by the settings.
pub(crate) fn filter(directives: &str) -> EnvFilter {
    EnvFilter::builder().parse_lossy(format!("{QUIET},{directives}"))
}

/// The layer that turns events into lines.
pub(crate) fn layer(format: LogFormat, service: ServiceInfo, writer: LogWriter) -> LogLayer {
    LogLayer {
        format,
        colour: format == LogFormat::Pretty && std::io::stdout().is_terminal(),
        service: service.name,
        hostname: hostname(),
        writer,
    }
}

#[derive(Debug)]
pub(crate) struct LogLayer {
    format: LogFormat,
    colour: bool,
    service: Cow<'static, str>,
    hostname: String,
    writer: LogWriter,
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = Line {
            time: jiff::Timestamp::now(),
            metadata: event.metadata(),
            service: &self.service,
            hostname: &self.hostname,
            trace: current_ids(),
            fields,
        };
        self.writer.write(match self.format {
            LogFormat::Json => line.json(),
            LogFormat::Pretty => line.pretty(self.colour),
        });
    }
}

fn current_ids() -> Option<TraceIds> {
    Context::map_current(|context| {
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| TraceIds {
            trace_id: span.trace_id().to_string(),
            span_id: span.span_id().to_string(),
            sampled: span.is_sampled(),
        })
    })
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
