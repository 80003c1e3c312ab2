//! `/debug/*` of a service as it runs.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::{
    fixture::{Answer, JaegerProcess, Service, Spotlight, Tools, free_ports},
    sampling::trace_id,
};

const SECRET: &str = "5f4dcc3b5aa765d6";
const HALF: Duration = Duration::from_millis(400);

async fn gateway(variables: &[(&str, &str)]) -> Service {
    // Nobody is there.
    let own = [
        ("GATEWAY_ROUTES", "/auth=http://127.0.0.1:9"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    Service::start("tracewell-gateway", &[&own, variables].concat()).await
}

#[tokio::test]
async fn slow_is_a_long_span_with_both_halves_and_a_transaction_where_its_trace_is_sampled() {
    let Some(tools) = Tools::find() else { return };
    let (jaeger, spotlight) = (JaegerProcess::start(&tools).await, Spotlight::start(&tools).await);
    let (endpoint, dsn) = (jaeger.endpoint(), spotlight.dsn());
    let gateway = gateway(&[
        ("DEBUG_ENDPOINTS", "1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("SENTRY_DSN", &dsn),
    ])
    .await;
    // The sixth is of the tenth that becomes transactions by default, as `sampling` shows.
    let [sampled, other] = [6, 1].map(trace_id);
    let ask = async |trace: &str| {
        let path = format!("/debug/slow?milliseconds={}", 2 * HALF.as_millis());
        let request = gateway.request(Method::GET, &path);
        Answer::to(request.header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))).await
    };
    let answers = tokio::join!(ask(&sampled), ask(&other));
    for (answer, trace) in [(answers.0, &sampled), (answers.1, &other)] {
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status.as_u16(), &body["trace_id"]), (200, &json!(trace)));
    }
    assert!(gateway.end().await.status.success());

    for trace in [&sampled, &other] {
        let trace = jaeger.query.trace(trace).await.unwrap().unwrap();
        assert_eq!(
            trace.to_string(),
            "gateway SERVER GET /debug/slow 200\n  gateway - debug.first_half\n  gateway - debug.second_half\n"
        );
        let lasted = trace
            .spans
            .iter()
            .map(|span| span.end_unix_nano - span.start_unix_nano);
        let lasted: Vec<_> = lasted.map(Duration::from_nanos).collect();
        for (lasted, least) in lasted.iter().zip([2 * HALF, HALF, HALF]) {
            assert!(*lasted >= least, "{lasted:?}");
        }
    }
    let items = spotlight.everything().await;
    // The service's start is a trace of its own, by chance in Sentry or not.
    let transactions: Vec<_> = items
        .iter()
        .filter(|item| item.payload["transaction"] == "GET /debug/slow" && item.kind == "transaction")
        .collect();
    let [transaction] = transactions[..] else {
        panic!("{transactions:#?}")
    };
    let transaction = &transaction.payload;
    assert_eq!(transaction["contexts"]["trace"]["trace_id"], sampled);
    assert_eq!(
        transaction["spans"].as_array().unwrap().len(),
        2,
        "{transaction:#}"
    );
    // sentry-core writes the one as a number and the other as a text.
    let start = transaction["start_timestamp"].as_f64().unwrap();
    let end: jiff::Timestamp = transaction["timestamp"].as_str().unwrap().parse().unwrap();
    let lasted = end.as_duration().as_secs_f64() - start;
    assert!(lasted >= (2 * HALF).as_secs_f64(), "{transaction:#}");
}

#[tokio::test]
async fn sentry_says_what_is_configured_and_no_secret_of_it() {
    let Some(tools) = Tools::find() else { return };
    let spotlight = Spotlight::start(&tools).await;
    let address = spotlight.dsn().replace("http://key@", "");
    let dsn = format!("http://public{SECRET}:private{SECRET}@{address}");
    let with_user = |host: &str| format!("https://ada:{SECRET}@{host}");
    let (jaeger, sentry) = (
        with_user("jaeger.test/ui/"),
        with_user("sentry.test/organizations/acme"),
    );
    let gateway = gateway(&[
        ("DEBUG_ENDPOINTS", "1"),
        ("SENTRY_DSN", &dsn),
        ("SENTRY_ENVIRONMENT", "test"),
        ("SENTRY_RELEASE", "gateway@9.8.7"),
        ("SENTRY_SAMPLE_RATE", "0.5"),
        ("SENTRY_TRACES_SAMPLE_RATE", "0.25"),
        ("SENTRY_CAPTURE_STATUS", "429,500-599"),
        ("TRACE_UI_URL", &jaeger),
        ("SENTRY_UI_URL", &sentry),
    ])
    .await;
    let answer = gateway.get("/debug/sentry").await;
    assert!(!answer.body.contains(SECRET), "{}", answer.body);
    assert_eq!(
        serde_json::from_str::<Value>(&answer.body).unwrap(),
        json!({
            "sending": true,
            "dsn": format!("http://{address}"),
            "environment": "test",
            "release": "gateway@9.8.7",
            "sample_rate": 0.5,
            "traces_sample_rate": 0.25,
            "profiles_sample_rate": 0.1,
            "capture_status": "429,500-599",
            "send_pii": false,
            "trace_ui": "https://jaeger.test/ui",
            "sentry_ui": "https://sentry.test/organizations/acme",
        })
    );
}

#[tokio::test]
async fn without_a_dsn_the_same_is_decided_and_logged() {
    let service = gateway(&[("DEBUG_ENDPOINTS", "1")]).await;
    let configured: Value = serde_json::from_str(&service.get("/debug/sentry").await.body).unwrap();
    assert_eq!(
        (&configured["sending"], &configured["dsn"]),
        (&json!(false), &Value::Null)
    );
    let failed = service.get("/debug/error").await;
    assert_eq!(failed.status, 500);
    assert_eq!(failed.headers.get("x-sentry-event-id"), None);
    let log = service.end().await.log;
    let line = log.iter().find(|line| line["req"]["url"] == "/debug/error");
    let line = line.unwrap_or_else(|| panic!("{log:#?}"));
    assert_eq!(
        (&line["sentry"], &line["sentry_event"], &line["err"]["stack"]),
        (
            &json!("off"),
            &json!("error LoadError: cannot load the debug page"),
            &json!(
                "LoadError: cannot load the debug page\n  caused by: cannot read page 13\n  caused by: disk on fire, on purpose"
            )
        )
    );
}

#[tokio::test]
async fn they_are_served_only_if_asked_for_and_where_clients_do_not_get() {
    const PATHS: [&str; 4] = ["/debug", "/debug/slow", "/debug/sentry", "/debug/panic"];
    let without = gateway(&[]).await;
    for path in PATHS {
        assert_eq!(without.get(path).await.status, 404, "{path}");
    }
    let [port] = free_ports();
    let variables = [("DEBUG_ENDPOINTS", "1"), ("METRICS_PORT", &port.to_string())];
    let gateway = gateway(&variables).await;
    for path in PATHS.into_iter().chain(["/metrics"]) {
        assert_eq!(gateway.get(path).await.status, 404, "{path}");
    }
    for path in ["/debug/sentry", "/metrics"] {
        let answer = reqwest::get(format!("http://127.0.0.1:{port}{path}"))
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
}
