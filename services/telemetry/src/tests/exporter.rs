//! OTLP on the wire, and a backend that is down.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get as on_get, post},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    },
    common::v1::{KeyValue, any_value::Value},
};
use prost::Message;
use tower::ServiceExt as _;
use tracing::Dispatch;

use super::harness::{Harness, get, serve, settings};
use crate::{
    ServiceInfo, Telemetry,
    log::LogWriter,
    metrics::{Format, Metrics},
    telemetry::Errors,
    trace,
};

type Received = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

/// A collector that keeps what it gets.
async fn collector(received: Received) -> std::net::SocketAddr {
    async fn take(State(received): State<Received>, headers: HeaderMap, body: Bytes) -> Vec<u8> {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        received
            .lock()
            .unwrap()
            .push(ExportTraceServiceRequest::decode(body).unwrap());
        ExportTraceServiceResponse::default().encode_to_vec()
    }
    serve(Router::new().route("/v1/traces", post(take)).with_state(received)).await
}

fn telemetry(env: &[(&str, &str)]) -> (Telemetry, Dispatch) {
    let settings = settings(env).unwrap();
    let service = ServiceInfo::new("shop", "1.2.3");
    let spans = trace::provider(&settings, &service, None).unwrap();
    let errors = Errors::start(&settings, &service).unwrap();
    Telemetry::assemble(
        &settings,
        &service,
        Some(spans),
        LogWriter::start(std::io::sink()).unwrap(),
        errors,
    )
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes
        .iter()
        .find(|attribute| attribute.key == key)?
        .value
        .as_ref()?;
    match value.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_sends_the_last_span_as_otlp_protobuf() {
    let received = Received::default();
    let address = collector(received.clone()).await;
    let (telemetry, dispatch) = telemetry(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}")),
        ("OTEL_SERVICE_NAME", "auth"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.version=9,service.name=loses,k8s.pod.name=demo%2Fauth",
        ),
    ]);
    let router = telemetry.wrap(Router::new().route("/x", on_get(|| async { "x" })));
    tracing::dispatcher::with_default(&dispatch, || {
        // Polled here, so that the scoped subscriber sees it.
        let response = futures::executor::block_on(router.oneshot(get("/x"))).unwrap();
        drop(response);
    });
    telemetry.shutdown(Duration::from_secs(5)).await;

    let received = received.lock().unwrap();
    let [request] = received.as_slice() else {
        panic!("one batch, not {received:?}")
    };
    let [resource] = request.resource_spans.as_slice() else {
        panic!("one resource")
    };
    let attributes = &resource.resource.as_ref().unwrap().attributes;
    assert_eq!(text(attributes, "service.name").as_deref(), Some("auth"));
    assert_eq!(text(attributes, "service.version").as_deref(), Some("9"));
    assert_eq!(text(attributes, "k8s.pod.name").as_deref(), Some("demo/auth"));
    let spans: Vec<_> = resource
        .scope_spans
        .iter()
        .flat_map(|scope| &scope.spans)
        .collect();
    assert_eq!(
        spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(),
        ["GET /x"]
    );
    assert_eq!(spans[0].trace_id.len(), 16);
}

#[test]
fn exported_spans_make_room_in_the_queue() {
    let harness = Harness::with_env(&[("OTEL_BSP_MAX_QUEUE_SIZE", "2")]);
    for count in 1..=10 {
        drop(tracing::info_span!("again").entered());
        assert_eq!(harness.spans().len(), count);
    }
}

/// Spans lost so far, by the reasons in the metrics.
#[derive(Clone, Copy, Debug)]
struct Lost {
    queue_full: u64,
    export_failed: u64,
    rejected: u64,
    shutdown: u64,
}

impl Lost {
    fn now() -> Self {
        let text = Metrics::global().render(Format::Text);
        let value = |reason| {
            let start = format!("telemetry_spans_dropped_total{{reason=\"{reason}\"}} ");
            text.lines()
                .find_map(|line| line.strip_prefix(&start)?.parse().ok())
                .unwrap()
        };
        Self {
            queue_full: value("queue_full"),
            export_failed: value("export_failed"),
            rejected: value("rejected"),
            shutdown: value("shutdown"),
        }
    }

    fn since(self) -> Self {
        let now = Self::now();
        Self {
            queue_full: now.queue_full - self.queue_full,
            export_failed: now.export_failed - self.export_failed,
            rejected: now.rejected - self.rejected,
            shutdown: now.shutdown - self.shutdown,
        }
    }

    fn total(self) -> u64 {
        self.queue_full + self.export_failed + self.rejected + self.shutdown
    }
}

/// The counters are the process's: tests that lose spans take turns.
static LOSING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Sends `count` requests, none of which may fail.
fn ask(router: &Router, dispatch: &Dispatch, count: usize) {
    tracing::dispatcher::with_default(dispatch, || {
        for _ in 0..count {
            let response = futures::executor::block_on(router.clone().oneshot(get("/x"))).unwrap();
            assert_eq!(response.status(), 200);
        }
    });
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let reached = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), reached).await;
    assert!(waited.is_ok(), "never: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_backend_costs_spans_which_are_counted_and_no_request() {
    let _turn = LOSING.lock().await;
    let before = Lost::now();
    let (telemetry, dispatch) = telemetry(&[
        // Port 1 is reserved and nothing listens there.
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "4"),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512"),
    ]);
    let router = telemetry.wrap(Router::new().route("/x", on_get(|| async { "x" })));
    ask(&router, &dispatch, 500);
    telemetry.shutdown(Duration::from_secs(5)).await;
    let lost = before.since();
    assert_eq!(lost.total(), 500, "every span is accounted for: {lost:?}");
    assert!(lost.queue_full > 0 && lost.export_failed > 0, "{lost:?}");
}

/// What a collector does with the spans it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Takes,
    /// All but one of each batch.
    RejectsOne,
    Refuses,
    NeverAnswers,
}

/// A collector of changing mood, and how many spans it has stored.
#[derive(Clone)]
struct Moody {
    mood: Arc<Mutex<Mood>>,
    stored: Arc<Mutex<u64>>,
}

impl Moody {
    fn now(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn stored(&self) -> u64 {
        *self.stored.lock().unwrap()
    }

    async fn take(State(this): State<Self>, body: Bytes) -> (StatusCode, Vec<u8>) {
        let now = *this.mood.lock().unwrap();
        let partial_success = (now == Mood::RejectsOne).then(|| ExportTracePartialSuccess {
            rejected_spans: 1,
            error_message: "one too many".to_owned(),
        });
        match now {
            Mood::Takes | Mood::RejectsOne => {
                let request = ExportTraceServiceRequest::decode(body).unwrap();
                let resources = request.resource_spans.iter();
                let scopes = resources.flat_map(|resource| &resource.scope_spans);
                let sent = scopes.map(|scope| scope.spans.len() as u64).sum::<u64>();
                *this.stored.lock().unwrap() += sent - u64::from(partial_success.is_some());
                let answer = ExportTraceServiceResponse { partial_success };
                (StatusCode::OK, answer.encode_to_vec())
            }
            // Not worth a retry, unlike 503.
            Mood::Refuses => (StatusCode::BAD_REQUEST, Vec::new()),
            Mood::NeverAnswers => std::future::pending().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_is_stored_or_counted_as_lost_whatever_the_collector_does() {
    const EACH: usize = 300;
    let _turn = LOSING.lock().await;
    let before = Lost::now();
    let collector = Moody {
        mood: Arc::new(Mutex::new(Mood::Takes)),
        stored: Arc::default(),
    };
    let routes = Router::new().route("/v1/traces", post(Moody::take));
    let address = serve(routes.with_state(collector.clone())).await;
    let (telemetry, dispatch) = telemetry(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}")),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "64"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "32"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ]);
    let app = telemetry.wrap(Router::new().route("/x", on_get(|| async { "x" })));
    ask(&app, &dispatch, EACH);
    until("some spans are stored", || collector.stored() > 0).await;
    collector.now(Mood::RejectsOne);
    ask(&app, &dispatch, EACH);
    until("some spans are rejected", || before.since().rejected > 0).await;
    collector.now(Mood::Refuses);
    ask(&app, &dispatch, EACH);
    until("some spans are refused", || before.since().export_failed > 0).await;
    collector.now(Mood::NeverAnswers);
    ask(&app, &dispatch, EACH);
    until("the queue is full", || before.since().queue_full > 0).await;
    telemetry.shutdown(Duration::from_millis(300)).await;

    let (lost, stored) = (before.since(), collector.stored());
    assert!(
        lost.shutdown > 0,
        "those that the stalled collector held: {lost:?}"
    );
    assert_eq!(
        stored + lost.total(),
        4 * EACH as u64,
        "{stored} stored, {lost:?}"
    );
}
