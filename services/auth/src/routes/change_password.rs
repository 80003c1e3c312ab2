//! POST /v1/change-password

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use tracewell_kit::{clock, db::Db, json::ValidJson, problem::ApiError};
use utoipa::ToSchema;

use crate::{
    account_change,
    caller::Caller,
    client::Client,
    domain::{AuditKind, MailKind, Password},
    error::AuthError,
    hashing::Hasher,
    mail::Mailer,
    reauthenticate::reauthenticate,
    refusals::OwnerRefused,
    store,
};

/// A new password for the old one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordChange {
    current_password: Password,
    new_password: Password,
}

/// Changes the caller's password and ends their other sessions.
#[utoipa::path(
    post, path = "/change-password", tag = "passwords", security(("bearer" = [])), request_body = PasswordChange,
    responses(
        OwnerRefused,
        (status = 204, description = "The new password is in force"),
    )
)]
pub(crate) async fn change_password(
    State(db): State<Db>,
    State(hasher): State<Hasher>,
    State(mailer): State<Mailer>,
    client: Client,
    caller: Caller,
    ValidJson(body): ValidJson<PasswordChange>,
) -> Result<StatusCode, ApiError> {
    let known = reauthenticate(&db, &hasher, &caller, &client, body.current_password).await?;
    let hash = hasher.hash(body.new_password).await.map_err(AuthError::from)?;
    let (user, now) = (&caller.user, clock::now());
    let mut tx = db.begin().await?;
    caller.hold(&mut tx).await?;
    let confirmed = store::users::confirm_password_hash(&mut tx, &user.id, &known, &hash).await?;
    if confirmed.is_none() {
        // Another change was faster.
        return Err(AuthError::WrongPassword.into());
    }
    account_change::void_begun(&mut tx, user, now);
    store::sessions::revoke_all(&mut tx, &user.id, Some(&caller.session_id), now);
    let (change, mail) = (AuditKind::PasswordChanged, MailKind::PasswordChanged);
    account_change::finish(tx, &caller, &client, &mailer, change, mail).await?;
    Ok(StatusCode::NO_CONTENT)
}
