//! DELETE /v1/me/passkeys/{id}

use axum::extract::State;
use http::StatusCode;
use tracewell_kit::{
    db::Db,
    problem::{ApiError, PROBLEM_JSON, Path, Problem},
};

use crate::{
    account_change,
    caller::Caller,
    client::Client,
    domain::{AuditKind, MailKind},
    mail::Mailer,
    refusals::CallerRefused,
    store,
};

/// Takes one of the caller's passkeys away. The password goes on to let them in.
#[utoipa::path(
    delete, path = "/me/passkeys/{id}", tag = "passkeys", security(("bearer" = [])),
    params(("id" = String, Path, description = "Id of the passkey", max_length = 64)),
    responses(
        CallerRefused,
        (status = 204, description = "The passkey lets nobody in any more"),
        (status = 404, description = "`not_found`: the caller has no such passkey", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn remove_passkey(
    State(db): State<Db>,
    State(mailer): State<Mailer>,
    client: Client,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let user = &caller.user;
    let mut tx = db.begin().await?;
    caller.hold(&mut tx).await?;
    if !store::passkeys::remove(&mut tx, &user.id, &id).await? {
        return Err(ApiError::not_found("you have no passkey with this id"));
    }
    let (change, mail) = (AuditKind::PasskeyRemoved, MailKind::SigninMethodsChanged);
    account_change::finish(tx, &caller, &client, &mailer, change, mail).await?;
    Ok(StatusCode::NO_CONTENT)
}
