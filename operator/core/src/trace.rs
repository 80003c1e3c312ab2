//! A trace: its context on the way through services, and its spans as Jaeger's query API v3 has them, which answers with
//! OTLP's own JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The W3C trace context that a caller sends, so that it knows which trace to look for: a span of the caller's own that
/// nobody records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits: the parent of the first recorded spans.
    pub span_id: String,
}

impl TraceContext {
    /// The context of the trace with this id, such as a UUID v7: its end is random, its beginning is the time.
    pub fn new(trace: u128) -> Self {
        let trace_id = format!("{trace:032x}");
        Self {
            span_id: trace_id.chars().skip(16).collect(),
            trace_id,
        }
    }

    /// Value of the `traceparent` header (W3C Trace Context, level 1): version, trace, parent, and the flag that this
    /// trace is recorded.
    pub fn header(&self) -> String {
        format!("00-{}-{}-01", self.trace_id, self.span_id)
    }
}

/// A trace as Jaeger has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Wrapper")]
pub struct Trace {
    /// Sorted by their start.
    pub spans: Vec<Span>,
}

/// A span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its id.
    pub id: String,
    /// Its parent's id; empty for a root.
    pub parent: String,
    /// Name of the service that recorded it.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Whether it ended with an error.
    pub is_error: bool,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// The attributes of its service's resource, as text.
    pub resource: BTreeMap<String, String>,
    /// When it began, in nanoseconds since 1970.
    pub start_unix_nano: u64,
    /// When it ended.
    pub end_unix_nano: u64,
}

/// Which side of a call a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Answers a request.
    Server,
    /// Sends a request or a query.
    Client,
    /// Neither.
    Other,
}

impl Span {
    /// Whether it is a query of a database.
    pub fn is_database(&self) -> bool {
        self.attributes.contains_key("db.system.name")
    }

    /// An attribute, or nothing.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

impl From<Wrapper> for Trace {
    fn from(wrapper: Wrapper) -> Self {
        let mut spans = Vec::new();
        for of_resource in wrapper.result.resource_spans {
            let resource = of_resource.resource.attributes;
            let service = resource.get("service.name").cloned().unwrap_or_default();
            for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                spans.push(Span {
                    id: span.span_id,
                    parent: span.parent_span_id,
                    service: service.clone(),
                    name: span.name,
                    kind: match span.kind {
                        2 => Kind::Server,
                        3 => Kind::Client,
                        _ => Kind::Other,
                    },
                    is_error: span.status.code == 2,
                    attributes: span.attributes,
                    resource: resource.clone(),
                    start_unix_nano: span.start_time_unix_nano.parse().unwrap_or_default(),
                    end_unix_nano: span.end_time_unix_nano.parse().unwrap_or_default(),
                });
            }
        }
        spans.sort_by_key(|span| span.start_unix_nano);
        Self { spans }
    }
}

impl Trace {
    /// Whether a service has recorded a span of it.
    pub fn has_span_of(&self, service: &str) -> bool {
        self.spans.iter().any(|span| span.service == service)
    }

    /// The spans right below the span of this id, in the order of their start.
    pub fn children(&self, id: &str) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(move |span| span.parent == id)
    }

    /// The spans at any depth below the span of this id.
    pub fn descendants<'a>(&'a self, id: &str) -> Vec<&'a Span> {
        let mut found: Vec<&Span> = self.children(id).collect();
        let mut next = 0;
        while let Some(span) = found.get(next) {
            found.extend(self.children(&span.id));
            next += 1;
        }
        found
    }

    /// The span's parent, if Jaeger has it.
    pub fn parent(&self, span: &Span) -> Option<&Span> {
        self.spans.iter().find(|other| other.id == span.parent)
    }

    /// The span's ancestors, nearest first.
    pub fn ancestors<'a>(&'a self, span: &'a Span) -> impl Iterator<Item = &'a Span> {
        std::iter::successors(self.parent(span), |span| self.parent(span))
    }

    /// Spans whose parent is neither in the trace nor `root`, the caller's own span that nobody records.
    pub fn orphans<'a>(&'a self, root: &str) -> Vec<&'a Span> {
        let ids: BTreeSet<&str> = self.spans.iter().map(|span| span.id.as_str()).collect();
        self.spans
            .iter()
            .filter(|span| span.parent != root && !ids.contains(span.parent.as_str()))
            .collect()
    }

    fn write_below(&self, f: &mut fmt::Formatter<'_>, id: &str, depth: usize) -> fmt::Result {
        for span in self.children(id) {
            writeln!(f, "{:indent$}{span}", "", indent = 2 * depth)?;
            self.write_below(f, &span.id, depth + 1)?;
        }
        Ok(())
    }
}

/// `auth SERVER POST /v1/signup 201`
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Server => "SERVER",
            Kind::Client => "CLIENT",
            Kind::Other => "-",
        };
        write!(f, "{} {kind} {}", self.service, self.name)?;
        if let Some(status) = self.attributes.get("http.response.status_code") {
            write!(f, " {status}")?;
        }
        f.write_str(if self.is_error { " ERROR" } else { "" })
    }
}

/// The tree; spans without a known parent come first at each level.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: BTreeSet<&str> = self.spans.iter().map(|span| span.id.as_str()).collect();
        for span in self
            .spans
            .iter()
            .filter(|span| !ids.contains(span.parent.as_str()))
        {
            writeln!(f, "{span}")?;
            self.write_below(f, &span.id, 1)?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Wrapper {
    result: TracesData,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TracesData {
    #[serde(default)]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans {
    #[serde(default)]
    resource: Resource,
    #[serde(default)]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Default, Deserialize)]
struct Resource {
    #[serde(default, deserialize_with = "attributes")]
    attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ScopeSpans {
    #[serde(default)]
    spans: Vec<OtlpSpan>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OtlpSpan {
    span_id: String,
    #[serde(default)]
    parent_span_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    kind: i32,
    #[serde(default)]
    start_time_unix_nano: String,
    #[serde(default)]
    end_time_unix_nano: String,
    #[serde(default, deserialize_with = "attributes")]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    code: i32,
}

/// `[{"key": "a", "value": {"intValue": "1"}}]` as a map of texts.
fn attributes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    struct Attribute {
        key: String,
        #[serde(default)]
        value: BTreeMap<String, Value>,
    }
    let list = Vec::<Attribute>::deserialize(deserializer)?;
    let text = |value: BTreeMap<String, Value>| match value.into_values().next() {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    };
    Ok(list
        .into_iter()
        .map(|attribute| (attribute.key, text(attribute.value)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> Trace {
        let wrapper = serde_json::json!({"result": {"resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "gateway"}}]},
                "scopeSpans": [{"spans": [
                    {"spanId": "a1", "parentSpanId": "c0", "name": "POST /auth/{*path}", "kind": 2,
                     "startTimeUnixNano": "10", "status": {},
                     "attributes": [{"key": "http.response.status_code", "value": {"intValue": "201"}}]},
                    {"spanId": "a2", "parentSpanId": "a1", "name": "POST", "kind": 3, "startTimeUnixNano": "11"},
                ]}],
            },
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "auth"}}]},
                "scopeSpans": [{"spans": [
                    {"spanId": "b2", "parentSpanId": "b1", "name": "INSERT users", "kind": 3,
                     "startTimeUnixNano": "13", "status": {"code": 2},
                     "attributes": [{"key": "db.system.name", "value": {"stringValue": "sqlite"}}]},
                    {"spanId": "b1", "parentSpanId": "a2", "name": "POST /v1/signup", "kind": 2, "startTimeUnixNano": "12"},
                    {"spanId": "b9", "parentSpanId": "lost", "name": "SELECT users", "kind": 3, "startTimeUnixNano": "14"},
                ]}],
            },
        ]}});
        serde_json::from_value(wrapper).expect("OTLP JSON")
    }

    #[test]
    fn spans_of_all_services_form_one_tree() {
        let trace = trace();
        let tree = "\
gateway SERVER POST /auth/{*path} 201
  gateway CLIENT POST
    auth SERVER POST /v1/signup
      auth CLIENT INSERT users ERROR
auth CLIENT SELECT users
";
        assert_eq!(trace.to_string(), tree);
        let below: Vec<_> = trace
            .descendants("a1")
            .iter()
            .map(|span| span.id.as_str())
            .collect();
        assert_eq!(below, ["a2", "b1", "b2"]);
        let query = &trace.spans[3];
        assert!(query.is_database());
        let above: Vec<_> = trace.ancestors(query).map(|span| span.id.as_str()).collect();
        assert_eq!(above, ["b1", "a2", "a1"]);
    }

    #[test]
    fn a_span_whose_parent_is_missing_is_an_orphan_and_the_callers_child_is_not() {
        let trace = trace();
        let orphans: Vec<_> = trace.orphans("c0").iter().map(|span| span.id.as_str()).collect();
        assert_eq!(orphans, ["b9"]);
    }

    #[test]
    fn a_context_has_the_format_of_its_header() {
        let context = TraceContext::new(0x0193_0000_0000_7000_8000_0000_0000_00ab);
        assert_eq!(
            context.header(),
            "00-019300000000700080000000000000ab-80000000000000ab-01"
        );
        assert_eq!(TraceContext::new(1).header().len(), 55);
    }
}
