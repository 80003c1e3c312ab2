//! GET /v1/entitlements

use axum::{Json, extract::State};
use serde::Serialize;
use tracewell_kit::{auth::CurrentUser, db::Db, problem::ApiError};
use utoipa::ToSchema;

use crate::{
    domain::{Entitlements, FREE_PLAN},
    store,
};

/// What the caller may do, and by which plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallersEntitlements {
    /// The plan of the active subscription, or the free one.
    #[schema(example = "pln_free")]
    plan_id: String,
    #[serde(flatten)]
    entitlements: Entitlements,
}

/// What the caller's plan allows.
#[utoipa::path(
    get, path = "/entitlements", tag = "subscriptions", security(("bearer" = [])),
    responses(
        (status = 200, description = "What the plan allows", body = CallersEntitlements),
    )
)]
pub(crate) async fn entitlements(
    State(db): State<Db>,
    caller: CurrentUser,
) -> Result<Json<CallersEntitlements>, ApiError> {
    let plan = store::plans::of_user(&db, caller.id).await?;
    let plan = plan.ok_or_else(|| ApiError::internal(format!("the plan {FREE_PLAN} is missing")))?;
    Ok(Json(CallersEntitlements {
        plan_id: plan.id,
        entitlements: plan.entitlements,
    }))
}
