//! POST /v1/reset-password

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use tracewell_kit::{
    clock,
    db::{Db, DbError, Tx},
    json::ValidJson,
    problem::{ApiError, PROBLEM_JSON, Problem},
};
use utoipa::ToSchema;

use crate::{
    account_change,
    client::Client,
    domain::{AuditKind, MailKind, Password},
    error::AuthError,
    hashing::Hasher,
    mail::Mailer,
    opaque::OpaqueToken,
    store::{self, attempts::Target, audit::Subject},
};

/// A new password, and the right to choose it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordReset {
    /// The token of the mail.
    token: OpaqueToken,
    password: Password,
}

/// Chooses a new password with a token that was mailed, and ends every session of the account.
///
/// Who reads the mail has confirmed the address by that. If nobody had before, one-time passwords and passkeys are taken
/// away: whoever added them need not be who reads the mail.
#[utoipa::path(
    post, path = "/reset-password", tag = "passwords", request_body = PasswordReset,
    responses(
        (status = 204, description = "The new password is in force"),
        (status = 400, description = "`invalid_mail_token`", body = Problem, content_type = PROBLEM_JSON),
        (status = 403, description = "`account_locked`", body = Problem, content_type = PROBLEM_JSON),
        (status = 503, description = "`busy`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn reset_password(
    State(db): State<Db>,
    State(hasher): State<Hasher>,
    State(mailer): State<Mailer>,
    client: Client,
    ValidJson(body): ValidJson<PasswordReset>,
) -> Result<StatusCode, ApiError> {
    const PURPOSE: MailKind = MailKind::ResetPassword;
    // Looked at before the password is hashed, which is the dear part, and spent after.
    let user_id = store::mail_tokens::user_of(&db, &body.token, PURPOSE, clock::now())
        .await?
        .ok_or(AuthError::InvalidMailToken)?;
    let hash = hasher.hash(body.password).await.map_err(AuthError::from)?;
    let now = clock::now();
    let mut tx = db.begin().await?;
    let user = store::users::hold(&mut tx, &user_id)
        .await?
        .ok_or(AuthError::InvalidMailToken)?
        .unless_locked()?;
    store::mail_tokens::spend(&mut tx, &body.token, &user_id, PURPOSE, now)
        .await?
        .ok_or(AuthError::InvalidMailToken)?;
    if user.email_verified_at.is_none() {
        remove_ways_in_of_strangers(&mut tx, &user_id, &client).await?;
    }
    account_change::void_begun(&mut tx, &user, now);
    store::users::set_password_hash(&mut tx, &user_id, hash);
    store::users::set_email_verified(&mut tx, &user_id, now);
    store::attempts::clear(&mut tx, &Target::Password(&user.email), &client);
    store::sessions::revoke_all(&mut tx, &user_id, None, now);
    let (subject, change, mail) = (
        Subject::user(&user_id),
        AuditKind::PasswordReset,
        MailKind::PasswordChanged,
    );
    account_change::finish_for(tx, subject, &user.email, &client, &mailer, change, mail).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes away the second factors and passkeys that were added before anybody proved to read the address: who signed up
/// with it may have been somebody else, who would keep a way in.
async fn remove_ways_in_of_strangers(tx: &mut Tx, user_id: &str, client: &Client) -> Result<(), DbError> {
    let had_device = store::totp::remove(tx, user_id).await?;
    let had_passkeys = store::passkeys::remove_all(tx, user_id).await?;
    if had_device || had_passkeys {
        let subject = Subject::user(user_id);
        store::audit::record(tx, AuditKind::SecondFactorsRemoved, subject, client);
    }
    Ok(())
}
