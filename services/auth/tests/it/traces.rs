//! The spans that the service's binary sends.

use axum::{Router, body::Bytes, routing::post};
use data_encoding::HEXLOWER;
use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span};
use prost::Message as _;
use serde_json::json;
use tokio::{net::TcpListener, sync::mpsc};
use tracewell_kit::testing::{Process, Setup};

use crate::PASSWORD;

/// The caller's own span, which nobody records.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector, and the spans that it was sent.
async fn collector() -> Setup<(String, mpsc::UnboundedReceiver<Span>)> {
    let (sender, spans) = mpsc::unbounded_channel();
    let take = move |body: Bytes| {
        let sender = sender.clone();
        async move {
            let request = ExportTraceServiceRequest::decode(body).unwrap_or_default();
            let resources = request.resource_spans.into_iter();
            let scopes = resources.flat_map(|resource| resource.scope_spans);
            for span in scopes.flat_map(|scope| scope.spans) {
                // The test has seen enough.
                let _ = sender.send(span);
            }
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let app = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok((url, spans))
}

fn hex(id: &[u8]) -> String {
    HEXLOWER.encode(id)
}

#[tokio::test]
async fn a_delivery_is_a_trace_of_its_own_that_links_to_the_request() -> Setup<()> {
    let (url, mut spans) = collector().await?;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
    ];
    let auth = Process::start_with(env!("CARGO_BIN_EXE_tracewell-auth"), &variables).await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let signed_up = client
        .post(format!("{}/v1/signup", auth.url))
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .json(&json!({"email": "ada@example.com", "password": PASSWORD}))
        .send()
        .await?;
    assert_eq!(signed_up.status(), 202);
    let (mut request, mut delivery) = (None, None);
    while request.is_none() || delivery.is_none() {
        let span = spans.recv().await.ok_or("the collector ended")?;
        match span.name.as_str() {
            "POST /v1/signup" => request = Some(span),
            "deliver mail" => delivery = Some(span),
            _ => {}
        }
    }
    let (request, delivery) = (request.ok_or("no request")?, delivery.ok_or("no delivery")?);
    assert_eq!(
        (hex(&request.trace_id), hex(&request.parent_span_id)),
        (TRACE.to_owned(), PARENT.to_owned())
    );
    assert_ne!(delivery.trace_id, request.trace_id);
    assert_eq!(delivery.parent_span_id, [0; 0]);
    let links: Vec<_> = delivery
        .links
        .iter()
        .map(|link| (&link.trace_id, &link.span_id))
        .collect();
    assert_eq!(links.len(), 1, "{links:?}");
    // The request's own span, or the one of it that was current when the mail was asked for.
    assert_eq!(links[0].0, &request.trace_id);
    assert_eq!(links[0].1, &request.span_id);
    Ok(())
}
