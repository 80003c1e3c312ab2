//! One telemetry for one test: spans and log lines end in memory, nothing global is touched.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use sentry::HubSwitchGuard;
use serde_json::Value;
use tower::ServiceExt as _;
use tracing::subscriber::DefaultGuard;

use crate::{
    ServiceInfo, Telemetry,
    log::LogWriter,
    sentry::{Answer, Delivery, SentryClient},
    settings::Settings,
    telemetry::Errors,
    trace,
};

/// A DSN that leads nowhere: with it the harness keeps what would be sent there.
pub(super) const DSN: (&str, &str) = ("SENTRY_DSN", "http://key@127.0.0.1:1/42");

/// There is one profiler in a process, and it is its own test's alone: one that samples elsewhere meanwhile would refuse it.
pub(super) const UNPROFILED: (&str, &str) = ("SENTRY_PROFILES_SAMPLE_RATE", "0");

/// Must be kept for the whole test, on the test's own thread.
pub(super) struct Harness {
    pub(super) telemetry: Telemetry,
    provider: Option<SdkTracerProvider>,
    spans: Recorder,
    log: Sink,
    writer: LogWriter,
    sentry: SentryClient,
    envelopes: Envelopes,
    _hub: Option<HubSwitchGuard>,
    _subscriber: DefaultGuard,
}

impl Harness {
    pub(super) fn new() -> Self {
        Self::with_env(&[])
    }

    /// As if the process had been started with these variables; log lines are JSON unless they say otherwise.
    /// With a `SENTRY_DSN`, envelopes end in memory, and panics are seen as they are in a service.
    pub(super) fn with_env(env: &[(&str, &str)]) -> Self {
        let settings = settings(&[env, &[UNPROFILED]].concat()).unwrap();
        let service = ServiceInfo::new("shop", "1.2.3");
        let envelopes = Envelopes::default();
        let errors = errors(&settings, &service, &envelopes);
        let spans = Recorder::default();
        let provider = (!settings.sdk_disabled).then(|| {
            trace::provider_with(
                spans.clone(),
                &settings,
                &service,
                errors.span_processor(&settings),
            )
            .unwrap()
        });
        let log = Sink::default();
        let writer = LogWriter::start(log.clone()).unwrap();
        let (telemetry, dispatch) = Telemetry::assemble(
            &settings,
            &service,
            provider.clone(),
            writer.clone(),
            errors.clone(),
        );
        let subscriber = tracing::dispatcher::set_default(&dispatch);
        let hub = errors.sentry.bind_thread();
        Self {
            telemetry,
            provider,
            spans,
            log,
            writer,
            sentry: errors.sentry,
            envelopes,
            _hub: hub,
            _subscriber: subscriber,
        }
    }

    /// The payloads of this type that were sent to Sentry so far.
    pub(super) fn sent(&self, kind: &str) -> Vec<Value> {
        // Names take long on a busy machine without optimisation.
        assert!(self.sentry.flush(Duration::from_mins(3)));
        let items = self.envelopes.0.lock().unwrap();
        let found = items.iter().filter(|(header, _)| header["type"] == kind);
        found.map(|(_, payload)| payload.clone()).collect()
    }

    /// The one event that was sent to Sentry.
    #[track_caller]
    pub(super) fn event(&self) -> Value {
        let events = self.sent("event");
        let [event] = events.as_slice() else {
            panic!("not exactly one event: {events:#?}")
        };
        event.clone()
    }

    /// All spans that ended so far, in the order in which they ended.
    pub(super) fn spans(&self) -> Vec<SpanData> {
        if let Some(provider) = &self.provider {
            provider.force_flush().unwrap();
        }
        self.spans.0.lock().unwrap().clone()
    }

    /// Waits until `count` spans have ended: a server ends its span after the client has the answer.
    pub(super) async fn spans_reach(&self, count: usize) -> Vec<SpanData> {
        let reached = async {
            loop {
                let spans = self.spans();
                if spans.len() >= count {
                    return spans;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), reached)
            .await
            .unwrap()
    }

    /// The one span of this name.
    #[track_caller]
    pub(super) fn span(&self, name: &str) -> SpanData {
        let spans = self.spans();
        let mut found = spans.iter().filter(|span| span.name == name);
        match (found.next(), found.next()) {
            (Some(span), None) => span.clone(),
            (first, _) => panic!(
                "{} spans named {name:?} among {:?}",
                if first.is_some() { "several" } else { "no" },
                spans.iter().map(|span| &span.name).collect::<Vec<_>>()
            ),
        }
    }

    /// Everything that was logged so far.
    pub(super) fn log_text(&self) -> String {
        self.writer.flush(Duration::from_secs(5));
        String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap()
    }

    pub(super) fn log_lines(&self) -> Vec<Value> {
        self.log_text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The one line with this message.
    #[track_caller]
    pub(super) fn log_line(&self, message: &str) -> Value {
        let lines = self.log_lines();
        let mut found = lines.iter().filter(|line| line["msg"] == message);
        match (found.next(), found.next()) {
            (Some(line), None) => line.clone(),
            _ => panic!("not exactly one line {message:?} among {lines:#?}"),
        }
    }

    /// Sends one request through the wrapped router and reads the whole answer.
    pub(super) async fn call(
        &self,
        router: Router,
        request: Request,
    ) -> (axum::http::response::Parts, Vec<u8>) {
        let response = self.telemetry.wrap(router).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        (
            head,
            axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec(),
        )
    }
}

pub(super) fn settings(env: &[(&str, &str)]) -> Result<Settings, Vec<crate::EnvProblem>> {
    Settings::parse(&|name| {
        let given = env
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned());
        // Whether the tests run on a terminal must not matter.
        given.or_else(|| (name == "LOG_FORMAT").then(|| "json".to_owned()))
    })
}

pub(super) fn get(path: &str) -> Request {
    Request::get(path).body(Body::empty()).unwrap()
}

/// The value of a span's attribute as text.
pub(super) fn attribute(span: &SpanData, key: &str) -> Option<String> {
    span.attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key)
        .map(|attribute| attribute.value.to_string())
}

/// Serves `router` on a loopback port for the rest of the test.
pub(super) async fn serve(router: Router) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Keeps finished spans.
#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Vec<SpanData>>>);

impl trace::Backend for Recorder {}

impl SpanExporter for Recorder {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

/// Keeps the items of envelopes, header and payload.
#[derive(Clone, Debug, Default)]
struct Envelopes(Arc<Mutex<Vec<(Value, Value)>>>);

impl Delivery for Envelopes {
    fn deliver(&mut self, envelope: &[u8]) -> Result<Answer, String> {
        let mut lines = envelope.split(|byte| *byte == b'\n').skip(1);
        while let (Some(header), Some(payload)) = (lines.next(), lines.next()) {
            let json = |bytes| serde_json::from_slice(bytes).unwrap();
            self.0.lock().unwrap().push((json(header), json(payload)));
        }
        Ok(Answer {
            status: 200,
            ..Answer::default()
        })
    }
}

fn errors(settings: &Settings, service: &ServiceInfo, envelopes: &Envelopes) -> Errors {
    let delivery = settings.sentry.dsn.is_some().then(|| envelopes.clone());
    let sentry = SentryClient::start_with(&settings.sentry, service, delivery).unwrap();
    Errors::new(sentry, &settings.sentry, service)
}

/// Keeps what was written.
#[derive(Clone, Debug, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
