//! GET /v1/me

use axum::Json;
use tracewell_kit::problem::{PROBLEM_JSON, Problem};

use crate::{caller::Caller, domain::User};

/// The caller's own account.
#[utoipa::path(
    get, path = "/me", tag = "accounts", security(("bearer" = [])),
    responses(
        (status = 200, description = "The account", body = User),
        (status = 401, description = "No good token, or `session_ended`", body = Problem, content_type = PROBLEM_JSON),
        (status = 403, description = "`account_locked`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn me(caller: Caller) -> Json<User> {
    Json(caller.user)
}
