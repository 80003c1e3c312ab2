//! One event as one line, in either format.

use std::{error::Error, fmt, fmt::Write as _};

use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};
use tracing::{
    Level, Metadata,
    field::{Field, Visit},
};

use super::{
    ACCESS_COMPLETED,
    redact::{REDACTED, is_secret_name, scrub},
};
use crate::cause::{causes, chain};

/// Everything that a line shows.
pub(crate) struct Line<'a> {
    pub(crate) time: Timestamp,
    pub(crate) metadata: &'a Metadata<'a>,
    pub(crate) service: &'a str,
    pub(crate) hostname: &'a str,
    pub(crate) trace: Option<TraceIds>,
    pub(crate) fields: Fields,
}

/// The ids that lead from a line to its span.
pub(crate) struct TraceIds {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) sampled: bool,
}

/// An event's fields, redacted as they come in; dotted names become nested objects.
#[derive(Default)]
pub(crate) struct Fields {
    message: String,
    level: Option<u64>,
    nested: Map<String, Value>,
}

impl Fields {
    fn set(&mut self, name: &str, value: Value) {
        let value = match value {
            _ if is_secret_name(name) => Value::from(REDACTED),
            Value::String(text) => Value::from(scrub(&text)),
            other => other,
        };
        match (name, value) {
            ("message", Value::String(text)) => self.message = text,
            ("level", Value::Number(level)) => self.level = level.as_u64(),
            // pino's name for errors, however the call site spelt it.
            ("error" | "err", value) => insert(&mut self.nested, "err.message", value),
            (name, value) => insert(&mut self.nested, name.trim_start_matches("r#"), value),
        }
    }
}

/// `req.method` goes into the object `req`.
fn insert(map: &mut Map<String, Value>, name: &str, value: Value) {
    if let Some((head, tail)) = name.split_once('.') {
        let group = map.entry(head).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(group) = group {
            return insert(group, tail, value);
        }
    }
    map.insert(name.to_owned(), value);
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), Value::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), Value::from(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), Value::from(format!("{value:?}")));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field.name(), Value::from(value.to_string()));
        let causes = causes(value);
        if !causes.is_empty() {
            self.set("err.stack", Value::from(chain(&value.to_string(), &causes)));
        }
    }
}

impl Line<'_> {
    /// One JSON object and a newline.
    pub(crate) fn json(&self) -> String {
        // Keys are strings and values JSON already, so that this cannot fail.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }

    /// Time, level, message, then `name=value` for the rest; an error's chain on lines of its own.
    pub(crate) fn pretty(&self, colour: bool) -> String {
        let (dim, bold, reset) = if colour {
            ("\x1b[2m", "\x1b[1m", "\x1b[0m")
        } else {
            ("", "", "")
        };
        let (level, shade) = self.level_name();
        let shade = if colour { shade } else { "" };
        let time = self
            .time
            .to_zoned(jiff::tz::TimeZone::system())
            .strftime("%H:%M:%S%.3f")
            .to_string();
        let mut fields = self.fields.nested.clone();
        let headline = take_access(&mut fields, &self.fields.message);
        let stack = take(&mut fields, "err", "stack");
        let mut line = format!("{dim}{time}{reset} {shade}{level:<5}{reset} {bold}{headline}{reset}");
        write_pretty(&mut line, "", &fields, dim, reset);
        if let Some(trace) = &self.trace {
            // Writing into a String cannot fail.
            let _ = write!(line, " {dim}trace_id={}{reset}", trace.trace_id);
        }
        if let Some(Value::String(stack)) = stack {
            line.push_str("\n  ");
            line.push_str(&stack.replace('\n', "\n  "));
        }
        line.push('\n');
        line
    }

    fn level(&self) -> u64 {
        self.fields.level.unwrap_or(match *self.metadata.level() {
            Level::TRACE => 10,
            Level::DEBUG => 20,
            Level::INFO => 30,
            Level::WARN => 40,
            Level::ERROR => 50,
        })
    }

    /// The level's name and its terminal colour.
    fn level_name(&self) -> (&'static str, &'static str) {
        match self.level() {
            0..20 => ("TRACE", "\x1b[35m"),
            20..30 => ("DEBUG", "\x1b[34m"),
            30..40 => ("INFO", "\x1b[32m"),
            40..50 => ("WARN", "\x1b[33m"),
            50..60 => ("ERROR", "\x1b[31m"),
            60.. => ("FATAL", "\x1b[1;31m"),
        }
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("level", &self.level())?;
        map.serialize_entry("time", &self.time.as_millisecond())?;
        map.serialize_entry("pid", &std::process::id())?;
        map.serialize_entry("hostname", self.hostname)?;
        map.serialize_entry("service", self.service)?;
        map.serialize_entry("target", self.metadata.target())?;
        map.serialize_entry("msg", &self.fields.message)?;
        if let Some(trace) = &self.trace {
            map.serialize_entry("trace_id", &trace.trace_id)?;
            map.serialize_entry("span_id", &trace.span_id)?;
            map.serialize_entry("trace_flags", if trace.sampled { "01" } else { "00" })?;
        }
        for (name, value) in &self.fields.nested {
            // A field must not repeat a key of the line itself: parsers would pick one of the two.
            if !self.is_own_key(name) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

impl Line<'_> {
    fn is_own_key(&self, name: &str) -> bool {
        match name {
            "level" | "time" | "pid" | "hostname" | "service" | "target" | "msg" => true,
            "trace_id" | "span_id" | "trace_flags" => self.trace.is_some(),
            _ => false,
        }
    }
}

/// `GET /v1/me → 200 in 3 ms` for a line of the access log, whose fields it takes; else `message`.
fn take_access(fields: &mut Map<String, Value>, message: &str) -> String {
    let Some((Value::Object(request), Value::Number(time))) =
        fields.remove("req").zip(fields.remove("responseTime"))
    else {
        return message.to_owned();
    };
    let text = |name| request.get(name).and_then(Value::as_str).unwrap_or_default();
    let status =
        take(fields, "res", "statusCode").map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let line = format!("{} {} → {status} in {time} ms", text("method"), text("url"));
    // Only an unusual end is worth words.
    if message == ACCESS_COMPLETED {
        line
    } else {
        format!("{line}, {message}")
    }
}

/// Removes `name` from the object `group`, and the object once it is empty.
fn take(fields: &mut Map<String, Value>, group: &str, name: &str) -> Option<Value> {
    let object = fields.get_mut(group)?.as_object_mut()?;
    let value = object.remove(name);
    if object.is_empty() {
        fields.remove(group);
    }
    value
}

fn write_pretty(line: &mut String, prefix: &str, fields: &Map<String, Value>, dim: &str, reset: &str) {
    for (name, value) in fields {
        let name = format!("{prefix}{name}");
        // Writing into a String cannot fail.
        let _ = match value {
            Value::Object(group) => {
                write_pretty(line, &format!("{name}."), group, dim, reset);
                Ok(())
            }
            Value::String(text) if text.contains(char::is_whitespace) => {
                write!(line, " {dim}{name}={reset}{text:?}")
            }
            Value::String(text) => write!(line, " {dim}{name}={reset}{text}"),
            other => write!(line, " {dim}{name}={reset}{other}"),
        };
    }
}
