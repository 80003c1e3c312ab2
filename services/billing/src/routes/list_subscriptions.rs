//! GET /v1/subscriptions

use axum::{Json, extract::State};
use serde::Serialize;
use tracewell_kit::{auth::CurrentUser, db::Db, problem::ApiError};
use utoipa::ToSchema;

use crate::{domain::Subscription, store};

/// The caller's subscriptions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Subscriptions {
    subscriptions: Vec<Subscription>,
}

/// Lists the caller's subscriptions, the newest first, at most 100.
#[utoipa::path(
    get, path = "/subscriptions", tag = "subscriptions", security(("bearer" = [])),
    responses(
        (status = 200, description = "The subscriptions", body = Subscriptions),
    )
)]
pub(crate) async fn list_subscriptions(
    State(db): State<Db>,
    caller: CurrentUser,
) -> Result<Json<Subscriptions>, ApiError> {
    Ok(Json(Subscriptions {
        subscriptions: store::subscriptions::of_user(&db, caller.id).await?,
    }))
}
