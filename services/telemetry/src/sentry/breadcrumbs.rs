//! What happened before a failure: log events as breadcrumbs.

use std::fmt;

use sentry::{
    Breadcrumb, Level,
    protocol::{Map, Value},
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer};

use super::current_hub;

/// Adds each log event to the trail of the request, or of the thread, in which it occurs. Secrets are removed
/// when an event is sent, which few trails ever are.
#[derive(Debug)]
pub(crate) struct BreadcrumbLayer;

impl<S: Subscriber> Layer<S> for BreadcrumbLayer {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        let Some(hub) = current_hub() else {
            return;
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        hub.add_breadcrumb(Breadcrumb {
            category: Some(event.metadata().target().to_owned()),
            level: level(*event.metadata().level()),
            message: Some(fields.message),
            data: fields.data,
            ..Breadcrumb::default()
        });
    }
}

fn level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warning,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG | tracing::Level::TRACE => Level::Debug,
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    data: Map<String, Value>,
}

impl Fields {
    fn set(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => drop(self.data.insert(name.to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}").into());
    }
}
