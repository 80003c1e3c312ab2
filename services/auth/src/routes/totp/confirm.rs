//! POST /v1/me/totp/confirm

use axum::{Json, extract::State};
use serde::Deserialize;
use tracewell_kit::{
    clock,
    db::Db,
    json::ValidJson,
    problem::{ApiError, PROBLEM_JSON, Problem},
};
use utoipa::ToSchema;

use super::BackupCodes;
use crate::{
    account_change,
    caller::Caller,
    client::Client,
    domain::{AuditKind, BackupCode, MailKind},
    error::AuthError,
    mail::Mailer,
    refusals::CallerRefused,
    sealing::Sealing,
    second_factor,
    store::{self, attempts::Target},
};

/// A code of the device that is being set up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceCode {
    #[schema(pattern = "^[0-9]{6}$", example = "287082")]
    code: String,
}

/// Turns one-time passwords on, once the device has shown that it makes right ones.
///
/// From then on signing in with the password takes a code too, by `POST /v1/signin/second-factor`.
#[utoipa::path(
    post, path = "/me/totp/confirm", tag = "second factor", security(("bearer" = [])), request_body = DeviceCode,
    responses(
        CallerRefused,
        (status = 200, description = "One-time passwords are on; the backup codes", body = BackupCodes),
        (status = 409, description = "`no_totp_setup`", body = Problem, content_type = PROBLEM_JSON),
        (status = 429, description = "`too_many_attempts`", body = Problem, content_type = PROBLEM_JSON),
        (status = 403, description = "`wrong_code` or `account_locked`",
            body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn confirm(
    State(db): State<Db>,
    State(sealing): State<Sealing>,
    State(mailer): State<Mailer>,
    client: Client,
    caller: Caller,
    ValidJson(body): ValidJson<DeviceCode>,
) -> Result<Json<BackupCodes>, ApiError> {
    let (user, now) = (&caller.user, clock::now());
    let device = store::totp::of_user(&db, &user.id).await?;
    if device.is_none_or(|device| device.confirmed_at.is_some()) {
        return Err(AuthError::NoTotpSetup.into());
    }
    let target = Target::Codes(&user.id);
    store::attempts::begin(&db, &target, &client, now).await?;
    let codes = BackupCode::generate_set().map_err(AuthError::from)?;
    let mut tx = db.begin().await?;
    caller.hold(&mut tx).await?;
    second_factor::confirm(&mut tx, &sealing, &user.id, &body.code, now).await?;
    store::attempts::forgive(&mut tx, &target, &client).await?;
    store::totp::replace_codes(&mut tx, &user.id, &codes);
    let (change, mail) = (AuditKind::TotpEnabled, MailKind::SigninMethodsChanged);
    account_change::finish(tx, &caller, &client, &mailer, change, mail).await?;
    Ok(Json(codes.as_slice().into()))
}
