//! Which traces are kept: by their ids alone, so that every service keeps the same.

use crate::fixture::{Answer, Greeter, JaegerProcess, Spotlight, Tools};

const REQUESTS: u128 = 105;

/// The trace of the request in this place: a fixed sequence, spread over all ids.
pub(crate) fn trace_id(place: u128) -> String {
    format!(
        "{:032x}",
        place.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    )
}

async fn send_all(greeter: &Greeter) {
    for place in 1..=REQUESTS {
        let request = greeter.request(http::Method::GET, "/hello/ada").header(
            "traceparent",
            format!("00-{}-b7ad6b7169203331-01", trace_id(place)),
        );
        assert_eq!(Answer::to(request).await.status, 200);
    }
}

/// The places below were computed apart from the services' code, by a script that follows the words of the law.
#[tokio::test]
async fn by_default_the_same_tenth_of_the_traces_become_transactions_and_a_tenth_of_these_is_profiled() {
    let Some(tools) = Tools::find() else { return };
    let spotlight = Spotlight::start(&tools).await;
    let greeter = Greeter::start(&[("SENTRY_DSN", &spotlight.dsn())]).await;
    send_all(&greeter).await;
    assert!(greeter.end().await.status.success());

    let items = spotlight.everything().await;
    let transactions = items.iter().filter(|item| item.kind == "transaction");
    let kept: Vec<_> = transactions
        .map(|item| {
            let contexts = &item.payload["contexts"];
            let id = contexts["trace"]["trace_id"].as_str().unwrap().to_owned();
            (id, contexts["profile"]["profiler_id"].is_string())
        })
        .collect();
    let expected = [6, 12, 47, 56, 58, 59, 71, 95, 102, 105].map(|place| (trace_id(place), place == 105));
    assert_eq!(kept, expected);
}

#[tokio::test]
async fn a_ratio_of_the_sampler_is_what_reaches_jaeger() {
    let Some(tools) = Tools::find() else { return };
    let jaeger = JaegerProcess::start(&tools).await;
    let greeter = Greeter::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &jaeger.endpoint()),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ])
    .await;
    send_all(&greeter).await;
    assert!(greeter.end().await.status.success());

    // By OpenTelemetry's own law: a quarter of what the last 64 bits of the id, without the last, can be.
    let expected = [
        16, 17, 18, 19, 20, 37, 38, 39, 40, 41, 57, 58, 59, 60, 61, 78, 79, 80, 81, 82, 99, 100, 101, 102,
        103,
    ];
    let mut kept = Vec::new();
    for place in 1..=REQUESTS {
        if jaeger.query.trace(&trace_id(place)).await.unwrap().is_some() {
            kept.push(place);
        }
    }
    assert_eq!(kept, expected);
}

/// The trace goes on all the same: log lines and whoever is called have its id.
#[tokio::test]
async fn what_is_switched_off_sends_no_span() {
    let Some(tools) = Tools::find() else { return };
    let jaeger = JaegerProcess::start(&tools).await;
    for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        let greeter = Greeter::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &jaeger.endpoint()), off]).await;
        let request = greeter
            .request(http::Method::GET, "/hello/ada")
            .header("traceparent", format!("00-{}-b7ad6b7169203331-01", trace_id(1)));
        assert_eq!(Answer::to(request).await.status, 200);
        let log = greeter.end().await.log;
        let line = log.iter().find(|line| line["req"]["url"] == "/hello/ada");
        assert_eq!(line.unwrap()["trace_id"], trace_id(1), "{off:?}");
        assert_eq!(jaeger.stored().await, 0, "{off:?}");
    }
}

#[tokio::test]
async fn without_propagators_the_caller_s_trace_is_not_continued() {
    let Some(tools) = Tools::find() else { return };
    let jaeger = JaegerProcess::start(&tools).await;
    let greeter = Greeter::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &jaeger.endpoint()),
        ("OTEL_PROPAGATORS", "none"),
    ])
    .await;
    let request = greeter
        .request(http::Method::GET, "/hello/ada")
        .header("traceparent", format!("00-{}-b7ad6b7169203331-01", trace_id(1)));
    assert_eq!(Answer::to(request).await.status, 200);
    assert!(greeter.end().await.status.success());
    assert_eq!(jaeger.stored().await, 2, "the request and its query");
    assert!(jaeger.query.trace(&trace_id(1)).await.unwrap().is_none());
}
