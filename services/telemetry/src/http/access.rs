//! The access log: one line per request, written by who knows all of it.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tracing::{Dispatch, Level, dispatcher};
use tracing_subscriber::{Registry, layer::SubscriberExt};

use super::record::{BodyEnd, RequestRecord};
use crate::{
    ErrorReport,
    log::{ACCESS_COMPLETED, ACCESS_TARGET, FATAL, Fields, Log, filter},
};

/// Writes the lines of the access log. They are no events of `tracing`, whose filters would look at each one anew.
#[derive(Clone, Debug)]
pub(crate) struct AccessLog {
    log: Log,
    /// What the directives say of [`ACCESS_TARGET`]: the number of levels that are written, from [`Level::ERROR`] on.
    levels: Arc<AtomicU8>,
}

impl AccessLog {
    /// Writes to `log` what these directives of `RUST_LOG` let through.
    pub(crate) fn new(log: Log, directives: &str) -> Self {
        let access = Self {
            log,
            levels: Arc::default(),
        };
        access.follow(directives);
        access
    }

    /// From now on, these directives are in force.
    pub(crate) fn follow(&self, directives: &str) {
        // Asked of a subscriber of its own: filters of single layers would keep the answer for the next event.
        let filter = Dispatch::new(Registry::default().with(filter(directives)));
        let levels = dispatcher::with_default(&filter, || {
            [
                tracing::enabled!(target: ACCESS_TARGET, Level::ERROR),
                tracing::enabled!(target: ACCESS_TARGET, Level::WARN),
                tracing::enabled!(target: ACCESS_TARGET, Level::INFO),
            ]
            .into_iter()
            .map(u8::from)
            .sum()
        });
        self.levels.store(levels, Ordering::Relaxed);
    }

    /// Its level follows the status; a cancelled request is a warning.
    pub(super) fn write(&self, record: &RequestRecord) {
        let level = level_of(record);
        if rank(level) > self.levels.load(Ordering::Relaxed) {
            return;
        }
        let mut fields = Fields::of_message(message_of(record));
        let failure = record.failure();
        fields.set_level(failure.is_some_and(ErrorReport::is_panic).then_some(FATAL));
        // In the order of their names, which they need not be brought into then.
        if let Some(failure) = failure {
            fields.add_text("err.message", Some(&failure.message));
            fields.add_text("err.stack", Some(&failure.chain()));
        }
        // Also a failure that is the client's, and no error of the span, has a name.
        let named = failure.map(|failure| failure.kind.into());
        let error_type = named.or_else(|| record.error_type());
        fields.add_text("err.type", error_type.as_deref());
        fields.add_text("req.id", text(record.request_id.as_ref()));
        fields.add_text("req.method", Some(record.method));
        fields.add_text("req.remoteAddress", record.client.as_deref());
        fields.add_text("req.route", record.route());
        fields.add_text("req.url", Some(record.path()));
        fields.add_text("req.userAgent", text(record.user_agent.as_ref()));
        if let Some(status) = record.status {
            fields.add_natural("res.statusCode", status.as_u16().into());
        }
        // Milliseconds, as pino has it, to the microsecond.
        let elapsed = record.started.elapsed().as_secs_f64();
        fields.add_float("responseTime", (elapsed * 1e6).round() / 1e3);
        fields.add_text("sentry", record.verdict.word());
        fields.add_text("sentry_event", record.verdict.title());
        fields.add_text("sentry_event_id", record.verdict.event_id().as_deref());
        fields.add_text("sentry_event_url", record.event_url().as_deref());
        fields.add_text("userId", record.scope.user().as_deref());
        self.log
            .write(level, ACCESS_TARGET, &record.span_context(), fields);
    }
}

/// Position among the levels, from the gravest on.
fn rank(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        _ => 3,
    }
}

fn level_of(record: &RequestRecord) -> Level {
    match (record.status, &record.end) {
        (Some(status), _) if status.is_server_error() => Level::ERROR,
        (_, BodyEnd::Failed(_)) => Level::ERROR,
        (Some(status), _) if status.is_client_error() => Level::WARN,
        (None, _) => Level::WARN,
        _ => Level::INFO,
    }
}

fn message_of(record: &RequestRecord) -> &'static str {
    match (record.status, &record.end) {
        (None, _) => "request cancelled",
        (_, BodyEnd::Failed(_)) => "response failed midway",
        (_, BodyEnd::Aborted) => "response aborted by the client",
        (_, BodyEnd::Complete) => ACCESS_COMPLETED,
    }
}

fn text(value: Option<&axum::http::HeaderValue>) -> Option<&str> {
    value?.to_str().ok()
}
