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
