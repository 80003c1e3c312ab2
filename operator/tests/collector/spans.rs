//! Spans as services send them, in OTLP's JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

/// One span: a trace of its own.
pub(crate) struct Span {
    pub(crate) trace_id: String,
    fields: Map<String, Value>,
    resource: Vec<Value>,
}

/// An attribute with a text of its own.
pub(crate) fn attribute(name: &str) -> Value {
    json!({"key": name, "value": {"stringValue": format!("value of {name}")}})
}

impl Span {
    /// A span of a trace with this number, that took so many milliseconds until now.
    pub(crate) fn new(trace: u32, milliseconds: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let trace_id = format!("{trace:032x}");
        let fields = json!({
            "traceId": trace_id, "spanId": format!("{trace:016x}"), "name": "GET /orders", "kind": 2,
            "startTimeUnixNano": format!("{}000000", now - u128::from(milliseconds)),
            "endTimeUnixNano": format!("{now}000000"),
        });
        let Value::Object(fields) = fields else {
            unreachable!("written above")
        };
        let service = json!({"key": "service.name", "value": {"stringValue": "auth"}});
        Self {
            trace_id,
            fields,
            resource: vec![service],
        }
    }

    /// The same with this field.
    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.fields.insert(field.to_owned(), value);
        self
    }

    /// The same with this attribute of its resource.
    pub(crate) fn of_resource(mut self, attribute: Value) -> Self {
        self.resource.push(attribute);
        self
    }

    /// What is sent.
    pub(crate) fn to_request(&self) -> Value {
        json!({"resourceSpans": [{
            "resource": {"attributes": self.resource},
            "scopeSpans": [{"spans": [self.fields]}],
        }]})
    }
}
