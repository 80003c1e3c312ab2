//! `/metrics` as Prometheus and its checker read it.

use http::Method;
use serde_json::json;
use tracewell_e2e::wait::{Look, until};

use crate::fixture::{Answer, Greeter, LIMIT, Prometheus, Service, Tools, free_ports, promtool_complaints};

#[tokio::test]
async fn promtool_has_nothing_to_say_about_the_metrics() {
    let Some(tools) = Tools::find() else { return };
    let greeter = Greeter::start(&[]).await;
    greeter.get("/hello/ada").await;
    greeter.get("/hello/nobody").await;
    greeter.get("/debug/panic").await;
    Answer::to(greeter.request(Method::DELETE, "/nowhere")).await;

    let exposition = greeter.get("/metrics").await.body;
    for name in [
        "http_server_request_duration_seconds_bucket",
        "http_server_active_requests",
        "db_client_operation_duration_seconds_count",
        "process_resident_memory_bytes",
        "telemetry_spans_dropped_total",
        "telemetry_log_lines_dropped_total",
    ] {
        assert!(exposition.contains(name), "no {name} in\n{exposition}");
    }
    assert_eq!(promtool_complaints(&tools, &exposition), "", "on\n{exposition}");
}

#[tokio::test]
async fn an_event_that_sentry_is_not_there_to_take_is_counted() {
    let dsn = format!("http://key@127.0.0.1:{}/1", free_ports::<1>()[0]);
    let greeter = Greeter::start(&[("SENTRY_DSN", &dsn)]).await;
    assert_eq!(greeter.get("/debug/message").await.status, 200);
    until("a loss is counted", LIMIT, async || {
        let lost = greeter.counter("telemetry_envelopes_dropped_total", "reason=\"network_error\"");
        Ok(match lost.await {
            0 => Look::NotYet("none".to_owned()),
            _ => Look::Done(()),
        })
    })
    .await
    .unwrap();
}

/// `db.client.connection.count` is the name that the semantic conventions give it, whatever Prometheus thinks of its end.
const NAMED_BY_CONVENTION: &str = "db_client_connection_count non-histogram and non-summary metrics should not have \"_count\" suffix\nfailed";

#[tokio::test]
async fn promtool_has_nothing_else_to_say_about_the_metrics_of_our_services() {
    let Some(tools) = Tools::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let nobody = json!({"email": "ada@example.com", "password": "not the password"});
    // A request of each, and a metric of its own domain that it leaves, where it has one.
    let services = [
        ("auth", Method::POST, "/v1/signin", "auth_signin_total"),
        (
            "billing",
            Method::GET,
            "/v1/plans",
            "db_client_operation_duration_seconds_count",
        ),
        (
            "chat",
            Method::POST,
            "/v1/conversations",
            "http_server_request_duration_seconds_bucket",
        ),
        (
            "gateway",
            Method::GET,
            "/auth/v1/me",
            "http_client_request_duration_seconds_count",
        ),
    ];
    for (name, method, path, metric) in services {
        let database = format!("sqlite://{}/{name}.db", folder.path().display());
        let variables = [
            ("DATABASE_URL", database.as_str()),
            ("GATEWAY_ROUTES", "/auth=http://127.0.0.1:9"),
        ];
        let service = Service::start(&format!("tracewell-{name}"), &variables).await;
        Answer::to(service.request(method, path).json(&nobody)).await;
        service.get("/nowhere").await;
        let exposition = service.get("/metrics").await.body;
        assert!(
            exposition.contains(metric),
            "{name} has no {metric} in\n{exposition}"
        );
        let complaints = promtool_complaints(&tools, &exposition);
        assert!(
            ["", NAMED_BY_CONVENTION].contains(&complaints.as_str()),
            "{complaints} of {name} on\n{exposition}"
        );
    }
}

#[tokio::test]
async fn from_a_bucket_in_prometheus_an_exemplar_leads_to_the_trace_of_a_log_line() {
    let Some(tools) = Tools::find() else { return };
    let greeter = Greeter::start(&[]).await;
    let host = greeter.url().trim_start_matches("http://");
    let prometheus = Prometheus::scraping(&tools, host).await;
    assert_eq!(greeter.get("/hello/ada").await.status, 200);
    // The spelling of the bound is the same in both formats, or the series would not be found.
    let queries = [
        r#"http_server_request_duration_seconds_bucket{http_route="/hello/{name}",le!="1"}"#,
        r#"db_client_operation_duration_seconds_bucket{db_collection_name="people"}"#,
    ];
    let mut found = Vec::new();
    for query in queries {
        let exemplar = until("Prometheus has an exemplar", LIMIT, async || {
            let exemplars = prometheus.exemplars(query).await;
            Ok(match exemplars.first() {
                Some(exemplar) => Look::Done(exemplar.clone()),
                None => Look::NotYet("none".to_owned()),
            })
        });
        found.push(exemplar.await.unwrap());
    }
    let log = greeter.end().await.log;
    let line = log
        .iter()
        .find(|line| line["req"]["url"] == "/hello/ada")
        .unwrap();
    let [request, query] = &found[..] else {
        panic!("{found:#?}")
    };
    assert_eq!(request["labels"]["trace_id"], line["trace_id"]);
    assert_eq!(request["labels"]["span_id"], line["span_id"]);
    assert_eq!(query["labels"]["trace_id"], line["trace_id"]);
}
