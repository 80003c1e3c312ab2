//! OTLP on the wire, and a backend that is down.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::HeaderMap,
    routing::{get as on_get, post},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{KeyValue, any_value::Value},
};
use prost::Message;
use tower::ServiceExt as _;
use tracing::Dispatch;

use super::harness::{Harness, get, serve, settings};
use crate::{ServiceInfo, Telemetry, log::LogWriter, metrics::Metrics, trace};

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
    let spans = trace::provider(&settings, &service).unwrap();
    Telemetry::assemble(
        &settings,
        service,
        Some(spans),
        LogWriter::start(std::io::sink()).unwrap(),
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_backend_costs_spans_which_are_counted_and_no_request() {
    let lost = || {
        let text = Metrics::global().render().unwrap();
        let value = |reason| {
            let start = format!("telemetry_spans_dropped_total{{reason=\"{reason}\"}} ");
            text.lines()
                .find_map(|line| line.strip_prefix(&start)?.parse::<u64>().ok())
                .unwrap()
        };
        (value("queue_full"), value("export_failed"))
    };
    let before = lost();
    let (telemetry, dispatch) = telemetry(&[
        // Port 1 is reserved and nothing listens there.
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "4"),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512"),
    ]);
    let router = telemetry.wrap(Router::new().route("/x", on_get(|| async { "x" })));
    tracing::dispatcher::with_default(&dispatch, || {
        for _ in 0..500 {
            let response = futures::executor::block_on(router.clone().oneshot(get("/x"))).unwrap();
            assert_eq!(response.status(), 200);
        }
    });
    telemetry.shutdown(Duration::from_secs(5)).await;
    let after = lost();
    let (dropped, failed) = (after.0 - before.0, after.1 - before.1);
    assert_eq!(
        dropped + failed,
        500,
        "every span is accounted for: {dropped} dropped, {failed} failed"
    );
    assert!(dropped > 0 && failed > 0, "{dropped} dropped, {failed} failed");
}
