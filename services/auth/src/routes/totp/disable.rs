//! DELETE /v1/me/totp

use axum::extract::State;
use http::StatusCode;
use tracewell_kit::{
    db::Db,
    json::ValidJson,
    problem::{ApiError, PROBLEM_JSON, Problem},
};

use super::Consent;
use crate::{
    account_change,
    caller::Caller,
    client::Client,
    domain::{AuditKind, MailKind},
    error::AuthError,
    hashing::Hasher,
    mail::Mailer,
    reauthenticate::reauthenticate,
    refusals::OwnerRefused,
    store,
};

/// Turns one-time passwords off; the backup codes are void.
#[utoipa::path(
    delete, path = "/me/totp", tag = "second factor", security(("bearer" = [])), request_body = Consent,
    responses(
        OwnerRefused,
        (status = 204, description = "One-time passwords are off"),
        (status = 409, description = "`totp_not_enabled`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn disable(
    State(db): State<Db>,
    State(hasher): State<Hasher>,
    State(mailer): State<Mailer>,
    client: Client,
    caller: Caller,
    ValidJson(body): ValidJson<Consent>,
) -> Result<StatusCode, ApiError> {
    reauthenticate(&db, &hasher, &caller, &client, body.password).await?;
    let user = &caller.user;
    let mut tx = db.begin().await?;
    caller.hold(&mut tx).await?;
    if !store::totp::remove(&mut tx, &user.id).await? {
        return Err(AuthError::NoTotp.into());
    }
    let (change, mail) = (AuditKind::TotpDisabled, MailKind::SigninMethodsChanged);
    account_change::finish(tx, &caller, &client, &mailer, change, mail).await?;
    Ok(StatusCode::NO_CONTENT)
}
