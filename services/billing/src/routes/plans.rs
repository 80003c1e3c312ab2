//! GET /v1/plans

use axum::{Json, extract::State};
use serde::Serialize;
use tracewell_kit::{db::Db, problem::ApiError};
use utoipa::ToSchema;

use crate::{domain::Plan, store};

/// What can be subscribed to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Plans {
    plans: Vec<Plan>,
}

/// Lists the plans, the cheapest first. Anybody may ask.
#[utoipa::path(
    get, path = "/plans", tag = "plans",
    responses((status = 200, description = "The plans", body = Plans))
)]
pub(crate) async fn list_plans(State(db): State<Db>) -> Result<Json<Plans>, ApiError> {
    Ok(Json(Plans {
        plans: store::plans::all(&db).await?,
    }))
}
