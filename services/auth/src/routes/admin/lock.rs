//! POST /v1/admin/users/{id}/lock and POST /v1/admin/users/{id}/unlock

use axum::{Json, extract::State};
use tracewell_kit::{
    clock,
    db::Db,
    problem::{ApiError, PROBLEM_JSON, Path, Problem},
};

use super::no_such_user;
use crate::{
    account_change,
    caller::Admin,
    client::Client,
    domain::{Account, AuditKind},
    error::AuthError,
    refusals::AdminRefused,
    store::{self, audit::Subject},
};

/// Locks an account and ends its sessions. Other services trust its access tokens until they expire, ten minutes at
/// most.
#[utoipa::path(
    post, path = "/admin/users/{id}/lock", tag = "admin", security(("bearer" = [])),
    params(("id" = String, Path, description = "Id of the account", max_length = 64)),
    responses(
        AdminRefused,
        (status = 200, description = "The account as it is now", body = Account),
        (status = 404, description = "`not_found`: no such account", body = Problem, content_type = PROBLEM_JSON),
        (status = 409, description = "`own_account`: an admin cannot lock themselves out",
            body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn lock(
    State(db): State<Db>,
    client: Client,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<Json<Account>, ApiError> {
    if id == admin.0.user.id {
        return Err(AuthError::OwnAccount.into());
    }
    set_locked(&db, &client, &admin, id, true).await
}

/// Unlocks an account. Its owner signs in again.
#[utoipa::path(
    post, path = "/admin/users/{id}/unlock", tag = "admin", security(("bearer" = [])),
    params(("id" = String, Path, description = "Id of the account", max_length = 64)),
    responses(
        AdminRefused,
        (status = 200, description = "The account as it is now", body = Account),
        (status = 404, description = "`not_found`: no such account", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn unlock(
    State(db): State<Db>,
    client: Client,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<Json<Account>, ApiError> {
    set_locked(&db, &client, &admin, id, false).await
}

/// Does nothing to an account that is so already.
async fn set_locked(
    db: &Db,
    client: &Client,
    admin: &Admin,
    id: String,
    locked: bool,
) -> Result<Json<Account>, ApiError> {
    let now = clock::now();
    let mut tx = db.begin().await?;
    let mut account = store::users::hold(&mut tx, &id).await?.ok_or_else(no_such_user)?;
    if account.locked_at.is_some() == locked {
        return Ok(Json(account));
    }
    let user_id = account.user.id.as_str();
    account.locked_at = locked.then_some(now);
    store::users::set_locked(&mut tx, user_id, account.locked_at);
    let kind = if locked {
        account_change::void_begun(&mut tx, &account.user, now);
        store::sessions::revoke_all(&mut tx, user_id, None, now);
        AuditKind::AccountLocked
    } else {
        AuditKind::AccountUnlocked
    };
    let subject = Subject::user(user_id).by(&admin.0.user.id);
    store::audit::record(&mut tx, kind, subject, client);
    tx.commit().await?;
    Ok(Json(account))
}
