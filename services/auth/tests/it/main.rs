//! The auth service as a client sees it: the real router on a database of its own, by HTTP.

mod accounts;
mod admin;
mod alone;
mod authorization;
mod conformance;
mod contract;
mod cookies;
mod endings;
mod forged_tokens;
mod lockout;
mod mail;
mod passkeys;
mod passwords;
mod races;
mod second_factor;
mod sessions;
mod smtp;
mod timing;
mod tools;
mod traces;

use serde_json::{Value, json};
use tracewell_auth::Auth;
use tracewell_kit::{
    db::Engine,
    testing::{Answer, Running, Setup},
};

const PASSWORD: &str = "correct horse battery";

/// Where there is no folder for a key, the service must be given one.
const SEALING_KEY: (&str, &str) = (
    "KEY_ENCRYPTION_KEY",
    "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
);

async fn start(engine: Engine, variables: &[(&str, &str)]) -> Setup<Running> {
    Running::start_on::<Auth>(engine, &[&[SEALING_KEY], variables].concat()).await
}

async fn auth(engine: Engine) -> Setup<Running> {
    start(engine, &[]).await
}

/// Behind a proxy, with the outbox readable, and passwords hashed as cheaply as argon2 allows.
async fn open_auth(engine: Engine) -> Setup<Running> {
    let variables = [
        ("DEBUG_MAIL", "1"),
        ("HASH_COST", "m=8,t=1"),
        ("TRUSTED_PROXIES", "1"),
    ];
    start(engine, &variables).await
}

/// What a sign-in gave.
#[derive(Clone)]
struct SignedIn {
    access: String,
    refresh: String,
    user_id: String,
}

impl SignedIn {
    fn read(answer: &Answer) -> Setup<Self> {
        let body = answer.json();
        let text = |value: &Value| {
            value
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| answer.text.clone())
        };
        Ok(Self {
            access: text(&body["access_token"])?,
            refresh: text(&body["refresh_token"])?,
            user_id: body["user"]["id"].as_str().unwrap_or_default().to_owned(),
        })
    }
}

/// Signs in to an account, which is made if there is none.
async fn signed_in(auth: &Running, email: &str) -> Setup<SignedIn> {
    sign_up(auth, email).await?;
    SignedIn::read(&sign_in(auth, email, PASSWORD).await?)
}

async fn refresh(auth: &Running, token: &str) -> Setup<Answer> {
    auth.post("/v1/refresh", "", &json!({"refresh_token": token}))
        .await
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
