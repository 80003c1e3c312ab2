//! Requests to subscribe that come again.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Json, Router,
    http::{Method, StatusCode},
    routing::get,
};
use rstest::rstest;
use serde_json::json;
use tracewell_billing::Billing;
use tracewell_kit::{
    clock,
    db::Engine::{self, Postgres, Sqlite},
    testing::{Answer, Running, Setup},
    token::{Claims, JwkSet, SigningKey},
};

async fn subscribe(billing: &Running, token: &str, plan_id: &str) -> Setup<Answer> {
    let request = billing
        .request(Method::POST, "/v1/subscriptions", token)
        .header("Idempotency-Key", "key-1");
    billing.send(request.json(&json!({"plan_id": plan_id}))).await
}

/// How many subscriptions the owner of the token has.
async fn count(billing: &Running, token: &str) -> Setup<usize> {
    let listed = billing.get("/v1/subscriptions", token).await?.json();
    Ok(listed["subscriptions"].as_array().map_or(0, Vec::len))
}

#[rstest]
#[tokio::test]
async fn a_repeat_is_no_second_subscription(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let billing = Running::start_on::<Billing>(engine, &[]).await?;
    let (ada, bob) = (billing.own_token("usr_ada")?, billing.own_token("usr_bob")?);
    let first = subscribe(&billing, &ada, "pln_team").await?;
    first.assert_made();
    let again = subscribe(&billing, &ada, "pln_team").await?;
    again.assert_replays(&first);
    let other = subscribe(&billing, &ada, "pln_business").await?;
    other.assert_problem(422, "idempotency_key_reused");
    // By another key it is another request.
    let unnamed = billing
        .post("/v1/subscriptions", &ada, &json!({"plan_id": "pln_team"}))
        .await?;
    unnamed.assert_problem(409, "already_subscribed");
    let bobs = subscribe(&billing, &bob, "pln_team").await?;
    bobs.assert_made();
    assert_eq!(
        (count(&billing, &ada).await?, count(&billing, &bob).await?),
        (1, 1)
    );
    Ok(())
}

#[rstest]
#[tokio::test]
async fn of_several_at_once_one_subscribes(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let billing = Running::start_on::<Billing>(engine, &[]).await?;
    let ada = billing.own_token("usr_ada")?;
    let subscribe = || subscribe(&billing, &ada, "pln_team");
    let (a, b, c) = tokio::try_join!(subscribe(), subscribe(), subscribe())?;
    let (made, refused): (Vec<_>, Vec<_>) = [a, b, c].into_iter().partition(|answer| answer.status == 201);
    // Never that there is a subscription already, which is this one.
    for answer in refused {
        answer.assert_problem(409, "request_in_progress");
    }
    assert_eq!(made.iter().filter(|answer| !answer.is_replayed()).count(), 1);
    assert_eq!(subscribe().await?.text, made[0].text);
    assert_eq!(count(&billing, &ada).await?, 1);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn what_failed_is_tried_again_and_what_did_not_asks_nobody(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let key = SigningKey::from_pkcs8(&SigningKey::generate_pkcs8()?)?;
    let keys = JwkSet {
        keys: vec![key.jwk()],
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let asked_here = Arc::clone(&asked);
    let account = move || async move {
        match asked_here.fetch_add(1, Ordering::SeqCst) {
            0 => Err(StatusCode::INTERNAL_SERVER_ERROR),
            _ => Ok(Json(json!({"email": "ada@example.com"}))),
        }
    };
    let fails_once = Router::new()
        .route("/.well-known/jwks.json", get(|| async { Json(keys) }))
        .route("/v1/me", get(account));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(axum::serve(listener, fails_once).into_future());
    let billing = Running::start_on::<Billing>(engine, &[("AUTH_URL", &url)]).await?;
    let ada = key.sign(&Claims::new("usr_ada", clock::now()))?;

    let failed = subscribe(&billing, &ada, "pln_team").await?;
    failed.assert_problem(502, "upstream_failed");
    let made = subscribe(&billing, &ada, "pln_team").await?;
    made.assert_made();
    assert_eq!(subscribe(&billing, &ada, "pln_team").await?.text, made.text);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    Ok(())
}
