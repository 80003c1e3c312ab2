//! GET /v1/me

use axum::{Json, extract::State};
use tracewell_kit::{
    auth::CurrentUser,
    db::Db,
    problem::{ApiError, PROBLEM_JSON, Problem},
};

use crate::{domain::User, error::AuthError, store};

/// The caller's own account.
#[utoipa::path(
    get, path = "/me", tag = "accounts", security(("bearer" = [])),
    responses(
        (status = 200, description = "The account", body = User),
        (status = 401, description = "No good token", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn me(State(db): State<Db>, caller: CurrentUser) -> Result<Json<User>, ApiError> {
    let user = store::users::by_id(&db, caller.id)
        .await?
        .ok_or(AuthError::AccountGone)?;
    Ok(Json(user))
}
