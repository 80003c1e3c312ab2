//! What a client is told when an upstream cannot answer, or may not be asked.

use std::convert::Infallible;
use std::future::pending;

use axum::Router;
use axum::body::{Body, Bytes};
use http::{Method, StatusCode};

use crate::support::{Setup, always, assert_problem, mirror};

#[tokio::test]
async fn an_upstream_that_is_down_is_a_502_that_names_it() {
    let gateway = Setup::new().dead_upstream("auth").await.start().await;
    let answer = gateway.get("/auth/v1/me").send().await.unwrap();
    assert!(answer.headers().contains_key("x-request-id"));
    let problem = assert_problem(answer, StatusCode::BAD_GATEWAY, "upstream_unreachable").await;
    assert_eq!(
        (&problem["detail"], &problem["instance"]),
        (&"auth cannot be reached".into(), &"/auth/v1/me".into())
    );
}

#[tokio::test]
async fn an_upstream_that_is_silent_is_a_504() {
    let silent = Router::new().fallback(pending::<()>);
    let gateway = Setup::new()
        .upstream("auth", silent)
        .await
        .env("UPSTREAM_TIMEOUT_SECONDS", "1")
        .start()
        .await;
    let answer = gateway.get("/auth/v1/me").send().await.unwrap();
    assert_problem(answer, StatusCode::GATEWAY_TIMEOUT, "upstream_timeout").await;
}

#[tokio::test]
async fn what_an_upstream_says_about_its_own_failure_passes() {
    let failing = always(|| {
        let problem = r#"{"type":"about:blank","status":500,"code":"internal"}"#;
        http::Response::builder()
            .status(500)
            .header("content-type", "application/problem+json")
            .body(Body::from(problem))
            .unwrap()
    });
    let gateway = Setup::new().upstream("auth", failing).await.start().await;
    let answer = gateway.get("/auth/v1/me").send().await.unwrap();
    assert_problem(answer, StatusCode::INTERNAL_SERVER_ERROR, "internal").await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_413() {
    let gateway = Setup::new().upstream("auth", mirror()).await.start().await;
    let mebibyte = Bytes::from(vec![0; 1024 * 1024]);
    let chunks = std::iter::repeat_n(Ok::<_, Infallible>(mebibyte), 33);
    let body = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    let answer = gateway
        .request(Method::POST, "/auth/v1/upload")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_problem(answer, StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large").await;
}

#[tokio::test]
async fn too_many_requests_of_one_address_are_429_with_a_time_to_come_back() {
    let gateway = Setup::new()
        .upstream("auth", mirror())
        .await
        .env("RATE_LIMIT_PER_SECOND", "1")
        .start()
        .await;
    // One a second is welcome: of many in a row, the second already is too many unless a second passed in between.
    for n in 0..20 {
        let claimed = format!("6.6.6.{n}");
        let answer = gateway
            .get("/auth/v1/me")
            .header("x-forwarded-for", claimed)
            .send()
            .await
            .unwrap();
        if answer.status() != StatusCode::OK {
            assert_eq!(answer.headers()["retry-after"], "1");
            assert_problem(answer, StatusCode::TOO_MANY_REQUESTS, "rate_limited").await;
            return;
        }
    }
    panic!("20 requests in a row, and none was refused");
}

#[tokio::test]
async fn a_wrong_method_on_the_gateways_own_route_is_a_405() {
    let gateway = Setup::new().start().await;
    let answer = gateway
        .request(Method::DELETE, "/v1/health")
        .send()
        .await
        .unwrap();
    assert_problem(answer, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed").await;
}
