//! POST /v1/me/totp/backup-codes

use axum::{Json, extract::State};
use tracewell_kit::{
    db::Db,
    json::ValidJson,
    problem::{ApiError, PROBLEM_JSON, Problem},
};

use super::{BackupCodes, Consent};
use crate::{
    caller::Caller,
    client::Client,
    domain::{AuditKind, BackupCode},
    error::AuthError,
    hashing::Hasher,
    reauthenticate::reauthenticate,
    refusals::OwnerRefused,
    second_factor,
    store::{self, audit::Subject},
};

/// Gives new backup codes; the old ones are void.
#[utoipa::path(
    post, path = "/me/totp/backup-codes", tag = "second factor", security(("bearer" = [])), request_body = Consent,
    responses(
        OwnerRefused,
        (status = 200, description = "The codes", body = BackupCodes),
        (status = 409, description = "`totp_not_enabled`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(crate) async fn backup_codes(
    State(db): State<Db>,
    State(hasher): State<Hasher>,
    client: Client,
    caller: Caller,
    ValidJson(body): ValidJson<Consent>,
) -> Result<Json<BackupCodes>, ApiError> {
    reauthenticate(&db, &hasher, &caller, &client, body.password).await?;
    let user_id = &caller.user.id;
    if !second_factor::is_on(&db, user_id).await? {
        return Err(AuthError::NoTotp.into());
    }
    let codes = BackupCode::generate_set().map_err(AuthError::from)?;
    let mut tx = db.begin().await?;
    caller.hold(&mut tx).await?;
    store::totp::replace_codes(&mut tx, user_id, &codes);
    let subject = Subject::user(user_id).in_session(&caller.session_id);
    store::audit::record(&mut tx, AuditKind::BackupCodesReplaced, subject, &client);
    tx.commit().await?;
    Ok(Json(codes.as_slice().into()))
}
