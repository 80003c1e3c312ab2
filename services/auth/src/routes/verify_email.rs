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
    client::Client,
    domain::{AuditKind, MailKind},
    error::AuthError,
    opaque::OpaqueToken,
    store::{self, audit::Subject},
};

/// Proof that the address is read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmailProof {
    /// The token of the mail.
    token: OpaqueToken,
}

/// Confirms the e-mail address that a token was mailed to.
#[utoipa::path(
    post, path = "/verify-email", tag = "accounts", request_body = EmailProof,
    responses(
        (status = 204, description = "The address is confirmed"),
        (status = 400, description = "`invalid_mail_token`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn verify_email(
    State(db): State<Db>,
    client: Client,
    ValidJson(body): ValidJson<EmailProof>,
) -> Result<StatusCode, ApiError> {
    const PURPOSE: MailKind = MailKind::VerifyEmail;
    let now = clock::now();
    let user_id = store::mail_tokens::user_of(&db, &body.token, PURPOSE, now)
        .await?
        .ok_or(AuthError::InvalidMailToken)?;
    let mut tx = db.begin().await?;
    store::users::hold(&mut tx, &user_id).await?;
    store::mail_tokens::spend(&mut tx, &body.token, &user_id, PURPOSE, now)
        .await?
        .ok_or(AuthError::InvalidMailToken)?;
    store::users::set_email_verified(&mut tx, &user_id, now).await?;
    store::audit::record(
        &mut tx,
        AuditKind::EmailVerified,
        Subject::user(&user_id),
        &client,
    )
    .await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
