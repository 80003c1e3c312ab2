//! Tokens verified by published keys: which are fetched, when, and how often.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use axum::{Json, Router, routing::get};
use tracewell_kit::{
    clock,
    testing::{Running, Setup},
    token::{Claims, JwkSet, SigningKey},
};

use crate::Probe;

/// An auth service that publishes a key and counts how often it is asked.
struct Auth {
    url: String,
    ready: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Auth {
    async fn start(key: &SigningKey) -> Setup<Self> {
        let keys = JwkSet {
            keys: vec![key.jwk()],
        };
        let (ready, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let (is_ready, count) = (Arc::clone(&ready), Arc::clone(&asked));
        let answer = move || {
            count.fetch_add(1, Ordering::SeqCst);
            let answer = is_ready.load(Ordering::SeqCst).then(|| Json(keys.clone()));
            async { answer.ok_or(http::StatusCode::SERVICE_UNAVAILABLE) }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(
            axum::serve(
                listener,
                Router::new().route("/.well-known/jwks.json", get(answer)),
            )
            .into_future(),
        );
        Ok(Self { url, ready, asked })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn key() -> Setup<SigningKey> {
    Ok(SigningKey::from_pkcs8(&SigningKey::generate_pkcs8()?)?)
}

fn token(key: &SigningKey) -> Setup<String> {
    Ok(key.sign(&Claims::new("usr_ada", clock::now()))?)
}

#[tokio::test]
async fn keys_are_fetched_once_and_when_first_needed() -> Setup<()> {
    let key = key()?;
    let auth = Auth::start(&key).await?;
    let probe = Running::start::<Probe>(&[("AUTH_URL", &auth.url)]).await?;
    assert_eq!(auth.asked(), 0);
    let token = token(&key)?;
    let calls = (0..8).map(|_| probe.get("/v1/whoami", &token));
    for answer in futures::future::try_join_all(calls).await? {
        assert_eq!(answer.json(), "usr_ada", "{}", answer.text);
    }
    assert_eq!(auth.asked(), 1);
    Ok(())
}

#[tokio::test]
async fn unknown_keys_make_no_flood_of_fetches() -> Setup<()> {
    let auth = Auth::start(&key()?).await?;
    let probe = Running::start::<Probe>(&[("AUTH_URL", &auth.url)]).await?;
    for _ in 0..20 {
        probe
            .get("/v1/whoami", &token(&key()?)?)
            .await?
            .assert_problem(401, "invalid_token");
    }
    assert_eq!(auth.asked(), 1);
    Ok(())
}

#[tokio::test]
async fn the_first_keys_are_tried_for_until_auth_is_there() -> Setup<()> {
    let key = key()?;
    let auth = Auth::start(&key).await?;
    let probe = Running::start::<Probe>(&[("AUTH_URL", &auth.url)]).await?;
    let token = token(&key)?;
    auth.ready.store(false, Ordering::SeqCst);
    probe
        .get("/v1/whoami", &token)
        .await?
        .assert_problem(503, "upstream_unavailable");
    auth.ready.store(true, Ordering::SeqCst);
    assert_eq!(probe.get("/v1/whoami", &token).await?.json(), "usr_ada");
    Ok(())
}

#[tokio::test]
async fn while_auth_is_away_an_unknown_key_is_not_called_wrong() -> Setup<()> {
    let key_in_use = key()?;
    let auth = Auth::start(&key_in_use).await?;
    let probe = Running::start::<Probe>(&[("AUTH_URL", &auth.url)]).await?;
    auth.ready.store(false, Ordering::SeqCst);
    let calls = (0..8).map(|_| async { probe.get("/v1/whoami", &token(&key()?)?).await });
    for answer in futures::future::try_join_all(calls).await? {
        answer.assert_problem(503, "upstream_unavailable");
    }
    Ok(())
}

#[tokio::test]
async fn an_expired_token_is_told_apart() -> Setup<()> {
    let key = key()?;
    let auth = Auth::start(&key).await?;
    let probe = Running::start::<Probe>(&[("AUTH_URL", &auth.url)]).await?;
    let old = clock::now() - jiff::SignedDuration::from_mins(11);
    let token = key.sign(&Claims::new("usr_ada", old))?;
    let refused = probe.get("/v1/whoami", &token).await?;
    refused.assert_problem(401, "token_expired");
    assert_eq!(
        refused.headers["www-authenticate"],
        r#"Bearer realm="tracewell", error="invalid_token""#
    );
    Ok(())
}
