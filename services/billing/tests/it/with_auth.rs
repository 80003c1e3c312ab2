//! Billing with the real auth service, and with one that fails.

use axum::{Json, Router, http::StatusCode, routing::get};
use serde_json::json;
use tracewell_auth::Auth;
use tracewell_billing::Billing;
use tracewell_kit::{
    clock,
    testing::{Running, Setup},
    token::{Claims, JwkSet, SigningKey},
};

async fn account(auth: &Running, email: &str) -> Setup<String> {
    let body = json!({"email": email, "password": "correct horse battery"});
    auth.post("/v1/signup", "", &body).await?;
    let signed_in = auth.post("/v1/signin", "", &body).await?.json();
    Ok(signed_in["access_token"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn the_billing_address_comes_from_auth() -> Setup<()> {
    let auth = Running::start::<Auth>(&[]).await?;
    let billing = Running::start::<Billing>(&[("AUTH_URL", auth.url())]).await?;
    let token = account(&auth, "ada@example.com").await?;
    let made = billing
        .post("/v1/subscriptions", &token, &json!({"plan_id": "pln_team"}))
        .await?;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json()["billing_email"], "ada@example.com");
    // With an auth service, the key that a service alone would trust is trusted no longer.
    let own = billing.own_token("usr_ada")?;
    billing
        .get("/v1/subscriptions", &own)
        .await?
        .assert_problem(401, "invalid_token");
    Ok(())
}

#[tokio::test]
async fn known_keys_verify_tokens_while_auth_is_away() -> Setup<()> {
    let auth = Running::start::<Auth>(&[]).await?;
    let billing = Running::start::<Billing>(&[("AUTH_URL", auth.url())]).await?;
    let token = account(&auth, "ada@example.com").await?;
    assert_eq!(billing.get("/v1/entitlements", &token).await?.status, 200);
    auth.stop().await?;
    assert_eq!(billing.get("/v1/entitlements", &token).await?.status, 200);
    let refused = billing
        .post("/v1/subscriptions", &token, &json!({"plan_id": "pln_team"}))
        .await?;
    refused.assert_problem(503, "upstream_unavailable");
    assert!(
        refused.text.contains("auth") && refused.headers.contains_key("retry-after"),
        "{}",
        refused.text
    );
    let listed = billing.get("/v1/subscriptions", &token).await?.json();
    assert_eq!(listed, json!({"subscriptions": []}), "nothing was stored");
    Ok(())
}

#[tokio::test]
async fn without_any_keys_a_token_can_be_neither_good_nor_bad() -> Setup<()> {
    let billing = Running::start::<Billing>(&[("AUTH_URL", "http://127.0.0.1:1")]).await?;
    let key = SigningKey::from_pkcs8(&SigningKey::generate_pkcs8()?)?;
    let token = key.sign(&Claims::new("usr_ada", clock::now()))?;
    billing
        .get("/v1/entitlements", &token)
        .await?
        .assert_problem(503, "upstream_unavailable");
    Ok(())
}

#[tokio::test]
async fn an_auth_service_that_fails_is_named() -> Setup<()> {
    let key = SigningKey::from_pkcs8(&SigningKey::generate_pkcs8()?)?;
    let keys = JwkSet {
        keys: vec![key.jwk()],
    };
    let broken = Router::new()
        .route("/.well-known/jwks.json", get(|| async { Json(keys) }))
        .route("/v1/me", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(axum::serve(listener, broken).into_future());
    let billing = Running::start::<Billing>(&[("AUTH_URL", &url)]).await?;
    let token = key.sign(&Claims::new("usr_ada", clock::now()))?;
    let refused = billing
        .post("/v1/subscriptions", &token, &json!({"plan_id": "pln_team"}))
        .await?;
    refused.assert_problem(502, "upstream_failed");
    assert!(
        refused.text.contains("the service auth answered 500"),
        "{}",
        refused.text
    );
    Ok(())
}
