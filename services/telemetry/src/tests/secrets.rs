//! Planted secrets, searched in everything that leaves the process.

use std::io;

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use opentelemetry::{Context, KeyValue, trace::TraceContextExt};
use serde_json::json;

use tracing::Instrument as _;

use super::harness::{DSN, Harness, attribute, serve};
use crate::{
    ErrorReport, background, breadcrumb, capture_error, counter, db,
    metrics::{Format, Metrics},
    span_attribute,
};

// No more than their look, or the name beside them, tells that they are secrets.
const PASSWORD: &str = "hunter2";
const CARD: &str = "4111111111111111";
const CARD_AS_NUMBER: i64 = 4_111_111_111_111_111;
const SPACED_CARD: &str = "4111 1111 1111 1111";
const JWT: &str = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3JfMSJ9.c2lnbmVk";
const COOKIE: &str = "c2Vzc2lvbj1vZi1hZGE";

#[derive(Debug, thiserror::Error)]
#[error("cannot charge {CARD}")]
struct ChargeError(#[source] io::Error);

/// A handler that does everything wrong that a handler can.
async fn careless(client: crate::TracedClient, upstream: std::net::SocketAddr) -> Response {
    tracing::warn!(password = PASSWORD, header = %format!("Cookie: s={COOKIE}"), "sign-in with {JWT}");
    span_attribute("shop.card_number", CARD);
    tracing::warn!(paid_by = CARD_AS_NUMBER, "paid");
    span_attribute("shop.paid_by", CARD_AS_NUMBER);
    span_attribute("note", format!("token={PASSWORD}"));
    let context = Context::current();
    let span = context.span();
    span.add_event(
        format!("paid by {SPACED_CARD}"),
        vec![
            KeyValue::new("exception.message", format!("Authorization: Bearer {JWT}")),
            KeyValue::new("session.cookie", COOKIE),
        ],
    );
    span.add_link(
        span.span_context().clone(),
        vec![KeyValue::new("api_token", PASSWORD)],
    );
    let query = db("INSERT", "cards", format!("INSERT INTO cards VALUES ('{CARD}')"));
    query
        .run(async { Err::<(), _>(format!("password: \"{PASSWORD}\" refused")) })
        .await
        .ok();
    let url = format!("http://ada:{PASSWORD}@{upstream}/{JWT}?q={PASSWORD}");
    client
        .get(url)
        .bearer_auth(JWT)
        .header("cookie", COOKIE)
        .send()
        .await
        .ok();
    breadcrumb(
        "payment",
        &format!("by {CARD}"),
        &[("token", PASSWORD), ("header", JWT)],
    );
    let aside = async {
        tracing::warn!("token={PASSWORD}");
        capture_error(&ChargeError(io::Error::other(format!("cookie: {COOKIE}"))));
    };
    tokio::spawn(aside.in_current_span()).await.ok();
    let work = background(format!("charge {CARD}"));
    work.run(async { Err::<(), _>(format!("secret={PASSWORD}")) })
        .await
        .ok();
    let error = ChargeError(io::Error::other(format!("Bearer {JWT}")));
    let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    response.extensions_mut().insert(ErrorReport::new(&error));
    response
}

#[tokio::test]
async fn no_planted_secret_leaves_the_process() {
    for format in ["json", "pretty"] {
        let harness = Harness::with_env(&[("LOG_FORMAT", format), DSN, ("SENTRY_TRACES_SAMPLE_RATE", "1")]);
        let upstream = serve(Router::new()).await;
        let client = harness.telemetry.client(reqwest::Client::new());
        let router = Router::new()
            .route("/pay/{token}", post(move || careless(client, upstream)))
            .route(
                "/panic",
                post(|| async { panic!("card {CARD}, password={PASSWORD}") as () }),
            );
        let request = |path: String| {
            Request::post(path)
                .header("authorization", format!("Bearer {JWT}"))
                .header("cookie", format!("session={COOKIE}"))
                .header("user-agent", format!("curl/8 token={PASSWORD}"))
                .header("x-request-id", format!("password={PASSWORD}"))
                .body(Body::from(format!("{{\"password\":\"{PASSWORD}\"}}")))
                .unwrap()
        };
        harness
            .call(
                router.clone(),
                request(format!("/pay/{JWT}?card={CARD}&password={PASSWORD}")),
            )
            .await;
        harness
            .call(router, request(format!("/panic?token={PASSWORD}")))
            .await;
        counter("test.secrets", "For this test.").add(1, &[("outcome", &format!("token={PASSWORD}"))]);

        let spans = harness.spans();
        assert!(spans.len() >= 5, "{spans:#?}");
        let (events, transactions) = (harness.sent("event"), harness.sent("transaction"));
        assert!(events.len() >= 3 && !transactions.is_empty(), "{events:#?}");
        let leaving = [
            ("events", format!("{events:?}")),
            ("transactions", format!("{transactions:?}")),
            ("spans", format!("{spans:?}")),
            ("log", harness.log_text()),
            ("metrics", Metrics::global().render(Format::Text)),
        ];
        for (place, text) in leaving {
            for secret in [PASSWORD, CARD, SPACED_CARD, JWT, COOKIE] {
                assert!(!text.contains(secret), "{secret} in {place}: {text}");
            }
        }
    }
}

#[test]
fn a_card_s_number_is_a_secret_as_a_number_too() {
    let harness = Harness::new();
    let by_number: [u64; 4] = [
        4_111_111_111_111_111,
        4_111_111_111_111_112,
        1_764_000_000_000_000,
        4_111,
    ];
    for number in by_number {
        tracing::info!(number, signed = number.cast_signed(), "paid {number}");
    }
    let lines = harness.log_lines();
    let seen: Vec<_> = lines.iter().map(|line| line["number"].clone()).collect();
    let rest = by_number.map(|number| json!(number));
    assert_eq!(seen, [&[json!("[redacted]")], &rest[1..]].concat());
    assert!(
        lines.iter().all(|line| line["signed"] == line["number"]),
        "{lines:?}"
    );
}

#[tokio::test]
async fn what_is_no_secret_stays() {
    let harness = Harness::new();
    let sql = "UPDATE users SET password = $1, token = ? WHERE id = $2";
    db("UPDATE", "users", sql)
        .run(async { Ok::<_, String>(()) })
        .await
        .ok();
    assert_eq!(
        attribute(&harness.span("UPDATE users"), "db.query.text").as_deref(),
        Some(sql)
    );
}
