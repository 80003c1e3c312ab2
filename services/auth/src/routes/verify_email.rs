//! POST /v1/verify-email

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use tracewell_kit::{
    clock,
    db::Db,
    json::ValidJson,
    problem::{ApiError, PROBLEM_JSON, Problem},
};
use utoipa::ToSchema;

use crate::{
    caller::Caller,
    client::Client,
    domain::{AuditKind, MailKind},
    error::AuthError,
    opaque::OpaqueToken,
    refusals::CallerRefused,
    store::{self, audit::Subject},
};

/// Proof that the address is read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmailProof {
    /// The token of the mail.
    token: OpaqueToken,
}

/// Confirms the e-mail address that a token was mailed to, for who is signed in to the account.
///
/// The mail alone does not: a stranger may have made the account, and would keep their password, passkeys and sessions in
/// what is then an account with a confirmed address. Who reads the mail and cannot sign in chooses a new password, which
/// confirms the address and takes all that away.
#[utoipa::path(
    post, path = "/verify-email", tag = "accounts", security(("bearer" = [])), request_body = EmailProof,
    responses(
        CallerRefused,
        (status = 204, description = "The address is confirmed"),
        (status = 400, description = "`invalid_mail_token`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn verify_email(
    State(db): State<Db>,
    client: Client,
    caller: Caller,
    ValidJson(body): ValidJson<EmailProof>,
) -> Result<StatusCode, ApiError> {
    const PURPOSE: MailKind = MailKind::VerifyEmail;
    let (user_id, now) = (&caller.user.id, clock::now());
    let mut tx = db.begin().await?;
    caller.hold(&mut tx).await?;
    store::mail_tokens::spend(&mut tx, &body.token, user_id, PURPOSE, now)
        .await?
        .ok_or(AuthError::InvalidMailToken)?;
    store::users::set_email_verified(&mut tx, user_id, now);
    let subject = Subject::user(user_id).in_session(&caller.session_id);
    store::audit::record(&mut tx, AuditKind::EmailVerified, subject, &client);
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
