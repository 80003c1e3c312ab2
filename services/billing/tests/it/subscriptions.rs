//! Plans, subscriptions and entitlements.

use rstest::rstest;
use serde_json::{Value, json};
use tracewell_billing::Billing;
use tracewell_kit::{
    db::Engine::{self, Postgres, Sqlite},
    testing::{Answer, CALLER, Running, Setup},
};

async fn billing(engine: Engine) -> Setup<Running> {
    Running::start_on::<Billing>(engine, &[]).await
}

async fn subscribe(billing: &Running, token: &str, plan_id: &str) -> Setup<Answer> {
    billing
        .post("/v1/subscriptions", token, &json!({"plan_id": plan_id}))
        .await
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array()
        .map(|items| items.iter().filter_map(|item| item["id"].as_str()).collect())
        .unwrap_or_default()
}

#[rstest]
#[tokio::test]
async fn anybody_sees_the_plans_with_exact_prices(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let plans = billing(engine).await?.get("/v1/plans", "").await?;
    assert_eq!(plans.status, 200);
    let plans = plans.json();
    assert_eq!(ids(&plans["plans"]), ["pln_free", "pln_team", "pln_business"]);
    assert_eq!(
        plans["plans"][1],
        json!({"id": "pln_team", "name": "Team", "price": {"amount_minor": 1200, "currency": "EUR"},
               "interval": "month", "entitlements": {"max_conversations": 1000}})
    );
    assert_eq!(
        plans["plans"][2]["entitlements"]["max_conversations"],
        Value::Null
    );
    Ok(())
}

#[rstest]
#[tokio::test]
async fn a_subscription_changes_the_entitlements_of_its_owner_only(
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let billing = billing(engine).await?;
    let (ada, bob) = (billing.own_token("usr_ada")?, billing.own_token("usr_bob")?);
    let free = json!({"plan_id": "pln_free", "max_conversations": 20});
    assert_eq!(billing.get("/v1/entitlements", &ada).await?.json(), free);

    let made = subscribe(&billing, &ada, "pln_business").await?;
    assert_eq!(made.status, 201, "{}", made.text);
    let subscription = made.json();
    // On its own it knows none; on PostgreSQL it cannot be on its own.
    let billing_email = match engine {
        Sqlite => Value::Null,
        Postgres => json!(CALLER),
    };
    assert_eq!(
        (&subscription["status"], &subscription["billing_email"]),
        (&json!("active"), &billing_email)
    );
    assert_eq!(subscription["current_period_start"], subscription["created_at"]);
    assert!(subscription["current_period_end"].as_str() > subscription["created_at"].as_str());

    let listed = billing.get("/v1/subscriptions", &ada).await?.json();
    assert_eq!(listed, json!({"subscriptions": [subscription]}));
    let business = json!({"plan_id": "pln_business", "max_conversations": null});
    assert_eq!(billing.get("/v1/entitlements", &ada).await?.json(), business);
    assert_eq!(
        billing.get("/v1/subscriptions", &bob).await?.json(),
        json!({"subscriptions": []})
    );
    assert_eq!(billing.get("/v1/entitlements", &bob).await?.json(), free);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn of_many_requests_at_once_one_subscribes(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let billing = billing(engine).await?;
    let ada = billing.own_token("usr_ada")?;
    let (a, b, c) = tokio::join!(
        subscribe(&billing, &ada, "pln_team"),
        subscribe(&billing, &ada, "pln_team"),
        subscribe(&billing, &ada, "pln_business")
    );
    let (made, refused): (Vec<_>, Vec<_>) = [a?, b?, c?].into_iter().partition(|answer| answer.status == 201);
    assert_eq!((made.len(), refused.len()), (1, 2));
    for answer in refused {
        answer.assert_problem(409, "already_subscribed");
    }
    Ok(())
}

#[rstest]
#[tokio::test]
async fn an_unknown_plan_is_pointed_at(#[values(Sqlite, Postgres)] engine: Engine) -> Setup<()> {
    let billing = billing(engine).await?;
    let refused = subscribe(&billing, &billing.own_token("usr_ada")?, "pln_gold").await?;
    refused.assert_problem(404, "unknown_plan");
    assert_eq!(refused.pointers(), ["/plan_id"]);
    Ok(())
}
