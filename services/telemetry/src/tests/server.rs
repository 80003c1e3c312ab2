//! The server's span: shape, parent, status, panics, and when it ends.

use std::convert::Infallible;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
    routing::{any, get as on_get},
};
use futures::{StreamExt as _, stream};
use opentelemetry::trace::{SpanId, SpanKind, Status};
use tower::ServiceExt as _;
use tracing::Instrument as _;

use super::harness::{Harness, attribute, get, serve};
use crate::{ErrorReport, current_trace_id, db, db_batch};

#[tokio::test]
async fn a_span_has_the_semantic_conventions_attributes() {
    let harness = Harness::with_env(&[("TRUSTED_PROXIES", "2")]);
    let router = Router::new().route("/v1/users/{id}", on_get(|| async { "hello" }));
    let request = Request::get("/v1/users/7?token=hunter2")
        .header("host", "shop.example:8080")
        .header("user-agent", "curl/8")
        .header("x-forwarded-for", "203.0.113.9, 10.0.0.1")
        .header("x-forwarded-proto", "https")
        .body(Body::empty())
        .unwrap();
    harness.call(router, request).await;

    let span = harness.span("GET /v1/users/{id}");
    assert_eq!(span.span_kind, SpanKind::Server);
    assert_eq!(span.status, Status::Unset);
    assert_eq!(span.parent_span_id, SpanId::INVALID);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/v1/users/{id}"),
        ("http.response.status_code", "200"),
        ("url.path", "/v1/users/7"),
        ("url.scheme", "https"),
        ("server.address", "shop.example"),
        ("server.port", "8080"),
        ("client.address", "203.0.113.9"),
        ("user_agent.original", "curl/8"),
        ("network.protocol.version", "1.1"),
    ] {
        assert_eq!(attribute(&span, key).as_deref(), Some(value), "{key}");
    }
    assert!(
        span.events.is_empty(),
        "the access line would only repeat the span"
    );
    assert!(
        !format!("{:?}", span.attributes).contains("hunter2"),
        "the query must stay out of the span"
    );
}

#[tokio::test]
async fn a_remote_parent_is_continued_and_children_nest() {
    let harness = Harness::new();
    let router = Router::new().route(
        "/users",
        on_get(|| async {
            db("SELECT", "users", "SELECT id FROM users WHERE id = ?")
                .run(async { Ok::<_, Infallible>(()) })
                .await
                .ok();
            current_trace_id().unwrap_or_default()
        }),
    );
    let request = Request::get("/users")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .body(Body::empty())
        .unwrap();
    let (_, body) = harness.call(router, request).await;

    let server = harness.span("GET /users");
    let query = harness.span("SELECT users");
    assert_eq!(
        server.span_context.trace_id().to_string(),
        "0af7651916cd43dd8448eb211c80319c"
    );
    assert_eq!(server.parent_span_id.to_string(), "b7ad6b7169203331");
    assert_eq!(body, b"0af7651916cd43dd8448eb211c80319c");
    assert_eq!(query.parent_span_id, server.span_context.span_id());
    assert_eq!(query.span_kind, SpanKind::Client);
    assert_eq!(attribute(&query, "db.system.name").as_deref(), Some("sqlite"));
    assert_eq!(attribute(&query, "db.operation.name").as_deref(), Some("SELECT"));
    assert_eq!(attribute(&query, "db.collection.name").as_deref(), Some("users"));
    assert_eq!(
        attribute(&query, "db.query.text").as_deref(),
        Some("SELECT id FROM users WHERE id = ?")
    );
}

#[tokio::test]
async fn queries_that_are_sent_together_are_named_after_what_they_have_in_common() {
    const INSERT: (&str, &str) = ("INSERT", "users");
    let batches: [(&[_], &str, Option<&str>); 5] = [
        (&[INSERT], "INSERT users", None),
        (&[INSERT, INSERT], "BATCH INSERT users", Some("2")),
        (&[INSERT, ("INSERT", "mails")], "BATCH INSERT", Some("2")),
        (&[INSERT, INSERT, ("DELETE", "users")], "BATCH users", Some("3")),
        (&[INSERT, ("DELETE", "mails")], "BATCH", Some("2")),
    ];
    for (queries, name, size) in batches {
        let harness = Harness::new();
        let handler = move || async move {
            let call = db_batch(queries, "the text of all");
            call.run(async { Ok::<_, Infallible>(()) }).await.ok();
        };
        harness
            .call(Router::new().route("/", on_get(handler)), get("/"))
            .await;
        let span = harness.span(name);
        assert_eq!(
            attribute(&span, "db.operation.batch.size").as_deref(),
            size,
            "{name}"
        );
        assert_eq!(
            attribute(&span, "db.query.text").as_deref(),
            Some("the text of all")
        );
    }
}

#[tokio::test]
async fn an_unsampled_parent_records_nothing_but_keeps_its_trace_id() {
    let harness = Harness::new();
    let router = Router::new().route("/", on_get(|| async { current_trace_id().unwrap_or_default() }));
    let request = Request::get("/")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
        )
        .body(Body::empty())
        .unwrap();
    let (_, body) = harness.call(router, request).await;
    assert_eq!(body, b"0af7651916cd43dd8448eb211c80319c");
    assert!(harness.spans().is_empty());
    assert_eq!(harness.log_line("request completed")["trace_flags"], "00");
}

#[tokio::test]
async fn a_disabled_sdk_records_nothing_and_still_knows_the_caller_s_trace() {
    let harness = Harness::with_env(&[("OTEL_SDK_DISABLED", "true")]);
    let router = Router::new().route("/", on_get(|| async { current_trace_id().unwrap_or_default() }));
    let request = Request::get("/")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .body(Body::empty())
        .unwrap();
    let (_, body) = harness.call(router, request).await;
    assert_eq!(body, b"0af7651916cd43dd8448eb211c80319c");
    assert!(harness.spans().is_empty());
}

#[tokio::test]
async fn the_status_decides_span_and_level() {
    for (status, span_status, error_type, level) in [
        (200, Status::Unset, None, 30),
        (302, Status::Unset, None, 30),
        (404, Status::Unset, None, 40),
        (429, Status::Unset, None, 40),
        (500, Status::error(""), Some("500"), 50),
        (503, Status::error(""), Some("503"), 50),
    ] {
        let harness = Harness::new();
        let router = Router::new().route(
            "/x",
            on_get(move || async move { StatusCode::from_u16(status).unwrap() }),
        );
        harness.call(router, get("/x")).await;
        let span = harness.span("GET /x");
        assert_eq!(span.status, span_status, "{status}");
        assert_eq!(attribute(&span, "error.type").as_deref(), error_type, "{status}");
        assert_eq!(harness.log_line("request completed")["level"], level, "{status}");
    }
}

#[tokio::test]
async fn an_error_that_a_handler_logs_and_survives_is_no_failed_request() {
    let harness = Harness::new();
    let handler = || async { tracing::error!("the cache is gone, doing without") };
    harness
        .call(Router::new().route("/x", on_get(handler)), get("/x"))
        .await;
    let span = harness.span("GET /x");
    assert_eq!(span.status, Status::Unset);
    assert_eq!(span.events.len(), 1, "it is seen on the span all the same");
}

#[tokio::test]
async fn an_error_report_names_the_failure_in_span_and_log() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot load the user")]
    struct LoadError(#[source] std::io::Error);

    async fn fail() -> Response {
        let error = LoadError(std::io::Error::other("disk on fire"));
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(ErrorReport::new(&error));
        response
    }
    let harness = Harness::new();
    harness
        .call(Router::new().route("/x", on_get(fail)), get("/x"))
        .await;
    let span = harness.span("GET /x");
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("LoadError"));
    assert_eq!(span.status, Status::error("cannot load the user"));
    let line = harness.log_line("request completed");
    assert_eq!(line["err"]["type"], "LoadError");
    assert_eq!(line["err"]["message"], "cannot load the user");
    assert_eq!(
        line["err"]["stack"],
        "LoadError: cannot load the user\n  caused by: disk on fire"
    );
}

#[tokio::test]
async fn a_panic_is_a_problem_with_the_trace_id_and_a_fatal_line() {
    async fn boom() -> &'static str {
        panic!("the secret reason")
    }
    let harness = Harness::new();
    let (head, body) = harness
        .call(Router::new().route("/x", on_get(boom)), get("/x"))
        .await;
    let span = harness.span("GET /x");

    assert_eq!(head.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(head.headers["content-type"], "application/problem+json");
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["code"], "internal");
    assert_eq!(problem["trace_id"], span.span_context.trace_id().to_string());
    assert!(
        !problem.to_string().contains("secret reason"),
        "a client must not read it"
    );

    assert_eq!(attribute(&span, "error.type").as_deref(), Some("panic"));
    assert_eq!(span.status, Status::error("the secret reason"));
    let line = harness.log_line("request completed");
    assert_eq!(line["level"], 60);
    assert_eq!(line["err"]["message"], "the secret reason");
}

#[tokio::test]
async fn the_span_lasts_until_the_streamed_body_ends() {
    let harness = Harness::new();
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Bytes, Infallible>>();
    let receiver = std::sync::Arc::new(std::sync::Mutex::new(Some(receiver)));
    let router =
        Router::new().route(
            "/events",
            on_get(move || async move {
                Body::from_stream(receiver.lock().unwrap().take().unwrap()).into_response()
            }),
        );
    let response = harness
        .telemetry
        .wrap(router)
        .oneshot(get("/events"))
        .await
        .unwrap();
    sender
        .unbounded_send(Ok(Bytes::from_static(b"data: 1\n\n")))
        .unwrap();
    assert!(harness.spans().is_empty(), "the answer is still being streamed");
    assert!(harness.log_lines().is_empty());
    drop(sender);
    axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    assert_eq!(attribute(&harness.span("GET /events"), "error.type"), None);
    harness.log_line("request completed");
}

#[tokio::test]
async fn a_stream_of_known_length_ends_with_its_last_byte() {
    async fn proxied() -> Response {
        let stream =
            stream::iter(["da", "ta"].map(|part| Ok::<_, Infallible>(Bytes::from_static(part.as_bytes()))));
        // A server stops polling after the fourth byte, before the stream says that it is over.
        (
            [("content-length", "4")],
            Body::from_stream(stream.chain(stream::pending())),
        )
            .into_response()
    }
    let harness = Harness::new();
    let address = serve(
        harness
            .telemetry
            .wrap(Router::new().route("/file", on_get(proxied))),
    )
    .await;
    let response = reqwest::get(format!("http://{address}/file")).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "data");
    harness.spans_reach(1).await;
    harness.log_line("request completed");
}

#[tokio::test]
async fn a_client_that_leaves_midway_and_a_body_that_fails_are_told_apart() {
    let harness = Harness::new();
    let endless = || async {
        Body::from_stream(stream::repeat(Ok::<_, Infallible>(Bytes::from_static(b"x")))).into_response()
    };
    let broken = || async {
        Body::from_stream(stream::iter([Err::<Bytes, _>(std::io::Error::other(
            "upstream reset",
        ))]))
        .into_response()
    };
    let router = harness.telemetry.wrap(
        Router::new()
            .route("/endless", on_get(endless))
            .route("/broken", on_get(broken)),
    );

    drop(router.clone().oneshot(get("/endless")).await.unwrap());
    assert_eq!(harness.log_line("response aborted by the client")["level"], 30);
    assert_eq!(harness.span("GET /endless").status, Status::Unset);

    let response = router.oneshot(get("/broken")).await.unwrap();
    axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap_err();
    assert_eq!(harness.log_line("response failed midway")["level"], 50);
    let span = harness.span("GET /broken");
    assert_eq!(span.status, Status::error("upstream reset"));
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("body"));
}

#[tokio::test]
async fn a_cancelled_handler_is_reported() {
    let harness = Harness::new();
    let router = harness
        .telemetry
        .wrap(Router::new().route("/slow", on_get(std::future::pending::<()>)));
    let mut request = Box::pin(router.oneshot(get("/slow")));
    assert!(futures::poll!(&mut request).is_pending());
    drop(request);
    assert_eq!(harness.log_line("request cancelled")["level"], 40);
    assert_eq!(
        attribute(&harness.span("GET /slow"), "error.type").as_deref(),
        Some("cancelled")
    );
}

#[tokio::test]
async fn unknown_routes_and_methods_stay_of_low_cardinality() {
    let harness = Harness::new();
    let router = Router::new().route("/x", any(|| async { "x" }));
    harness.call(router.clone(), get("/nowhere/123")).await;
    let span = harness.span("GET");
    assert_eq!(attribute(&span, "http.route"), None);
    assert_eq!(attribute(&span, "url.path").as_deref(), Some("/nowhere/123"));

    let method = Method::from_bytes(b"BREW").unwrap();
    harness
        .call(
            router,
            Request::builder()
                .method(method)
                .uri("/x")
                .body(Body::empty())
                .unwrap(),
        )
        .await;
    let span = harness.span("HTTP /x");
    assert_eq!(attribute(&span, "http.request.method").as_deref(), Some("_OTHER"));
    assert_eq!(
        attribute(&span, "http.request.method_original").as_deref(),
        Some("BREW")
    );
}

#[tokio::test]
async fn a_task_spawned_in_the_current_span_belongs_to_the_request() {
    let harness = Harness::new();
    let handler = || async {
        let work = async {
            let query = db("SELECT", "users", "SELECT 1");
            query.run(async { Ok::<_, Infallible>(()) }).await.ok();
            tracing::info!("from the task");
        };
        tokio::spawn(work.in_current_span()).await.unwrap();
    };
    harness
        .call(Router::new().route("/x", on_get(handler)), get("/x"))
        .await;
    let server = harness.span("GET /x");
    assert_eq!(
        harness.span("SELECT users").parent_span_id,
        server.span_context.span_id()
    );
    assert_eq!(
        harness.log_line("from the task")["span_id"],
        server.span_context.span_id().to_string()
    );
    assert_eq!(server.events.len(), 1, "{:?}", server.events);
    assert_eq!(
        harness.spans().len(),
        2,
        "what brings the span there is none itself"
    );
}
