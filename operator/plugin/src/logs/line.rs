//! A log line as a person reads it.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value};

use crate::paint::{BAD, BOLD, DIM, GOOD, WARN, paint};

/// Fields that stand elsewhere in the line, or that all lines of a pod have in common.
const SHOWN_ELSEWHERE: [&str; 16] = [
    "level",
    "severity",
    "time",
    "timestamp",
    "ts",
    "@timestamp",
    "msg",
    "message",
    "pid",
    "hostname",
    "service",
    "target",
    "span_id",
    "trace_flags",
    "req",
    "res",
];

/// A line with the time at which the kubelet took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub time: Timestamp,
    /// What was written.
    pub text: String,
}

impl Line {
    /// Parses a line of a log that was asked for with timestamps.
    pub fn parse(raw: &str) -> Option<Self> {
        let (time, text) = raw.split_once(' ').unwrap_or((raw, ""));
        Some(Self {
            time: time.parse().ok()?,
            text: text.trim_end().to_owned(),
        })
    }

    /// Whether the line is of the trace with this id.
    pub fn is_of_trace(&self, id: &str) -> bool {
        match self.fields() {
            Some(fields) => fields.get("trace_id").and_then(Value::as_str) == Some(id),
            None => self.text.contains(id),
        }
    }

    /// Time, level, what happened, and the fields that say more.
    pub fn draw(&self) -> String {
        let time = self.time.to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f");
        let time = paint(DIM, time);
        let Some(fields) = self.fields() else {
            return format!("{time} {}", self.text);
        };
        let mut words = vec![time, level(&fields), paint(BOLD, headline(&fields))];
        let more = fields
            .iter()
            .filter(|(name, _)| !SHOWN_ELSEWHERE.contains(&name.as_str()));
        words.extend(
            more.filter(|(name, _)| *name != "responseTime" || !fields.contains_key("req"))
                .map(|(name, value)| match value {
                    Value::Object(members) if name == "err" => paint(BAD, error(members)),
                    value => format!("{}{}", paint(DIM, format!("{name}=")), plain(value)),
                }),
        );
        words.join(" ")
    }

    fn fields(&self) -> Option<Map<String, Value>> {
        serde_json::from_str(&self.text).ok()
    }
}

/// In five columns; numbers are pino's.
fn level(fields: &Map<String, Value>) -> String {
    let level = fields.get("level").or_else(|| fields.get("severity"));
    let word = match level {
        Some(Value::Number(number)) => match number.as_u64().unwrap_or_default() {
            0..20 => "TRACE",
            20..30 => "DEBUG",
            30..40 => "INFO",
            40..50 => "WARN",
            50..60 => "ERROR",
            _ => "FATAL",
        }
        .to_owned(),
        Some(Value::String(word)) => word.to_ascii_uppercase(),
        _ => String::new(),
    };
    let style = match word.as_str() {
        "INFO" => GOOD,
        "WARN" | "WARNING" => WARN,
        "ERROR" | "FATAL" | "CRITICAL" => BAD,
        _ => DIM,
    };
    paint(style, format!("{word:<5}"))
}

/// The message; of an answered request what was asked and what came of it.
fn headline(fields: &Map<String, Value>) -> String {
    let message = fields.get("msg").or_else(|| fields.get("message"));
    let message = message.map(plain).unwrap_or_default();
    let Some(request) = fields.get("req") else {
        return message;
    };
    let of_request = |name: &str| request.get(name).map(plain).unwrap_or_default();
    let status = fields.get("res").and_then(|answer| answer.get("statusCode"));
    let status = status.map_or_else(|| "no answer".to_owned(), plain);
    let time = fields
        .get("responseTime")
        .map(|time| format!(" in {} ms", plain(time)))
        .unwrap_or_default();
    format!(
        "{} {} → {status}{time}  {message}",
        of_request("method"),
        of_request("url")
    )
    .trim_end()
    .to_owned()
}

fn error(members: &Map<String, Value>) -> String {
    let text = |name: &str| members.get(name).map(plain).unwrap_or_default();
    let stack = members.get("stack").map(plain).unwrap_or_default();
    let head = format!("{}: {}", text("type"), text("message"));
    let lines: Vec<_> = std::iter::once(head.as_str()).chain(stack.lines()).collect();
    lines.join("\n    ")
}

/// Without the quotes that only JSON needs.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    const ID: &str = "0193aabbccdd70008000112233445566";

    fn line(text: &str) -> Line {
        Line::parse(&format!("2026-11-26T15:00:00.123456789Z {text}")).unwrap()
    }

    /// Without the time, which depends on where the test runs.
    fn drawn(text: &str) -> String {
        let drawn = line(text).draw();
        let plain = strip_str(&drawn).to_string();
        plain.split_once(' ').unwrap().1.to_owned()
    }

    #[test]
    fn an_answered_request_is_one_sentence() {
        let text = format!(
            r#"{{"level":30,"time":17,"pid":1,"hostname":"h","service":"auth","target":"t","msg":"request completed","trace_id":"{ID}","span_id":"ab","trace_flags":"01","req":{{"method":"GET","url":"/v1/me"}},"res":{{"statusCode":401}},"responseTime":3,"user":"u1"}}"#
        );
        assert_eq!(
            drawn(&text),
            format!("INFO  GET /v1/me → 401 in 3 ms  request completed trace_id={ID} user=u1")
        );
        assert!(line(&text).is_of_trace(ID));
        assert!(!line(&text).is_of_trace(&ID.replace('0', "1")));
    }

    #[test]
    fn errors_have_their_cause_and_stack_and_other_loggers_are_understood() {
        let text = r#"{"level":50,"msg":"cannot start","err":{"type":"Io","message":"port 1 is in use","stack":"a\nb"}}"#;
        assert_eq!(
            drawn(text),
            "ERROR cannot start Io: port 1 is in use\n    a\n    b"
        );
        assert_eq!(
            drawn(r#"{"severity":"warning","message":"slow","n":1}"#),
            "WARNING slow n=1"
        );
    }

    #[test]
    fn what_is_no_json_stays_as_it_is() {
        assert_eq!(drawn("panicked at x"), "panicked at x");
        assert!(line(&format!("saw {ID}")).is_of_trace(ID));
        assert_eq!(Line::parse("no time"), None);
    }
}
