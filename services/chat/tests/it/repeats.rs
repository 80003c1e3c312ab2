//! Requests for a conversation that come again.

use std::collections::BTreeSet;

use http::Method;
use rstest::rstest;
use serde_json::json;
use tracewell_auth::Auth;
use tracewell_billing::Billing;
use tracewell_chat::Chat;
use tracewell_kit::{
    db::{
        Db,
        Engine::{self, Postgres, Sqlite},
        query,
    },
    testing::{Answer, Running, Setup},
};

use crate::{chat, conversation};

async fn create(chat: &Running, token: &str, title: &str) -> Setup<Answer> {
    let request = chat
        .request(Method::POST, "/v1/conversations", token)
        .header("Idempotency-Key", "key-1");
    chat.send(request.json(&json!({"title": title}))).await
}

async fn count(chat: &Running) -> Setup<i64> {
    let db = Db::open(chat.database().url()).await?;
    let count = query("conversations", "SELECT COUNT(*) AS count FROM conversations")
        .optional(&db, |row| row.get("count"))
        .await?;
    Ok(count.unwrap_or_default())
}

#[rstest]
#[tokio::test]
async fn a_repeat_makes_no_second_conversation(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let chat = chat(engine).await?;
    let (ada, bob) = (chat.own_token("usr_ada")?, chat.own_token("usr_bob")?);
    let first = create(&chat, &ada, "Lunch").await?;
    first.assert_made();
    let again = create(&chat, &ada, "Lunch").await?;
    again.assert_replays(&first);
    let other = create(&chat, &ada, "Dinner").await?;
    other.assert_problem(422, "idempotency_key_reused");
    let bobs = create(&chat, &bob, "Lunch").await?;
    bobs.assert_made();
    assert_eq!(count(&chat).await?, 2);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn of_many_at_once_one_makes_a_conversation(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let chat = chat(engine).await?;
    let ada = chat.own_token("usr_ada")?;
    let answers = futures::future::try_join_all((0..8).map(|_| create(&chat, &ada, "Lunch"))).await?;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    for answer in refused {
        answer.assert_problem(409, "request_in_progress");
    }
    let first: Vec<_> = made.iter().filter(|answer| !answer.is_replayed()).collect();
    assert_eq!(first.len(), 1);
    assert_eq!(
        made.iter()
            .map(|answer| &answer.text)
            .collect::<BTreeSet<_>>()
            .len(),
        1
    );
    assert_eq!(create(&chat, &ada, "Lunch").await?.text, first[0].text);
    assert_eq!(count(&chat).await?, 1);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn what_the_plan_refused_is_tried_again(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = Running::start::<Auth>(&[]).await?;
    let billing = Running::start::<Billing>(&[("AUTH_URL", auth.url())]).await?;
    let urls = [("AUTH_URL", auth.url()), ("BILLING_URL", billing.url())];
    let chat = Running::start_on::<Chat>(engine, &urls).await?;
    let account = json!({"email": "ada@example.com", "password": "correct horse battery"});
    auth.post("/v1/signup", "", &account).await?;
    let signed_in = auth.post("/v1/signin", "", &account).await?.json();
    let token = signed_in["access_token"].as_str().ok_or("no token")?;
    futures::future::try_join_all((0..20).map(|_| conversation(&chat, token, &[]))).await?;
    let refused = create(&chat, token, "Lunch").await?;
    refused.assert_problem(403, "plan_limit");
    billing
        .post("/v1/subscriptions", token, &json!({"plan_id": "pln_team"}))
        .await?;
    let made = create(&chat, token, "Lunch").await?;
    made.assert_made();
    // An answer that is there needs nobody else.
    billing.stop().await?;
    assert_eq!(create(&chat, token, "Lunch").await?.text, made.text);
    Ok(())
}
