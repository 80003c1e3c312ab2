//! GET /v1/admin/users/{id}

use axum::{Json, extract::State};
use tracewell_kit::{
    db::Db,
    problem::{ApiError, PROBLEM_JSON, Path, Problem},
};

use super::no_such_user;
use crate::{caller::Admin, domain::Account, refusals::AdminRefused, store};

/// Shows an account.
#[utoipa::path(
    get, path = "/admin/users/{id}", tag = "admin", security(("bearer" = [])),
    params(("id" = String, Path, description = "Id of the account", max_length = 64)),
    responses(
        AdminRefused,
        (status = 200, description = "The account", body = Account),
        (status = 404, description = "`not_found`: no such account", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn get_user(
    State(db): State<Db>,
    _: Admin,
    Path(id): Path<String>,
) -> Result<Json<Account>, ApiError> {
    let account = store::users::by_id(&db, id).await?.ok_or_else(no_such_user)?;
    Ok(Json(account))
}
