//! Accounts, and the requests of those who have them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use anyhow::{Context as _, Result, ensure};
use bench_kit::load::{Bytes, Connection, Requests};
use futures::future::try_join_all;
use http::{
    Request,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use http_body_util::Full;
use serde_json::{Value, json};

/// So many that no account is ever tried often enough at a time to be delayed for it.
const ACCOUNTS: usize = 64;

const PASSWORD: &str = "correct horse battery";

type Body = Full<Bytes>;

/// Makes the accounts.
pub(crate) async fn make(auth: SocketAddr) -> Result<()> {
    let mut connection = Connection::open(auth).await?;
    for number in 0..ACCOUNTS {
        let body = json!({"email": email(number), "password": PASSWORD, "display_name": "Ada"});
        let (status, text) = connection.send(post("/v1/signup", number, &body)?).await?;
        ensure!(status == 202, "no account: {status} {text:?}");
    }
    Ok(())
}

/// Signs in each account once and gives the requests of `GET /v1/me` with their tokens, one account after the other.
pub(crate) async fn me(auth: SocketAddr) -> Result<Requests> {
    let tokens = try_join_all((0..ACCOUNTS / 2).map(|number| token(auth, number))).await?;
    let next = AtomicU32::new(0);
    Ok(Arc::new(move |_| {
        let number = next.fetch_add(1, Relaxed) as usize;
        Request::get("/v1/me")
            .header(HOST, "bench")
            .header(AUTHORIZATION, &tokens[number % tokens.len()])
            .body(Body::default())
    }))
}

async fn token(auth: SocketAddr, number: usize) -> Result<String> {
    let (status, text) = Connection::open(auth).await?.send(sign_in(number)?).await?;
    ensure!(status == 200, "no sign-in: {status} {text:?}");
    let answer: Value = serde_json::from_slice(&text)?;
    let token = answer["access_token"].as_str().context("no token")?;
    Ok(format!("Bearer {token}"))
}

/// Sign-ins with the right password, one account after the other, each from an address of its own.
pub(crate) fn sign_ins() -> Requests {
    let next = AtomicU32::new(0);
    Arc::new(move |_| sign_in(next.fetch_add(1, Relaxed) as usize))
}

fn sign_in(number: usize) -> http::Result<Request<Body>> {
    let body = json!({"email": email(number % ACCOUNTS), "password": PASSWORD});
    post("/v1/signin", number, &body)
}

fn email(number: usize) -> String {
    format!("ada{number}@example.com")
}

fn post(path: &str, number: usize, body: &Value) -> http::Result<Request<Body>> {
    // The service trusts the last address: that of one proxy.
    let address =
        Ipv4Addr::from_bits(0x0a00_0000 | (u32::try_from(number).unwrap_or_default() & 0x00ff_ffff));
    Request::post(path)
        .header(HOST, "bench")
        .header("x-forwarded-for", address.to_string())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(body.to_string()))
}
