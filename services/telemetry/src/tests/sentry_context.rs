//! What surrounds a report: user, breadcrumbs, the request, and who may see which of it.

use axum::{
    Router, body::Body, extract::Request, http::StatusCode, response::Response, routing::get as on_get,
};
use serde_json::json;
use tracing::Instrument;

use super::{
    harness::{DSN, Harness, attribute, get, serve},
    sentry::{LoadError, fail, router},
};
use crate::{Severity, breadcrumb, capture_error, capture_message, db, user};

#[tokio::test]
async fn user_and_breadcrumbs_belong_to_their_request_alone() {
    async fn handler() -> Response {
        user("usr_7", Some("a@b.example"));
        tracing::info!(page = 3, "loading");
        breadcrumb("cache", "miss", &[("key", "page:3"), ("password", "hunter2")]);
        fail().await
    }
    let harness = Harness::with_env(&[DSN]);
    tracing::info!("before any request");
    harness
        .call(Router::new().route("/x", on_get(handler)), get("/x"))
        .await;
    harness.call(router(), get("/fail/1")).await;
    let events = harness.sent("event");
    let [first, second] = events.as_slice() else {
        panic!("{events:#?}")
    };
    assert_eq!(
        first["user"],
        json!({"id": "usr_7"}),
        "no e-mail unless SENTRY_SEND_PII says so"
    );
    let trail = first["breadcrumbs"]["values"].as_array().unwrap();
    assert_eq!(trail.len(), 2, "{trail:#?}");
    assert_eq!(
        (&trail[0]["message"], &trail[0]["data"]),
        (&json!("loading"), &json!({"page": 3}))
    );
    assert_eq!(trail[1]["category"], "cache");
    assert_eq!(
        trail[1]["data"],
        json!({"key": "page:3", "password": "[redacted]"})
    );
    assert_eq!((second.get("user"), second.get("breadcrumbs")), (None, None));

    let span = harness.span("GET /x");
    assert_eq!(attribute(&span, "user.id").as_deref(), Some("usr_7"));
    let lines = harness.log_lines();
    let line = lines.iter().find(|line| line["req"]["route"] == "/x").unwrap();
    assert_eq!(line["userId"], "usr_7");
}

#[tokio::test]
async fn personal_data_is_sent_where_it_is_allowed() {
    async fn handler() -> Response {
        user("usr_7", Some("a@b.example"));
        fail().await
    }
    let harness = Harness::with_env(&[DSN, ("SENTRY_SEND_PII", "1"), ("TRUSTED_PROXIES", "1")]);
    let request = Request::get("/x?page=2&token=hunter2")
        .header("x-forwarded-for", "203.0.113.9")
        .body(Body::empty())
        .unwrap();
    harness
        .call(Router::new().route("/x", on_get(handler)), request)
        .await;
    let event = harness.event();
    assert_eq!(
        event["user"],
        json!({"id": "usr_7", "email": "a@b.example", "ip_address": "203.0.113.9"})
    );
    assert_eq!(event["request"]["query_string"], "page=2&token=[redacted]");
}

#[tokio::test]
async fn reports_by_hand_have_the_request_s_context_also_from_a_spawned_task() {
    async fn handler() -> &'static str {
        let span = tracing::info_span!("background");
        let task = async { capture_error(&LoadError::new()) };
        assert!(tokio::spawn(task.instrument(span)).await.unwrap().is_some());
        capture_message(Severity::Warning, "card 4111 1111 1111 1111 is stuck");
        "done"
    }
    let harness = Harness::with_env(&[DSN]);
    harness
        .call(Router::new().route("/x", on_get(handler)), get("/x"))
        .await;
    let events = harness.sent("event");
    let [error, message] = events.as_slice() else {
        panic!("{events:#?}")
    };
    let server = harness.span("GET /x");
    for event in [error, message] {
        assert_eq!(
            event["contexts"]["trace"]["trace_id"],
            server.span_context.trace_id().to_string()
        );
        assert_eq!(event["request"]["method"], "GET");
    }
    assert_eq!(error["exception"]["values"][1]["type"], "LoadError");
    assert_eq!(
        (&message["level"], &message["message"]),
        (&json!("warning"), &json!("card [redacted] is stuck"))
    );
    assert_eq!(
        harness.log_line("error captured")["sentry_event_id"],
        error["event_id"]
    );
}

#[tokio::test]
async fn reports_outside_of_requests_have_the_thread_s_trail() {
    let harness = Harness::with_env(&[DSN]);
    breadcrumb("job", "started", &[]);
    user("usr_7", None);
    let id = capture_message(Severity::Fatal, "the job cannot go on").unwrap();
    let event = harness.event();
    assert_eq!(
        (event["event_id"].as_str(), &event["level"]),
        (Some(id.as_str()), &json!("fatal"))
    );
    assert_eq!(event["breadcrumbs"]["values"][0]["message"], "started");
    assert_eq!(event.get("user"), None, "a thread has no user");
    assert_eq!(harness.log_line("the job cannot go on")["level"], 60);
}

#[tokio::test]
async fn calls_and_queries_are_breadcrumbs_of_the_failure_after_them() {
    let busy = || async { StatusCode::SERVICE_UNAVAILABLE };
    let upstream = serve(Router::new().route("/stock", on_get(busy))).await;
    let harness = Harness::with_env(&[DSN]);
    let client = harness.telemetry.client(reqwest::Client::new());
    let handler = move || async move {
        let query = || db("SELECT", "users", "SELECT id FROM users WHERE id = ?");
        query().run(async { Ok::<_, String>(()) }).await.ok();
        tracing::info!("between");
        query()
            .run(async { Err::<(), _>("locked".to_owned()) })
            .await
            .ok();
        let stock = client.get(format!("http://{upstream}/stock?token=hunter2"));
        stock.send().await.unwrap();
        client.get("http://127.0.0.1:1/").send().await.unwrap_err();
        StatusCode::INTERNAL_SERVER_ERROR
    };
    harness
        .call(Router::new().route("/x", on_get(handler)), get("/x"))
        .await;
    let event = harness.event();
    let select = "SELECT id FROM users WHERE id = ?";
    let stock = format!("http://{upstream}/stock?token=REDACTED");
    let trail = event["breadcrumbs"]["values"].as_array().unwrap();
    let trail: Vec<_> = trail
        .iter()
        .map(|crumb| {
            json!([
                crumb["type"],
                crumb["category"],
                crumb["level"],
                crumb["message"],
                crumb["data"]
            ])
        })
        .collect();
    let target = "tracewell_telemetry::tests::sentry_context";
    assert_eq!(
        trail,
        [
            json!(["query", "query", null, select, {"db.system": "sqlite"}]),
            json!([null, target, null, "between", null]),
            json!(["query", "query", "error", select, {"db.system": "sqlite", "reason": "error"}]),
            json!(["http", "http", "error", null, {"method": "GET", "url": stock, "status_code": 503}]),
            json!(["http", "http", "error", null, {"method": "GET", "url": "http://127.0.0.1:1/", "reason": "connect"}]),
        ]
    );
}
