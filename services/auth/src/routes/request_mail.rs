//! POST /v1/verify-email/resend and POST /v1/forgot-password: the two mails that anybody may ask for.

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use tracewell_kit::{
    db::{Db, DbError},
    json::ValidJson,
    problem::ApiError,
};
use utoipa::ToSchema;

use crate::{
    domain::{Email, MailKind},
    mail::Mailer,
    store,
};

/// Who wants the mail.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailRequest {
    email: Email,
}

/// Mails a new token to confirm an e-mail address, if it has an account that is not confirmed.
///
/// The answer is the same for every address, and takes the same time. At most three such mails go to an address in an
/// hour.
#[utoipa::path(
    post, path = "/verify-email/resend", tag = "accounts", request_body = MailRequest,
    responses((status = 202, description = "The mail will be sent if there is such an account"))
)]
pub(crate) async fn resend_verification(
    State(db): State<Db>,
    State(mailer): State<Mailer>,
    ValidJson(body): ValidJson<MailRequest>,
) -> Result<StatusCode, ApiError> {
    request(&db, &mailer, MailKind::VerifyEmail, &body.email).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Mails a token to choose a new password with, if the e-mail address has an account.
///
/// The answer is the same for every address, and takes the same time. At most three such mails go to an address in an
/// hour.
#[utoipa::path(
    post, path = "/forgot-password", tag = "passwords", request_body = MailRequest,
    responses((status = 202, description = "The mail will be sent if there is such an account"))
)]
pub(crate) async fn forgot_password(
    State(db): State<Db>,
    State(mailer): State<Mailer>,
    ValidJson(body): ValidJson<MailRequest>,
) -> Result<StatusCode, ApiError> {
    request(&db, &mailer, MailKind::ResetPassword, &body.email).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn request(db: &Db, mailer: &Mailer, kind: MailKind, email: &Email) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    store::mails::request(&mut tx, kind, email);
    tx.commit().await?;
    mailer.wake();
    Ok(())
}
