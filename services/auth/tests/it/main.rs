//! The auth service as a client sees it: the real router on a database of its own, by HTTP.

mod accounts;
mod alone;
mod contract;

use serde_json::{Value, json};
use tracewell_auth::Auth;
use tracewell_kit::testing::{Answer, Running, Setup};

const PASSWORD: &str = "correct horse battery";

async fn auth() -> Setup<Running> {
    Running::start::<Auth>(&[]).await
}

async fn sign_up(auth: &Running, email: &str) -> Setup<Answer> {
    auth.post(
        "/v1/signup",
        "",
        &json!({"email": email, "password": PASSWORD, "display_name": "Ada"}),
    )
    .await
}

async fn sign_in(auth: &Running, email: &str, password: &str) -> Setup<Answer> {
    auth.post("/v1/signin", "", &json!({"email": email, "password": password}))
        .await
}

/// The access token of a new account.
async fn token(auth: &Running) -> Setup<String> {
    sign_up(auth, "ada@example.com").await?;
    let signed_in = sign_in(auth, "ada@example.com", PASSWORD).await?.json();
    Ok(signed_in["access_token"]
        .as_str()
        .map(str::to_owned)
        .unwrap_or_default())
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .map(|object| object.keys().map(String::as_str).collect())
        .unwrap_or_default()
}
