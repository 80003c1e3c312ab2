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
    let now = clock::now();
    let mut tx = db.begin().await?;
    let user_id = store::mail_tokens::spend(&mut tx, &body.token, MailKind::VerifyEmail, now)
        .await?
        .ok_or(AuthError::InvalidMailToken)?
        .user_id;
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
