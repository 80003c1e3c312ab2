//! POST /v1/me/email and POST /v1/confirm-email-change

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use tracewell_kit::{
    clock,
    db::{Db, DbError},
    json::ValidJson,
    problem::{ApiError, PROBLEM_JSON, Problem},
};
use utoipa::ToSchema;

use crate::{
    account_change,
    caller::Caller,
    client::Client,
    domain::{AuditKind, Email, MailKind, Password},
    error::AuthError,
    hashing::Hasher,
    mail::Mailer,
    opaque::OpaqueToken,
    reauthenticate::reauthenticate,
    refusals::{CallerRefused, OwnerRefused},
    store::{self, audit::Subject},
};

/// Another address for the account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmailChange {
    email: Email,
    password: Password,
}

/// Mails a token to the address that the account is to have; nothing changes before it comes back. The address that the
/// account has is told, so that its owner can stop it by a new password.
///
/// The answer is the same if another account has the address; then no mail is sent.
#[utoipa::path(
    post, path = "/me/email", tag = "accounts", security(("bearer" = [])), request_body = EmailChange,
    responses(OwnerRefused, (status = 202, description = "The mail will be sent if the address is free"))
)]
pub(crate) async fn change_email(
    State(db): State<Db>,
    State(hasher): State<Hasher>,
    State(mailer): State<Mailer>,
    client: Client,
    caller: Caller,
    ValidJson(body): ValidJson<EmailChange>,
) -> Result<StatusCode, ApiError> {
    reauthenticate(&db, &hasher, &caller, &client, body.password).await?;
    let mut tx = db.begin().await?;
    caller.hold(&mut tx).await?;
    let user = &caller.user;
    store::mails::request_about(&mut tx, MailKind::ConfirmNewEmail, &body.email, &user.id);
    store::mails::request_about(&mut tx, MailKind::EmailChangeRequested, &user.email, &user.id);
    tx.commit().await?;
    mailer.wake();
    Ok(StatusCode::ACCEPTED)
}

/// Proof that the new address is read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEmailProof {
    /// The token of the mail.
    token: OpaqueToken,
}

/// Gives the account the address that the token was mailed to, for who is signed in to it: who reads the mail alone may
/// have nothing to do with the account. The old address is told; what was mailed to it before is void.
#[utoipa::path(
    post, path = "/confirm-email-change", tag = "accounts", security(("bearer" = [])), request_body = NewEmailProof,
    responses(
        CallerRefused,
        (status = 204, description = "The account has the new address"),
        (status = 400, description = "`invalid_mail_token`", body = Problem, content_type = PROBLEM_JSON),
        (status = 409, description = "`email_taken`: another account got the address meanwhile",
            body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn confirm_email_change(
    State(db): State<Db>,
    State(mailer): State<Mailer>,
    client: Client,
    caller: Caller,
    ValidJson(body): ValidJson<NewEmailProof>,
) -> Result<StatusCode, ApiError> {
    const PURPOSE: MailKind = MailKind::ConfirmNewEmail;
    let (user, now) = (&caller.user, clock::now());
    let mut tx = db.begin().await?;
    caller.hold(&mut tx).await?;
    let new_email = store::mail_tokens::spend(&mut tx, &body.token, &user.id, PURPOSE, now)
        .await?
        .flatten()
        .ok_or(AuthError::InvalidMailToken)?;
    account_change::void_begun(&mut tx, user, now);
    match store::users::set_email(&mut tx, &user.id, &new_email, now).await {
        Err(DbError::UniqueViolation) => return Err(AuthError::EmailTaken.into()),
        changed => changed?,
    }
    let subject = Subject::user(&user.id).in_session(&caller.session_id);
    store::audit::record(&mut tx, AuditKind::EmailChanged, subject, &client);
    store::mails::request_about(&mut tx, MailKind::EmailChanged, &user.email, &user.id);
    tx.commit().await?;
    mailer.wake();
    Ok(StatusCode::NO_CONTENT)
}
