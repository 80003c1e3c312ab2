//! `trace`: one request through a service, and its trace as Jaeger stored it.

mod waterfall;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use platform_core::{
    evidence::{self, TRACE_STATE},
    trace::{Kind, Span, Trace, TraceContext},
};
use reqwest::StatusCode;
use serde::Serialize;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

pub use self::waterfall::{Row, draw, rows};
use crate::{
    cli::TraceArgs,
    connection::Connection,
    output::{Outcome, awaiting, tell, width},
    paint::{BAD, DIM, GOOD, paint},
    reach::Reach,
};

/// How long the service may take to answer one request.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two looks for the trace.
const PAUSE: Duration = Duration::from_millis(250);
/// Each service sends its spans once a second, as does its collector: a trace in which nothing comes for longer than both
/// is whole.
const QUIET: Duration = Duration::from_millis(2500);

/// A request and its trace.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceReport {
    /// The service that got the request.
    pub service: String,
    /// Path of the request.
    pub path: String,
    /// Status of its answer.
    pub status: u16,
    /// Id of the trace.
    pub trace_id: String,
    /// Whether the service's span arrived, and the parent of each span.
    pub complete: bool,
    /// What is missing.
    pub missing: Vec<String>,
    /// The spans, each below its parent.
    pub spans: Vec<Row>,
}

/// Sends the request, waits for its trace, and draws it.
pub async fn run(connection: &Connection, arguments: &TraceArgs) -> Result<Outcome> {
    let platform = connection.platform(arguments.name.as_deref()).await?;
    let meaning = connection.meaning(&platform).await?;
    let questions = evidence::ask_about(&meaning.resolved, &meaning.live).context(
        "the Platform has no Jaeger that can be asked: spec.telemetry.tracing.jaeger.type must be Managed, or External \
         with a queryURL",
    )?;
    let Some(question) = questions.services.get(&arguments.service) else {
        let names: Vec<_> = questions.services.keys().map(String::as_str).collect();
        bail!(
            "the Platform has no service {} with pods; it has {}",
            arguments.service,
            names.join(", ")
        );
    };
    let mut url: reqwest::Url = question.url.parse()?;
    if let Some(path) = &arguments.path {
        url = url
            .join(path)
            .with_context(|| format!("--path {path} makes no URL"))?;
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = format!("{}{query}", url.path());
    let pods = &meaning.live.pods;
    let mut reach = Reach::new(connection.client.clone())?;
    let service_url = reach.url(url.as_str(), pods).await?;
    let jaeger_url = reach.url(&questions.query_url, pods).await?;

    let progress = awaiting(format!("GET {path} through {}", arguments.service));
    let context = TraceContext::new(Uuid::now_v7().as_u128());
    let status = send(&reach, &service_url, &context)
        .await
        .with_context(|| format!("{} does not answer GET {path}", arguments.service))?;
    progress.set_message(format!("the trace {} in Jaeger", context.trace_id));
    let sought = Sought {
        service: &arguments.service,
        context: &context,
    };
    let trace = sought.await_whole(&reach, &jaeger_url, arguments.timeout).await?;
    progress.finish_and_clear();

    let missing = sought.missing(&trace);
    let report = TraceReport {
        service: arguments.service.clone(),
        path,
        status: status.as_u16(),
        trace_id: context.trace_id.clone(),
        complete: missing.is_empty(),
        missing,
        spans: rows(&trace),
    };
    tell(arguments.output, &report, TraceReport::draw)?;
    Ok(report.complete.into())
}

async fn send(reach: &Reach, url: &str, context: &TraceContext) -> Result<StatusCode> {
    let (key, value) = TRACE_STATE;
    let sent = reach
        .clients
        .http
        .get(url)
        .header("traceparent", context.header())
        .header("tracestate", format!("{key}={value}"))
        .timeout(ANSWER)
        .send()
        .await;
    sent.map(|answer| answer.status())
        .map_err(|error| reach.explain(url, error))
}

/// The trace of a request.
struct Sought<'a> {
    service: &'a str,
    context: &'a TraceContext,
}

impl Sought<'_> {
    /// The trace once it is whole, or what is there of it when time is up.
    async fn await_whole(&self, reach: &Reach, jaeger: &str, limit: Duration) -> Result<Trace> {
        let deadline = Instant::now() + limit;
        let mut seen = Trace::default();
        let mut changed = Instant::now();
        loop {
            let told = reach.clients.jaeger.trace(jaeger, &self.context.trace_id).await;
            let trace = told
                .map_err(|error| reach.blame(jaeger, error))
                .context("Jaeger does not say what it has")?;
            // Its spans, not all that is said of them: Jaeger's memory adds a warning with each look
            // (jaegertracing/jaeger, clock skew adjustment of a trace whose first parent is the caller's own).
            if trace.spans.len() != seen.spans.len() {
                changed = Instant::now();
            }
            seen = trace;
            let is_whole = self.missing(&seen).is_empty() && changed.elapsed() >= QUIET;
            if is_whole || Instant::now() > deadline {
                return Ok(seen);
            }
            sleep(PAUSE).await;
        }
    }

    /// What the trace lacks.
    fn missing(&self, trace: &Trace) -> Vec<String> {
        if trace.spans.is_empty() {
            return vec![
                "Jaeger has no span of it; kubectl platform doctor names the hop that loses it".to_owned(),
            ];
        }
        let answers = |span: &&Span| {
            span.service == self.service && span.kind == Kind::Server && span.parent == self.context.span_id
        };
        let own = (trace.spans.iter().find(answers).is_none())
            .then(|| format!("the span by which {} answers the request", self.service));
        let orphans = trace.orphans(&self.context.span_id);
        let parents = orphans
            .into_iter()
            .map(|orphan| format!("the parent of {} {}", orphan.service, orphan.name));
        own.into_iter().chain(parents).collect()
    }
}

impl TraceReport {
    fn draw(&self) -> String {
        let style = if self.status < 400 { GOOD } else { BAD };
        let head = format!(
            "GET {} through {} → {}  {}\n",
            self.path,
            self.service,
            paint(style, self.status),
            paint(DIM, format!("trace {}", self.trace_id))
        );
        let missing = self
            .missing
            .iter()
            .map(|what| format!("{} {what}\n", paint(BAD, "missing:")));
        head + &draw(&self.spans, width()) + &missing.collect::<String>()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_trace_lacks_its_root_or_parents_until_they_arrive() {
        let context = TraceContext::new(0xabc);
        let sought = Sought {
            service: "auth",
            context: &context,
        };
        let trace = |spans: serde_json::Value| -> Trace {
            let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "auth"}}]});
            let of_auth = json!({"resource": resource, "scopeSpans": [{"spans": spans}]});
            serde_json::from_value(json!({"result": {"resourceSpans": [of_auth]}})).unwrap()
        };
        let root = json!({"spanId": "a1", "parentSpanId": context.span_id, "name": "GET /v1/x", "kind": 2});
        let query = json!({"spanId": "a3", "parentSpanId": "a2", "name": "SELECT", "kind": 3});
        let call = json!({"spanId": "a2", "parentSpanId": "a1", "name": "db", "kind": 1});
        assert!(sought.missing(&Trace::default())[0].contains("no span"));
        assert_eq!(
            sought.missing(&trace(json!([query]))),
            [
                "the span by which auth answers the request",
                "the parent of auth SELECT"
            ]
        );
        assert_eq!(
            sought.missing(&trace(json!([root, call, query]))),
            Vec::<String>::new()
        );
    }
}
