//! A trace as a waterfall: each span below its parent, its bar where it was in time.

use std::collections::BTreeSet;

use platform_core::trace::{Kind, Span, Trace};
use serde::Serialize;

use crate::paint::{BAD, DIM, distinct, paint};

/// Columns of the narrowest bars that say anything.
const BARS_MIN: usize = 20;
/// Columns beside names and bars: two gaps, a duration, and a status such as `500 error`.
const FIGURES: usize = 21;

/// A span in the waterfall.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Number of spans above it.
    pub depth: usize,
    /// Name of its service.
    pub service: String,
    /// Its name.
    pub name: String,
    /// server, client or internal.
    pub kind: &'static str,
    /// Status of the HTTP answer, if it is about one.
    pub status: Option<String>,
    /// Whether it ended with an error.
    pub error: bool,
    /// Microseconds from the beginning of the trace to its own.
    pub start_microseconds: u64,
    /// Microseconds from its beginning to its end.
    pub duration_microseconds: u64,
}

/// The spans of a trace in the order of the waterfall; those without a known parent begin a tree each.
pub fn rows(trace: &Trace) -> Vec<Row> {
    let ids: BTreeSet<&str> = trace.spans.iter().map(|span| span.id.as_str()).collect();
    let start = trace.spans.first().map_or(0, |span| span.start_unix_nano);
    let mut rows = Vec::new();
    for root in &trace.spans {
        if !ids.contains(root.parent.as_str()) {
            collect(trace, root, 0, start, &mut rows);
        }
    }
    rows
}

fn collect(trace: &Trace, span: &Span, depth: usize, start: u64, rows: &mut Vec<Row>) {
    rows.push(Row {
        depth,
        service: span.service.clone(),
        name: span.name.clone(),
        kind: match span.kind {
            Kind::Server => "server",
            Kind::Client => "client",
            Kind::Other => "internal",
        },
        status: span.attributes.get("http.response.status_code").cloned(),
        error: span.is_error,
        start_microseconds: span.start_unix_nano.saturating_sub(start) / 1000,
        duration_microseconds: span.end_unix_nano.saturating_sub(span.start_unix_nano) / 1000,
    });
    for child in trace.children(&span.id) {
        collect(trace, child, depth + 1, start, rows);
    }
}

/// The waterfall, in so many columns.
pub fn draw(rows: &[Row], width: usize) -> String {
    let mut services: Vec<&str> = Vec::new();
    for row in rows {
        if !services.contains(&row.service.as_str()) {
            services.push(&row.service);
        }
    }
    let label = |row: &Row| format!("{}{} {}", "  ".repeat(row.depth), row.service, row.name);
    let longest = rows
        .iter()
        .map(|row| label(row).chars().count())
        .max()
        .unwrap_or(0);
    // A narrow terminal cuts the names before the bars say nothing any more.
    let labels = longest
        .min(width.saturating_sub(BARS_MIN + FIGURES))
        .max(BARS_MIN);
    let bars = width.saturating_sub(labels + FIGURES).max(BARS_MIN);
    let whole = rows
        .iter()
        .map(|row| row.start_microseconds + row.duration_microseconds)
        .max()
        .unwrap_or(0)
        .max(1);
    let line = |row: &Row| {
        let position = services
            .iter()
            .position(|service| *service == row.service)
            .unwrap_or(0);
        let style = if row.error { BAD } else { distinct(position) };
        format!(
            "{:<labels$} {} {:>9} {}\n",
            cut(&label(row), labels),
            paint(style, bar(row, whole, bars)),
            duration(row.duration_microseconds),
            status(row),
        )
    };
    rows.iter().map(line).collect()
}

fn status(row: &Row) -> String {
    let error = row.error.then_some("error");
    let words: Vec<&str> = row.status.as_deref().into_iter().chain(error).collect();
    let style = if row.error { BAD } else { DIM };
    paint(style, words.join(" "))
}

/// As many columns as the whole trace has, those filled in which the span was; at least one.
fn bar(row: &Row, whole: u64, columns: usize) -> String {
    let columns = columns as u64;
    let column = |microseconds: u64| microseconds.saturating_mul(columns) / whole;
    let first = column(row.start_microseconds).min(columns - 1);
    let end = column(row.start_microseconds + row.duration_microseconds).clamp(first + 1, columns);
    (0..columns)
        .map(|place| {
            if (first..end).contains(&place) {
                '█'
            } else {
                '·'
            }
        })
        .collect()
}

fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    kept + "…"
}

/// In the unit in which a person compares it.
fn duration(microseconds: u64) -> String {
    match microseconds {
        0..1000 => format!("{microseconds} µs"),
        1000..1_000_000 => format!("{}.{} ms", microseconds / 1000, microseconds % 1000 / 100),
        _ => format!(
            "{}.{:02} s",
            microseconds / 1_000_000,
            microseconds % 1_000_000 / 10_000
        ),
    }
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use serde_json::json;

    use super::*;

    fn trace() -> Trace {
        let of = |service: &str, spans: serde_json::Value| {
            let name = json!([{"key": "service.name", "value": {"stringValue": service}}]);
            json!({"resource": {"attributes": name}, "scopeSpans": [{"spans": spans}]})
        };
        let answer =
            |status: &str| json!([{"key": "http.response.status_code", "value": {"intValue": status}}]);
        let gateway = json!([
            {"spanId": "a1", "parentSpanId": "c0", "name": "GET /auth/{*path}", "kind": 2, "attributes": answer("500"),
             "startTimeUnixNano": "1000000000", "endTimeUnixNano": "1010000000"},
            {"spanId": "a2", "parentSpanId": "a1", "name": "GET", "kind": 3,
             "startTimeUnixNano": "1001000000", "endTimeUnixNano": "1009500000"},
        ]);
        let auth = json!([
            {"spanId": "b1", "parentSpanId": "a2", "name": "GET /v1/me", "kind": 2, "attributes": answer("500"),
             "status": {"code": 2}, "startTimeUnixNano": "1002000000", "endTimeUnixNano": "1009000000"},
            {"spanId": "b2", "parentSpanId": "b1", "name": "SELECT users", "kind": 3,
             "startTimeUnixNano": "1005000000", "endTimeUnixNano": "1005000400"},
        ]);
        let spans = json!({"result": {"resourceSpans": [of("auth", auth), of("gateway", gateway)]}});
        serde_json::from_value(spans).unwrap()
    }

    #[test]
    fn each_span_stands_below_its_parent_where_it_was_in_time() {
        let waterfall = draw(&rows(&trace()), 68);
        let expected = "\
gateway GET /auth/{*path} ██████████████████████   10.0 ms 500
  gateway GET             ··██████████████████··    8.5 ms 
    auth GET /v1/me       ····███████████████···    7.0 ms 500 error
      auth SELECT users   ···········█··········      0 µs 
";
        let plain = strip_str(&waterfall).to_string();
        assert_eq!(plain, expected, "\n{plain}");
    }

    #[test]
    fn a_narrow_terminal_cuts_names_and_keeps_bars() {
        let plain = strip_str(&draw(&rows(&trace()), 40)).to_string();
        let first = plain.lines().next().unwrap();
        assert!(first.starts_with("gateway GET /auth/{… ████"), "{first}");
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        assert_eq!(duration(999), "999 µs");
        assert_eq!(duration(1234), "1.2 ms");
        assert_eq!(duration(61_070_000), "61.07 s");
    }
}
