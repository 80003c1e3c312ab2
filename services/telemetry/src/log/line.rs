//! One event as one line, in either format.

use std::{fmt::Write as _, io::Write as _};

use jiff::Timestamp;
use opentelemetry::trace::SpanContext;
use serde::Serialize;
use tracing::Level;

use super::{
    ACCESS_COMPLETED,
    fields::{Fields, Value},
};

/// Everything that a line shows.
pub(crate) struct Line<'a> {
    pub(crate) time: Timestamp,
    pub(crate) level: Level,
    pub(crate) target: &'a str,
    /// What all lines of the process have in common.
    pub(crate) origin: &'a Origin,
    /// Invalid outside of any trace.
    pub(crate) span: &'a SpanContext,
    pub(crate) fields: Fields,
}

/// Where the lines of a process come from, ready to be written.
#[derive(Debug)]
pub(crate) struct Origin {
    /// `"pid":1,"hostname":"auth-0","service":"auth"`
    json: Vec<u8>,
}

impl Origin {
    pub(crate) fn new(service: &str, hostname: &str) -> Self {
        let mut json = Vec::new();
        // Writing into a Vec cannot fail.
        let _ = write!(json, "\"pid\":{},\"hostname\":", std::process::id());
        value(&mut json, hostname);
        json.extend_from_slice(b",\"service\":");
        value(&mut json, service);
        Self { json }
    }
}

/// A named value.
type NamedValue<'a> = (&'static str, Value<'a>);

impl Line<'_> {
    /// Writes one JSON object and a newline.
    pub(crate) fn json(mut self, out: &mut Vec<u8>) {
        let has_trace = self.span.is_valid();
        out.extend_from_slice(b"{\"level\":");
        value(out, self.level());
        out.extend_from_slice(b",\"time\":");
        value(out, self.time.as_millisecond());
        out.push(b',');
        out.extend_from_slice(&self.origin.json);
        out.extend_from_slice(b",\"target\":");
        value(out, self.target);
        out.extend_from_slice(b",\"msg\":");
        value(out, self.fields.message());
        if has_trace {
            out.extend_from_slice(b",\"trace_id\":\"");
            hexadecimal(out, &self.span.trace_id().to_bytes());
            out.extend_from_slice(b"\",\"span_id\":\"");
            hexadecimal(out, &self.span.span_id().to_bytes());
            out.extend_from_slice(b"\",\"trace_flags\":\"0");
            out.push(if self.span.is_sampled() { b'1' } else { b'0' });
            out.push(b'"');
        }
        let mut fields = self.fields.sorted();
        // A field must not repeat a key of the line itself: parsers would pick one of the two.
        fields.retain(|(name, _)| !is_own_key(name.split('.').next().unwrap_or(name), has_trace));
        members(out, &fields, 0, true);
        out.extend_from_slice(b"}\n");
    }

    /// Writes time, level, message, then `name=value` for the rest; an error's chain on lines of its own.
    pub(crate) fn pretty(mut self, out: &mut String, colour: bool) {
        let (dim, bold, reset) = if colour {
            ("\x1b[2m", "\x1b[1m", "\x1b[0m")
        } else {
            ("", "", "")
        };
        let (level, shade) = self.level_name();
        let shade = if colour { shade } else { "" };
        let time = self.time.to_zoned(jiff::tz::TimeZone::system());
        let message = self.fields.message().to_owned();
        let fields = self.fields.sorted();
        let access = Access::of(&fields);
        let headline = access.as_ref().map(|access| access.headline(&message));
        let headline = headline.as_deref().unwrap_or(&message);
        // Writing into a String cannot fail.
        let _ = write!(
            out,
            "{dim}{}{reset} {shade}{level:<5}{reset} {bold}{headline}{reset}",
            time.strftime("%H:%M:%S%.3f")
        );
        let mut stack = None;
        for (name, value) in &fields {
            match value {
                _ if access.is_some() && Access::shows(name) => {}
                Value::Text(text) if *name == "err.stack" => stack = Some(*text),
                Value::Text(text) if text.contains(char::is_whitespace) => {
                    let _ = write!(out, " {dim}{name}={reset}{text:?}");
                }
                value => {
                    let _ = write!(out, " {dim}{name}={reset}{}", plain(*value));
                }
            }
        }
        if self.span.is_valid() {
            let _ = write!(out, " {dim}trace_id={}{reset}", self.span.trace_id());
        }
        if let Some(stack) = stack {
            let _ = write!(out, "\n  {}", stack.replace('\n', "\n  "));
        }
        out.push('\n');
    }

    fn level(&self) -> u64 {
        self.fields.level().unwrap_or(match self.level {
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

fn is_own_key(name: &str, has_trace: bool) -> bool {
    match name {
        "level" | "time" | "pid" | "hostname" | "service" | "target" | "msg" => true,
        "trace_id" | "span_id" | "trace_flags" => has_trace,
        _ => false,
    }
}

fn hexadecimal(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    out.extend(digits.map(|digit| DIGITS[usize::from(digit)]));
}

/// A value as JSON.
fn value(out: &mut Vec<u8>, value: impl Serialize) {
    // Numbers, truth values and texts can all be written, and writing into a Vec cannot fail.
    let _ = serde_json::to_writer(out, &value);
}

/// The members of an object, `req.method` in an object `req` of its own. Of each name the first `skip` bytes lead to this
/// object. The names are sorted, so that those of one group stand together.
fn members(out: &mut Vec<u8>, fields: &[NamedValue<'_>], skip: usize, follows: bool) {
    let mut rest = fields;
    let mut follows = follows;
    let mut last = None;
    while let [(name, field), tail @ ..] = rest {
        if std::mem::replace(&mut follows, true) {
            out.push(b',');
        }
        let key = &name[skip..];
        let dot = key.bytes().position(|byte| byte == b'.');
        match dot.map(|dot| &key[..dot]) {
            // Beside a value of the same name there can be no group of it.
            Some(head) if last != Some(head) => {
                let prefix = &name[..=skip + head.len()];
                let length = rest
                    .iter()
                    .take_while(|(name, _)| name.starts_with(prefix))
                    .count();
                let (group, after) = rest.split_at(length);
                value(out, head);
                out.extend_from_slice(b":{");
                members(out, group, prefix.len(), false);
                out.push(b'}');
                rest = after;
            }
            _ => {
                value(out, key);
                out.push(b':');
                match *field {
                    Value::Bool(field) => value(out, field),
                    Value::Integer(field) => value(out, field),
                    Value::Natural(field) => value(out, field),
                    Value::Float(field) => value(out, field),
                    Value::Text(field) => value(out, field),
                }
                if dot.is_none() {
                    last = Some(key);
                }
                rest = tail;
            }
        }
    }
}

/// A value as a person reads it.
fn plain(value: Value<'_>) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Natural(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(value) => value.to_owned(),
    }
}

/// A line of the access log, which becomes `GET /v1/me → 200 in 3 ms`.
struct Access<'a> {
    method: &'a str,
    url: &'a str,
    status: String,
    milliseconds: f64,
}

impl<'a> Access<'a> {
    fn of(fields: &[NamedValue<'a>]) -> Option<Self> {
        let find = |name| {
            fields
                .iter()
                .find(|(found, _)| *found == name)
                .map(|(_, value)| *value)
        };
        let (Some(Value::Text(method)), Some(Value::Text(url)), Some(Value::Float(milliseconds))) =
            (find("req.method"), find("req.url"), find("responseTime"))
        else {
            return None;
        };
        let status = find("res.statusCode").map_or_else(|| "no answer".to_owned(), plain);
        Some(Self {
            method,
            url,
            status,
            milliseconds,
        })
    }

    /// Whether the headline already says what the field of this name does.
    fn shows(name: &str) -> bool {
        name.starts_with("req.") || name == "res.statusCode" || name == "responseTime"
    }

    fn headline(&self, message: &str) -> String {
        let Self {
            method,
            url,
            status,
            milliseconds,
        } = self;
        let line = format!("{method} {url} → {status} in {milliseconds} ms");
        // Only an unusual end is worth words.
        if message == ACCESS_COMPLETED {
            line
        } else {
            format!("{line}, {message}")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(fields: &[NamedValue<'_>]) -> serde_json::Value {
        let mut out = b"{".to_vec();
        members(&mut out, fields, 0, false);
        out.push(b'}');
        let text = String::from_utf8(out).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[test]
    fn dotted_names_are_objects_in_objects() {
        let one = Value::Natural(1);
        let fields = [
            ("a", Value::Text("\"quoted\"\n")),
            ("b.c", one),
            ("b.d.e", Value::Bool(true)),
            ("b.d.f", Value::Float(0.5)),
            ("b_c", Value::Integer(-1)),
            ("c.", one),
        ];
        let expected = json!({
            "a": "\"quoted\"\n", "b": {"c": 1, "d": {"e": true, "f": 0.5}}, "b_c": -1, "c": {"": 1}
        });
        assert_eq!(object(&fields), expected);
    }

    #[test]
    fn a_value_and_a_group_of_one_name_both_stay() {
        let (one, two) = (Value::Natural(1), Value::Natural(2));
        let fields = [("a", one), ("a.b", two), ("a.c.d", two)];
        assert_eq!(object(&fields), json!({"a": 1, "a.b": 2, "a.c.d": 2}));
    }
}
