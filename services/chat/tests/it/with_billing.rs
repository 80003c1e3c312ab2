//! Chat with the real auth and billing services: the limit is the plan's.

use rstest::rstest;
use serde_json::json;
use tracewell_auth::Auth;
use tracewell_billing::Billing;
use tracewell_chat::Chat;
use tracewell_kit::{
    db::Engine::{self, Postgres, Sqlite},
    testing::{Running, Setup},
};

use crate::{conversation, create};

#[rstest]
#[tokio::test]
async fn a_better_plan_allows_more_conversations(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let auth = Running::start::<Auth>(&[]).await?;
    let billing = Running::start::<Billing>(&[("AUTH_URL", auth.url())]).await?;
    let chat = Running::start_on::<Chat>(
        engine,
        &[("AUTH_URL", auth.url()), ("BILLING_URL", billing.url())],
    )
    .await?;
    let account = json!({"email": "ada@example.com", "password": "correct horse battery"});
    auth.post("/v1/signup", "", &account).await?;
    let signed_in = auth.post("/v1/signin", "", &account).await?.json();
    let token = signed_in["access_token"].as_str().unwrap();
    futures::future::try_join_all((0..18).map(|_| conversation(&chat, token, &[]))).await?;
    // Places for two, asked for by five at once.
    let answers = futures::future::try_join_all((0..5).map(|_| create(&chat, token, &[]))).await?;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 2);
    create(&chat, token, &[]).await?.assert_problem(403, "plan_limit");
    let subscribed = billing
        .post("/v1/subscriptions", token, &json!({"plan_id": "pln_team"}))
        .await?;
    assert_eq!(subscribed.status, 201, "{}", subscribed.text);
    conversation(&chat, token, &[]).await?;

    billing.stop().await?;
    let refused = create(&chat, token, &[]).await?;
    refused.assert_problem(503, "upstream_unavailable");
    assert!(refused.text.contains("the service billing"), "{}", refused.text);
    Ok(())
}
