//! GET /v1/admin/users

use axum::{Json, extract::State};
use serde::Serialize;
use tracewell_kit::{
    db::Db,
    problem::{ApiError, Query},
};
use utoipa::ToSchema;

use crate::{
    caller::Admin,
    domain::Account,
    paging::{self, Paging},
    refusals::AdminRefused,
    store,
};

/// A page of accounts, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accounts {
    users: Vec<Account>,
    /// `after` of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "usr_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f")]
    next: Option<String>,
}

/// Lists the accounts.
#[utoipa::path(
    get, path = "/admin/users", tag = "admin", security(("bearer" = [])), params(Paging),
    responses(
        AdminRefused,
        (status = 200, description = "The accounts", body = Accounts, links(
            ("account" = (operation_id = "get_user", description = "Show the first account",
                parameters(("id" = "$response.body#/users/0/id")))),
            ("auditTrail" = (operation_id = "audit_trail_of", description = "What happened to the first account",
                parameters(("id" = "$response.body#/users/0/id")))),
        )),
    )
)]
pub(crate) async fn list_users(
    State(db): State<Db>,
    _: Admin,
    Query(paging): Query<Paging>,
) -> Result<Json<Accounts>, ApiError> {
    let (after, limit) = paging.resolve();
    let mut users = store::users::page(&db, after, i64::from(limit) + 1).await?;
    let next = paging::cut(&mut users, limit, |account| &account.user.id);
    Ok(Json(Accounts { users, next }))
}
