//! GET /v1/me

use axum::Json;

use crate::{caller::Caller, domain::User, refusals::CallerRefused};

/// The caller's own account.
#[utoipa::path(
    get, path = "/me", tag = "accounts", security(("bearer" = [])),
    responses(
        CallerRefused,
        (status = 200, description = "The account", body = User),
    )
)]
pub(crate) async fn me(caller: Caller) -> Json<User> {
    Json(caller.user)
}
