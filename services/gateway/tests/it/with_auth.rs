//! The gateway before the real auth service, as browsers meet them.

use http::{Method, StatusCode};
use serde_json::json;
use tracewell_auth::Auth;
use tracewell_kit::testing::{Running, assert_conforms};

use crate::support::{Setup, assert_problem};

/// Browsers say `Sec-Fetch-Site` to https and to localhost only; elsewhere the origin alone tells of the page.
#[tokio::test]
async fn a_page_of_the_same_host_may_post_by_plain_http() {
    let auth = Running::start::<Auth>(&[("TRUSTED_PROXIES", "1"), ("HASH_COST", "m=8,t=1")])
        .await
        .unwrap();
    let gateway = Setup::new().existing("auth", auth.url()).start().await;
    let sign_in = async |origin: &str| {
        let body = json!({"email": "ada@example.com", "password": "correct horse battery"});
        gateway
            .request(Method::POST, "/auth/v1/signin")
            .header("host", "shop.example.com:3000")
            .header("origin", origin)
            .json(&body)
            .send()
            .await
            .unwrap()
    };
    let own = sign_in("http://shop.example.com:3000").await;
    drop(assert_problem(own, StatusCode::UNAUTHORIZED, "invalid_credentials").await);
    for foreign in ["http://evil.example", "http://shop.example.com", "null"] {
        drop(assert_problem(sign_in(foreign).await, StatusCode::FORBIDDEN, "cross_origin").await);
    }
}

/// Which pages of other origins may use the platform is the gateway's to say, whatever a service behind it lists.
#[tokio::test]
async fn a_page_of_a_listed_origin_may_use_the_api_with_its_cookie() {
    const APP: &str = "https://app.example";
    const OTHER: &str = "https://other.example";
    let origins = format!("{APP},{OTHER}");
    let variables = [("CORS_ORIGINS", origins.as_str()), ("HASH_COST", "m=8,t=1")];
    let auth = Running::start::<Auth>(&variables).await.unwrap();
    let setup = Setup::new().existing("auth", auth.url());
    let gateway = setup.env("CORS_ORIGINS", APP).start().await;
    let text = |answer: &reqwest::Response, name: &str| {
        let values = answer.headers().get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| value.to_str().unwrap().to_lowercase())
            .collect();
        values.join(" and ")
    };
    let ask = async |origin: &str| {
        let request = gateway
            .request(Method::OPTIONS, "/auth/v1/refresh")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,traceparent");
        request.send().await.unwrap()
    };
    let refresh = async |origin: &str| {
        let request = gateway.request(Method::POST, "/auth/v1/refresh");
        let request = request
            .header("origin", origin)
            .header("cookie", "__Host-refresh=x");
        request.json(&json!({})).send().await.unwrap()
    };
    let (asked, sent) = (ask(APP).await, refresh(APP).await);
    assert_eq!(
        (asked.status(), sent.status()),
        (StatusCode::OK, StatusCode::UNAUTHORIZED)
    );
    for header in ["traceparent", "x-request-id"] {
        assert!(
            text(&asked, "access-control-allow-headers").contains(header),
            "{asked:?}"
        );
    }
    for header in [
        "retry-after",
        "www-authenticate",
        "x-request-id",
        "x-sentry-event-id",
    ] {
        assert!(
            text(&sent, "access-control-expose-headers").contains(header),
            "{sent:?}"
        );
    }
    for answer in [&asked, &sent] {
        assert_eq!(text(answer, "access-control-allow-origin"), APP);
        assert_eq!(text(answer, "access-control-allow-credentials"), "true");
        assert!(text(answer, "vary").contains("origin"), "{answer:?}");
    }
    for answer in [ask(OTHER).await, refresh(OTHER).await] {
        assert_eq!(text(&answer, "access-control-allow-origin"), "", "{answer:?}");
    }
}

/// Nobody but a proxy of ours says which host was asked for.
#[tokio::test]
async fn a_client_cannot_choose_the_host() {
    let auth = Running::start::<Auth>(&[("HASH_COST", "m=8,t=1")]).await.unwrap();
    let body = json!({"email": "ada@example.com", "password": "correct horse battery"});
    let request = auth
        .request(Method::POST, "/v1/signin", "")
        .header("x-forwarded-host", "evil.example")
        .header("origin", "http://evil.example")
        .json(&body);
    auth.send(request)
        .await
        .unwrap()
        .assert_problem(403, "cross_origin");
}

#[tokio::test]
async fn the_gateway_is_as_its_document_says() {
    let auth = Running::start::<Auth>(&[]).await.unwrap();
    let gateway = Setup::new().existing("auth", auth.url()).start().await;
    let url = format!("http://{}", gateway.address);
    assert_conforms(&url, "", &[]).await.unwrap();
}
