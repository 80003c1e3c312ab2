//! What becomes of each outcome in Sentry, in the log, on the span and for the client.

use std::sync::Once;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get as on_get,
};
use futures::stream;
use serde_json::{Value, json};

use super::harness::{DSN, Harness, attribute, get};
use crate::{ErrorReport, Severity, capture_message, log, user};

#[derive(Debug, thiserror::Error)]
#[error("cannot load the user")]
pub(super) struct LoadError(#[source] std::io::Error);

impl LoadError {
    pub(super) fn new() -> Self {
        Self(std::io::Error::other("disk on fire"))
    }
}

pub(super) async fn fail() -> Response {
    let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    response
        .extensions_mut()
        .insert(ErrorReport::new(&LoadError::new()));
    response
}

async fn refuse() -> Response {
    let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
    response
        .extensions_mut()
        .insert(ErrorReport::refusal("busy", "too many at once"));
    response
}

async fn boom() -> &'static str {
    panic!("the reason")
}

pub(super) fn router() -> Router {
    Router::new()
        .route("/fail/{id}", on_get(fail))
        .route("/panic", on_get(boom))
        .route("/ok", on_get(|| async { "ok" }))
        .route("/missing/{id}", on_get(|| async { StatusCode::NOT_FOUND }))
        .route("/busy", on_get(refuse))
        .route("/bare", on_get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
}

/// Has panics seen as in a service, besides what shows them in a failing test.
pub(super) fn hook_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let shown = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            log::log_panic(info);
            shown(info);
        }));
    });
}

pub(super) fn functions(exception: &Value) -> Vec<&str> {
    let frames = exception["stacktrace"]["frames"].as_array().unwrap();
    frames
        .iter()
        .map(|frame| frame["function"].as_str().unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn success_sends_nothing_but_counts_for_the_release() {
    let harness = Harness::with_env(&[DSN]);
    let (head, _) = harness.call(router(), get("/ok")).await;
    assert!(!head.headers.contains_key("x-sentry-event-id"));
    assert_eq!(harness.sent("event"), Vec::<Value>::new());
    let sessions = harness.sent("sessions");
    assert_eq!(sessions[0]["aggregates"][0]["exited"], 1);
    assert_eq!(
        sessions[0]["attrs"],
        json!({"release": "shop@1.2.3", "environment": "production"})
    );
    assert_eq!(harness.log_line("request completed").get("sentry"), None);
}

#[tokio::test]
async fn a_5xx_is_one_error_with_stack_causes_request_and_the_trace_s_ids() {
    let harness = Harness::with_env(&[
        DSN,
        ("SENTRY_RELEASE", "shop:4.2"),
        ("SENTRY_ENVIRONMENT", "staging"),
        ("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=shop-1,k8s.node.name=n7"),
        ("TRACE_UI_URL", "http://jaeger:16686/"),
        ("SENTRY_UI_URL", "https://sentry.example/organizations/acme/"),
        ("TRUSTED_PROXIES", "1"),
    ]);
    let request = Request::get("/fail/7?page=2&token=hunter2")
        .header("host", "shop.example")
        .header("user-agent", "curl/8")
        .header("authorization", "Bearer hunter2-hunter2")
        .header("cookie", "sid=hunter2")
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-proto", "https")
        .body(Body::empty())
        .unwrap();
    let (head, _) = harness.call(router(), request).await;
    let event = harness.event();

    let span = harness.span("GET /fail/{id}");
    let trace_id = span.span_context.trace_id().to_string();
    assert_eq!(event["contexts"]["trace"]["trace_id"], trace_id);
    assert_eq!(
        event["contexts"]["trace"]["span_id"],
        span.span_context.span_id().to_string()
    );
    assert_eq!(
        event["contexts"]["jaeger"]["url"],
        format!("http://jaeger:16686/trace/{trace_id}")
    );

    let id = event["event_id"].as_str().unwrap();
    assert_eq!(head.headers["x-sentry-event-id"], id);
    assert_eq!(attribute(&span, "sentry.event_id").as_deref(), Some(id));
    let line = harness.log_line("request completed");
    assert_eq!(
        (&line["sentry"], &line["sentry_event_id"]),
        (&json!("sent"), &json!(id))
    );
    let url = format!("https://sentry.example/organizations/acme/issues/?query={id}");
    assert_eq!(attribute(&span, "sentry.event_url").as_ref(), Some(&url));
    assert_eq!(line["sentry_event_url"], url);

    let [cause, error] = event["exception"]["values"].as_array().unwrap().as_slice() else {
        panic!("{event:#}")
    };
    assert_eq!(cause["value"], "disk on fire");
    assert_eq!(
        (&error["type"], &error["value"]),
        (&json!("LoadError"), &json!("cannot load the user"))
    );
    let functions = functions(error);
    let innermost = functions.last().unwrap();
    assert!(innermost.contains("tests::sentry::fail"), "{functions:#?}");

    assert_eq!(event["transaction"], "GET /fail/{id}");
    assert_eq!(event["tags"]["http.status_code"], "500");
    assert_eq!(event["tags"]["service"], "shop");
    assert_eq!(
        (&event["release"], &event["environment"]),
        (&json!("shop:4.2"), &json!("staging"))
    );
    assert_eq!(event["server_name"], "shop-1");
    assert_eq!(event["contexts"]["k8s"]["node_name"], "n7");
    let request = &event["request"];
    assert_eq!(request["url"], "https://shop.example/fail/7");
    assert_eq!(request["query_string"], "page=[redacted]&token=[redacted]");
    assert_eq!(
        request["headers"],
        json!({"host": "shop.example", "user-agent": "curl/8"})
    );
    let text = event.to_string();
    assert!(
        !text.contains("hunter2") && !text.contains("203.0.113.9"),
        "{text}"
    );
    assert_eq!(harness.sent("sessions")[0]["aggregates"][0]["errored"], 1);
}

#[tokio::test]
async fn a_5xx_without_a_report_is_an_error_grouped_by_its_route() {
    let harness = Harness::with_env(&[DSN]);
    harness.call(router(), get("/bare")).await;
    let event = harness.event();
    assert_eq!(event["message"], "503 Service Unavailable: GET /bare");
    assert_eq!(event["fingerprint"], json!(["shop", "GET", "/bare", "503"]));
    assert_eq!(event.get("level"), None, "error is the protocol's default");
}

#[tokio::test]
async fn a_4xx_is_a_warning_once_in_a_while() {
    let harness = Harness::with_env(&[DSN]);
    let (head, _) = harness.call(router(), get("/missing/1")).await;
    assert!(!head.headers.contains_key("x-sentry-event-id"));
    harness.call(router(), get("/missing/2")).await;
    let event = harness.event();
    assert_eq!(
        (&event["level"], &event["message"]),
        (&json!("warning"), &json!("404 Not Found: GET /missing/{id}"))
    );
    assert_eq!(
        event["fingerprint"],
        json!(["shop", "GET", "/missing/{id}", "404"])
    );
    let words: Vec<_> = harness
        .log_lines()
        .iter()
        .map(|line| line["sentry"].clone())
        .collect();
    assert_eq!(words, ["sent", "throttled"]);
}

#[tokio::test]
async fn a_5xx_that_sheds_load_is_a_warning_once_in_a_while() {
    let harness = Harness::with_env(&[DSN]);
    let (head, _) = harness.call(router(), get("/busy")).await;
    let event = harness.event();
    assert_eq!(
        head.headers["x-sentry-event-id"],
        event["event_id"].as_str().unwrap()
    );
    assert_eq!(
        (&event["level"], &event["message"], event.get("exception")),
        (
            &json!("warning"),
            &json!("503 Service Unavailable: GET /busy"),
            None
        )
    );
    assert_eq!(event["fingerprint"], json!(["shop", "GET", "/busy", "503"]));
    let span = harness.span("GET /busy");
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("busy"));

    let (head, _) = harness.call(router(), get("/busy")).await;
    assert!(!head.headers.contains_key("x-sentry-event-id"));
    assert_eq!(harness.sent("event").len(), 1);

    let lines = harness.log_lines();
    let told: Vec<_> = lines
        .iter()
        .map(|line| (&line["sentry"], &line["err"]["message"]))
        .collect();
    let reason = json!("too many at once");
    assert_eq!(told, [(&json!("sent"), &reason), (&json!("throttled"), &reason)]);
    assert_eq!(harness.sent("sessions")[0]["aggregates"][0]["errored"], 1);
}

#[tokio::test]
async fn what_no_route_takes_is_in_the_log_only() {
    let harness = Harness::with_env(&[DSN]);
    harness.call(router(), get("/wp-admin.php")).await;
    assert_eq!(harness.sent("event"), Vec::<Value>::new());
    assert_eq!(harness.log_line("request completed").get("sentry"), None);
}

#[tokio::test]
async fn the_statuses_of_the_environment_alone_are_captured_and_panics_always() {
    hook_panics();
    let harness = Harness::with_env(&[DSN, ("SENTRY_CAPTURE_STATUS", "429,503")]);
    for path in ["/missing/1", "/fail/1", "/panic"] {
        harness.call(router(), get(path)).await;
    }
    assert_eq!(harness.event()["level"], "fatal");
}

#[tokio::test]
async fn a_panic_is_one_fatal_event_with_the_stack_of_the_panic() {
    hook_panics();
    let harness = Harness::with_env(&[DSN]);
    let (head, _) = harness.call(router(), get("/panic")).await;
    let event = harness.event();
    assert_eq!(event["level"], "fatal");
    let [panic] = event["exception"]["values"].as_array().unwrap().as_slice() else {
        panic!("{event:#}")
    };
    assert_eq!(
        (&panic["type"], &panic["value"]),
        (&json!("panic"), &json!("the reason"))
    );
    assert_eq!(panic["mechanism"]["handled"], false);
    let functions = functions(panic);
    assert!(
        functions.last().unwrap().contains("tests::sentry::boom"),
        "{functions:#?}"
    );
    assert_eq!(
        head.headers["x-sentry-event-id"],
        event["event_id"].as_str().unwrap()
    );
    assert_eq!(harness.sent("sessions")[0]["aggregates"][0]["crashed"], 1);
    let answered = harness.log_lines();
    let answered = answered
        .iter()
        .find(|line| line["req"]["route"] == "/panic")
        .unwrap();
    assert_eq!(answered["sentry_event_id"], event["event_id"]);
}

#[tokio::test]
async fn a_panic_outside_of_requests_is_reported_by_the_hook() {
    hook_panics();
    let harness = Harness::with_env(&[DSN]);
    assert!(std::panic::catch_unwind(|| panic!("nobody answers this")).is_err());
    let event = harness.event();
    assert_eq!(
        (&event["level"], &event["exception"]["values"][0]["value"]),
        (&json!("fatal"), &json!("nobody answers this"))
    );
    assert_eq!(harness.log_line("panicked")["sentry_event_id"], event["event_id"]);
}

#[tokio::test]
async fn a_body_that_fails_midway_is_an_error_after_its_good_head() {
    let broken = || async {
        Body::from_stream(stream::iter([Err::<Bytes, _>(std::io::Error::other(
            "upstream reset",
        ))]))
        .into_response()
    };
    let harness = Harness::with_env(&[DSN]);
    let router = harness
        .telemetry
        .wrap(Router::new().route("/broken", on_get(broken)));
    let response = tower::ServiceExt::oneshot(router, get("/broken")).await.unwrap();
    axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap_err();
    let event = harness.event();
    assert_eq!(event["exception"]["values"][0]["value"], "upstream reset");
    assert_eq!(event["breadcrumbs"]["values"][0]["data"]["status_code"], 200);
    assert_eq!(event["transaction"], "GET /broken");
}

#[tokio::test]
async fn without_a_dsn_the_same_decisions_are_in_the_log() {
    hook_panics();
    let harness = Harness::new();
    for path in ["/fail/1", "/missing/1", "/missing/1", "/panic", "/ok", "/nowhere"] {
        let (head, _) = harness.call(router(), get(path)).await;
        assert!(!head.headers.contains_key("x-sentry-event-id"));
    }
    assert_eq!(capture_message(Severity::Info, "by hand"), None);
    let lines = harness.log_lines();
    let decisions: Vec<_> = lines
        .iter()
        .filter(|line| line.get("req").is_some())
        .map(|line| (line["sentry"].as_str(), line["sentry_event"].as_str()))
        .collect();
    assert_eq!(
        decisions,
        [
            (Some("off"), Some("error LoadError: cannot load the user")),
            (Some("off"), Some("warning 404 Not Found: GET /missing/{id}")),
            (Some("throttled"), None),
            (Some("off"), Some("fatal panic: the reason")),
            (None, None),
            (None, None),
        ]
    );
    assert_eq!(harness.log_line("by hand")["sentry_event"], "info by hand");
    assert!(
        !harness
            .span("GET /fail/{id}")
            .attributes
            .iter()
            .any(|a| a.key.as_str() == "sentry.event_id")
    );
}

#[tokio::test]
async fn events_are_sampled_by_their_own_rate() {
    let harness = Harness::with_env(&[DSN, ("SENTRY_SAMPLE_RATE", "0")]);
    let (head, _) = harness.call(router(), get("/fail/1")).await;
    assert!(!head.headers.contains_key("x-sentry-event-id"));
    assert_eq!(harness.sent("event"), Vec::<Value>::new());
    assert_eq!(harness.log_line("request completed")["sentry"], "sampled_out");
}

#[tokio::test]
async fn events_have_the_caller_s_trace_also_where_spans_are_disabled() {
    let harness = Harness::with_env(&[DSN, ("OTEL_SDK_DISABLED", "true")]);
    let request = Request::get("/fail/1")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .body(Body::empty())
        .unwrap();
    harness.call(router(), request).await;
    assert_eq!(
        harness.event()["contexts"]["trace"]["trace_id"],
        "0af7651916cd43dd8448eb211c80319c"
    );
}

#[tokio::test]
async fn the_layers_are_in_the_order_that_reports_a_panic_of_any_layer_inside() {
    hook_panics();
    // A layer of the service's own: with telemetry's layers in another order its panic would have no scope, no
    // event, no status on the span, or no answer at all.
    let router = router().layer(axum::middleware::from_fn(
        |_: Request, _: axum::middleware::Next| async {
            user("usr_7", None);
            boom().await
        },
    ));
    let harness = Harness::with_env(&[DSN]);
    let (head, body) = harness.call(router, get("/ok")).await;
    assert_eq!(head.status, StatusCode::INTERNAL_SERVER_ERROR);
    let problem: Value = serde_json::from_slice(&body).unwrap();
    let event = harness.event();
    assert_eq!(problem["trace_id"], event["contexts"]["trace"]["trace_id"]);
    assert_eq!(
        (&event["user"]["id"], &event["request"]["method"]),
        (&json!("usr_7"), &json!("GET"))
    );
    let span = harness.span("GET /ok");
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("panic"));
    assert_eq!(
        attribute(&span, "http.response.status_code").as_deref(),
        Some("500")
    );
}
