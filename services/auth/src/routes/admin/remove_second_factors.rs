//! DELETE /v1/admin/users/{id}/second-factors

use axum::extract::State;
use http::StatusCode;
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
    domain::{AuditKind, MailKind},
    error::AuthError,
    mail::Mailer,
    refusals::AdminRefused,
    store::{self, audit::Subject},
};

/// Takes the one-time passwords, backup codes and passkeys of an account away, for an owner who has lost them.
///
/// Its sessions end and its owner is told by mail. The password goes on to let them in, alone: make sure that it is the
/// owner who asks.
#[utoipa::path(
    delete, path = "/admin/users/{id}/second-factors", tag = "admin", security(("bearer" = [])),
    params(("id" = String, Path, description = "Id of the account", max_length = 64)),
    responses(
        AdminRefused,
        (status = 204, description = "The password alone lets in"),
        (status = 404, description = "`not_found`: no such account", body = Problem, content_type = PROBLEM_JSON),
        (status = 409, description = "`no_second_factor`: there is nothing to take away; or `own_account`: an admin's own \
            are taken away with the password, at /v1/me",
            body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn remove_second_factors(
    State(db): State<Db>,
    State(mailer): State<Mailer>,
    client: Client,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    if id == admin.0.user.id {
        // Else a stolen access token would do, where the owner is asked for the password.
        return Err(AuthError::OwnSecondFactor.into());
    }
    let now = clock::now();
    let mut tx = db.begin().await?;
    let user = store::users::hold(&mut tx, &id)
        .await?
        .ok_or_else(no_such_user)?
        .user;
    let had_device = store::totp::remove(&mut tx, &user.id).await?;
    let had_passkeys = store::passkeys::remove_all(&mut tx, &user.id).await?;
    if !had_device && !had_passkeys {
        return Err(AuthError::NoSecondFactor.into());
    }
    account_change::void_begun(&mut tx, &user, now);
    store::sessions::revoke_all(&mut tx, &user.id, None, now);
    let subject = Subject::user(&user.id).by(&admin.0.user.id);
    let (change, mail) = (AuditKind::SecondFactorsRemoved, MailKind::SecondFactorsRemoved);
    account_change::finish_for(tx, subject, &user.email, &client, &mailer, change, mail).await?;
    Ok(StatusCode::NO_CONTENT)
}
