//! POST /v1/change-password

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use tracewell_kit::{clock, db::Db, json::ValidJson, problem::ApiError};
use utoipa::ToSchema;

use crate::{
    caller::Caller,
    client::Client,
    domain::{AuditKind, MailKind, Password},
    error::AuthError,
    hashing::Hasher,
    mail::Mailer,
    reauthenticate::reauthenticate,
    refusals::OwnerRefused,
    store::{self, audit::Subject},
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
        (status = 204, description = "The new password is in force"),
        OwnerRefused,
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
    reauthenticate(&db, &hasher, &caller, &client, body.current_password).await?;
    let hash = hasher.hash(body.new_password).await.map_err(AuthError::from)?;
    let Caller { user, session_id } = caller;
    let mut tx = db.begin().await?;
    store::users::set_password_hash(&mut tx, &user.id, hash).await?;
    store::challenges::void_all(&mut tx, &user.id).await?;
    store::sessions::revoke_all(&mut tx, &user.id, Some(&session_id), clock::now()).await?;
    let subject = Subject::user(&user.id).in_session(&session_id);
    store::audit::record(&mut tx, AuditKind::PasswordChanged, subject, &client).await?;
    store::mails::request(&mut tx, MailKind::PasswordChanged, &user.email).await?;
    tx.commit().await?;
    mailer.wake();
    Ok(StatusCode::NO_CONTENT)
}
