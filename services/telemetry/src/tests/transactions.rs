//! Spans in, Sentry transactions out.

use std::{
    borrow::Cow,
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer as _, TracerProvider as _},
};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use serde_json::{Value, json};

use super::harness::{DSN, UNPROFILED, settings};
use crate::{
    ServiceInfo,
    metrics::{Format, Metrics},
    profile::{ProfileSettings, Profiler},
    sentry::{Answer, Delivery, SentryClient, TransactionProcessor},
    settings::Settings,
};

/// A Sentry that takes everything.
struct Accepting(Sender<Vec<u8>>);

impl Delivery for Accepting {
    fn deliver(&mut self, envelope: &[u8]) -> Result<Answer, String> {
        // A test that has seen enough has dropped the other end.
        let _ = self.0.send(envelope.to_owned());
        Ok(Answer {
            status: 200,
            ..Answer::default()
        })
    }
}

/// What Sentry gets.
pub(super) struct Inbox(Receiver<Vec<u8>>);

impl Inbox {
    /// The payload of the next item of this type, waiting for it.
    #[track_caller]
    pub(super) fn next(&self, kind: &str) -> Value {
        loop {
            let envelope = self.0.recv_timeout(Duration::from_mins(3)).unwrap();
            let mut lines = envelope.split(|byte| *byte == b'\n').skip(1);
            while let (Some(header), Some(payload)) = (lines.next(), lines.next()) {
                let header: Value = serde_json::from_slice(header).unwrap();
                if header["type"] == kind {
                    return serde_json::from_slice(payload).unwrap();
                }
            }
        }
    }
}

pub(super) fn client(settings: &Settings) -> (SentryClient, Inbox) {
    let (sender, receiver) = channel();
    let client = SentryClient::start_with(
        &settings.sentry,
        &ServiceInfo::new("shop", "1.2.3"),
        Some(Accepting(sender)),
    );
    (client.unwrap(), Inbox(receiver))
}

/// A process with a Sentry client, none of whose traces is profiled.
struct Process {
    inbox: Inbox,
    client: SentryClient,
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Process {
    fn start(env: &[(&str, &str)]) -> Self {
        let settings = settings(&[&[DSN, UNPROFILED], env].concat()).unwrap();
        let service = ServiceInfo::new("shop", "1.2.3");
        let (client, inbox) = client(&settings);
        let profiler = Profiler::start(ProfileSettings::new(&settings.sentry, &service), client.clone());
        let processor = TransactionProcessor::new(client.clone(), profiler, &settings.sentry).unwrap();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .build();
        Self {
            inbox,
            client,
            tracer: provider.tracer("test"),
            provider,
        }
    }

    /// Every trace becomes a transaction.
    fn start_with_all() -> Self {
        Self::start(&[
            ("SENTRY_TRACES_SAMPLE_RATE", "1"),
            ("SENTRY_ENVIRONMENT", "test"),
            ("TRACE_UI_URL", "http://jaeger:16686/"),
        ])
    }

    fn span(
        &self,
        parent: &Context,
        name: &str,
        kind: SpanKind,
        attributes: &[(&'static str, &str)],
    ) -> Context {
        let attributes = attributes.iter();
        let builder = self
            .tracer
            .span_builder(Cow::Owned(name.to_owned()))
            .with_kind(kind)
            .with_attributes(attributes.map(|(key, value)| KeyValue::new(*key, (*value).to_owned())));
        parent.with_span(builder.start_with_context(&self.tracer, parent))
    }
}

fn end(context: &Context) {
    context.span().end();
}

fn span_id(context: &Context) -> String {
    context.span().span_context().span_id().to_string()
}

/// The context that a request brings along.
fn remote(trace: u128) -> Context {
    let context = SpanContext::new(
        TraceId::from(trace),
        SpanId::from(0xabc),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    Context::new().with_remote_span_context(context)
}

#[test]
fn a_request_becomes_a_transaction_with_the_ids_of_its_spans() {
    let process = Process::start_with_all();
    let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
    let root = process.span(
        &remote(trace),
        "GET /v1/users/{id}",
        SpanKind::Server,
        &[
            ("http.request.method", "GET"),
            ("http.route", "/v1/users/{id}"),
            ("url.scheme", "http"),
            ("server.address", "shop.example"),
            ("url.path", "/v1/users/7"),
        ],
    );
    root.span()
        .set_attribute(KeyValue::new("http.response.status_code", 404));
    let call = process.span(
        &root,
        "GET",
        SpanKind::Client,
        &[
            ("http.request.method", "GET"),
            ("url.full", "http://auth/keys"),
            ("error.type", "timeout"),
        ],
    );
    let query = process.span(
        &call,
        "SELECT users",
        SpanKind::Client,
        &[
            ("db.system.name", "sqlite"),
            ("db.query.text", "SELECT * FROM users WHERE id = ?"),
        ],
    );
    query.span().set_status(Status::error("locked"));
    let own = process.span(
        &root,
        "weigh",
        SpanKind::Internal,
        &[("password", "hunter2"), ("note", "Bearer abcdef123456")],
    );
    [&query, &call, &own, &root].into_iter().for_each(end);

    let transaction = process.inbox.next("transaction");
    let context = &transaction["contexts"]["trace"];
    assert_eq!(transaction["transaction"], "GET /v1/users/{id}");
    assert_eq!(context["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(context["span_id"], span_id(&root));
    assert_eq!(context["parent_span_id"], "0000000000000abc");
    assert_eq!(
        (&context["op"], &context["status"]),
        (&json!("http.server"), &json!("not_found"))
    );
    assert_eq!(context["data"]["http.response.status_code"], 404);
    assert_eq!(transaction["release"], "shop@1.2.3");
    assert_eq!(transaction["environment"], "test");
    assert_eq!(transaction["tags"]["http.route"], "/v1/users/{id}");
    assert_eq!(transaction["request"]["url"], "http://shop.example/v1/users/7");
    assert_eq!(
        transaction["contexts"]["jaeger"]["url"],
        "http://jaeger:16686/trace/0af7651916cd43dd8448eb211c80319c"
    );
    assert!(transaction["contexts"]["profile"].is_null(), "{transaction}");
    let spans: Vec<_> = ["span_id", "parent_span_id", "op", "status", "description"]
        .iter()
        .map(|key| {
            transaction["spans"]
                .as_array()
                .unwrap()
                .iter()
                .map(|span| span[key].clone())
                .collect::<Vec<_>>()
        })
        .collect();
    let (root, call, query, own) = (span_id(&root), span_id(&call), span_id(&query), span_id(&own));
    assert_eq!(spans[0], [json!(query), json!(call), json!(own)]);
    assert_eq!(spans[1], [json!(call), json!(root), json!(root)]);
    assert_eq!(spans[2], [json!("db"), json!("http.client"), Value::Null]);
    assert_eq!(spans[3], ["internal_error", "deadline_exceeded", "ok"]);
    assert_eq!(
        spans[4],
        [
            "SELECT * FROM users WHERE id = ?",
            "GET http://auth/keys",
            "weigh"
        ]
    );
    let own = &transaction["spans"][2]["data"];
    assert_eq!(
        (&own["password"], &own["note"]),
        (&json!("[redacted]"), &json!("Bearer [redacted]"))
    );
}

#[test]
fn traces_are_chosen_by_their_id_alone() {
    let processes = [(), ()].map(|()| Process::start(&[("SENTRY_TRACES_SAMPLE_RATE", "0.25")]));
    let sent = processes.map(|process| {
        for id in 1..=60 {
            end(&process.span(&remote(id), "request", SpanKind::Server, &[]));
        }
        // The queue holds 64 envelopes, so none was dropped.
        assert!(process.client.flush(Duration::from_secs(10)));
        drop(process.provider);
        let ids: Vec<_> = std::iter::from_fn(|| process.inbox.0.try_recv().ok()).collect();
        let ids = ids.iter().map(|envelope| {
            let text = String::from_utf8_lossy(envelope).into_owned();
            text.split("\"trace_id\":\"").nth(1).unwrap()[..32].to_owned()
        });
        ids.collect::<Vec<_>>()
    });
    assert_eq!(sent[0], sent[1]);
    assert!(
        (5..=25).contains(&sent[0].len()),
        "{} of 60 at rate 0.25",
        sent[0].len()
    );
}

#[test]
fn two_roots_of_one_trace_keep_their_own_spans() {
    let process = Process::start_with_all();
    let outer = process.span(&remote(7), "outer", SpanKind::Server, &[]);
    let call = process.span(&outer, "call", SpanKind::Client, &[]);
    let called = Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from(7_u128),
        call.span().span_context().span_id(),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    ));
    let inner = process.span(&called, "inner", SpanKind::Server, &[]);
    let work = process.span(&inner, "work", SpanKind::Internal, &[]);
    let part = process.span(&work, "part", SpanKind::Internal, &[]);
    let mine = process.span(&outer, "mine", SpanKind::Internal, &[]);
    [&mine, &part, &work, &inner, &call, &outer]
        .into_iter()
        .for_each(end);
    for (name, expected) in [("inner", ["part", "work"]), ("outer", ["mine", "call"])] {
        let transaction = process.inbox.next("transaction");
        assert_eq!(transaction["transaction"], name);
        let spans = transaction["spans"].as_array().unwrap();
        assert_eq!(
            spans.iter().map(|span| &span["description"]).collect::<Vec<_>>(),
            expected
        );
    }
}

#[test]
fn what_does_not_fit_and_what_comes_late_is_counted() {
    let lost = |reason: &str| {
        let start = format!("telemetry_transaction_spans_dropped_total{{reason=\"{reason}\"}} ");
        let text = Metrics::global().render(Format::Text);
        text.lines()
            .find_map(|line| line.strip_prefix(&start)?.parse::<u64>().ok())
            .unwrap()
    };
    let process = Process::start_with_all();
    let (full, late) = (lost("full"), lost("late"));
    let root = process.span(&remote(1), "root", SpanKind::Server, &[]);
    for _ in 0..1003 {
        end(&process.span(&root, "child", SpanKind::Internal, &[]));
    }
    let straggler = process.span(&root, "straggler", SpanKind::Internal, &[]);
    end(&root);
    end(&straggler);
    let transaction = process.inbox.next("transaction");
    assert_eq!(transaction["spans"].as_array().unwrap().len(), 1000);
    assert_eq!((lost("full") - full, lost("late") - late), (3, 1));
}

#[test]
fn without_a_dsn_or_a_rate_there_is_no_processor() {
    let service = ServiceInfo::new("shop", "1.2.3");
    for env in [&[][..], &[DSN, ("SENTRY_TRACES_SAMPLE_RATE", "0")]] {
        let settings = settings(env).unwrap().sentry;
        let client = SentryClient::start(&settings, &service).unwrap();
        let profiler = Profiler::start(ProfileSettings::new(&settings, &service), client.clone());
        assert!(TransactionProcessor::new(client, profiler, &settings).is_none());
    }
}
