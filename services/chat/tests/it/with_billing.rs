//! Chat with the real auth and billing services: the limit is the plan's.

use serde_json::json;
use tracewell_auth::Auth;
use tracewell_billing::Billing;
use tracewell_chat::Chat;
use tracewell_kit::testing::{Running, Setup};

use crate::{conversation, create};

#[tokio::test]
async fn a_better_plan_allows_more_conversations() -> Setup<()> {
    let auth = Running::start::<Auth>(&[]).await?;
    let billing = Running::start::<Billing>(&[("AUTH_URL", auth.url())]).await?;
    let chat = Running::start::<Chat>(&[("AUTH_URL", auth.url()), ("BILLING_URL", billing.url())]).await?;
    let account = json!({"email": "ada@example.com", "password": "correct horse battery"});
    auth.post("/v1/signup", "", &account).await?;
    let signed_in = auth.post("/v1/signin", "", &account).await?.json();
    let token = signed_in["access_token"].as_str().unwrap();
    for _ in 0..20 {
        conversation(&chat, token, &[]).await?;
    }
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
