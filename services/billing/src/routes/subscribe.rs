//! POST /v1/subscriptions

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Deserialize;
use tracewell_kit::{
    auth::AccessToken,
    clock,
    db::Db,
    id,
    idempotency::{IdempotencyKey, Idempotent},
    problem::{ApiError, PROBLEM_JSON, Problem},
    upstream::Upstream,
};
use utoipa::ToSchema;

use crate::{domain::Subscription, error::SubscribeError, store};

/// What to subscribe to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscribe {
    #[schema(min_length = 1, max_length = 64, example = "pln_team")]
    plan_id: String,
}

/// Subscribes the caller to a plan.
#[utoipa::path(
    post, path = "/subscriptions", tag = "subscriptions", security(("bearer" = [])), request_body = Subscribe,
    params(IdempotencyKey),
    responses(
        (status = 201, description = "The subscription", body = Subscription),
        (status = 409, description = "`already_subscribed`", body = Problem, content_type = PROBLEM_JSON),
        (status = 404, description = "`unknown_plan`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn subscribe(
    State(db): State<Db>,
    State(auth): State<Option<Upstream>>,
    Idempotent {
        caller,
        body,
        attempt,
    }: Idempotent<Subscribe>,
) -> Result<(StatusCode, Json<Subscription>), ApiError> {
    let plan = store::plans::by_id(&db, body.plan_id)
        .await?
        .ok_or(SubscribeError::UnknownPlan)?;
    let billing_email = match &auth {
        Some(auth) => Some(email_of_caller(auth, &caller.token).await?),
        None => None,
    };
    let subscription = Subscription::start(
        id::new("sub"),
        (plan.id, plan.interval),
        billing_email,
        clock::now(),
    );
    let mut effect = attempt.begin().await?;
    if store::subscriptions::insert(effect.tx(), caller.id, &subscription).await? {
        effect.commit(StatusCode::CREATED, subscription).await
    } else {
        Err(SubscribeError::AlreadySubscribed.into())
    }
}

/// Tokens carry no e-mail address, so the auth service is asked for it.
async fn email_of_caller(auth: &Upstream, token: &AccessToken) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct Account {
        email: String,
    }
    let account: Account = auth.get("/v1/me", Some(token)).await?;
    Ok(account.email)
}
