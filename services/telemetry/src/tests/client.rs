//! Outgoing calls between two real servers.

use axum::{Router, http::HeaderMap, routing::get as on_get};
use opentelemetry::trace::{SpanKind, Status};

use super::harness::{Harness, attribute, get, serve};
use crate::Telemetry;

#[tokio::test]
async fn one_trace_runs_through_two_services() {
    let harness = Harness::new();
    let back = serve(
        harness
            .telemetry
            .wrap(Router::new().route("/v1/me", on_get(|| async { "me" }))),
    )
    .await;
    let client = harness.telemetry.client(reqwest::Client::new());
    let front = Router::new().route(
        "/front",
        on_get(move || async move {
            let url = format!("http://alice:pw@{back}/v1/me?token=hunter2&page=2#part");
            client
                .get(url)
                .template("/v1/me")
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap()
        }),
    );
    let (_, body) = harness.call(front, get("/front")).await;
    assert_eq!(body, b"me");

    let spans = harness.spans_reach(3).await;
    let front = harness.span("GET /front");
    let of_kind = |kind: SpanKind| {
        spans
            .iter()
            .find(|span| span.name == "GET /v1/me" && span.span_kind == kind)
            .unwrap()
    };
    let (call, back) = (of_kind(SpanKind::Client), of_kind(SpanKind::Server));
    assert_eq!(call.parent_span_id, front.span_context.span_id());
    assert_eq!(back.parent_span_id, call.span_context.span_id());
    assert!(
        spans
            .iter()
            .all(|span| span.span_context.trace_id() == front.span_context.trace_id())
    );

    let url = attribute(call, "url.full").unwrap();
    assert!(url.ends_with("/v1/me?token=REDACTED&page=REDACTED"), "{url}");
    assert!(!url.contains("alice") && !url.contains("pw"), "{url}");
    assert_eq!(attribute(call, "server.address").as_deref(), Some("127.0.0.1"));
    assert_eq!(
        attribute(call, "http.response.status_code").as_deref(),
        Some("200")
    );
    assert_eq!(attribute(call, "url.template").as_deref(), Some("/v1/me"));
    assert_eq!(call.status, Status::Unset);
}

#[tokio::test]
async fn failures_are_named_on_the_span() {
    let harness = Harness::new();
    let missing = serve(Router::new()).await;
    let client = harness.telemetry.client(reqwest::Client::new());
    client
        .post(format!("http://{missing}/"))
        .json(&1)
        .send()
        .await
        .unwrap();
    let refused = harness.span("POST");
    assert_eq!(attribute(&refused, "error.type").as_deref(), Some("404"));
    assert_eq!(refused.status, Status::error(""));

    // Port 1 is reserved and nothing listens there.
    client
        .get("http://127.0.0.1:1/?token=hunter2")
        .send()
        .await
        .unwrap_err();
    let unreachable = harness.span("GET");
    assert_eq!(attribute(&unreachable, "error.type").as_deref(), Some("connect"));
    assert!(matches!(&unreachable.status, Status::Error { description } if description.contains("refused")));
    assert!(!format!("{unreachable:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_request_that_is_sent_again_counts_its_resends() {
    let harness = Harness::new();
    let back = serve(Router::new().fallback(|| async { "here" })).await;
    let client = harness.telemetry.client(reqwest::Client::new());
    let url: reqwest::Url = format!("http://{back}/").parse().unwrap();
    for resends in 0..2 {
        let request = reqwest::Request::new(http::Method::GET, url.clone());
        client.resend(request, resends).await.unwrap();
    }
    let counts: Vec<_> = harness
        .spans_reach(2)
        .await
        .iter()
        .map(|span| attribute(span, "http.request.resend_count"))
        .collect();
    assert_eq!(counts, [None, Some("1".to_owned())]);
}

/// What a service behind `telemetry`'s server and client gets to see of this caller's context.
async fn passed_on(telemetry: Telemetry) -> [String; 3] {
    async fn echo(headers: HeaderMap) -> String {
        let text = |name| headers.get(name).map_or("", |value| value.to_str().unwrap());
        ["traceparent", "tracestate", "baggage"].map(text).join("|")
    }
    let back = serve(Router::new().route("/", on_get(echo))).await;
    let client = telemetry.client(reqwest::Client::new());
    let call = move || async move {
        client
            .get(format!("http://{back}/"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    let front = serve(telemetry.wrap(Router::new().route("/", on_get(call)))).await;
    let request = reqwest::Client::new().get(format!("http://{front}/"));
    let request = request
        .header("traceparent", PARENT)
        .header("tracestate", STATE)
        .header("baggage", BAGGAGE);
    let seen = request.send().await.unwrap().text().await.unwrap();
    let seen: Vec<_> = seen.split('|').map(str::to_owned).collect();
    seen.try_into().unwrap()
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const STATE: &str = "vendor=t61rcWkgMzE,other=1";
const BAGGAGE: &str = "tenant=shop";

#[tokio::test]
async fn without_spans_the_caller_s_context_is_passed_on_unchanged() {
    let seen = passed_on(Telemetry::detached()).await;
    assert_eq!(seen, [PARENT, STATE, BAGGAGE]);
}

#[tokio::test]
async fn with_spans_trace_and_baggage_go_on_under_a_new_span() {
    let harness = Harness::new();
    let [traceparent, state, baggage] = passed_on(harness.telemetry.clone()).await;
    assert_eq!(traceparent[..36], PARENT[..36], "the same trace");
    assert_ne!(traceparent, PARENT, "another span");
    assert_eq!([state.as_str(), baggage.as_str()], [STATE, BAGGAGE]);
}

#[tokio::test]
async fn propagators_can_be_switched_off() {
    let harness = Harness::with_env(&[("OTEL_PROPAGATORS", "baggage")]);
    let seen = passed_on(harness.telemetry.clone()).await;
    assert_eq!(seen, ["", "", BAGGAGE]);
}

#[tokio::test]
async fn a_call_that_its_caller_gives_up_on_is_recorded() {
    let harness = Harness::new();
    let hangs = serve(Router::new().fallback(std::future::pending::<()>)).await;
    let client = harness.telemetry.client(reqwest::Client::new());
    let mut call = Box::pin(client.get(format!("http://{hangs}/")).send());
    assert!(futures::poll!(&mut call).is_pending());
    drop(call);
    assert_eq!(
        attribute(&harness.span("GET"), "error.type").as_deref(),
        Some("cancelled")
    );

    let mut query =
        Box::pin(crate::db("SELECT", "stuck", "SELECT 1").run(std::future::pending::<Result<(), String>>()));
    assert!(futures::poll!(&mut query).is_pending());
    drop(query);
    assert_eq!(
        attribute(&harness.span("SELECT stuck"), "error.type").as_deref(),
        Some("cancelled")
    );
}
